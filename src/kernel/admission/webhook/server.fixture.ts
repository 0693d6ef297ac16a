import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type TestCertificate = { cert: string; key: string }

/** A self-signed certificate for these names, made by openssl: its own bundle of trust. */
export function makeCertificate(subjectAltName: string): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'webhook-'))
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  try {
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        key,
        '-out',
        cert,
      ].concat(['-days', '1', '-subj', '/CN=webhook', '-addext', `subjectAltName=${subjectAltName}`]),
      { stdio: 'pipe' },
    )
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export type TestServer = { port: number; requests: unknown[]; close: () => Promise<void> }

/** An https server whose handler gets the parsed body. */
export async function serve(
  certificate: TestCertificate,
  handle: (body: never, response: ServerResponse, request: IncomingMessage) => void,
): Promise<TestServer> {
  const requests: unknown[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer(certificate, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
    requests.push(body)
    handle(body as never, response, request)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

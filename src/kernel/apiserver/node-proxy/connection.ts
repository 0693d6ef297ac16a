import { X509Certificate } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { ApiError } from '../../api/status.ts'
import { COMMON_NAME, nameAttributes, rawSubject } from '../../authn/certificate-reader.ts'

/** How the API server reaches kubelets. Everything is asked for at every connection, so that renewals take effect. */
export type NodeConnection = {
  /** PEM of the anchors of kubelets' serving certificates, and of nothing else. */
  ca: () => string
  /** PEM: who the API server is to a kubelet. */
  clientCertificate: () => { cert: string; key: string }
  /** By serial number and SHA-256 fingerprint: serving certificates that no longer count. */
  isRevoked?: (serialNumber: string, fingerprint256: string) => boolean
  /** Another way to a machine than a plain TCP connection from here. */
  dial?: (host: string, port: number) => Promise<Socket>
}

/** Where a machine's kubelet listens, by its Node object. */
export type NodeTarget = { nodeName: string; host: string; port: number }

const DIAL_TIMEOUT_MS = 10_000
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'

/** As kube-apiserver names what did not come to be. */
export const dialFailure = (why: string): ApiError =>
  new ApiError('InternalError', `error dialing backend: ${why}`, undefined, 500)

/**
 * A verified connection to a machine's kubelet. Its certificate must be of the kubelets' authority, for serving, name
 * the dialled address, and be that machine's own (CN `system:node:NAME`, the kubelet-serving signer's rule): a machine
 * that took over another's address, or wrote it into its own Node object, is nobody. Not a byte of a request is written
 * before. Rejects with ApiError.
 */
export async function dialKubelet(target: NodeTarget, connection: NodeConnection): Promise<TLSSocket> {
  const { host, port } = target
  const where = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
  const below = connection.dial === undefined ? undefined : await dialled(connection.dial, host, port, where)
  return await new Promise((resolve, reject) => {
    const socket = connect({
      ...(below === undefined ? { host, port } : { socket: below }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...connection.clientCertificate(),
      ca: connection.ca(),
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
      checkServerIdentity: (_host, peer) => {
        const leaf = new X509Certificate(peer.raw)
        const revoked = connection.isRevoked?.(leaf.serialNumber, leaf.fingerprint256) === true
        const problem = revoked ? 'its certificate is revoked' : wrongIdentity(leaf, target)
        return problem === undefined ? undefined : new Error(problem)
      },
    })
    const fail = (why: string): void => {
      clearTimeout(timer)
      socket.destroy()
      below?.destroy()
      reject(dialFailure(`${where}: ${why}`))
    }
    const timer = setTimeout(() => fail(`no TLS within ${DIAL_TIMEOUT_MS / 1000} s`), DIAL_TIMEOUT_MS)
    socket.once('error', (error: NodeJS.ErrnoException) => fail(error.message))
    socket.once('close', () => fail('the connection was closed'))
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      socket.removeAllListeners('close')
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}

async function dialled(
  dial: NonNullable<NodeConnection['dial']>,
  host: string,
  port: number,
  where: string,
): Promise<Socket> {
  try {
    return await dial(host, port)
  } catch (error) {
    throw dialFailure(`${where}: ${(error as Error).message}`)
  }
}

/** What a verified chain does not say: that its leaf is this machine's serving certificate. */
export function wrongIdentity(leaf: X509Certificate, { nodeName, host }: NodeTarget): string | undefined {
  if (!(leaf.keyUsage ?? []).includes(SERVER_AUTH)) return 'its certificate is not for servers'
  const named = isIP(host) === 0 ? leaf.checkHost(host, { subject: 'never' }) : leaf.checkIP(host)
  if (named === undefined) return `its certificate is not for ${host}`
  let names: string[]
  try {
    const attributes = nameAttributes(rawSubject(leaf.raw))
    names = attributes.filter((a) => a.oid === COMMON_NAME).map((a) => a.value)
  } catch {
    return 'the subject of its certificate cannot be read'
  }
  if (names.length !== 1 || names[0] !== `system:node:${nodeName}`)
    return `its certificate is not that of node ${JSON.stringify(nodeName)}`
  return undefined
}

/**
 * 400 days of a cluster on an injected clock: the control plane and a machine renew as they do, authorities rotate twice
 * on the way. Every six hours both links must verify in both directions; twice a month with real handshakes, in which
 * openssl takes that moment for now (node's own TLS knows no other time than the system's).
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ControlPlanePki, issuerKeyId } from '../src/features/tls/index.ts'
import { writeCertificateRequest } from '../src/features/tls/request-writer.ts'
import { certificateFiles, type Pair, renewalDue } from '../src/node/certificates/certificate.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const folder = mkdtempSync(join(tmpdir(), `rampart-400-days-${process.pid}-`))
after(() => rmSync(folder, { recursive: true }))

type Side = Pair & { trusts: string }

/** Whether this chain verifies at that moment: every signature, every validity, up to a trusted authority. */
function verifies(chain: string, trusted: string, at: number): boolean {
  const read = (pem: string): X509Certificate[] =>
    (pem.match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((block) => new X509Certificate(block))
  const anchors = read(trusted)
  const [leaf, ...rest] = read(chain)
  const inTime = (c: X509Certificate): boolean => c.validFromDate.getTime() <= at && at < c.validToDate.getTime()
  for (let current = leaf!, left = 3; left > 0; left--) {
    if (!inTime(current)) return false
    const anchor = anchors.find((a) => current.checkIssued(a) && current.verify(a.publicKey))
    if (anchor !== undefined) return inTime(anchor)
    const issuer = rest.find((c) => current.checkIssued(c) && current.verify(c.publicKey))
    if (issuer === undefined) return false
    current = issuer
  }
  return false
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

/** A mutual handshake of two openssl processes for which it is `at`. Rejects with what they say. */
async function handshake(server: Side, client: Side, ip: string, at: number): Promise<void> {
  const file = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const of = (name: string, { cert, key, trusts }: Side): string[] => [
    ...['-cert', file(`${name}.crt`, cert), '-cert_chain', file(`${name}.chain`, cert)],
    ...['-key', file(`${name}.key`, key), '-CAfile', file(`${name}.ca`, trusts)],
    ...['-attime', String(Math.floor(at / 1000)), '-x509_strict', '-verify_return_error'],
  ]
  const port = await freePort()
  const listening = spawn(
    'openssl',
    ['s_server', '-accept', `127.0.0.1:${port}`, '-naccept', '1', '-Verify', '3', ...of('server', server)],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let said = ''
  listening.stdout.on('data', (text: Buffer) => (said += text))
  listening.stderr.on('data', (text: Buffer) => (said += text))
  try {
    for (let i = 0; i < 200 && !said.includes('ACCEPT'); i++) await new Promise((resolve) => setTimeout(resolve, 10))
    const { status, stdout, stderr } = spawnSync(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${port}`, '-verify_ip', ip, '-verify', '3', ...of('client', client)],
      { input: 'Q\n', encoding: 'utf8', timeout: 10_000 },
    )
    assert.equal(status, 0, `client: ${stderr}${stdout}server: ${said}`)
    assert.match(stdout, /Verify return code: 0 \(ok\)/)
    for (let i = 0; i < 200 && listening.exitCode === null; i++) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.doesNotMatch(said, /verify error|ERROR/, said)
  } finally {
    listening.kill('SIGKILL')
  }
}

test('no link breaks in 400 days', async () => {
  const start = Date.parse('2026-01-01T00:00:00Z')
  let now = start
  const clock = { now: () => now }
  const pki = new ControlPlanePki({
    directory: join(folder, 'pki'),
    clock,
    clusterName: 'test',
    apiServerNames: ['172.31.0.1'],
    serviceAddress: '10.96.0.1',
  })

  const machine = {
    client: certificateFiles(join(folder, 'n1'), 'client'),
    serving: certificateFiles(join(folder, 'n1'), 'serving'),
  }
  const issue = async (kind: 'client' | 'serving'): Promise<Pair> => {
    const sans = kind === 'serving' ? { sans: { dns: ['n1'], ip: ['172.31.0.11'] } } : {}
    const result = await pki.sign({
      signerName: kind === 'client' ? 'kubernetes.io/kube-apiserver-client-kubelet' : 'kubernetes.io/kubelet-serving',
      request: writeCertificateRequest({
        commonName: 'system:node:n1',
        organizations: ['system:nodes'],
        ...sans,
        key: machine[kind].pendingKey(),
      }),
      usages: ['digital signature', kind === 'client' ? 'client auth' : 'server auth'],
      expirationSeconds: (7 * DAY) / 1000,
    })
    assert.equal(result.verdict, 'signed')
    return machine[kind].install((result as { certificate: string }).certificate)
  }
  const pairs = { client: await issue('client'), serving: await issue('serving') }
  let roots = pki.rootPem
  let clientCa = pki.clientCaPem
  let issued = 0
  let handshakes = 0

  for (let step = 0; now < start + 400 * DAY; step++, now = start + step * 6 * HOUR) {
    pki.renew()
    // Two rotations: what machines are told reaches them in the step after.
    const day = (now - start) / DAY
    if (day === 100 || day === 300) pki.rotate('trust')
    if (day === 102 || day === 302) pki.rotate('sign')
    if (day === 110 || day === 310) pki.rotate('retire')
    for (const kind of ['client', 'serving'] as const) {
      const foreign = !pki.authorityKeyIds.signing.includes(issuerKeyId(new X509Certificate(pairs[kind].cert)))
      if (now < renewalDue(pairs[kind], 0.9) && !foreign) continue
      pairs[kind] = await issue(kind)
      issued++
    }
    const kubelet = { ...pairs.client, trusts: roots }
    const apiServer = { ...pki.leaf('api-server'), trusts: pki.clientCaPem }
    const apiClient = { ...pki.leaf('api-server-kubelet-client'), trusts: pki.kubeletServingCaPem }
    const kubeletServer = { ...pairs.serving, trusts: clientCa }
    for (const [server, client] of [
      [apiServer, kubelet],
      [kubeletServer, apiClient],
    ] as const) {
      const when = `day ${day}, phase ${pki.rotation.phase}`
      assert.ok(verifies(server.cert, client.trusts, now), `${when}: the client refuses the server`)
      assert.ok(verifies(client.cert, server.trusts, now), `${when}: the server refuses the client`)
    }
    if (day % 15 === 0 || (day > 99.5 && day < 102.5)) {
      await handshake(apiServer, kubelet, '172.31.0.1', now)
      await handshake(kubeletServer, apiClient, '172.31.0.11', now)
      handshakes += 2
    }
    roots = pki.rootPem
    clientCa = pki.clientCaPem
  }
  assert.ok(issued > 2 * 75 && issued < 2 * 110, `renewed ${issued} times`)
  assert.ok(handshakes > 50)
  assert.equal(pki.rotation.signing, 3)

  // The proof proves something: without renewal the same handshake fails.
  const late = { ...pairs.client, trusts: pki.rootPem }
  await assert.rejects(
    handshake({ ...pki.leaf('api-server'), trusts: pki.clientCaPem }, late, '172.31.0.1', now + 8 * DAY),
  )
})

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { load } from 'js-yaml'
import { ControlPlanePki, type ControlPlanePkiOptions } from './control-plane-pki.ts'

const base = mkdtempSync(join(tmpdir(), 'rampart-pki-'))
after(() => rmSync(base, { recursive: true }))
const DAY = 86_400_000
let folders = 0
const folder = (): string => join(base, String(folders++))

const clock = (start = Date.now()) => {
  let now = start
  return { now: () => now, advance: (ms: number) => void (now += ms) }
}
const open = (over: Partial<ControlPlanePkiOptions> = {}): ControlPlanePki =>
  new ControlPlanePki({
    directory: folder(),
    clock: clock(),
    clusterName: 'test',
    apiServerNames: ['api.example.org', '192.0.2.7'],
    serviceAddress: '10.96.0.1',
    ...over,
  })

const first = (pem: string): X509Certificate => new X509Certificate(pem)

test('pki: folders and keys are for their owner only, and a second opening changes nothing', () => {
  const directory = folder()
  const pki = open({ directory })
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
  for (const file of files) {
    const mode = statSync(join(file.parentPath, file.name)).mode & 0o777
    if (file.isDirectory()) assert.equal(mode, 0o700, file.name)
    else assert.equal(mode, /\.(key|pem)$/.test(file.name) ? 0o600 : 0o644, file.name)
  }
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  assert.ok(files.every((f) => !f.name.endsWith('.new')))
  const again = open({ directory })
  assert.equal(again.rootPem, pki.rootPem)
  assert.deepEqual(again.leaf('admin'), pki.leaf('admin'))
  assert.deepEqual(again.renew(), [])
  assert.equal(again.serviceAccountKeys.length, 1)
})

test('pki: a key file that others could read is taken from them', () => {
  const directory = folder()
  const pki = open({ directory })
  chmodSync(pki.file('ca', 'key'), 0o644)
  open({ directory })
  assert.equal(statSync(pki.file('ca', 'key')).mode & 0o777, 0o600)
})

test('pki: openssl verifies every leaf up to the root, strictly', () => {
  const pki = open()
  const rows = [
    ['api-server', 'api-server', 'sslserver'],
    ['admin', 'client', 'sslclient'],
    ['controller-manager', 'client', 'sslclient'],
    ['api-server-kubelet-client', 'client', 'sslclient'],
    ['etcd-server', 'etcd', 'sslserver'],
    ['etcd-client', 'etcd', 'sslclient'],
  ] as const
  for (const [leaf, issuer, purpose] of rows) {
    const args = [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      pki.file('ca', 'crt'),
      '-untrusted',
      pki.file(`ca-${issuer}`, 'crt'),
      pki.file(leaf, 'crt'),
    ]
    assert.match(execFileSync('openssl', args, { encoding: 'utf8' }), /: OK/, leaf)
  }
})

test('pki: the API server is found under all of its names', () => {
  const certificate = first(open().leaf('api-server').cert)
  for (const name of [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
    'localhost',
    'api.example.org',
  ])
    assert.ok(certificate.checkHost(name), name)
  for (const address of ['127.0.0.1', '::1', '10.96.0.1', '192.0.2.7']) assert.ok(certificate.checkIP(address), address)
})

test('pki: identities', () => {
  const pki = open()
  assert.equal(first(pki.leaf('admin').cert).subject, 'O=system:masters\nCN=kubernetes-admin')
  assert.equal(first(pki.leaf('controller-manager').cert).subject, 'CN=system:kube-controller-manager')
})

test('pki: leaves live seven days and are renewed at two thirds, with new keys', () => {
  const time = clock()
  const pki = open({ clock: time })
  const before = pki.leaf('api-server')
  assert.equal(first(before.cert).validToDate.getTime(), Math.floor((time.now() + 7 * DAY) / 1000) * 1000)
  time.advance(4.6 * DAY)
  assert.deepEqual(pki.renew(), [])
  assert.ok(pki.nextRenewal() > time.now())
  time.advance(0.1 * DAY)
  assert.equal(pki.renew().length, 6)
  const renewed = pki.leaf('api-server')
  assert.notEqual(renewed.key, before.key)
  assert.equal(first(renewed.cert).validToDate.getTime(), Math.floor((time.now() + 7 * DAY) / 1000) * 1000)
  assert.ok(pki.nextRenewal() > time.now())
})

test('pki: a clock that jumps back gets leaves that are valid there', () => {
  const time = clock()
  const pki = open({ clock: time })
  time.advance(-3600_000)
  assert.equal(pki.renew().length, 6)
  assert.ok(first(pki.leaf('admin').cert).validFromDate.getTime() <= time.now())
})

test('pki: no leaf outlives its authority', () => {
  const pki = open({ authorityLifetimeSeconds: 86_400 })
  const end = first(pki.rootPem).validToDate.getTime()
  assert.ok(first(pki.leaf('admin').cert).validToDate.getTime() <= end)
})

const stale: [
  name: string,
  change: (pki: ControlPlanePki) => void,
  over: Partial<ControlPlanePkiOptions>,
  renewed: number,
][] = [
  ['another name of the API server', () => {}, { apiServerNames: ['other.example.org'] }, 1],
  ['a missing leaf', (pki) => unlinkSync(pki.file('admin', 'crt')), {}, 1],
  ['a leaf that is no certificate', (pki) => writeFileSync(pki.file('admin', 'crt'), 'x'), {}, 1],
  [
    'a renewal cut off between key and certificate',
    (pki) => writeFileSync(pki.file('admin', 'key'), readFileSync(pki.file('etcd-client', 'key'))),
    {},
    1,
  ],
  [
    'a leaf of another authority',
    (pki) => {
      for (const extension of ['crt', 'key'] as const)
        writeFileSync(pki.file('admin', extension), readFileSync(pki.file('etcd-client', extension)))
    },
    {},
    1,
  ],
]
for (const [name, change, over, renewed] of stale)
  test(`pki: ${name} is mended at the next opening`, () => {
    const directory = folder()
    const pki = open({ directory })
    const before = readdirSync(directory)
      .filter((f) => f.endsWith('.key'))
      .map((f) => readFileSync(join(directory, f), 'utf8'))
    change(pki)
    const again = open({ directory, ...over })
    assert.equal(again.rootPem, pki.rootPem)
    assert.equal(first(again.leaf('admin').cert).subject, 'O=system:masters\nCN=kubernetes-admin')
    const now = readdirSync(directory)
      .filter((f) => f.endsWith('.key'))
      .map((f) => readFileSync(join(directory, f), 'utf8'))
    assert.equal(now.filter((key) => !before.includes(key)).length, renewed)
  })

test('pki: a creation cut off between key and certificate of an authority goes on with that key', () => {
  const directory = folder()
  const key = open({ directory })
  unlinkSync(key.file('ca-etcd', 'crt'))
  const again = open({ directory })
  assert.ok(
    first(readFileSync(again.file('etcd-client', 'crt'), 'utf8')).verify(again.issuer('etcd').certificate.publicKey),
  )
})

const broken: [
  name: string,
  change: (pki: ControlPlanePki) => void,
  over: Partial<ControlPlanePkiOptions>,
  message: RegExp,
][] = [
  ['lost key', (pki) => unlinkSync(pki.file('ca', 'key')), {}, /ca\.crt is there, but its key .*ca\.key is not/],
  [
    'foreign key',
    (pki) => writeFileSync(pki.file('ca-client', 'key'), readFileSync(pki.file('ca', 'key'))),
    {},
    /is not the key of/,
  ],
  ['unreadable key', (pki) => writeFileSync(pki.file('ca-client', 'key'), 'x'), {}, /the private key cannot be read/],
  ['unreadable certificate', (pki) => writeFileSync(pki.file('ca', 'crt'), 'x'), {}, /the certificate cannot be read/],
  [
    'authority of another root',
    (pki) => {
      const other = open()
      for (const extension of ['crt', 'key'] as const)
        writeFileSync(pki.file('ca-client', extension), readFileSync(other.file('ca-client', extension)))
    },
    {},
    /was not issued by the root/,
  ],
  ['expired root', () => {}, { clock: clock(Date.now() + 4000 * DAY) }, /ca\.crt expired/],
]
for (const [name, change, over, message] of broken)
  test(`pki: refuses to open with a ${name}`, () => {
    const directory = folder()
    change(open({ directory }))
    assert.throws(() => open({ directory, ...over }), { name: 'PkiError', message })
  })

test('pki: service-account keys rotate and retire', () => {
  const directory = folder()
  const pki = open({ directory })
  const [old] = pki.serviceAccountKeys
  assert.equal(pki.serviceAccountKeys, pki.serviceAccountKeys)
  pki.serviceAccountKeyRotation.rotate()
  assert.equal(pki.serviceAccountKeys.length, 2)
  assert.ok(pki.serviceAccountKeys[1]!.equals(old!))
  assert.ok(open({ directory }).serviceAccountKeys[0]!.equals(pki.serviceAccountKeys[0]!))
  pki.serviceAccountKeyRotation.retire(1)
  assert.equal(pki.serviceAccountKeys.length, 1)
  assert.ok(!pki.serviceAccountKeys[0]!.equals(old!))
  pki.serviceAccountKeyRotation.retire(0)
  assert.equal(pki.serviceAccountKeys.length, 1)
})

test('pki: a prepared service-account key verifies first and signs after the rotation', () => {
  const directory = folder()
  const pki = open({ directory })
  const [signing] = pki.serviceAccountKeys
  pki.serviceAccountKeyRotation.prepare()
  const [first, prepared, ...none] = pki.serviceAccountKeys
  assert.ok(first!.equals(signing!))
  assert.ok(!prepared!.equals(signing!))
  assert.deepEqual(none, [])
  pki.serviceAccountKeyRotation.prepare()
  assert.ok(pki.serviceAccountKeys[1]!.equals(prepared!), 'preparing again keeps the prepared key')
  const other = open({ directory })
  pki.serviceAccountKeyRotation.rotate()
  assert.deepEqual(
    pki.serviceAccountKeys.map((k) => (k.equals(prepared!) ? 'prepared' : 'old')),
    ['prepared', 'old'],
  )
  other.serviceAccountKeyRotation.reload()
  assert.ok(other.serviceAccountKeys[0]!.equals(prepared!))
})

test('pki: the kubeconfig says where, whom to trust and who', () => {
  const pki = open({ clusterName: 'a "quoted" name' })
  const config = load(pki.adminKubeconfig('https://[::1]:6443')) as {
    clusters: { name: string; cluster: Record<string, string> }[]
    users: { name: string; user: Record<string, string> }[]
    contexts: { name: string; context: Record<string, string> }[]
    'current-context': string
  }
  const text = (base64: string | undefined): string => Buffer.from(base64 ?? '', 'base64').toString()
  assert.equal(config.clusters[0]!.cluster['server'], 'https://[::1]:6443')
  assert.equal(text(config.clusters[0]!.cluster['certificate-authority-data']), pki.rootPem)
  assert.equal(text(config.users[0]!.user['client-certificate-data']), pki.leaf('admin').cert)
  assert.equal(text(config.users[0]!.user['client-key-data']), pki.leaf('admin').key)
  assert.equal(config['current-context'], config.contexts[0]!.name)
  assert.deepEqual(config.contexts[0]!.context, { cluster: config.clusters[0]!.name, user: config.users[0]!.name })
})

type Answer = { authorized: boolean; reason: string; subject: string; serial: string }

/** Asks a server that answers whom it saw. */
function ask(port: number, credential: { cert?: string; key?: string }, ca: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, ca, agent: false, ...credential }, (response) => {
      const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber
      let body = ''
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () => resolve({ ...JSON.parse(body), serial }))
    }).on('error', reject)
  })
}

test('pki: a server admits clients of the client authorities only, before and after its context is swapped', async () => {
  const time = clock()
  const pki = open({ clock: time })
  const server = createServer(
    // Tokens need no certificate, so the handshake lets callers without one pass; this test looks at the verdict itself.
    { ...pki.serverContext(), requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const socket = request.socket as TLSSocket
      response.end(
        JSON.stringify({
          authorized: socket.authorized,
          reason: String(socket.authorizationError),
          subject: socket.getPeerX509Certificate()?.subject ?? '',
        }),
      )
    },
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const pem = ({ certificate, key }: { certificate: string; key: string }) => ({ cert: certificate, key })
  const check = async (): Promise<string> => {
    const admin = await ask(port, pki.leaf('admin'), pki.rootPem)
    assert.deepEqual([admin.authorized, admin.subject], [true, 'O=system:masters\nCN=kubernetes-admin'], admin.reason)
    const kubelet = pem(pki.issue('kubelet-client', { commonName: 'system:node:n1', organizations: ['system:nodes'] }))
    assert.equal((await ask(port, kubelet, pki.rootPem)).authorized, true)
    const refused = {
      etcd: pki.leaf('etcd-client'),
      'front proxy': pem(pki.issue('front-proxy', { commonName: 'front-proxy', organizations: ['system:masters'] })),
      server: pki.leaf('api-server'),
      foreign: open().leaf('admin'),
    }
    for (const [name, credential] of Object.entries(refused)) {
      const answer = await ask(port, credential, pki.rootPem)
      assert.equal(answer.authorized, false, name)
      assert.notEqual(answer.subject, '', name)
    }
    assert.equal((await ask(port, {}, pki.rootPem)).subject, '')
    return admin.serial
  }
  try {
    const before = await check()
    time.advance(-DAY / 2) // not valid yet by this clock: all leaves are issued again, and are valid by the real one too
    assert.ok(pki.renew().includes('api-server'))
    server.setSecureContext(pki.serverContext())
    assert.notEqual(await check(), before)
  } finally {
    server.close()
  }
})

test('pki: a client of the API server refuses a server of another authority of the same root', async () => {
  const pki = open()
  const { certificate, key } = pki.issue('client', { commonName: 'kube-apiserver', sans: { ip: ['127.0.0.1'] } })
  const server = createServer({ cert: certificate, key }, (_request, response) => response.end('{}'))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  try {
    await assert.rejects(ask((server.address() as AddressInfo).port, {}, pki.rootPem), { code: 'INVALID_PURPOSE' })
  } finally {
    server.close()
  }
})

test('pki: signing keys of another type than P-256 in the folder are an error of the one who put them there', () => {
  const directory = folder()
  const pki = open({ directory })
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(pki.file('ca-client', 'key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  assert.throws(() => open({ directory }), { name: 'PkiError' })
})

test('pki: an intermediate cannot vouch for names that are not its own, whoever has its key', () => {
  const pki = open()
  const accepts = (name: 'kubelet-serving' | 'etcd', sans: { dns?: string[]; ip?: string[] }): boolean => {
    const { certificate } = pki.issue(name, { commonName: 'system:node:n1', sans })
    const file = join(folder(), 'chain.pem')
    mkdirSync(dirname(file))
    writeFileSync(file, certificate)
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', pki.file('ca', 'crt')]
    const { status } = spawnSync('openssl', [...args, '-untrusted', pki.file(`ca-${name}`, 'crt'), file])
    return status === 0
  }
  assert.ok(accepts('kubelet-serving', { dns: ['n1', 'n1.example.org'], ip: ['172.31.0.11', '127.0.0.1', 'fd00::1'] }))
  for (const name of [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'x.kubernetes.default',
    'kubernetes.default.svc.cluster.local',
  ])
    assert.equal(accepts('kubelet-serving', { dns: ['n1', name] }), false, name)
  assert.ok(accepts('etcd', { dns: ['localhost'], ip: ['127.0.0.1', '::1'] }))
  for (const sans of [{ ip: ['10.96.0.1'] }, { dns: ['etcd.example.org'] }, { ip: ['::2'] }])
    assert.equal(accepts('etcd', sans), false, JSON.stringify(sans))
})

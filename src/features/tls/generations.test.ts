import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { ControlPlanePki } from './control-plane-pki.ts'
import { parseRotationState, RotationError } from './generations.ts'

const base = mkdtempSync(join(tmpdir(), `rampart-rotation-${process.pid}-`))
after(() => rmSync(base, { recursive: true }))
let folders = 0
const folder = (): string => join(base, String(folders++))
const open = (directory: string, now = Date.now()): ControlPlanePki =>
  new ControlPlanePki({
    directory,
    clock: { now: () => now },
    clusterName: 'test',
    apiServerNames: [],
    serviceAddress: '10.96.0.1',
  })
const count = (pem: string): number => pem.split('-----BEGIN CERTIFICATE-----').length - 1

/** Whether a client with this identity and trust and a server with that one believe each other. */
async function meet(server: ControlPlanePki, client: { ca: string; cert: string; key: string }): Promise<boolean> {
  const https = createServer(
    { ...server.serverContext(), requestCert: true, rejectUnauthorized: false },
    (req, res) => {
      res.writeHead((req.socket as TLSSocket).authorized ? 200 : 401).end()
    },
  )
  https.listen(0, '127.0.0.1')
  await once(https, 'listening')
  try {
    return await new Promise((resolve) => {
      const { port } = https.address() as AddressInfo
      const req = request({ host: '127.0.0.1', port, ...client, agent: false }, (res) => {
        res.resume()
        resolve(res.statusCode === 200)
      })
      req.on('error', () => resolve(false))
      req.end()
    })
  } finally {
    https.closeAllConnections()
    https.close()
  }
}

test('rotation: in every phase those who took the step before meet those who have not yet', async () => {
  const directory = folder()
  const pki = open(directory)
  const client = (): { ca: string; cert: string; key: string } => ({ ca: pki.rootPem, ...pki.leaf('admin') })
  const before = client()

  pki.rotate('trust')
  assert.deepEqual([pki.rotation.phase, pki.rotation.trusted, count(pki.rootPem)], ['trust', [1, 2], 2])
  const informed = client()
  assert.equal(informed.cert, before.cert, 'nothing is signed anew yet')
  for (const who of [before, informed]) assert.ok(await meet(pki, who))

  const issued = pki.rotate('sign')
  assert.deepEqual([...issued].sort(), [...pki.leafNames].sort(), 'every leaf')
  const renewed = client()
  assert.ok(await meet(pki, renewed))
  assert.ok(await meet(pki, informed), 'a client with the old certificate that knows both roots')
  assert.equal(await meet(pki, before), false, 'a client that missed phase trust: why sign asks first')
  assert.match(new X509Certificate(renewed.cert).issuer, /CN=test G2 client CA/)

  pki.rotate('retire')
  assert.deepEqual([pki.rotation.phase, pki.rotation.trusted, count(pki.rootPem)], ['stable', [2], 1])
  assert.ok(await meet(pki, renewed))
  assert.equal(await meet(pki, { ...renewed, cert: informed.cert, key: informed.key }), false)
  assert.equal(
    readdirSync(directory, { recursive: true }).filter((name) => /^ca(-.*)?\.key$/.test(String(name))).length,
    0,
    'keys of the retired authorities are gone',
  )
  const again = open(directory)
  assert.equal(again.rootPem, pki.rootPem)
  assert.deepEqual(again.renew(), [])

  again.rotate('trust')
  again.rotate('sign')
  again.rotate('retire')
  assert.deepEqual([again.rotation.signing, existsSync(join(directory, 'generation-2'))], [3, false])
})

test('rotation: steps come in turn, and a repeated one changes nothing', () => {
  const pki = open(folder())
  for (const early of ['sign', 'retire'] as const) assert.throws(() => pki.rotate(early), RotationError)
  pki.rotate('trust')
  const roots = pki.rootPem
  pki.rotate('trust')
  assert.equal(pki.rootPem, roots)
  assert.throws(() => pki.rotate('retire'), RotationError)
  pki.rotate('sign')
  assert.deepEqual(pki.rotate('sign'), [])
  assert.throws(() => pki.rotate('trust'), /does not come next/)
})

test('rotation: listeners hear of it, reload sees what another process did', () => {
  const directory = folder()
  const [one, other] = [open(directory), open(directory)]
  const heard: boolean[] = []
  one.onChange(({ trust }) => heard.push(trust))
  other.rotate('trust')
  one.reload()
  assert.equal(one.rootPem, other.rootPem)
  assert.deepEqual(heard, [true])
})

/** Stops the world at the n-th file that is written or removed, as kill -9 would, for every n. */
test('rotation: an end between any two writes leaves one phase or the next, and is carried on', () => {
  const start = folder()
  open(start)
  for (const [step, prepare] of [
    ['trust', []],
    ['sign', ['trust']],
    ['retire', ['trust', 'sign']],
  ] as const) {
    const from = folder()
    cpSync(start, from, { recursive: true })
    for (const s of prepare) open(from).rotate(s)
    const done = folder()
    cpSync(from, done, { recursive: true })
    open(done).rotate(step)
    // Every file that the step writes or removes, in its order: authorities (key before certificate), state, leaves, trust.
    const changed = changes(from, done)
    for (let stop = 0; stop <= changed.length; stop++) {
      const directory = folder()
      cpSync(from, directory, { recursive: true })
      for (const name of changed.slice(0, stop)) {
        const file = join(done, name)
        if (existsSync(file)) cpSync(file, join(directory, name), { recursive: true })
        else rmSync(join(directory, name), { recursive: true, force: true })
      }
      const pki = open(directory)
      const { phase } = pki.rotation
      const next = { trust: 'trust', sign: 'sign', retire: 'stable' }[step]
      if (phase !== next) pki.rotate(step)
      assert.equal(pki.rotation.phase, next, `${step} stopped after ${stop} of ${changed.length}`)
      for (const name of pki.leafNames) {
        const leaf = new X509Certificate(pki.leaf(name).cert)
        const issuer = { 'api-server': 'api-server', 'etcd-server': 'etcd', 'etcd-client': 'etcd' }[name as string]
        const { certificate } = pki.issuer((issuer ?? 'client') as 'client')
        assert.ok(leaf.verify(certificate.publicKey), `${name} after ${step} stopped at ${stop}`)
      }
    }
  }
})

function changes(from: string, to: string): string[] {
  const files = (root: string): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((f) => f.isFile())
      .map((f) => join(f.parentPath, f.name).slice(root.length + 1))
  const text = (file: string): string => (existsSync(file) ? readFileSync(file, 'latin1') : '')
  const rank = (name: string): number => {
    if (/^generation-.*\.key$/.test(name)) return 0
    if (/^generation-.*\.crt$/.test(name)) return 1
    if (name === 'authorities.json') return 2
    return existsSync(join(to, name)) ? 3 : 4
  }
  return [...new Set([...files(from), ...files(to)])]
    .filter((name) => text(join(from, name)) !== text(join(to, name)))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}

test('rotation: a state that cannot be is an error that names the file', () => {
  const state = { sequence: 1, phase: 'trust', signing: 1, trusted: [1, 2], since: '' }
  assert.deepEqual(parseRotationState(JSON.stringify(state)), state)
  for (const wrong of [
    { phase: 'other' },
    { signing: 2 },
    { trusted: [1] },
    { trusted: [2, 1] },
    { trusted: [1, 2, 3] },
    { sequence: -1 },
    { trusted: 'all' },
    { phase: 'stable' },
    { signing: 0, trusted: [0, 1] },
  ])
    assert.throws(() => parseRotationState(JSON.stringify({ ...state, ...wrong })), /fit|not the state/)
  const directory = folder()
  open(directory)
  writeFileSync(join(directory, 'authorities.json'), '{')
  assert.throws(() => open(directory), /authorities\.json/)
})

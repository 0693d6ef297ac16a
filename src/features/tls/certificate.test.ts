import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import {
  addressBytes,
  type CertificateRequest,
  createKeyPair,
  type Issuer,
  issueCertificate,
  sameNames,
} from './certificate.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-certificate-'))
after(() => rmSync(folder, { recursive: true }))

const DAY = 86_400_000
const NOW = Date.now()

function authority(parent?: Issuer, over: Partial<CertificateRequest> = {}): Issuer {
  const { publicKey, privateKey } = createKeyPair()
  const certificate = issueCertificate({
    subject: { commonName: parent ? 'intermediate' : 'root', organizations: ['test'] },
    publicKey,
    usages: ['keyCertSign', 'cRLSign'],
    notBefore: NOW - DAY,
    notAfter: NOW + 3650 * DAY,
    issuer: parent ?? { selfSigned: privateKey },
    ca: true,
    pathLength: parent ? 0 : 1,
    ...over,
  })
  return { certificate, key: privateKey }
}

const root = authority()
const intermediate = authority(root, { extKeyUsage: ['serverAuth'] })

const leaf = (over: Partial<CertificateRequest> = {}, publicKey: KeyObject = createKeyPair().publicKey) =>
  issueCertificate({
    subject: { commonName: 'kube-apiserver' },
    publicKey,
    sans: { dns: ['localhost', '*.example.org'], ip: ['10.96.0.1', '::1', 'fd00::1:2'] },
    usages: ['digitalSignature'],
    extKeyUsage: ['serverAuth'],
    notBefore: NOW - 1000,
    notAfter: NOW + 7 * DAY,
    issuer: intermediate,
    ...over,
  })

const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

test('certificate: openssl accepts the chain by its strict rules, for its purpose only', () => {
  const ca = file('root.pem', root.certificate.toString())
  const middle = file('intermediate.pem', intermediate.certificate.toString())
  const end = file('leaf.pem', leaf().toString())
  const verify = (purpose: string): string =>
    openssl(
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      ca,
      '-untrusted',
      middle,
      '-verify_ip',
      '10.96.0.1',
      end,
    )
  assert.match(verify('sslserver'), /leaf\.pem: OK/)
  assert.throws(() => verify('sslclient'), /unsuitable certificate purpose/)
})

for (const [name, pair] of [
  ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['Ed25519', generateKeyPairSync('ed25519')],
] as const)
  test(`certificate: an authority with a key of type ${name} verifies`, () => {
    const certificate = issueCertificate({
      subject: { commonName: 'other root' },
      publicKey: pair.publicKey,
      usages: ['keyCertSign', 'cRLSign'],
      notBefore: NOW - DAY,
      notAfter: NOW + DAY,
      issuer: { selfSigned: pair.privateKey },
      ca: true,
    })
    const ca = file(`${name}.pem`, certificate.toString())
    const end = file(`${name}-leaf.pem`, leaf({ issuer: { certificate, key: pair.privateKey } }).toString())
    assert.match(openssl('verify', '-x509_strict', '-CAfile', ca, end), /OK/)
  })

test('certificate: node reads what was asked for', () => {
  const certificate = leaf({ subject: { commonName: 'Zoë, "x"', organizations: ['b', 'a'] } })
  assert.equal(certificate.ca, false)
  assert.equal(
    certificate.subjectAltName,
    'DNS:localhost, DNS:*.example.org, IP Address:10.96.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:FD00:0:0:0:0:0:1:2',
  )
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  assert.ok(certificate.checkIssued(intermediate.certificate))
  assert.ok(certificate.verify(intermediate.certificate.publicKey))
  assert.equal(certificate.validToDate.getTime(), Math.floor((NOW + 7 * DAY) / 1000) * 1000)
})

test('certificate: times from 2050 on are written as RFC 5280 wants them', () => {
  const certificate = leaf({ notAfter: Date.UTC(2060, 0, 1) })
  assert.equal(certificate.validToDate.getTime(), Date.UTC(2060, 0, 1))
})

test('certificate: serial numbers are positive, long and different', () => {
  const serials = Array.from({ length: 50 }, () => leaf().serialNumber)
  assert.equal(new Set(serials).size, 50)
  for (const serial of serials) {
    assert.equal(serial.length, 34)
    assert.ok(Number.parseInt(serial.slice(0, 2), 16) < 0x80)
  }
})

const refused: [name: string, over: Partial<CertificateRequest>, code: string][] = [
  ['an empty name', { subject: { commonName: '' } }, 'invalid-subject'],
  ['NUL in a name', { subject: { commonName: 'a\0b' } }, 'invalid-subject'],
  ['NUL in a group', { subject: { commonName: 'a', organizations: ['x\0'] } }, 'invalid-subject'],
  ['a DNS name with a space', { sans: { dns: ['a b'] } }, 'invalid-san'],
  ['a DNS name with NUL', { sans: { dns: ['a\0.example.org'] } }, 'invalid-san'],
  ['a DNS label over 63', { sans: { dns: ['a'.repeat(64)] } }, 'invalid-san'],
  ['a wildcard inside', { sans: { dns: ['a.*.org'] } }, 'invalid-san'],
  ['no address', { sans: { ip: ['10.0.0.256'] } }, 'invalid-san'],
  ['a network', { sans: { ip: ['10.0.0.0/8'] } }, 'invalid-san'],
  ['a zone', { sans: { ip: ['fe80::1%eth0'] } }, 'invalid-san'],
  ['an end before its start', { notBefore: NOW, notAfter: NOW }, 'invalid-validity'],
  ['a leaf as issuer', { issuer: { certificate: leaf(), key: root.key } }, 'invalid-issuer'],
]
for (const [name, over, code] of refused)
  test(`certificate: refuses ${name}`, () => assert.throws(() => leaf(over), { name: 'CertificateError', code }))

test('certificate: addresses are bytes whatever their spelling', () => {
  const rows: [string, string][] = [
    ['10.0.0.1', '0a000001'],
    ['::', '00'.repeat(16)],
    ['::ffff:10.0.0.1', `${'00'.repeat(10)}ffff0a000001`],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['2001:db8::', `20010db8${'00'.repeat(12)}`],
  ]
  for (const [address, hex] of rows) assert.equal(addressBytes(address).toString('hex'), hex, address)
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      assert.ok(sameNames(leaf({ sans: { ip: [address] } }), { ip: [address] }), address)
    }),
    { numRuns: 30 },
  )
})

test('certificate: the same names in any order and case are the same', () => {
  const certificate = leaf({ sans: { dns: ['A.example', 'b'], ip: ['::1'] } })
  assert.ok(sameNames(certificate, { dns: ['b', 'a.EXAMPLE'], ip: ['0::1'] }))
  assert.ok(!sameNames(certificate, { dns: ['b'], ip: ['::1'] }))
  assert.ok(!sameNames(certificate, { dns: ['a.example', 'c'], ip: ['::1'] }))
  assert.ok(sameNames(leaf({ sans: {} }), {}))
})

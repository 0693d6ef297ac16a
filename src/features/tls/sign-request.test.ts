import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as fc from 'fast-check'
import { parseCertificateRequest } from './certificate-request.ts'
import { ControlPlanePki } from './control-plane-pki.ts'
import {
  bitString,
  explicit,
  implicit,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
  utf8String,
} from './der.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-csr-'))
after(() => rmSync(folder, { recursive: true }))
const NOW = Math.floor(Date.now() / 1000) * 1000
const pki = new ControlPlanePki({
  directory: join(folder, 'pki'),
  clock: { now: () => NOW },
  clusterName: 'test',
  apiServerNames: [],
  serviceAddress: '10.96.0.1',
})

/** A request as openssl makes it. */
function request(subject: string, options: { key?: string[]; san?: string; extensions?: string[] } = {}): string {
  const key = join(folder, 'request.key')
  execFileSync(
    'openssl',
    ['genpkey', '-quiet', '-out', key, ...(options.key ?? ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])],
    { stdio: 'pipe' },
  )
  const extensions = [...(options.san ? [`subjectAltName=${options.san}`] : []), ...(options.extensions ?? [])]
  const args = ['req', '-new', '-utf8', '-key', key, '-subj', subject, ...extensions.flatMap((e) => ['-addext', e])]
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

const CLIENT = 'kubernetes.io/kube-apiserver-client'
const SERVING = 'kubernetes.io/kubelet-serving'
const clientUse = ['digital signature', 'client auth']

async function signed(
  pem: string,
  over: { signerName?: string; usages?: string[]; expirationSeconds?: number } = {},
): Promise<X509Certificate> {
  const result = await pki.sign({ signerName: CLIENT, request: pem, usages: clientUse, ...over })
  assert.equal(result.verdict, 'signed', result.verdict === 'refused' ? result.reason : '')
  return new X509Certificate(result.verdict === 'signed' ? result.certificate : '')
}

const keys: [string, string[]][] = [
  ['P-256', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']],
  ['P-521', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521']],
  ['RSA', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']],
  ['Ed25519', ['-algorithm', 'ED25519']],
]
for (const [name, key] of keys)
  test(`sign: a request with a key of type ${name}`, async () => {
    const certificate = await signed(request('/O=dev/CN=alice', { key }))
    assert.equal(certificate.subject, 'O=dev\nCN=alice')
    assert.ok(certificate.verify(pki.issuer('client').certificate.publicKey))
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  })

test('sign: the subject is kept byte for byte, other attributes too', async () => {
  const certificate = await signed(request('/C=DE/O=dev/OU=ops/CN=Zoë'))
  assert.equal(certificate.subject, 'C=DE\nO=dev\nOU=ops\nCN=Zoë')
})

test('sign: what a request says about itself beyond names does not count', async () => {
  const certificate = await signed(
    request('/CN=alice', {
      extensions: ['basicConstraints=critical,CA:TRUE', 'extendedKeyUsage=serverAuth', 'keyUsage=keyCertSign'],
    }),
  )
  assert.equal(certificate.ca, false)
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
})

test('sign: a kubelet gets a serving certificate that verifies up to the root', async () => {
  const pem = request('/O=system:nodes/CN=system:node:n1', { san: 'DNS:n1,IP:10.0.0.7' })
  const result = await pki.sign({ signerName: SERVING, request: pem, usages: ['digital signature', 'server auth'] })
  assert.ok(result.verdict === 'signed')
  const [leaf, middle] = result.certificate.split(/(?<=-----END CERTIFICATE-----\n)/)
  const certificate = new X509Certificate(leaf!)
  assert.equal(certificate.subjectAltName, 'DNS:n1, IP Address:10.0.0.7')
  assert.ok(certificate.verify(new X509Certificate(middle!).publicKey))
  assert.ok(new X509Certificate(middle!).verify(new X509Certificate(pki.rootPem).publicKey))
})

const lifetimes: [asked: number | undefined, seconds: number][] = [
  [undefined, 365 * 86_400 - 300],
  [600, 600],
  [1, 600],
  [86_400, 86_400 - 300],
  [2 ** 31 - 1, 365 * 86_400 - 300],
]
for (const [asked, seconds] of lifetimes)
  test(`sign: ${asked ?? 'no'} seconds asked for`, async () => {
    const certificate = await signed(request('/CN=alice'), asked === undefined ? {} : { expirationSeconds: asked })
    assert.equal(certificate.validToDate.getTime(), NOW + seconds * 1000)
    assert.equal(certificate.validFromDate.getTime(), NOW - 300_000)
  })

test('sign: what the signer does not allow is refused with a reason', async () => {
  const pem = request('/O=system:nodes/CN=alice')
  const rows: [string, string[], RegExp][] = [
    ['kubernetes.io/kube-apiserver-client-kubelet', clientUse, /common name/],
    [SERVING, ['digital signature', 'server auth'], /subjectAltName is required/],
    [CLIENT, ['server auth'], /invalid usage/],
    ['example.org/other', clientUse, /unrecognized signerName/],
  ]
  for (const [signerName, usages, reason] of rows) {
    const result = await pki.sign({ signerName, request: pem, usages })
    assert.ok(result.verdict === 'refused')
    assert.match(result.reason, reason)
  }
})

const good = request('/CN=alice')
/** The same request with one bit of its signature turned. */
function forged(pem: string): string {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  const at = der.length - 1
  der[at] = der[at]! ^ 1
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
}
const trailing = (pem: string): string => {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  return `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.concat([der, Buffer.from([5, 0])]).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
}
const bad: [name: string, pem: () => string, code: string][] = [
  ['nothing', () => '', 'malformed'],
  ['a certificate', () => readFileSync(pki.file('ca', 'crt'), 'utf8'), 'malformed'],
  ['two requests', () => good + good, 'malformed'],
  [
    'text that is not base64',
    () => '-----BEGIN CERTIFICATE REQUEST-----\n!!!!\n-----END CERTIFICATE REQUEST-----',
    'malformed',
  ],
  ['half a request', () => `${good.slice(0, 200)}\n-----END CERTIFICATE REQUEST-----`, 'malformed'],
  ['bytes behind the request', () => trailing(good), 'malformed'],
  ['a megabyte', () => good + ' '.repeat(1 << 20), 'malformed'],
  ['a forged signature', () => forged(good), 'bad-signature'],
  [
    'a short RSA key',
    () => request('/CN=a', { key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'] }),
    'weak-key',
  ],
  [
    'an odd curve',
    () => request('/CN=a', { key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'] }),
    'weak-key',
  ],
  ['no common name', () => request('/O=a'), 'bad-subject'],
  ['two common names', () => request('/CN=a/CN=b'), 'bad-subject'],
  ['a name that is not text', () => request('/CN=a', { san: 'otherName:1.2.3;UTF8:x' }), 'malformed'],
]
for (const [name, pem, code] of bad)
  test(`request refused: ${name}`, () =>
    assert.throws(() => parseCertificateRequest(pem()), { name: 'CertificateRequestError', code }))

test('request refused: any bytes changed, cut or put in end in an answer, never in a crash or in more names', () => {
  const text = request('/O=system:nodes/CN=system:node:n1', { san: 'DNS:n1,IP:10.0.0.1' })
  const der = Buffer.from(text.replace(/-----[^-]+-----/g, ''), 'base64')
  const wrap = (bytes: Uint8Array): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(bytes).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(4), fc.uint8Array({ maxLength: 6 }), (at, removed, put) => {
      const bytes = Buffer.concat([der.subarray(0, at), put, der.subarray(at + removed)])
      try {
        const { sans, commonName } = parseCertificateRequest(wrap(bytes))
        assert.ok(bytes.equals(der), 'only what was signed is taken')
        assert.deepEqual([commonName, sans.dns, sans.ip], ['system:node:n1', ['n1'], ['10.0.0.1']])
      } catch (error) {
        assert.equal((error as Error).name, 'CertificateRequestError', String((error as Error).stack))
      }
    }),
    { numRuns: 3000 },
  )
})

test('request refused: what is signed and is not as it should be', () => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const cn = (length: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from('300c310a3008', 'hex'),
      objectIdentifier('2.5.4.3'),
      Buffer.from([0x0c]),
      length,
      Buffer.from('a'),
    ])
  const name = sequence(setOf(sequence(objectIdentifier('2.5.4.3'), utf8String('a'))))
  const signed = (subject: Uint8Array, ...attributes: Uint8Array[]): string => {
    const info = sequence(smallInteger(0), subject, spki, explicit(0, ...attributes))
    const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'))
    const der = sequence(info, algorithm, bitString(sign('sha256', info, key)))
    return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  }
  assert.equal(parseCertificateRequest(signed(name)).commonName, 'a')
  const wanted = (...values: Uint8Array[]): Buffer => sequence(objectIdentifier('1.2.840.113549.1.9.14'), ...values)
  const extension = (value: Uint8Array): Buffer => sequence(objectIdentifier('2.5.29.17'), octetString(value))
  for (const [what, text] of [
    ['a length in its long form', signed(cn(Buffer.from([0x81, 0x01])))],
    ['an attribute that is no sequence', signed(name, octetString(Buffer.from('x')))],
    ['values that are no set', signed(name, wanted(sequence()))],
    ['extensions that are no sequence', signed(name, wanted(setOf(utf8String('x'))))],
    ['an extension without a value', signed(name, wanted(setOf(sequence(sequence(objectIdentifier('2.5.29.17'))))))],
    ['names that are no sequence', signed(name, wanted(setOf(sequence(extension(utf8String('n1'))))))],
    ['names cut short', signed(name, wanted(setOf(sequence(extension(Buffer.from([0x30, 0x05, 0x82]))))))],
    [
      'an address of five bytes',
      signed(name, wanted(setOf(sequence(extension(sequence(implicit(7, Buffer.alloc(5)))))))),
    ],
  ] as const)
    assert.throws(() => parseCertificateRequest(text), { name: 'CertificateRequestError', code: 'malformed' }, what)
})

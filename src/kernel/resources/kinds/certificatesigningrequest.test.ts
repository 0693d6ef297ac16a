import 'reflect-metadata'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Pkcs10CertificateRequestGenerator, X509CertificateGenerator } from '@peculiar/x509'
import type { KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import { certificateSigningRequestKind } from './certificatesigningrequest.ts'
import { parseCertificateRequest } from './pkcs10.ts'

const strategy = certificateSigningRequestKind.strategy!
const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const keys = await crypto.subtle.generateKey(ecdsa, true, ['sign', 'verify'])
const csr = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=alice', keys, signingAlgorithm: ecdsa })
const pem = csr.toString('pem')
const certificate = (
  await X509CertificateGenerator.createSelfSigned({ name: 'CN=alice', keys, signingAlgorithm: ecdsa })
).toString('pem')
const base64 = (text: string): string => Buffer.from(text).toString('base64')

const request = (spec: object = {}, status: object = {}): KubeObject => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name: 'a' },
  spec: { request: base64(pem), signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth'], ...spec },
  status,
})

describe('spec', () => {
  const legacy =
    'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version'
  const rows: [string, object, (string | RegExp)[]][] = [
    ['good', {}, []],
    [
      'not PEM',
      { request: base64('x') },
      [/^spec.request: Invalid value: .*: PEM block type must be CERTIFICATE REQUEST$/],
    ],
    [
      'garbage inside',
      { request: base64('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n') },
      [/asn1/],
    ],
    ['no usages', { usages: [] }, ['spec.usages: Required value']],
    [
      'unknown usage',
      { usages: ['client auth', 'party', 'client auth'] },
      [/spec.usages\[1\]: Unsupported value: "party"/, 'spec.usages[2]: Duplicate value: "client auth"'],
    ],
    ['no signer', { signerName: '' }, ['spec.signerName: Required value']],
    [
      'signer without path',
      { signerName: 'example.com' },
      [/must be a fully qualified domain and path of the form 'example.com\/signer-name'/],
    ],
    [
      'signer without domain',
      { signerName: 'example/x' },
      [/"example": should be a domain with at least two segments/],
    ],
    [
      'signer labels',
      { signerName: 'exa_mple.com/X' },
      [
        /"exa_mple.com": validating label "exa_mple": a lowercase RFC 1123 label/,
        /"X": validating label "X": a lowercase/,
      ],
    ],
    ['legacy signer', { signerName: 'kubernetes.io/legacy-unknown' }, [legacy]],
    [
      'short life',
      { expirationSeconds: 599 },
      ['spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)'],
    ],
  ]
  for (const [name, spec, want] of rows)
    test(name, () => {
      const got = strategy.validate!(request(spec)).map(fieldErrorMessage)
      assert.equal(got.length, want.length, got.join('\n'))
      want.forEach((w, i) => {
        if (typeof w === 'string') assert.equal(got[i], w)
        else assert.match(got[i]!, w)
      })
    })

  test('a request whose signature does not fit its key', () => {
    const der = Buffer.from(csr.rawData)
    der.write('mallo', der.indexOf('alice'))
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    assert.throws(() => parseCertificateRequest(Buffer.from(forged)), /signature/)
    assert.equal(parseCertificateRequest(Buffer.from(pem)).publicKey.asymmetricKeyType, 'ec')
  })

  test('no truncation of the DER crashes or passes', () => {
    const der = Buffer.from(csr.rawData)
    for (let length = 0; length < der.length; length++) {
      const text = `-----BEGIN CERTIFICATE REQUEST-----\n${der.subarray(0, length).toString('base64')}\n-----END CERTIFICATE REQUEST-----`
      assert.throws(() => parseCertificateRequest(Buffer.from(text)), Error)
    }
  })
})

test('the server records who asks', () => {
  const object = request({ username: 'root', uid: 'x', groups: ['g'], extra: { a: ['b'] } }, { certificate: 'x' })
  const userInfo = { name: 'alice', groups: ['dev'] }
  strategy.prepareForCreate!(object, { now: 0, subresource: '', user: 'alice', userInfo })
  assert.deepEqual(
    [object.spec.username, object.spec.uid, object.spec.groups, object.spec.extra, object.status],
    ['alice', undefined, ['dev'], undefined, {}],
  )
})

describe('updates', () => {
  const approved = {
    type: 'Approved',
    status: 'True',
    reason: 'r',
    lastUpdateTime: '2025-01-01T00:00:00Z',
    lastTransitionTime: '2025-01-01T00:00:00Z',
  }
  const old = request({}, { conditions: [approved] })
  function update(
    subresource: string,
    status: object,
    before: KubeObject = old,
  ): { object: KubeObject; errors: string[] } {
    const object = request({ usages: ['any'] }, structuredClone(status))
    const context = { now: 0, subresource, user: 'u' }
    strategy.prepareForUpdate!(object, before, context)
    return {
      object,
      errors: [...strategy.validate!(object), ...strategy.validateUpdate!(object, before, context)].map(
        fieldErrorMessage,
      ),
    }
  }

  test('the spec never changes', () => {
    for (const subresource of ['', 'status', 'approval'])
      assert.deepEqual(update(subresource, { conditions: [approved] }).object.spec.usages, ['client auth'])
  })

  test('only approval decides, and stamps the time', () => {
    const decide = { conditions: [{ type: 'Denied', status: 'True' }] }
    const fresh = request()
    const { object, errors } = update('approval', decide, fresh)
    assert.deepEqual(errors, [])
    assert.equal(object.status.conditions[0].lastTransitionTime, '1970-01-01T00:00:00Z')
    assert.deepEqual(update('', decide, fresh).object.status, fresh.status)
    assert.deepEqual(update('status', decide, fresh).errors, [
      'status.conditions: Forbidden: updates may not add a condition of type "Denied"',
    ])
  })

  test('decisions are not taken back or contradicted', () => {
    assert.deepEqual(update('approval', { conditions: [] }).errors, [
      'status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
    ])
    assert.match(
      update('approval', { conditions: [approved, { type: 'Denied', status: 'True' }] }).errors[0]!,
      /mutually exclusive/,
    )
    assert.match(
      update('approval', { conditions: [{ ...approved, status: 'False' }] }).errors[0]!,
      /Unsupported value: "False": supported values: "True"/,
    )
  })

  test('only status issues, once, and only certificates', () => {
    const conditions = [{ ...approved, reason: 'changed by the signer' }]
    const issued = update('status', { conditions, certificate: base64(certificate) })
    assert.deepEqual(issued.errors, [])
    assert.equal(issued.object.status.conditions[0].reason, 'r')
    assert.deepEqual(
      update('approval', { conditions, certificate: base64(certificate) }).object.status.certificate,
      undefined,
    )
    assert.match(
      update('status', { conditions, certificate: base64('x') }).errors[0]!,
      /must contain at least one CERTIFICATE PEM block/,
    )
    assert.match(
      update('status', { conditions, certificate: base64(pem) }).errors[0]!,
      /only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"/,
    )
    assert.deepEqual(update('status', { conditions, certificate: base64(`${certificate}\n`) }, issued.object).errors, [
      'status.certificate: Forbidden: updates may not modify existing certificate content',
    ])
  })

  test('condition cell', () => {
    const cell = (status: object): unknown => certificateSigningRequestKind.columns.at(-1)!.cell(request({}, status), 0)
    assert.equal(cell({}), 'Pending')
    assert.equal(
      cell({ conditions: [approved, { type: 'Failed', status: 'True' }], certificate: 'x' }),
      'Approved,Failed,Issued',
    )
  })
})

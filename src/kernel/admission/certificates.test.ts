import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import type { Attributes } from '../authz/types.ts'
import {
  type Authorize,
  certificateApproval,
  certificateSigning,
  certificateSubjectRestriction,
} from './certificates.ts'
import { CSRS, makeRequest, object, run } from './request.fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'csr-'))
after(() => rmSync(folder, { recursive: true }))

/** Base64 of a PEM request with this subject, in openssl's notation. */
function requestFor(subject: string): string {
  const args = ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-multivalue-rdn']
  const pem = execFileSync('openssl', [...args, '-keyout', join(folder, 'key'), '-subj', subject], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return pem.toString('base64')
}

const csr = (signerName: string, fields: Partial<KubeObject> = {}): KubeObject =>
  object('CertificateSigningRequest', 'jane', { spec: { signerName, request: '' }, ...fields })

/** Allows the verbs on the signers that are named as `verb signer`. */
function allowing(...grants: string[]): { authorize: Authorize; asked: Attributes[] } {
  const asked: Attributes[] = []
  return {
    asked,
    authorize: (a) => {
      asked.push(a)
      const granted = a.resourceRequest && grants.includes(`${a.verb} ${a.name}`)
      return granted ? { verdict: 'allow', by: { authorizer: 'test', reason: 'granted' } } : { verdict: 'next' }
    },
  }
}

const SIGNER = 'example.com/web'
const PREFIX = 'certificatesigningrequests.certificates.k8s.io "jane" is forbidden: '

for (const [grants, allowed] of [
  [['approve example.com/web'], true],
  [['approve example.com/*'], true],
  [['approve *'], false],
  [['sign example.com/web'], false],
  [['approve example.com/other'], false],
] as const)
  test(`CertificateApproval with ${grants}: ${allowed ? 'allowed' : 'refused'}`, async () => {
    const { authorize, asked } = allowing(...grants)
    // The signer that counts is the one the stored request names.
    const request = makeRequest({
      operation: 'UPDATE',
      subresource: 'approval',
      definition: CSRS,
      object: csr('kubernetes.io/other'),
      oldObject: csr(SIGNER),
    })
    const outcome = run(certificateApproval(authorize), request)
    if (allowed) await outcome
    else
      await assert.rejects(outcome, {
        code: 403,
        message: `${PREFIX}user not permitted to approve requests with signerName "${SIGNER}"`,
      })
    assert.deepEqual(asked[0], {
      resourceRequest: true,
      user: request.user,
      verb: 'approve',
      apiGroup: 'certificates.k8s.io',
      apiVersion: '*',
      resource: 'signers',
      subresource: '',
      namespace: '',
      name: SIGNER,
    })
  })

const approved = [{ type: 'Approved', status: 'True' }]
for (const [what, status, before, asks] of [
  ['nothing changed', { conditions: approved }, { conditions: approved }, false],
  ['nothing there yet', {}, undefined, false],
  ['a certificate', { certificate: 'x' }, {}, true],
  ['a condition', { conditions: approved }, {}, true],
] as const)
  test(`CertificateSigning: ${what}`, async () => {
    const request = () =>
      makeRequest({
        operation: 'UPDATE',
        subresource: 'status',
        definition: CSRS,
        object: csr(SIGNER, { status }),
        oldObject: csr(SIGNER, before === undefined ? {} : { status: before }),
      })
    await run(certificateSigning(allowing(`sign ${SIGNER}`).authorize), request())
    const refused = run(certificateSigning(allowing().authorize), request())
    if (!asks) return await refused
    await assert.rejects(refused, {
      message: `${PREFIX}user not permitted to sign requests with signerName "${SIGNER}"`,
    })
  })

const MASTERS = 'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed'
for (const [what, signer, subject, why] of [
  ['masters', 'kubernetes.io/kube-apiserver-client', '/O=system:masters/CN=jane', MASTERS],
  ['masters among others', 'kubernetes.io/kube-apiserver-client', '/O=dev/O=system:masters/CN=jane', MASTERS],
  ['masters in one RDN', 'kubernetes.io/kube-apiserver-client', '/O=dev+O=system:masters/CN=jane', MASTERS],
  ['others', 'kubernetes.io/kube-apiserver-client', '/O=dev/CN=system:masters', undefined],
  ['another signer', 'example.com/web', '/O=system:masters/CN=jane', undefined],
] as const)
  test(`CertificateSubjectRestriction: ${what}`, async () => {
    const spec = { signerName: signer, request: requestFor(subject) }
    const outcome = run(certificateSubjectRestriction(), makeRequest({ definition: CSRS, object: csr('', { spec }) }))
    if (why === undefined) return await outcome
    await assert.rejects(outcome, { code: 403, message: PREFIX + why })
  })

test('CertificateSubjectRestriction: what cannot be read is refused', async () => {
  const spec = { signerName: 'kubernetes.io/kube-apiserver-client', request: Buffer.from('junk').toString('base64') }
  await assert.rejects(
    run(certificateSubjectRestriction(), makeRequest({ definition: CSRS, object: csr('', { spec }) })),
    {
      message: `${PREFIX}failed to parse CSR: PEM block type must be CERTIFICATE REQUEST`,
    },
  )
})

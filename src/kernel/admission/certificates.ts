import type { Json, KubeObject } from '../api/object.ts'
import type { Attributes, Decision } from '../authz/types.ts'
import { jsonEqual } from '../merge/json-value.ts'
import { parseCertificateRequest } from '../resources/kinds/pkcs10.ts'
import { refusal } from './refusal.ts'
import { organizations } from './subject.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

export type Authorize = (attributes: Attributes) => Decision | Promise<Decision>

const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client'
const MASTERS = 'system:masters'

const isCsr = ({ definition }: Pick<AdmissionRequest, 'definition'>): boolean =>
  definition.group === 'certificates.k8s.io' && definition.plural === 'certificatesigningrequests'

const signerOf = (csr: KubeObject | undefined): string => csr?.['spec']?.signerName ?? ''

/** Who approves or denies needs the verb `approve` on the signer (Kubernetes' CertificateApproval). */
export function certificateApproval(authorize: Authorize): AdmissionStep {
  return {
    name: 'CertificateApproval',
    handles: (request) => request.operation === 'UPDATE' && request.subresource === 'approval' && isCsr(request),
    validate: async (request) => {
      const signer = signerOf(request.oldObject)
      if (!(await mayUseSigner(authorize, request, 'approve', signer)))
        throw refusal(request, `user not permitted to approve requests with signerName ${JSON.stringify(signer)}`)
    },
  }
}

/** Who writes a certificate or conditions needs the verb `sign` on the signer (Kubernetes' CertificateSigning). */
export function certificateSigning(authorize: Authorize): AdmissionStep {
  return {
    name: 'CertificateSigning',
    handles: (request) => request.operation === 'UPDATE' && request.subresource === 'status' && isCsr(request),
    validate: async (request) => {
      const [now, before] = [request.object?.['status'] ?? {}, request.oldObject?.['status'] ?? {}]
      if ((now.certificate ?? '') === (before.certificate ?? '') && sameConditions(now, before)) return
      const signer = signerOf(request.oldObject)
      if (!(await mayUseSigner(authorize, request, 'sign', signer)))
        throw refusal(request, `user not permitted to sign requests with signerName ${JSON.stringify(signer)}`)
    },
  }
}

const sameConditions = (a: { conditions?: Json }, b: { conditions?: Json }): boolean =>
  jsonEqual(a.conditions ?? [], b.conditions ?? [])

/** Nobody gets a client certificate for the group that may do everything (CertificateSubjectRestriction). */
export function certificateSubjectRestriction(): AdmissionStep {
  return {
    name: 'CertificateSubjectRestriction',
    handles: (request) => request.operation === 'CREATE' && request.subresource === '' && isCsr(request),
    validate: (request) => {
      if (signerOf(request.object) !== CLIENT_SIGNER) return
      if (requestedGroups(request).includes(MASTERS))
        throw refusal(request, `use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`)
    },
  }
}

function requestedGroups(request: AdmissionRequest): string[] {
  const pem = Buffer.from(String(request.object?.['spec']?.request ?? ''), 'base64')
  try {
    return organizations(parseCertificateRequest(pem).subject)
  } catch (error) {
    throw refusal(request, `failed to parse CSR: ${(error as Error).message}`)
  }
}

/** Asks for the signer itself, then for all signers of its domain (`example.com/*`). */
async function mayUseSigner(
  authorize: Authorize,
  request: AdmissionRequest,
  verb: 'approve' | 'sign',
  signer: string,
): Promise<boolean> {
  const domain = signer.slice(0, signer.indexOf('/') < 0 ? undefined : signer.indexOf('/'))
  for (const name of [signer, `${domain}/*`]) {
    const decision = await authorize({
      resourceRequest: true,
      user: request.user,
      verb,
      apiGroup: 'certificates.k8s.io',
      apiVersion: '*',
      resource: 'signers',
      subresource: '',
      namespace: '',
      name,
    })
    if (decision.verdict === 'allow') return true
  }
  return false
}

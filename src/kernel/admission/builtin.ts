import type { Client } from '../client/client.ts'
import type { Clock, Log } from '../feature.ts'
import {
  type Authorize,
  certificateApproval,
  certificateSigning,
  certificateSubjectRestriction,
} from './certificates.ts'
import type { Lookup } from './lookup.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { serviceAccount } from './service-account.ts'
import type { AdmissionStep } from './types.ts'

export type BuiltinAdmissionOptions = {
  lookup: Lookup
  /** Asked only for what the lookup does not know (yet), and to keep count of quotas. */
  client: Client
  clock: Clock
  log: Log
  /** The finished chain of authorizers. */
  authorize: Authorize
  /** Appends a random suffix of five characters (Kubernetes' SimpleNameGenerator). */
  generateName: (prefix: string) => string
}

/** What Kubernetes turns on by itself, in Kubernetes' order (kubernetes/pkg/kubeapiserver/options: AllOrderedPlugins). */
export function builtinAdmission(options: BuiltinAdmissionOptions): readonly AdmissionStep[] {
  const { authorize } = options
  return [
    namespaceLifecycle(options),
    serviceAccount(options),
    certificateApproval(authorize),
    certificateSigning(authorize),
    certificateSubjectRestriction(),
  ]
}

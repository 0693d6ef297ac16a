import type { GroupVersionKind, Json, KubeObject } from '../api/object.ts'
import type { Client } from '../client/client.ts'
import type { Clock, Log } from '../feature.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import {
  type Authorize,
  certificateApproval,
  certificateSigning,
  certificateSubjectRestriction,
} from './certificates.ts'
import { defaultTolerationSeconds } from './default-tolerations.ts'
import { limitRanger } from './limitranger/admission.ts'
import type { Lookup } from './lookup.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { podPriority } from './priority.ts'
import { resourceQuota } from './resourcequota/admission.ts'
import { serviceAccount } from './service-account.ts'
import type { AdmissionStep } from './types.ts'
import { createWebhookCaller } from './webhook/caller.ts'
import { mutatingWebhooks, type WebhookStepOptions } from './webhook/mutating.ts'
import { endpointResolver, type ServiceResolver } from './webhook/service-resolver.ts'
import { validatingWebhooks } from './webhook/validating.ts'

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
  /**
   * Checks a document that webhooks have patched against the kind's schema (or that of `foreign`, a subresource's own
   * kind) and applies its defaults; throws ApiError when it does not fit. Default: it is taken as it is, and validation judges it.
   */
  recode?: (definition: ResourceDefinition, document: Json, foreign?: GroupVersionKind) => KubeObject
  /** Other ways to the same stored objects, for webhooks with matchPolicy Equivalent. Default: none. */
  equivalents?: (definition: ResourceDefinition) => readonly ResourceDefinition[]
  /** Where webhooks behind a Service are reached. Default: at a ready endpoint, or the cluster address. */
  resolveService?: ServiceResolver
  /** Certificate by which webhooks know the API server; PEM. Default: none. */
  clientCertificate?: () => { cert: string; key: string }
  /** In [0, 1); spreads calls over endpoints. */
  random?: () => number
}

/**
 * What Kubernetes turns on by itself, in Kubernetes' order (kubernetes/pkg/kubeapiserver/options: AllOrderedPlugins).
 * The steps of features stand before the webhooks, which see the object as the server would store it; quota is last, so
 * that nobody refuses what it has counted.
 */
export function builtinAdmission(
  options: BuiltinAdmissionOptions,
  features: readonly AdmissionStep[] = [],
): readonly AdmissionStep[] {
  const { authorize, lookup } = options
  const webhooks: WebhookStepOptions = {
    lookup,
    client: options.client,
    log: options.log,
    authorize,
    equivalents: options.equivalents ?? (() => []),
    recode: options.recode ?? ((_definition, document) => document as unknown as KubeObject),
    caller: createWebhookCaller({
      resolveService: options.resolveService ?? endpointResolver(lookup, options.random ?? Math.random),
      ...(options.clientCertificate === undefined ? {} : { clientCertificate: options.clientCertificate }),
    }),
  }
  return [
    namespaceLifecycle(options),
    limitRanger(lookup),
    serviceAccount(options),
    podPriority(lookup),
    defaultTolerationSeconds(),
    certificateApproval(authorize),
    certificateSigning(authorize),
    certificateSubjectRestriction(),
    ...features,
    mutatingWebhooks(webhooks),
    validatingWebhooks(webhooks),
    resourceQuota({ lookup, client: options.client }),
  ]
}

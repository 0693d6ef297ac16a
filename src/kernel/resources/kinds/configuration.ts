import type { ResourceDefinition } from '../definition.ts'
import { certificateSigningRequestKind } from './certificatesigningrequest.ts'
import { configMapKind } from './configmap.ts'
import { customResourceDefinitionKind } from './customresourcedefinition.ts'
import { endpointsKind } from './endpoints.ts'
import { endpointSliceKind } from './endpointslice.ts'
import { eventKind, eventsEventKind } from './event.ts'
import { leaseKind } from './lease.ts'
import { namespaceKind } from './namespace.ts'
import { networkPolicyKind } from './networkpolicy.ts'
import { reviewKinds } from './reviews.ts'
import { secretKind } from './secret.ts'
import { serviceAccountKind } from './serviceaccount.ts'
import { mutatingWebhookConfigurationKind, validatingWebhookConfigurationKind } from './webhookconfiguration.ts'

/** Kinds that configure the cluster; the kinds that run on it are in workloads.ts. */
export const configurationKinds: readonly ResourceDefinition[] = [
  namespaceKind,
  secretKind,
  configMapKind,
  serviceAccountKind,
  endpointsKind,
  eventKind,
  eventsEventKind,
  networkPolicyKind,
  certificateSigningRequestKind,
  leaseKind,
  endpointSliceKind,
  validatingWebhookConfigurationKind,
  mutatingWebhookConfigurationKind,
  customResourceDefinitionKind,
  ...reviewKinds,
]

import type { ControllerFactory } from '../feature.ts'
import { type ApiServerIdentityOptions, apiServerIdentity } from './apiserver-identity.ts'
import { bootstrapTokenExpiry } from './bootstrap-token-expiry.ts'
import { certificateRequestCleanup } from './certificate-request-cleanup.ts'
import { DEFAULT_SERVICE_CIDRS, type ServiceAllocations } from './cluster-ip/allocations.ts'
import { serviceAllocationRepair } from './cluster-ip/repair.ts'
import { defaultServiceAccount } from './default-service-account.ts'
import { type EventExpiryOptions, eventExpiry } from './event-expiry.ts'
import { garbageCollection } from './garbage-collection/controller.ts'
import { kubernetesService } from './kubernetes-service.ts'
import { leaseExpiry } from './lease-expiry.ts'
import { namespaceDeletion } from './namespace-deletion/controller.ts'
import type { ControllerOptions } from './options.ts'
import { type RootCaConfigMapOptions, rootCaConfigMap } from './root-ca-config-map.ts'
import { systemNamespaces } from './system-namespaces.ts'
import { systemPriorityClasses } from './system-priority-classes.ts'
import { type TokenSecretsOptions, tokenSecrets } from './token-secrets.ts'

export { clusterIpAdmission } from './cluster-ip/admission.ts'
export {
  DEFAULT_SERVICE_CIDRS,
  type ServiceAllocations,
  type ServiceAllocationsOptions,
  serviceAllocations,
} from './cluster-ip/allocations.ts'
export { ensureSystemNamespaces } from './system-namespaces.ts'

export type KernelControllersOptions = ControllerOptions &
  RootCaConfigMapOptions &
  EventExpiryOptions & {
    /** Undefined where another API server allocates, e.g. a real cluster's. */
    allocations?: ServiceAllocations
    /** Issues the tokens that live in Secrets; undefined where another API server does. */
    legacyTokens?: TokenSecretsOptions['tokens']
  }

/** The controllers of which one instance runs, in the process that leads. */
export function kernelControllers(options: KernelControllersOptions): ControllerFactory[] {
  const { allocations, legacyTokens } = options
  return [
    namespaceDeletion(options),
    defaultServiceAccount(options),
    rootCaConfigMap(options),
    garbageCollection(options),
    certificateRequestCleanup(options),
    leaseExpiry(options),
    bootstrapTokenExpiry(options),
    eventExpiry(options),
    ...(allocations === undefined ? [] : [serviceAllocationRepair({ ...options, allocations })]),
    ...(legacyTokens === undefined ? [] : [tokenSecrets({ ...options, tokens: legacyTokens })]),
  ]
}

export type ApiServerControllersOptions = ApiServerIdentityOptions & { serviceCidrs?: readonly string[] }

/** The controllers that every API server runs for itself, whoever leads. */
export function apiServerControllers(options: ApiServerControllersOptions): ControllerFactory[] {
  return [
    systemNamespaces(options),
    systemPriorityClasses(options),
    apiServerIdentity(options),
    kubernetesService({ ...options, serviceCidrs: options.serviceCidrs ?? DEFAULT_SERVICE_CIDRS }),
  ]
}

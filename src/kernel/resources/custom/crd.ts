import type { Json, JsonObject, KubeObject } from '../../api/object.ts'
import type { WebhookClientConfig } from '../kinds/webhook-client.ts'
import { equalJson } from './json.ts'
import type { PrinterColumn } from './printer-columns.ts'

/** apiextensions.k8s.io/v1 CustomResourceDefinition, as decoded: any field may still be missing. */

export type CrdNames = {
  plural?: string
  singular?: string
  shortNames?: string[]
  kind?: string
  listKind?: string
  categories?: string[]
}

export type CrdScale = { specReplicasPath?: string; statusReplicasPath?: string; labelSelectorPath?: string }
export type CrdSubresources = { status?: JsonObject; scale?: CrdScale }

export type CrdVersion = {
  name?: string
  served?: boolean
  storage?: boolean
  deprecated?: boolean
  deprecationWarning?: string
  schema?: { openAPIV3Schema?: JsonObject }
  subresources?: CrdSubresources
  additionalPrinterColumns?: Partial<PrinterColumn>[]
  selectableFields?: { jsonPath?: string }[]
}

export type CrdSpec = {
  group?: string
  names?: CrdNames
  scope?: string
  versions?: CrdVersion[]
  conversion?: {
    strategy?: string
    webhook?: { clientConfig?: WebhookClientConfig; conversionReviewVersions?: string[] }
  }
  preserveUnknownFields?: boolean
}

export type CrdCondition = {
  type: string
  status: string
  reason?: string
  message?: string
  lastTransitionTime?: string | null
}

export type CrdStatus = { acceptedNames?: CrdNames; conditions?: CrdCondition[]; storedVersions?: string[] }

export const specOf = (crd: KubeObject): CrdSpec => crd.spec ?? {}
export const statusOf = (crd: KubeObject): CrdStatus => crd.status ?? {}

export function hasCondition(crd: KubeObject, type: string): boolean {
  return (statusOf(crd).conditions ?? []).some((c) => c.type === type && c.status === 'True')
}

/** Kubernetes' internal form keeps what all versions share in one place, and names errors after that place. */
export function sharedByAll(
  versions: readonly CrdVersion[],
  value: (version: CrdVersion) => Json | undefined,
): boolean {
  const [first, ...rest] = versions
  if (first === undefined || value(first) === undefined) return false
  return rest.every((version) => equalJson(value(version), value(first)))
}

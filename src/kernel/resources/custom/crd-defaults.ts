import type { KubeObject } from '../../api/object.ts'
import { type CrdSpec, specOf } from './crd.ts'

/** Names that follow from the kind, and conversion None. */
export function defaultCustomResourceDefinition(crd: KubeObject): void {
  const spec: CrdSpec = specOf(crd)
  const { names } = spec
  if (names?.kind) {
    names.singular ||= names.kind.toLowerCase()
    names.listKind ||= `${names.kind}List`
  }
  if (crd.spec !== undefined) spec.conversion ??= { strategy: 'None' }
  const service = spec.conversion?.webhook?.clientConfig?.service
  if (service) service.port ??= 443
}

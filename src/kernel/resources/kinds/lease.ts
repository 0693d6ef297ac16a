import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'

/** Fields of coordinated leader election, which Kubernetes 1.32 has switched off: it forgets them. */
function dropCoordination(object: KubeObject): void {
  if (object.spec === undefined || object.spec === null) return
  delete object.spec.strategy
  delete object.spec.preferredHolder
}

function validate(object: KubeObject): FieldError[] {
  const { leaseDurationSeconds: duration, leaseTransitions: transitions } = object.spec ?? {}
  const errors: FieldError[] = []
  if (typeof duration === 'number' && duration <= 0)
    errors.push(fieldError.invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'))
  if (typeof transitions === 'number' && transitions < 0)
    errors.push(fieldError.invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'))
  return errors
}

export const leaseKind: ResourceDefinition = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  namespaced: true,
  schema: 'io.k8s.api.coordination.v1.Lease',
  columns: [
    nameColumn,
    column('Holder', 'string', 'Who holds the lease now.', (o) => o.spec?.holderIdentity ?? ''),
    ageColumn,
  ],
  strategy: {
    allowCreateOnUpdate: true,
    allowUnconditionalUpdate: false,
    unqualifiedFinalizers: true,
    prepareForCreate: dropCoordination,
    prepareForUpdate: dropCoordination,
    validate,
  },
}

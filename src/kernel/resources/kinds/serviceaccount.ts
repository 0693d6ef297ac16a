import type { KubeObject } from '../../api/object.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'

const ENFORCE_MOUNTABLE = 'kubernetes.io/enforce-mountable-secrets'

/** References to secrets keep only the name. */
function cleanSecretReferences(object: KubeObject): void {
  if (Array.isArray(object.secrets))
    object.secrets = object.secrets.map((reference: { name?: string }) =>
      reference.name ? { name: reference.name } : {},
    )
}

function warnings(object: KubeObject, old: KubeObject | undefined): string[] {
  const annotated = (o: KubeObject | undefined): boolean => o?.metadata.annotations?.[ENFORCE_MOUNTABLE] !== undefined
  return annotated(object) && !annotated(old)
    ? [
        `metadata.annotations[${ENFORCE_MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`,
      ]
    : []
}

export const serviceAccountKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  singular: 'serviceaccount',
  shortNames: ['sa'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.ServiceAccount',
  subresources: [
    {
      name: 'token',
      kind: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
      verbs: ['create'],
    },
  ],
  columns: [
    nameColumn,
    column('Secrets', 'string', 'Number of secrets that the account lists.', (o) => o.secrets?.length ?? 0),
    ageColumn,
  ],
  strategy: { prepareForCreate: cleanSecretReferences, prepareForUpdate: cleanSecretReferences, warnings },
}

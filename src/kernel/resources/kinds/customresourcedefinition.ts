import { defaultCustomResourceDefinition } from '../custom/crd-defaults.ts'
import {
  customResourceDefinitionWarnings,
  validateCustomResourceDefinition,
  validateCustomResourceDefinitionUpdate,
} from '../custom/crd-validation.ts'
import type { ResourceDefinition } from '../definition.ts'

/** Holds a deleted CustomResourceDefinition back until its objects are gone. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

export const customResourceDefinitionKind: ResourceDefinition = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  schema: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  // Kubernetes prints CustomResourceDefinitions with the columns of kinds that have none of their own.
  columns: [],
  strategy: {
    allowUnconditionalUpdate: false,
    unqualifiedFinalizers: true,
    // Labels and annotations can be changed through /status all the same: Kubernetes resets metadata to itself there.
    resetFields: { status: [['metadata'], ['spec']] },
    hasGeneration: true,
    defaults: defaultCustomResourceDefinition,
    prepareForCreate(object) {
      // Which versions may hold data is the server's knowledge; the names are accepted by the controller.
      const storage = (object.spec?.versions ?? []).find((v: { storage?: boolean }) => v.storage === true)
      object.status = {
        acceptedNames: { plural: '', kind: '' },
        conditions: [],
        storedVersions: storage?.name ? [storage.name] : [],
      }
    },
    prepareForUpdate(object, old, { subresource }) {
      if (subresource === 'status') return
      const storage = (object.spec?.versions ?? []).find((v: { storage?: boolean }) => v.storage === true)
      const stored: string[] = old.status?.storedVersions ?? []
      object.status = { ...old.status }
      if (storage?.name && !stored.includes(storage.name)) object.status.storedVersions = [...stored, storage.name]
    },
    // Its objects go first: the server removes the finalizer when there are none left.
    prepareForDelete({ metadata }) {
      if (!metadata.finalizers?.includes(CLEANUP_FINALIZER))
        metadata.finalizers = [...(metadata.finalizers ?? []), CLEANUP_FINALIZER]
    },
    validate: validateCustomResourceDefinition,
    validateUpdate: validateCustomResourceDefinitionUpdate,
    warnings: customResourceDefinitionWarnings,
  },
}

import type { KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { column, formatLabels, nameColumn } from '../printing.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { onCreate } from './pod/on-create.ts'
import { validatePodTemplateSpec } from './pod/template.ts'
import type { PodTemplateSpec } from './pod/types.ts'
import { podWarnings } from './pod/warnings.ts'
import { containerColumns } from './workload-template.ts'

const templateOf = (object: KubeObject): PodTemplateSpec => (object['template'] ?? {}) as PodTemplateSpec

function validate(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validatePodTemplateSpec(templateOf(object), 'template', errors)
  return errors
}

export const podTemplateKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'PodTemplate',
  plural: 'podtemplates',
  singular: 'podtemplate',
  namespaced: true,
  schema: 'io.k8s.api.core.v1.PodTemplate',
  columns: [
    nameColumn,
    ...containerColumns(templateOf, 0),
    column('Pod Labels', 'string', 'Labels of the template.', (object) =>
      formatLabels(templateOf(object).metadata?.labels),
    ),
  ],
  strategy: {
    defaults: (object) => {
      const template = (object['template'] ??= {}) as PodTemplateSpec
      dropNulls(template)
      defaultPodTemplate(template)
    },
    validate: onCreate(validate),
    validateUpdate: validate,
    hasGeneration: true,
    warnings: (object) => podWarnings(templateOf(object).metadata, templateOf(object).spec ?? {}, 'template.'),
  },
}

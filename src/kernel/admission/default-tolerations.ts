import type { PodSpec, Toleration } from '../resources/kinds/pod/types.ts'
import type { AdmissionStep } from './types.ts'

const KEYS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
const SECONDS = 300

/** Pods stay five minutes on a node that is lost, unless they say otherwise (DefaultTolerationSeconds). */
export function defaultTolerationSeconds(): AdmissionStep {
  return {
    name: 'DefaultTolerationSeconds',
    reinvoke: true,
    handles: ({ operation, definition, subresource }) =>
      definition.group === '' &&
      definition.plural === 'pods' &&
      subresource === '' &&
      (operation === 'CREATE' || operation === 'UPDATE'),
    mutate: ({ object }) => {
      const spec = (object!['spec'] ??= {}) as PodSpec
      for (const key of KEYS) {
        if (spec.tolerations?.some((toleration) => tolerates(toleration, key))) continue
        const added = { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: SECONDS }
        spec.tolerations = [...(spec.tolerations ?? []), added]
      }
    },
  }
}

const tolerates = ({ key = '', effect = '' }: Toleration, taint: string): boolean =>
  (key === taint || key === '') && (effect === 'NoExecute' || effect === '')

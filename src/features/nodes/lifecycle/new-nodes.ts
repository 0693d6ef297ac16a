import type { AdmissionStep } from '../../../kernel/admission/types.ts'
import { NOT_READY, type Taint } from './health.ts'

/** Nothing is scheduled to a machine before it has said that it is ready (Kubernetes' TaintNodesByCondition). */
export const taintNewNodes: AdmissionStep = {
  name: 'TaintNodesByCondition',
  handles: ({ operation, definition, subresource }) =>
    operation === 'CREATE' && definition.group === '' && definition.plural === 'nodes' && subresource === '',
  mutate: ({ object }) => {
    const spec = (object!['spec'] ??= {}) as { taints?: Taint[] }
    const taints = spec.taints ?? []
    if (!taints.some(({ key, effect }) => key === NOT_READY && effect === 'NoSchedule'))
      spec.taints = [...taints, { key: NOT_READY, effect: 'NoSchedule' }]
  },
}

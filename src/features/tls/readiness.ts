import type { KubeObject } from '../../kernel/api/object.ts'
import type { InventoryItem } from './inventory.ts'
import { agentReport } from './trust/bundle.ts'

/** What keeps a rotation from its next step. */
export type Blocker = { name: string; why: string }

/**
 * Before the new authorities sign: every machine trusts the new root, or it could not verify the API server and would
 * never hear of it. A machine that is away counts: it is brought back, or removed.
 */
export function signBlockers(nodes: readonly KubeObject[], newRoot: string): Blocker[] {
  return nodes.flatMap((node) => {
    const report = agentReport(node)
    if (report?.trusts.includes(newRoot)) return []
    const why =
      report === undefined ? 'its agent has not said which roots it trusts' : 'it does not trust the new root yet'
    return [{ name: `node/${node.metadata.name}`, why }]
  })
}

/**
 * Before the old authorities are retired: no certificate of theirs that still counts and may be in use. Replaced ones of
 * machines and of the control plane do not count, their keys are gone; the administrator's do, since a kubeconfig can be
 * anywhere.
 */
export function retireBlockers(items: readonly InventoryItem[]): Blocker[] {
  return items
    .filter((item) => item.retiring && !item.name.startsWith('ca/'))
    .filter(
      ({ state, name }) =>
        state === 'valid' || state === 'not-yet-valid' || (state === 'replaced' && name === 'control-plane/admin'),
    )
    .map(({ name, serial, notAfter, state }) => ({
      name,
      why: `${serial} is valid until ${notAfter}${state === 'replaced' ? ', in copies of the kubeconfig' : ''}`,
    }))
}

import type { Feature } from '../../kernel/feature.ts'
import { nodeCertificateApproval } from './approval/approver.ts'
import { startNodeAuthorizer } from './authorizer/runtime.ts'
import { taintNewNodes } from './lifecycle/new-nodes.ts'
import { nodeIpam } from './lifecycle/node-ipam.ts'
import { nodeLifecycle } from './lifecycle/node-lifecycle.ts'
import { orphanedPods } from './lifecycle/orphaned-pods.ts'
import { nodeRole } from './node-role.ts'
import { nodeRestriction } from './restriction/node-restriction.ts'
import { scheduler } from './scheduler/scheduler.ts'

/** Machines: what each may do (Node authorizer, NodeRestriction), whether it lives, its pod addresses, and what runs where. */
export const nodes: Feature = {
  name: 'nodes',
  authorizers: async (context) => [await startNodeAuthorizer(context)],
  admission: ({ lookup, client }) => {
    if (lookup === undefined) throw new Error('NodeRestriction needs the lookup of the server it stands in')
    return [taintNewNodes, nodeRestriction({ lookup, client })]
  },
  controllers: [nodeRole, nodeCertificateApproval, nodeIpam, nodeLifecycle(), orphanedPods(), scheduler()],
}

/** How machines join and leave; apart from index.ts, which the control plane loads and SSH is none of its business. */
export { deleteTokens } from './join/bootstrap-token.ts'
export { type AgentBundle, makeBundle } from './join/bundle.ts'
export { bundleContent } from './join/bundle-content.ts'
export { clusterId, type JoinOptions, type JoinResult, joinNode, PreflightError } from './join/join-node.ts'
export { type LeavingMachine, leavingMachine } from './join/leave.ts'
export { deleteRecord, listRecords, type MachineRecord, readRecord } from './join/machine-record.ts'
export { JoinError } from './join/step.ts'

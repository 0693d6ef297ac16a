/** How machines join and leave; apart from index.ts, which the control plane loads and SSH is none of its business. */
export { type AgentBundle, makeBundle } from './join/bundle.ts'
export { bundleContent } from './join/bundle-content.ts'
export { type JoinOptions, type JoinResult, joinNode, PreflightError } from './join/join-node.ts'
export { JoinError } from './join/step.ts'

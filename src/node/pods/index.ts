export { createNodeStatus, nodeStatusTask } from './node-status/task.ts'
export type { Pods } from './pods.ts'
export { createPods, podTask } from './pods.ts'

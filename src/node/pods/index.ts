export type { Pods } from './pods.ts'
export { createPods, podTask } from './pods.ts'

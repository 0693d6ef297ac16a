import type { ResourceDefinition } from '../definition.ts'
import { configurationKinds } from './configuration.ts'
import { workloadKinds } from './workloads.ts'

/** Every kind that the kernel itself defines; features bring their own. */
export const builtinKinds: readonly ResourceDefinition[] = [...configurationKinds, ...workloadKinds]

import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Feature, ServerContext } from '../../kernel/feature.ts'
import { podSecurityStep } from './admission.ts'
import {
  type PodSecurityConfiguration,
  PRIVILEGED_CONFIGURATION,
  parsePodSecurityConfiguration,
} from './configuration.ts'
import { MAX_CONFIGURATION, PodSecurityConfigurationError } from './document.ts'
import { createEvaluator } from './engine/evaluator.ts'
import { createRecorder, NO_RECORDER } from './metrics.ts'

export { type PodSecurityConfiguration, parsePodSecurityConfiguration } from './configuration.ts'
export { PodSecurityConfigurationError } from './document.ts'
export type { PodUnderTest, Violation } from './engine/check.ts'
export {
  createEvaluator,
  type Evaluator,
  type EvaluatorOptions,
  forbiddenDetail,
  forbiddenReason,
  type PodSecurityVerdict,
} from './engine/evaluator.ts'
export { type Level, type LevelVersion, type Policy, policyOf } from './engine/levels.ts'

/** Pod Security Standards by namespace labels, as Kubernetes' admission plug-in PodSecurity enforces them. */
export const podSecurity: Feature = {
  name: 'pod-security',
  admission: (context: ServerContext) => {
    const { client, clock, log, lookup, metrics, admissionConfigFile } = context
    if (lookup === undefined) throw new Error('PodSecurity needs the lookup of the server it stands in')
    const configuration =
      admissionConfigFile === undefined ? PRIVILEGED_CONFIGURATION : loadPodSecurityConfiguration(admissionConfigFile)
    const recorder = metrics === undefined ? NO_RECORDER : createRecorder(metrics)
    return [podSecurityStep({ configuration, evaluator: createEvaluator(), lookup, client, clock, log, recorder })]
  },
}

/**
 * Reads an AdmissionConfiguration or a bare PodSecurityConfiguration. What the first names is looked for beside it.
 * Throws PodSecurityConfigurationError.
 */
export function loadPodSecurityConfiguration(file: string): PodSecurityConfiguration {
  return parsePodSecurityConfiguration(readText(file), file, (path) => readText(resolve(dirname(file), path)))
}

function readText(file: string): string {
  try {
    const { size } = statSync(file)
    if (size > MAX_CONFIGURATION) throw new Error(`is larger than ${MAX_CONFIGURATION} bytes`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new PodSecurityConfigurationError(`${file}: cannot be read: ${(error as Error).message}`)
  }
}

import { Counter, type Registry } from 'prom-client'
import type { AdmissionRequest } from '../../kernel/admission/types.ts'
import { NEWEST_VERSION } from './engine/evaluator.ts'
import { type LevelVersion, type Mode, printVersion } from './engine/levels.ts'

type Subject = Pick<AdmissionRequest, 'operation' | 'definition' | 'subresource'>

/** Counts decisions, in the metrics that Kubernetes has for it. */
export type Recorder = {
  evaluated: (decision: 'allow' | 'deny', policy: LevelVersion, mode: Mode, request: Subject) => void
  exempted: (request: Subject) => void
  /** Fatal: there was no evaluation. Otherwise labels were wrong and the strictest policy stood in. */
  failed: (fatal: boolean, request: Subject) => void
}

export const NO_RECORDER: Recorder = {
  evaluated: () => undefined,
  exempted: () => undefined,
  failed: () => undefined,
}

const REQUEST_LABELS = ['request_operation', 'resource', 'subresource'] as const

function requestLabels({
  operation,
  definition,
  subresource,
}: Subject): Record<(typeof REQUEST_LABELS)[number], string> {
  const core = definition.group === ''
  const resource =
    core && definition.plural === 'pods'
      ? 'pod'
      : core && definition.plural === 'namespaces'
        ? 'namespace'
        : 'controller'
  return { request_operation: operation.toLowerCase(), resource, subresource }
}

/** Versions that this server does not know share one label, so that labels on namespaces cannot grow the metric. */
function versionLabel({ level, version }: LevelVersion): string {
  if (level === 'privileged' || version === 'latest') return 'latest'
  return version > NEWEST_VERSION ? 'future' : printVersion(version)
}

export function createRecorder(registry: Registry): Recorder {
  const registers = [registry]
  const evaluations = new Counter({
    name: 'pod_security_evaluations_total',
    help: 'Evaluations of a pod against a policy; requests that were exempt or not looked at are not counted.',
    labelNames: ['decision', 'policy_level', 'policy_version', 'mode', ...REQUEST_LABELS],
    registers,
  })
  const exemptions = new Counter({
    name: 'pod_security_exemptions_total',
    help: 'Requests that an exemption let pass.',
    labelNames: REQUEST_LABELS,
    registers,
  })
  const errors = new Counter({
    name: 'pod_security_errors_total',
    help: 'Errors: fatal ones prevented an evaluation, with others the strictest policy may have stood in.',
    labelNames: ['fatal', ...REQUEST_LABELS],
    registers,
  })
  return {
    evaluated: (decision, policy, mode, request) =>
      evaluations.inc({
        decision,
        policy_level: policy.level,
        policy_version: versionLabel(policy),
        mode,
        ...requestLabels(request),
      }),
    exempted: (request) => exemptions.inc(requestLabels(request)),
    failed: (fatal, request) => errors.inc({ fatal: String(fatal), ...requestLabels(request) }),
  }
}

import type { Check, CheckPod, PodUnderTest, Violation } from './check.ts'
import { confinementChecks } from './confinement.ts'
import { hostChecks } from './host.ts'
import type { LevelVersion } from './levels.ts'
import { privilegeChecks } from './privileges.ts'
import { restrictedVolumes } from './volumes.ts'

/** Minor of the newest version that brought a check; every later one, and `latest`, is judged like it. */
export const NEWEST_VERSION = 34

export type PodSecurityVerdict =
  | { allowed: true }
  | { allowed: false; violations: readonly (Violation & { /** Id of the check. */ check: string })[] }

export type EvaluatorOptions = {
  /**
   * Relaxes runAsNonRoot, runAsUser and procMount for pods in a user namespace of their own. Kubernetes 1.32 has the
   * gate UserNamespacesPodSecurityStandards for it, off: it is safe only where every node honours hostUsers.
   */
  userNamespaces?: boolean
}

export type Evaluator = (policy: LevelVersion, pod: PodUnderTest) => PodSecurityVerdict

export function allChecks(options: EvaluatorOptions = {}): readonly Check[] {
  const userNamespaces = options.userNamespaces ?? false
  return [...hostChecks, ...confinementChecks(userNamespaces), ...privilegeChecks(userNamespaces), restrictedVolumes]
}

type Selected = { id: string; check: CheckPod }

const ALLOWED: PodSecurityVerdict = { allowed: true }

/** The Pod Security Standards (pod-security-admission/policy): which checks hold at a level and version, in which order. */
export function createEvaluator(options: EvaluatorOptions = {}): Evaluator {
  const checks = [...allChecks(options)].sort((a, b) => (a.id < b.id ? -1 : 1))
  const table = Array.from({ length: NEWEST_VERSION + 1 }, (_, minor) => selectChecks(checks, minor))
  return ({ level, version }, pod) => {
    if (level === 'privileged') return ALLOWED
    const minor = version === 'latest' ? NEWEST_VERSION : Math.min(version, NEWEST_VERSION)
    const violations = table[minor]![level].flatMap(({ id, check }) => {
      const violation = check(pod)
      return violation === undefined ? [] : [{ ...violation, check: id }]
    })
    return violations.length === 0 ? ALLOWED : { allowed: false, violations }
  }
}

/** Baseline's checks by id, then those of restricted by id, which leaves out what a stricter check stands for. */
function selectChecks(checks: readonly Check[], minor: number): { baseline: Selected[]; restricted: Selected[] } {
  const current = checks.flatMap((check) => {
    const version = check.versions.findLast(({ since }) => since <= minor)
    return version === undefined ? [] : [{ ...check, check: version.check }]
  })
  const baseline = current.filter(({ level }) => level === 'baseline')
  const restricted = current.filter(({ level }) => level === 'restricted')
  const overridden = new Set(restricted.map(({ overrides }) => overrides))
  return { baseline, restricted: [...baseline.filter(({ id }) => !overridden.has(id)), ...restricted] }
}

type Forbidden = Extract<PodSecurityVerdict, { allowed: false }>

/** `host namespaces, privileged`. */
export const forbiddenReason = ({ violations }: Forbidden): string => violations.map(({ reason }) => reason).join(', ')

/** `host namespaces (hostPID=true), privileged (container "a" must not set …)`. */
export const forbiddenDetail = ({ violations }: Forbidden): string =>
  violations.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ')

/** Levels, versions and the policy that a namespace's labels ask for (KEP-2579). */
import { type FieldError, fieldError } from '../../../kernel/api/status.ts'

/** From the laxest to the strictest. */
export const LEVELS = ['privileged', 'baseline', 'restricted'] as const
export type Level = (typeof LEVELS)[number]

/** `latest`, or the minor of v1.N. */
export type PolicyVersion = 'latest' | number

export type LevelVersion = { readonly level: Level; readonly version: PolicyVersion }

export const MODES = ['enforce', 'audit', 'warn'] as const
export type Mode = (typeof MODES)[number]

export type Policy = Readonly<Record<Mode, LevelVersion>>

export const LABEL_PREFIX = 'pod-security.kubernetes.io/'

export const PRIVILEGED: LevelVersion = { level: 'privileged', version: 'latest' }
export const PRIVILEGED_POLICY: Policy = { enforce: PRIVILEGED, audit: PRIVILEGED, warn: PRIVILEGED }

export const LEVEL_RULE: string = `must be one of ${LEVELS.join(', ')}`
export const VERSION_RULE: string = 'must be "latest" or "v1.x"'

export const isLevel = (text: string): text is Level => (LEVELS as readonly string[]).includes(text)

/** Undefined when it is neither `latest` nor `v1.N`. */
export function parseVersion(text: string): PolicyVersion | undefined {
  if (text === 'latest') return 'latest'
  const minor = /^v1\.(0|[1-9][0-9]*)$/.exec(text)?.[1]
  // Go's Atoi fails beyond 64 bits; nothing near that is a version.
  return minor === undefined || minor.length > 18 ? undefined : Number(minor)
}

export const printVersion = (version: PolicyVersion): string => (version === 'latest' ? version : `v1.${version}`)

/** `restricted:latest`, as every message prints it. */
export const printLevelVersion = ({ level, version }: LevelVersion): string => `${level}:${printVersion(version)}`

export const sameLevelVersion = (a: LevelVersion, b: LevelVersion): boolean =>
  a.level === b.level && a.version === b.version

/** All versions of `privileged` are the same policy. */
export function equivalent(a: Policy, b: Policy): boolean {
  return MODES.every(
    (m) => sameLevelVersion(a[m], b[m]) || (a[m].level === 'privileged' && b[m].level === 'privileged'),
  )
}

export const isFullyPrivileged = (policy: Policy): boolean => equivalent(policy, PRIVILEGED_POLICY)

/** Above 0 when `a` is stricter, below 0 when `b` is. */
export const compareLevels = (a: Level, b: Level): number => LEVELS.indexOf(a) - LEVELS.indexOf(b)

/**
 * The policy of a namespace with these labels; there is one even when labels are wrong. What cannot be read counts as
 * `restricted` for enforce, as `privileged` for audit and warn, as `latest` for versions. Who asks for enforcement
 * alone is warned by the same policy.
 */
export function policyOf(
  labels: Readonly<Record<string, string>> | null | undefined,
  defaults: Policy,
): { policy: Policy; errors: FieldError[] } {
  const errors: FieldError[] = []
  const read = (mode: Mode): LevelVersion => {
    let { level, version } = defaults[mode]
    const levelText = labels?.[LABEL_PREFIX + mode]
    if (levelText !== undefined) {
      if (isLevel(levelText)) level = levelText
      else {
        level = mode === 'enforce' ? 'restricted' : 'privileged'
        errors.push(fieldError.invalid(`metadata.labels[${LABEL_PREFIX}${mode}]`, levelText, LEVEL_RULE))
      }
    }
    const versionText = labels?.[`${LABEL_PREFIX}${mode}-version`]
    if (versionText !== undefined) {
      const parsed = parseVersion(versionText)
      version = parsed ?? 'latest'
      if (parsed === undefined)
        errors.push(fieldError.invalid(`metadata.labels[${LABEL_PREFIX}${mode}-version]`, versionText, VERSION_RULE))
    }
    return { level, version }
  }
  const enforce = read('enforce')
  const audit = read('audit')
  const warn = read('warn')
  const asked = labels?.[`${LABEL_PREFIX}enforce`]
  const followsEnforce =
    asked !== undefined &&
    isLevel(asked) &&
    labels?.[`${LABEL_PREFIX}warn`] === undefined &&
    compareLevels(enforce.level, warn.level) > 0
  if (!followsEnforce) return { policy: { enforce, audit, warn }, errors }
  const version = labels?.[`${LABEL_PREFIX}warn-version`] === undefined ? enforce.version : warn.version
  return { policy: { enforce, audit, warn: { level: enforce.level, version } }, errors }
}

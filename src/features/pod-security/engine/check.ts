import type { ObjectMeta } from '../../../kernel/api/object.ts'
import type { Container, PodSpec, SecurityContext } from '../../../kernel/resources/kinds/pod/types.ts'

/** What checks look at: a pod, or the template of a workload. */
export type PodUnderTest = { metadata: Pick<ObjectMeta, 'annotations'>; spec: PodSpec }

/** Why a pod does not meet a check, in Kubernetes' words: `reason (detail)`. */
export type Violation = { reason: string; detail: string }

/** Undefined when the pod is fine. */
export type CheckPod = (pod: PodUnderTest) => Violation | undefined

export type Check = {
  id: string
  level: 'baseline' | 'restricted'
  /** By rising minor of v1.N: each holds from there to the next. */
  versions: readonly { since: number; check: CheckPod }[]
  /** Checks of baseline that this one, being stricter, stands for in restricted. */
  overrides?: string
}

/** Init containers, containers, ephemeral containers: the order in which messages name them. */
export function containersOf(spec: PodSpec): Container[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]
}

export const nameOf = (container: Container): string => container.name ?? ''

/** Names of the containers whose security context (empty where there is none) is bad. */
export function containersWith(spec: PodSpec, isBad: (context: SecurityContext) => boolean): string[] {
  return containersOf(spec)
    .filter((container) => isBad(container.securityContext ?? {}))
    .map(nameOf)
}

/** Collected texts, each once, printed in Go's order: by their bytes. */
export function sorted(texts: Iterable<string>): string[] {
  return [...new Set(texts)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

export const joinQuote = (texts: readonly string[]): string => (texts.length === 0 ? '' : `"${texts.join('", "')}"`)

export const pluralize = (singular: string, count: number, plural: string = `${singular}s`): string =>
  count === 1 ? singular : plural

/** `container "a"`, `containers "a", "b"`. */
export const named = (kind: 'container' | 'volume', names: readonly string[]): string =>
  `${pluralize(kind, names.length)} ${joinQuote(names)}`

/** Who set a bad value: `pod`, `container "a"`, `pod and containers "a", "b"`; '' when nobody did. */
export function settersOf(pod: boolean, containers: readonly string[]): string {
  return [...(pod ? ['pod'] : []), ...(containers.length > 0 ? [named('container', containers)] : [])].join(' and ')
}

export const isWindows = (spec: PodSpec): boolean => spec.os?.name === 'windows'

/** A check that has nothing to say of Windows pods: what it asks for does not exist there. */
export const exceptWindows =
  (check: CheckPod): CheckPod =>
  (pod) =>
    isWindows(pod.spec) ? undefined : check(pod)

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
}

/** Go's %q. */
export function quote(text: string): string {
  const escaped = text.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (character) => {
    const short = SHORT[character]
    if (short !== undefined) return short
    const code = character.codePointAt(0)!
    const hex = code.toString(16)
    if (code < 0x80) return `\\x${hex.padStart(2, '0')}`
    return code > 0xffff ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`
  })
  return `"${escaped}"`
}

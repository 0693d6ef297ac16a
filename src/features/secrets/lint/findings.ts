import type { KubeObject } from '../../../kernel/api/object.ts'
import { findCredentials } from './credentials.ts'
import { type InspectOptions, inspect } from './inspect.ts'
import { proposeReplacement, type SecretNames } from './replacement.ts'
import type { FieldPath, Finding, Leak, ObjectIdentity } from './types.ts'
import { mask } from './values.ts'

/** `secrets.rampart.dev/lint-ignore: rule[,rule]`, or `*` for all. */
export const IGNORE_ANNOTATION = 'secrets.rampart.dev/lint-ignore'

export type ObjectReport = {
  /** Leaks hold the values: only for who replaces them. */
  leaks: Leak[]
  suppressed: Leak[]
  incomplete: boolean
}

/** The leaks of an object, those that its annotation accepts apart. */
export function examineObject(object: KubeObject, options: InspectOptions = {}): ObjectReport {
  const { leaks, incomplete } = inspect(object, options)
  if (leaks.length === 0) return { leaks, suppressed: [], incomplete }
  const ignored = object.metadata?.annotations?.[IGNORE_ANNOTATION]
  if (typeof ignored !== 'string') return { leaks, suppressed: [], incomplete }
  const rules = new Set(ignored.split(',').map((rule) => rule.trim()))
  const accepts = (leak: Leak): boolean => rules.has('*') || rules.has('all') || rules.has(leak.rule)
  return { leaks: leaks.filter((l) => !accepts(l)), suppressed: leaks.filter(accepts), incomplete }
}

export function identityOf(object: KubeObject, namespace?: string): ObjectIdentity {
  const { name, generateName, namespace: own } = object.metadata ?? {}
  const inNamespace = own ?? namespace
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    ...(inNamespace === undefined ? {} : { namespace: inNamespace }),
    name: name ?? (generateName === undefined ? '' : `${generateName}…`),
  }
}

/** What is told of a leak: never its value. */
export function describe(
  leak: Leak,
  object: KubeObject,
  place: { file?: string; line?: number; namespace?: string; names?: SecretNames; replacements?: boolean } = {},
): Finding {
  const replacement = place.replacements === false ? undefined : proposeReplacement(leak, object, place.names)
  const { file, line } = place
  return {
    rule: leak.rule,
    severity: leak.severity,
    object: identityOf(object, place.namespace),
    field: fieldOf(leak),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    message: messageOf(leak),
    masked: mask(leak.text.slice(leak.start, leak.end)),
    hint: hintOf(leak),
    ...(replacement === undefined ? {} : { replacement }),
  }
}

export function messageOf(leak: Leak): string {
  return `${fieldOf(leak)} holds ${leak.what}`
}

/** `spec.containers[web].env[DB_PASSWORD].value`: as paths are written in Kubernetes' own errors. */
export function fieldOf(leak: Pick<Leak, 'path' | 'within'>): string {
  const within = leak.within === undefined ? '' : ` (${safe(leak.within)})`
  return `${renderPath(leak.path)}${within}`
}

function renderPath(path: FieldPath): string {
  let out = ''
  for (const part of path) {
    if (typeof part === 'number') out += `[${part}]`
    else if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(part)) out += `${out === '' ? '' : '.'}${safe(part)}`
    else out += `[${JSON.stringify(safe(part))}]`
  }
  return out
}

/** Keys come from the document: one may itself be a token. */
function safe(key: string): string {
  const text = key.length > 200 ? `${key.slice(0, 200)}…` : key
  if (text.length < 16 || findCredentials(text).length === 0) return text.replace(/[\x00-\x1f\x7f]/g, '?')
  return '…'
}

const HINTS: Record<Leak['site']['kind'], string> = {
  env: 'keep the value in a Secret and name it by valueFrom.secretKeyRef',
  argument: 'keep the value in a Secret, give it to the container as a variable and write $(VARIABLE) here',
  'config-map': 'keep it in a Secret; ConfigMaps are neither encrypted at rest nor guarded by RBAC as Secrets are',
  'secret-manifest':
    'keep it out of version control: create it on the cluster, or encrypt the file (SOPS, Sealed Secrets, External Secrets)',
  header:
    'probes and headers take no variables: use a path that needs no credentials, or an exec probe that reads a Secret',
  annotation: 'annotations and labels are readable by whoever reads the object: remove it (kubectl annotate KEY-)',
  other:
    'use the field of this kind that names a Secret, if it has one; everybody who reads the object reads the value',
}

export const hintOf = (leak: Leak): string =>
  leak.rule === 'last-applied-configuration'
    ? 'kubectl apply --server-side keeps no such copy; kubectl annotate KEY- removes it'
    : HINTS[leak.site.kind]

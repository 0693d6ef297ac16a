import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { decodeJson } from '../../../kernel/codec/json.ts'
import { decodeYaml } from '../../../kernel/codec/yaml.ts'
import type { DocumentReport, LocatedLeak } from './document.ts'
import { addVariables, type Edit, replaceInScalar, replaceValue } from './edits.ts'
import { argumentVariable, isExpanded, isPodContainer, keyName, secretNameFor, secretValue } from './replacement.ts'
import type { SecretId, SecretsFile } from './secrets-file.ts'
import type { Source } from './source.ts'
import type { FieldPath, SecretVariable } from './types.ts'

export type Refusal = { located: LocatedLeak; why: string }

const ODDLY_WRITTEN = 'it is written in a way that cannot be changed safely'

export type FixedDocument = {
  text: string
  fixed: { located: LocatedLeak; secret: SecretId; key: string }[]
  refused: Refusal[]
}

/** What is to change, found before anything does. */
type Plan = {
  edits: Edit[]
  /** Changes of the decoded document that the edits must amount to. */
  model: ((root: unknown) => void)[]
  /** New variables, by container. */
  variables: Map<string, { container: FieldPath; after: string; added: SecretVariable[] }>
  fixed: FixedDocument['fixed']
  refused: Refusal[]
}

/**
 * Moves the leaks of a document into Secrets: environment variables by secretKeyRef, arguments by `$(VARIABLE)`.
 * Everything else of the text stays, letter by letter. The result is decoded and compared with what it should be; when
 * it differs nothing of the document is changed.
 */
export function fixDocument(report: DocumentReport, secrets: SecretsFile): FixedDocument {
  const { source } = report
  if (source === undefined) return { text: report.text, fixed: [], refused: [] }
  const refuseAll = (why: string): FixedDocument => {
    secrets.rollback()
    return { text: source.text, fixed: [], refused: report.found.map((located) => ({ located, why })) }
  }
  if (!source.valid) return refuseAll('the document is read differently by different YAML readers')
  const plan: Plan = { edits: [], model: [], variables: new Map(), fixed: [], refused: [] }
  for (const located of report.found) {
    const why = planLeak(located, source, secrets, plan)
    if (why !== undefined) plan.refused.push({ located, why })
  }
  for (const { container, after, added } of plan.variables.values()) {
    const edit = addVariables(source, container, after, added)
    if (edit === undefined) return refuseAll('variables cannot be added to its container as it is written')
    plan.edits.push(edit)
    plan.model.push((root) => addToModel(root, container, added))
  }
  if (plan.fixed.length === 0) return { text: source.text, fixed: [], refused: plan.refused }
  const text = applyEdits(source.text, plan.edits)
  if (text === undefined || !amountsTo(source.text, text, plan.model))
    return refuseAll('it cannot be changed safely as it is written')
  secrets.commit()
  return { text, fixed: plan.fixed, refused: plan.refused }
}

/** Returns why it cannot be done, or undefined when it is planned. */
function planLeak(located: LocatedLeak, source: Source, secrets: SecretsFile, plan: Plan): string | undefined {
  const { leak, target } = located
  const { site } = leak
  if (site.kind !== 'env' && site.kind !== 'argument') return 'there is no safe replacement for it'
  if (!isPodContainer(target.object, site.container)) return 'it is not the container of a built-in kind'
  const value = secretValue(leak)
  if (isExpanded(value)) return 'its value has $( or $$, which Kubernetes expands here and not in a Secret'
  const { namespace } = target.object.metadata ?? {}
  const secret = { name: secretNameFor(target.object), ...(namespace === undefined ? {} : { namespace }) }
  const path = [...target.path, ...leak.path]
  const place = source.find(path)
  if (place === undefined || place.shared) return 'it is shared through an anchor, alias or merge key'
  if (site.kind === 'env') {
    const reference = (key: string): SecretVariable => ({ name: site.variable, secret: secret.name, key })
    // Only what can be written is given a key.
    if (replaceValue(source, place, reference('')) === undefined) return ODDLY_WRITTEN
    const key = secrets.keyFor(secret, keyName(site.variable), value)
    plan.edits.push(replaceValue(source, place, reference(key))!)
    plan.model.push((root) => {
      const variable = at(root, path.slice(0, -1)) as Record<string, unknown>
      delete variable['value']
      variable['valueFrom'] = { secretKeyRef: { name: secret.name, key } }
    })
    plan.fixed.push({ located, secret, key })
    return undefined
  }
  return planArgument(located, site.name, { source, secrets, plan, secret, path })
}

type ArgumentContext = { source: Source; secrets: SecretsFile; plan: Plan; secret: SecretId; path: FieldPath }

function planArgument(located: LocatedLeak, flag: string, context: ArgumentContext): string | undefined {
  const { source, secrets, plan, secret, path } = context
  const { leak, target } = located
  const container = path.slice(0, -2)
  // `$` before the reference would make it text: `$$(X)`.
  if (leak.text[leak.start - 1] === '$') return 'a $ stands before it'
  const place = source.find(path)!
  if (replaceInScalar(source, place, leak, '') === undefined) return ODDLY_WRITTEN
  const own = argumentVariable(flag)
  const key = secrets.keyFor(secret, keyName(own), secretValue(leak))
  const id = JSON.stringify(container)
  const group = plan.variables.get(id) ?? { container, after: String(path.at(-2)), added: [] }
  const known = group.added.find((v) => v.key === key)
  const name =
    known?.name ?? freeName(own, namesIn(at(target.object, container.slice(target.path.length))), group.added)
  plan.edits.push(replaceInScalar(source, place, leak, `$(${name})`)!)
  if (known === undefined) group.added.push({ name, secret: secret.name, key })
  plan.variables.set(id, group)
  plan.model.push((root) => {
    const list = at(root, path.slice(0, -1)) as string[]
    const text = list[path.at(-1) as number]!
    list[path.at(-1) as number] = `${text.slice(0, leak.start)}$(${name})${text.slice(leak.end)}`
  })
  plan.fixed.push({ located, secret, key })
  return undefined
}

function namesIn(container: unknown): Set<unknown> {
  const env = (container as { env?: { name?: unknown }[] | null }).env
  return new Set((Array.isArray(env) ? env : []).map((variable) => variable?.name))
}

function freeName(wanted: string, taken: ReadonlySet<unknown>, added: readonly SecretVariable[]): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? wanted : `${wanted}_${n}`
    if (!taken.has(name) && !added.some((v) => v.name === name)) return name
  }
}

function at(root: unknown, path: FieldPath): unknown {
  return path.reduce((node, part) => (node as Record<string | number, unknown>)[part], root)
}

function addToModel(root: unknown, container: FieldPath, added: readonly SecretVariable[]): void {
  const node = at(root, container) as { env?: unknown[] }
  node.env = [
    ...(node.env ?? []),
    ...added.map(({ name, secret, key }) => ({ name, valueFrom: { secretKeyRef: { name: secret, key } } })),
  ]
}

function applyEdits(text: string, edits: readonly Edit[]): string | undefined {
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end)
  let out = ''
  let done = 0
  for (const edit of sorted) {
    if (edit.start < done) return undefined
    out += text.slice(done, edit.start) + edit.text
    done = edit.end
  }
  return out + text.slice(done)
}

/** Whether the new text decodes to the old one with the changes made. */
function amountsTo(before: string, after: string, changes: readonly ((root: unknown) => void)[]): boolean {
  try {
    const expected = decode(before)
    // Later stretches of one argument first: offsets before them stay what they are.
    for (const change of changes.toReversed()) change(expected)
    return isDeepStrictEqual(decode(after), expected)
  } catch {
    // It cannot be read any more, or not be changed as planned.
    return false
  }
}

function decode(text: string): unknown {
  const bytes = Buffer.from(text)
  if (/^\s*\{/.test(text)) {
    try {
      return decodeJson(bytes).value
    } catch {
      // A flow mapping of YAML.
    }
  }
  return decodeYaml(bytes).value
}

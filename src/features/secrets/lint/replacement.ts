import { dump } from 'js-yaml'
import type { KubeObject } from '../../../kernel/api/object.ts'
import type { FieldPath, Leak, Replacement } from './types.ts'

/** Gives each value a Secret and a key of its own; equal values of one object share. */
export type SecretNames = {
  /** The key under which `value` is kept in the Secret; another than `wanted` when that holds another value. */
  keyFor: (secret: { name: string; namespace?: string }, wanted: string, value: string) => string
}

/** Where each built-in kind has its pod's spec: there `valueFrom` and `$(VAR)` mean what Kubernetes says they mean. */
const POD_SPECS: Readonly<Record<string, FieldPath>> = {
  'v1/Pod': ['spec'],
  'v1/PodTemplate': ['template', 'spec'],
  'v1/ReplicationController': ['spec', 'template', 'spec'],
  'apps/v1/Deployment': ['spec', 'template', 'spec'],
  'apps/v1/ReplicaSet': ['spec', 'template', 'spec'],
  'apps/v1/StatefulSet': ['spec', 'template', 'spec'],
  'apps/v1/DaemonSet': ['spec', 'template', 'spec'],
  'batch/v1/Job': ['spec', 'template', 'spec'],
  'batch/v1/CronJob': ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
  'batch/v1beta1/CronJob': ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
}

/** Whether the container at the path is one of a kind that Kubernetes itself runs. */
export function isPodContainer(object: KubeObject, container: FieldPath): boolean {
  const spec = POD_SPECS[`${object.apiVersion}/${object.kind}`]
  if (spec === undefined || container.length !== spec.length + 2) return false
  return spec.every((part, i) => part === container[i])
}

export function secretNameFor(object: KubeObject): string {
  const { name, generateName } = object.metadata ?? {}
  const base = String(name ?? generateName ?? object.kind).replace(/-+$/, '')
  return `${base
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .slice(0, 240)}-secrets`
}

/** Keys of Secrets: letters, digits, '-', '_' and '.', at most 253. */
export const keyName = (text: string): string => text.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 200) || 'value'

/** The variable that carries a secret of a command line: the prefix keeps it apart from what the program reads. */
export const argumentVariable = (name: string): string =>
  `ARG_${
    name
      .replace(/^-+/, '')
      .replace(/[^A-Za-z0-9]+/g, '_')
      .replace(/^_+|_+$/g, '')
      .toUpperCase()
      .slice(0, 100) || 'VALUE'
  }`

export function secretValue(leak: Leak): string {
  return leak.site.kind === 'env' ? leak.text : leak.text.slice(leak.start, leak.end)
}

/** Kubernetes expands `$(X)` and `$$` in env values and arguments; what comes from a Secret it leaves alone. */
export function isExpanded(text: string): boolean {
  return /\$[($]/.test(text) || text.endsWith('$')
}

/** The way out for a leak: a Secret and what to write instead. Undefined where Kubernetes has none. */
export function proposeReplacement(leak: Leak, object: KubeObject, names?: SecretNames): Replacement | undefined {
  const { site } = leak
  if (site.kind !== 'env' && site.kind !== 'argument' && site.kind !== 'config-map') return undefined
  const namespace = object.metadata?.namespace
  const secret = { name: secretNameFor(object), ...(namespace === undefined ? {} : { namespace }) }
  const wanted = site.kind === 'env' ? site.variable : site.kind === 'argument' ? argumentVariable(site.name) : site.key
  const value = secretValue(leak)
  const key = names?.keyFor(secret, keyName(wanted), value) ?? keyName(wanted)
  const automatic =
    site.kind !== 'config-map' && isPodContainer(object, site.container) && !isExpanded(value) && value.length < 65_536
  const manifest = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: secret,
    stringData: {
      [key]: site.kind !== 'config-map' || site.whole ? `<the value: ${value.length} characters>` : `<all of ${key}>`,
    },
  }
  const use = usage(leak, secret.name, key)
  return { secret: { ...secret, key }, yaml: `${write(manifest)}---\n${use}`, automatic }
}

const write = (value: unknown): string => dump(value, { noRefs: true, lineWidth: -1 })

function usage(leak: Leak, name: string, key: string): string {
  const { site } = leak
  const variable = (env: string): object => ({ name: env, valueFrom: { secretKeyRef: { name, key } } })
  if (site.kind === 'env') return `# in the container\n${write({ env: [variable(site.variable)] })}`
  if (site.kind === 'argument') {
    const env = argumentVariable(site.name)
    return `# in the container; write $(${env}) where the value stands in its command line\n${write({ env: [variable(env)] })}`
  }
  if (site.kind === 'config-map' && site.whole && /^[A-Za-z_][A-Za-z0-9_]*$/.test(site.key))
    return `# in the container, beside the configMapRef\n${write({ envFrom: [{ secretRef: { name } }] })}`
  return `# in the pod, in place of the ConfigMap's volume (or projected together with it)\n${write({ volumes: [{ name: 'config', secret: { secretName: name, items: [{ key, path: key }] } }] })}`
}

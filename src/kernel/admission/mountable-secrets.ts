import type { KubeObject } from '../api/object.ts'
import { type PodSpec, secretReferences } from './pod-secrets.ts'

const ENFORCE = 'kubernetes.io/enforce-mountable-secrets'
/** strconv.ParseBool. */
const TRUE: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])

/** True for a ServiceAccount whose pods may use no Secrets but those that the account lists. */
export const enforcesMountableSecrets = (account: KubeObject): boolean =>
  TRUE.has(account.metadata.annotations?.[ENFORCE] ?? '')

const namesOf = (references: { name?: string }[] | undefined): ReadonlySet<string> =>
  new Set((references ?? []).map((r) => r.name ?? ''))

/** What the account does not let the pod use, in Kubernetes' words; undefined when nothing. */
export function unmountableSecret(account: KubeObject, spec: PodSpec, ephemeralOnly: boolean): string | undefined {
  const mountable = namesOf(account['secrets'])
  const because = `is not allowed because service account ${account.metadata.name} does not reference that`
  if (!ephemeralOnly)
    for (const { secret } of spec.volumes ?? [])
      if (secret && !mountable.has(secret.secretName ?? ''))
        return `volume with secret.secretName="${secret.secretName}" ${because} secret`
  const groups = ephemeralOnly
    ? ([['ephemeral container', spec.ephemeralContainers]] as const)
    : ([
        ['init container', spec.initContainers],
        ['container', spec.containers],
      ] as const)
  for (const [what, containers] of groups)
    for (const container of containers ?? [])
      for (const { how, secret } of secretReferences(container))
        if (!mountable.has(secret))
          return `${what} ${container.name} with ${how} referencing secret.secretName="${secret}" ${because} secret`
  if (ephemeralOnly) return undefined
  const pullable = namesOf(account['imagePullSecrets'])
  for (const [i, { name = '' }] of (spec.imagePullSecrets ?? []).entries())
    if (!pullable.has(name)) return `imagePullSecrets[${i}].name="${name}" ${because} imagePullSecret`
  return undefined
}

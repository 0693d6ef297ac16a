import { setTimeout as delay } from 'node:timers/promises'
import type { KubeObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import type { Client } from '../client/client.ts'
import type { Lookup } from './lookup.ts'
import { enforcesMountableSecrets, unmountableSecret } from './mountable-secrets.ts'
import { type PodSpec, referencesSecrets } from './pod-secrets.ts'
import { refusal } from './refusal.ts'
import { mountTokenVolume } from './token-volume.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

export type ServiceAccountOptions = {
  lookup: Lookup
  client: Pick<Client, 'get'>
  /** Appends a random suffix. */
  generateName: (prefix: string) => string
  /** Waits for the account that a new namespace is about to get. */
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

const MIRROR = 'kubernetes.io/config.mirror'
const SERVICE_ACCOUNTS = { group: '', version: 'v1', resource: 'serviceaccounts' }
const DEFAULT_ACCOUNT = 'default'
/** A namespace's first pod may come before the controller has made the default account: at most a second and a half. */
const DEFAULT_ATTEMPTS = 10
const RETRY_MS = 150

/**
 * Gives each pod its ServiceAccount, that account's token and pull secrets, and refuses accounts that do not exist
 * (Kubernetes' ServiceAccount).
 */
export function serviceAccount(options: ServiceAccountOptions): AdmissionStep {
  return {
    name: 'ServiceAccount',
    handles: ({ operation, definition, subresource }) =>
      definition.group === '' &&
      definition.plural === 'pods' &&
      ((operation === 'CREATE' && subresource === '') ||
        (operation === 'UPDATE' && subresource === 'ephemeralcontainers')),
    reinvoke: true,
    mutate: (request) => {
      if (request.operation !== 'CREATE') return undefined
      const pod = request.object!
      const spec = specOf(pod)
      if (isMirror(pod)) return checkMirror(spec, request)
      spec.serviceAccountName ||= DEFAULT_ACCOUNT
      spec.serviceAccount = spec.serviceAccountName
      return withAccount(options, request, spec, (account) => complete(account, spec, options.generateName))
    },
    validate: (request) => {
      const pod = request.object!
      const spec = specOf(pod)
      if (request.operation === 'CREATE' && isMirror(pod)) return checkMirror(spec, request)
      if (!spec.serviceAccountName)
        throw refusal(request, `no service account specified for pod ${request.namespace}/${pod.metadata.name ?? ''}`)
      return withAccount(options, request, spec, (account) => {
        if (!enforcesMountableSecrets(account)) return
        const why = unmountableSecret(account, spec, request.operation === 'UPDATE')
        if (why !== undefined) throw refusal(request, why)
      })
    },
  }
}

const specOf = (pod: KubeObject): PodSpec => (pod['spec'] ??= {}) as PodSpec
const isMirror = (pod: KubeObject): boolean => pod.metadata.annotations?.[MIRROR] !== undefined

function checkMirror(spec: PodSpec, request: AdmissionRequest): void {
  if (spec.serviceAccountName) throw refusal(request, 'a mirror pod may not reference service accounts')
  if (referencesSecrets(spec)) throw refusal(request, 'a mirror pod may not reference secrets')
  const projected = (spec.volumes ?? []).flatMap((volume) => volume.projected?.sources ?? [])
  if (projected.some((source) => source.serviceAccountToken !== undefined))
    throw refusal(request, 'a mirror pod may not use ServiceAccountToken volume projections')
}

function complete(account: KubeObject, spec: PodSpec, generateName: (prefix: string) => string): void {
  // The pod's wish counts before the account's.
  const automount = spec.automountServiceAccountToken ?? account['automountServiceAccountToken'] ?? true
  if (automount) mountTokenVolume(spec, generateName)
  const pull = account['imagePullSecrets'] as { name?: string }[] | undefined
  if (pull !== undefined && pull.length > 0 && (spec.imagePullSecrets ?? []).length === 0)
    spec.imagePullSecrets = pull.map(({ name }) => (name === undefined ? {} : { name }))
}

/** Synchronous when the account is known here. */
function withAccount(
  options: ServiceAccountOptions,
  request: AdmissionRequest,
  spec: PodSpec,
  use: (account: KubeObject) => void,
): void | Promise<void> {
  const known = options.lookup.get('', 'serviceaccounts', request.namespace, spec.serviceAccountName!)
  if (known !== undefined) return use(known)
  return find(options, request, spec.serviceAccountName!).then(use)
}

async function find(options: ServiceAccountOptions, request: AdmissionRequest, name: string): Promise<KubeObject> {
  const { client, sleep = wait } = options
  const attempts = name === DEFAULT_ACCOUNT ? DEFAULT_ATTEMPTS : 1
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.get(SERVICE_ACCOUNTS, request.namespace, name)
    } catch (error) {
      const missing = error instanceof ApiError && error.reason === 'NotFound'
      const why = missing ? `serviceaccount ${JSON.stringify(name)} not found` : (error as Error).message
      if (!missing || attempt === attempts || request.signal.aborted)
        throw refusal(request, `error looking up service account ${request.namespace}/${name}: ${why}`)
    }
    await sleep(RETRY_MS, request.signal)
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    // The caller looks at the signal itself.
    if (!signal.aborted) throw error
  }
}

import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeObject } from '../../kernel/api/object.ts'
import { PROPAGATION, said } from '../../platform/cri/index.ts'
import { writePublic } from '../../platform/files.ts'
import { type PodMemory, type PodParts, podEvent } from './context.ts'
import type { Start } from './engine/actions.ts'
import { containerConfig } from './engine/container-config.ts'
import { hostsFile } from './engine/dns.ts'
import { ContainerConfigError, environment, environmentReferences } from './engine/environment.ts'
import type { Pod, PodContainer } from './engine/pod.ts'
import { latest, type PodRuntime, type SandboxRecord } from './engine/runtime-state.ts'
import { podLogFolder, sandboxConfig } from './engine/sandbox-config.ts'
import { serviceEnvironment } from './engine/service-environment.ts'
import { ImageError } from './images.ts'
import { CONFIG_MAPS, SECRETS } from './objects.ts'
import { ask } from './probes/handlers.ts'

/** Why a container waits; `reason` is shown in its state. */
export class StartError extends Error {
  readonly reason: string
  readonly retryAt: number | undefined

  constructor(reason: string, message: string, retryAt?: number) {
    super(message)
    this.name = 'StartError'
    this.reason = reason
    this.retryAt = retryAt
  }
}

/** Objects that a container reads at its start are not older than this. */
const FRESH_MS = 2000
const HOOK_MS = 240_000

export type StartInput = {
  pod: Pod
  start: Start
  sandbox: SandboxRecord
  runtime: PodRuntime
  memory: PodMemory
  volumes: ReadonlyMap<string, string>
}

/** Image, configuration, creation, start, hook. Rejects with StartError; events have been written then. */
export async function startContainer(parts: PodParts, input: StartInput): Promise<void> {
  const { pod, start, sandbox, memory } = input
  const { container } = start
  const { signal } = memory.starting
  const { cri } = parts
  const event = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
    podEvent(parts, pod, type, reason, message, container)
  const fail = (reason: string, error: unknown, eventReason = 'Failed'): never => {
    const message = said(error)
    event('Warning', eventReason, eventReason === 'Failed' ? `Error: ${message}` : message)
    throw new StartError(reason, message)
  }
  const image = await parts.images
    .ensure(pod, container, () => pullSecrets(parts, pod), event, signal)
    .catch((error) => {
      if (error instanceof ImageError) throw new StartError(error.reason, error.message, error.retryAt)
      throw error
    })
  let config: ReturnType<typeof containerConfig>
  try {
    config = await configuration(parts, input, image)
  } catch (error) {
    return fail('CreateContainerConfigError', error)
  }
  const sandboxOf = sandboxConfig(pod, sandbox.attempt, parts.settings)
  const id = await cri.createContainer(sandbox.id, config, sandboxOf).catch((e) => fail('CreateContainerError', e))
  event('Normal', 'Created', `Created container: ${container.name}`)
  await cri.startContainer(id).catch((error) => fail('RunContainerError', error))
  event('Normal', 'Started', `Started container ${container.name}`)
  const hook = container.lifecycle?.postStart
  if (hook == null) return
  try {
    await runHook(parts, pod, container, id, sandbox.ips[0] ?? parts.nodeAddress, hook, HOOK_MS, signal)
  } catch (error) {
    const message = `PostStartHook failed: ${(error as Error).message}`
    event('Warning', 'FailedPostStartHook', message)
    event('Normal', 'Killing', 'FailedPostStartHook')
    await cri.stopContainer(id, pod.spec.terminationGracePeriodSeconds ?? 30)
    throw new StartError('PostStartHookError', message)
  }
}

/** Rejects with an Error when the hook fails or takes longer than `timeoutMs`. */
export async function runHook(
  parts: PodParts,
  pod: Pod,
  container: PodContainer,
  containerId: string,
  podIp: string,
  hook: NonNullable<NonNullable<PodContainer['lifecycle']>['preStop']>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  if (hook.sleep != null) {
    const ms = Math.min(timeoutMs, (hook.sleep.seconds ?? 0) * 1000)
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = parts.timers.after(ms, end)
      signal.addEventListener('abort', end, { once: true })
    })
    return
  }
  const podIpOf = pod.spec.hostNetwork === true ? parts.nodeAddress : podIp
  const target = { cri: parts.cri, containerId, podIp: podIpOf, ports: container.ports ?? [] }
  const answer = await ask(hook, target, timeoutMs, signal)
  if (answer.outcome === 'failure') throw new Error(answer.output || 'it exited with an error')
}

async function pullSecrets(parts: PodParts, pod: Pod): Promise<KubeObject[]> {
  const names = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) => (name === undefined ? [] : [name]))
  const found = await Promise.all(names.map((name) => parts.objects.get(SECRETS, pod.namespace, name, FRESH_MS)))
  return found.filter((secret) => secret !== undefined)
}

async function configuration(
  parts: PodParts,
  { pod, start, sandbox, runtime, volumes }: StartInput,
  image: Parameters<typeof containerConfig>[0]['image'],
): Promise<ReturnType<typeof containerConfig>> {
  const { container, restartCount } = start
  const { configMaps, secrets } = environmentReferences(container)
  const fetch = async (names: Set<string>, id: typeof SECRETS): Promise<Map<string, KubeObject | undefined>> =>
    new Map(
      await Promise.all(
        [...names].map(async (name) => [name, await parts.objects.get(id, pod.namespace, name, FRESH_MS)] as const),
      ),
    )
  const [configMapOf, secretOf] = await Promise.all([fetch(configMaps, CONFIG_MAPS), fetch(secrets, SECRETS)])
  const podIPs = pod.spec.hostNetwork === true ? [parts.nodeAddress] : sandbox.ips
  const services = parts.services()
  if (services === undefined) throw new ContainerConfigError('services have not yet been read from the API server')
  const variables = environment(pod, container, {
    configMap: (name) => configMapOf.get(name),
    secret: (name) => secretOf.get(name),
    services: serviceEnvironment(services, pod.namespace, pod.spec.enableServiceLinks !== false),
    addresses: { podIPs, hostIP: parts.nodeAddress },
    allocatable: parts.allocatable,
  })
  const mounts = await parts.volumes.mountsOf(pod, container, volumes, variables)
  const bind = (containerPath: string, hostPath: string): void => {
    if (mounts.some((mount) => mount.containerPath === containerPath)) return
    mounts.push({ containerPath, hostPath, readonly: false, propagation: PROPAGATION.private })
  }
  bind('/etc/hosts', hosts(parts, pod, podIPs))
  const messagePath = container.terminationMessagePath ?? '/dev/termination-log'
  if (messagePath !== '') bind(messagePath, parts.volumes.terminationLog(pod, container, restartCount))
  mkdirSync(join(podLogFolder(pod, parts.settings.podLogFolder), container.name), { recursive: true, mode: 0o755 })
  const { targetContainerName } = container as { targetContainerName?: string }
  const target = targetContainerName ? latest(runtime, targetContainerName)?.id : undefined
  if (targetContainerName && target === undefined)
    throw new ContainerConfigError(`the target container ${targetContainerName} does not run`)
  return containerConfig({
    pod,
    container,
    restartCount,
    image,
    environment: variables,
    mounts,
    node: parts.settings,
    ...(target === undefined ? {} : { targetId: target }),
  })
}

function hosts(parts: PodParts, pod: Pod, ips: readonly string[]): string {
  const file = join(parts.volumes.podFolder(pod.uid), 'etc-hosts')
  const nodeFile = pod.spec.hostNetwork === true ? readFileSync('/etc/hosts', 'utf8') : ''
  mkdirSync(parts.volumes.podFolder(pod.uid), { recursive: true, mode: 0o750 })
  writePublic(file, hostsFile(pod, ips, nodeFile))
  chmodSync(file, 0o644)
  return file
}

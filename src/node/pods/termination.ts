import { isCriError } from '../../platform/cri/index.ts'
import { type PodMemory, type PodParts, podEvent } from './context.ts'
import { everyContainer, isSidecar, type Pod } from './engine/pod.ts'
import { type ContainerRecord, isAlive, type PodRuntime } from './engine/runtime-state.ts'
import { runHook } from './start-container.ts'

/** What a container gets to end by itself when its hook has used up the time (kuberuntime). */
const MIN_GRACE_SECONDS = 2

/**
 * Stops what lives of a pod: containers side by side, then the sidecars from the last to the first, all within the
 * grace; then its sandboxes, and with them its network.
 */
export async function stopPod(
  parts: PodParts,
  pod: Pod,
  runtime: PodRuntime,
  memory: PodMemory | undefined,
  graceSeconds: number,
): Promise<void> {
  const begun = parts.clock.now()
  const left = (): number => Math.max(0, graceSeconds - (parts.clock.now() - begun) / 1000)
  const alive = runtime.containers.filter(isAlive)
  const sidecars = pod.initContainers.filter(isSidecar).map(({ name }) => name)
  const main = alive.filter(({ name }) => !sidecars.includes(name))
  await Promise.all(main.map((record) => stopContainer(parts, pod, record, memory, left())))
  for (const name of sidecars.reverse())
    for (const record of alive.filter((one) => one.name === name))
      await stopContainer(parts, pod, record, memory, left())
  for (const { id, ready } of runtime.sandboxes) if (ready) await gone(parts.cri.stopPodSandbox(id))
}

/** Its hook first, then its signal, then the kill. */
export async function stopContainer(
  parts: PodParts,
  pod: Pod,
  record: ContainerRecord,
  memory: PodMemory | undefined,
  graceSeconds: number,
  message = `Stopping container ${record.name}`,
): Promise<void> {
  const container = everyContainer(pod).find(({ name }) => name === record.name)
  podEvent(parts, pod, 'Normal', 'Killing', message, container)
  const begun = parts.clock.now()
  const hook = container?.lifecycle?.preStop
  const signal = memory?.stopping.signal ?? new AbortController().signal
  if (container !== undefined && hook != null && record.state === 'running' && graceSeconds > 0) {
    const ip = parts.cache.get(pod.uid).sandboxes.find(({ ready }) => ready)?.ips[0] ?? parts.nodeAddress
    try {
      await runHook(parts, pod, container, record.id, ip, hook, graceSeconds * 1000, signal)
    } catch (error) {
      if (!signal.aborted)
        podEvent(
          parts,
          pod,
          'Warning',
          'FailedPreStopHook',
          `PreStopHook failed: ${(error as Error).message}`,
          container,
        )
    }
  }
  const used = (parts.clock.now() - begun) / 1000
  const rest = signal.aborted ? 0 : Math.max(Math.min(MIN_GRACE_SECONDS, graceSeconds), graceSeconds - used)
  await gone(parts.cri.stopContainer(record.id, Math.ceil(rest)))
}

/** What is not there any more need not be stopped or removed. */
export async function gone(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!isCriError(error, 'NOT_FOUND')) throw error
  }
}

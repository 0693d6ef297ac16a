/** Pods and what the runtime has of them, written so that a test's rows read as their difference. */
import type { KubeObject } from '../../../kernel/api/object.ts'
import { containerHash } from './actions.ts'
import { type Pod, podOf } from './pod.ts'
import type { ContainerRecord, PodRuntime, SandboxRecord } from './runtime-state.ts'

export const NOW: number = Date.parse('2026-11-01T12:00:00Z')

type Fields = object

export function makePod(spec: Fields = {}, status: Fields = {}, metadata: Fields = {}): Pod {
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', uid: 'u1', ...metadata },
    spec: { restartPolicy: 'Always', containers: [{ name: 'main', image: 'web:1' }], ...spec },
    status,
  } as unknown as KubeObject
  return podOf(object)
}

export function sandbox(fields: Partial<SandboxRecord> = {}): SandboxRecord {
  return { id: 's0', attempt: 0, ready: true, createdAt: NOW - 60_000, ips: ['10.0.0.5'], ...fields }
}

export function run(
  name: string,
  state: ContainerRecord['state'] | number,
  fields: Partial<ContainerRecord> = {},
): ContainerRecord {
  const exited = typeof state === 'number'
  return {
    id: `${name}-${fields.restartCount ?? 0}`,
    name,
    sandboxId: 's0',
    state: exited ? 'exited' : state,
    restartCount: 0,
    createdAt: NOW - 50_000,
    startedAt: state === 'created' ? 0 : NOW - 50_000,
    finishedAt: exited ? NOW - 1000 : 0,
    exitCode: exited ? state : 0,
    reason: '',
    message: '',
    image: 'web:1',
    imageRef: 'sha256:1',
    hash: containerHash({ name, image: 'web:1' }),
    logPath: '',
    ...fields,
  }
}

/** `containers` newest first. */
export const runtime = (containers: ContainerRecord[], sandboxes: SandboxRecord[] = [sandbox()]): PodRuntime => ({
  sandboxes,
  containers,
})

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { Log } from '../../kernel/feature.ts'
import { writePrivate } from '../../platform/files.ts'

const MAX_BYTES = 4 * 1024 * 1024

/**
 * The pods of this node as the API server last had them, on disk: after a restart they are looked after even while the
 * API server is away. A pod's object holds no Secret; its environment is asked for anew.
 */
export class Checkpoints {
  readonly #folder: string
  readonly #written: Map<string, string> = new Map()

  constructor(folder: string) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  save(pod: KubeObject): void {
    const uid = pod.metadata.uid!
    const text = JSON.stringify(pod)
    const { resourceVersion: _, ...metadata } = pod.metadata
    const digest = createHash('sha256')
      .update(JSON.stringify([metadata, pod['spec'], pod['status']]))
      .digest('base64')
    if (this.#written.get(uid) === digest) return
    writePrivate(join(this.#folder, `${uid}.json`), text)
    this.#written.set(uid, digest)
  }

  remove(uid: string): void {
    this.#written.delete(uid)
    rmSync(join(this.#folder, `${uid}.json`), { force: true })
  }

  /** A file that cannot be read is reported and left out. */
  load(log: Log): KubeObject[] {
    if (!existsSync(this.#folder)) return []
    const found: KubeObject[] = []
    for (const name of readdirSync(this.#folder)) {
      if (!name.endsWith('.json')) continue
      const file = join(this.#folder, name)
      try {
        if (statSync(file).size > MAX_BYTES) throw new Error('is too large')
        const object = JSON.parse(readFileSync(file, 'utf8')) as KubeObject
        if (object?.kind !== 'Pod' || `${object.metadata?.uid}.json` !== name)
          throw new Error('is not the pod that its name says')
        found.push(object)
      } catch (error) {
        log('warn', `checkpoint ${file}: ${(error as Error).message}`)
      }
    }
    return found
  }
}

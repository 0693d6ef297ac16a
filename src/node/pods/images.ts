import type { KubeObject } from '../../kernel/api/object.ts'
import type { Clock } from '../../kernel/feature.ts'
import { type AuthConfig, type CriClient, type CriImage, said } from '../../platform/cri/index.ts'
import { Backoffs } from './engine/backoff.ts'
import type { Pod, PodContainer } from './engine/pod.ts'
import { type PullCredential, pullCredentials } from './engine/pull-credentials.ts'

/** Why a container waits for its image; `reason` as kubelets show it. */
export class ImageError extends Error {
  readonly reason: 'ErrImagePull' | 'ImagePullBackOff' | 'ErrImageNeverPull' | 'ImageInspectError'
  /** When the next try is due, ms. */
  readonly retryAt: number | undefined

  constructor(reason: ImageError['reason'], message: string, retryAt?: number) {
    super(message)
    this.name = 'ImageError'
    this.reason = reason
    this.retryAt = retryAt
  }
}

export type ImageEvents = (type: 'Normal' | 'Warning', reason: string, message: string) => void

/** Makes sure that a container's image is there, as its pull policy says. */
export class Images {
  readonly #cri: CriClient
  readonly #clock: Clock
  readonly #backoffs: Backoffs = new Backoffs()
  readonly #failed: Map<string, number> = new Map()
  readonly #pulling: Map<string, Promise<void>> = new Map()

  constructor(cri: CriClient, clock: Clock) {
    this.#cri = cri
    this.#clock = clock
  }

  /** Rejects with ImageError. */
  async ensure(
    pod: Pod,
    container: PodContainer,
    secrets: () => Promise<KubeObject[]>,
    event: ImageEvents,
    signal: AbortSignal,
  ): Promise<CriImage> {
    const name = JSON.stringify(container.image)
    const present = await this.#inspect(container.image)
    const policy = container.imagePullPolicy ?? 'IfNotPresent'
    if (present !== undefined && policy !== 'Always') {
      event('Normal', 'Pulled', `Container image ${name} already present on machine`)
      return present
    }
    if (policy === 'Never') {
      const message = `Container image ${name} is not present with pull policy of Never`
      event('Warning', 'ErrImageNeverPull', message)
      throw new ImageError('ErrImageNeverPull', message)
    }
    const key = `${pod.uid}/${container.image}`
    const failedAt = this.#failed.get(key)
    const now = this.#clock.now()
    const waiting = failedAt === undefined ? undefined : this.#backoffs.waiting(key, failedAt, now)
    if (waiting !== undefined) {
      const message = `Back-off pulling image ${name}`
      event('Normal', 'BackOff', message)
      throw new ImageError('ImagePullBackOff', message, waiting.until)
    }
    event('Normal', 'Pulling', `Pulling image ${name}`)
    try {
      await this.#pull(container.image, await secrets(), signal)
    } catch (error) {
      const why = said(error)
      if (signal.aborted) throw new ImageError('ErrImagePull', why)
      const at = this.#clock.now()
      this.#backoffs.next(key, at, at)
      this.#failed.set(key, at)
      event('Warning', 'Failed', `Failed to pull image ${name}: ${why}`)
      event('Warning', 'Failed', 'Error: ErrImagePull')
      throw new ImageError('ErrImagePull', why, this.#backoffs.waiting(key, at, at)?.until)
    }
    const seconds = ((this.#clock.now() - now) / 1000).toFixed(3)
    const pulled = await this.#inspect(container.image)
    if (pulled === undefined) throw new ImageError('ErrImagePull', `image ${name} was pulled and is not there`)
    event('Normal', 'Pulled', `Successfully pulled image ${name} in ${seconds}s. Image size: ${pulled.size} bytes.`)
    this.#failed.delete(key)
    return pulled
  }

  forget(uid: string): void {
    this.#backoffs.forget(`${uid}/`)
    for (const key of this.#failed.keys()) if (key.startsWith(`${uid}/`)) this.#failed.delete(key)
  }

  async #inspect(image: string): Promise<CriImage | undefined> {
    try {
      return await this.#cri.imageStatus(image)
    } catch (error) {
      throw new ImageError(
        'ImageInspectError',
        `Failed to inspect image ${JSON.stringify(image)}: ${(error as Error).message}`,
      )
    }
  }

  /** Each secret's credential in turn; without credentials, anonymously. Pulls of one image wait for each other. */
  async #pull(image: string, secrets: readonly KubeObject[], signal: AbortSignal): Promise<void> {
    const before = this.#pulling.get(image)
    const own = (async () => {
      await before?.catch(() => undefined)
      const credentials: (PullCredential | undefined)[] = pullCredentials(secrets, image)
      if (credentials.length === 0) credentials.push(undefined)
      let failure: Error | undefined
      for (const credential of credentials) {
        const auth: Partial<AuthConfig> | undefined = credential
        try {
          await this.#cri.pullImage(image, auth, signal)
          return
        } catch (error) {
          failure = error as Error
          if (signal.aborted) break
        }
      }
      throw failure!
    })()
    this.#pulling.set(image, own)
    try {
      await own
    } finally {
      if (this.#pulling.get(image) === own) this.#pulling.delete(image)
    }
  }
}

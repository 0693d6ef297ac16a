/** `base`·2^attempt up to `max`, plus up to `jitter` of it at random. Attempts count from 0. */
export type BackoffOptions = {
  baseMs: number
  maxMs: number
  /** 0.5: up to half as long again. */
  jitter: number
  /** In [0, 1). */
  random: () => number
}

export class Backoff {
  readonly #options: BackoffOptions
  #attempt = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  next(): number {
    const { baseMs, maxMs, jitter, random } = this.#options
    const delay = Math.min(maxMs, baseMs * 2 ** Math.min(this.#attempt++, 40))
    return delay * (1 + jitter * random())
  }

  reset(): void {
    this.#attempt = 0
  }
}

import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivate } from '../../platform/files.ts'
import { type Authorities, openAuthorities, PkiError } from './authorities.ts'
import { keyIdentifierOf } from './certificate.ts'

/**
 * `trust`: the next authorities exist and are trusted beside the old ones, which still sign. `sign`: the new ones sign,
 * the old ones are still trusted. `stable`: one generation, no rotation under way.
 */
export type RotationPhase = 'stable' | 'trust' | 'sign'

export type RotationState = {
  /** Counts the changes, so that of two copies the newer one is known. */
  sequence: number
  phase: RotationPhase
  /** Number of the generation that signs. */
  signing: number
  /** Numbers of all that are trusted, oldest first; at most two. */
  trusted: readonly number[]
  /** When the phase began, RFC 3339. */
  since: string
}

export type GenerationsOptions = {
  directory: string
  clusterName: string
  /** Milliseconds since the epoch. */
  now: () => number
  lifetimeSeconds: number
}

export class RotationError extends Error {
  override readonly name = 'RotationError'
}

const outOfTurn = (phase: RotationPhase, wanted: string): RotationError =>
  new RotationError(`the rotation is in phase ${phase}: ${wanted} does not come next`)

const STATE_FILE = 'authorities.json'
const MAX_STATE_BYTES = 4096

/** Root and intermediates of a generation: the first lies in the folder itself. */
export const generationFolder = (directory: string, generation: number): string =>
  generation === 1 ? directory : join(directory, `generation-${generation}`)

/** Throws PkiError. A folder without the file has its first generation. */
export function readRotationState(directory: string): RotationState {
  const file = join(directory, STATE_FILE)
  if (!existsSync(file)) return { sequence: 0, phase: 'stable', signing: 1, trusted: [1], since: '' }
  try {
    return parseRotationState(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new PkiError(`${file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Throws an Error that says what is wrong. */
export function parseRotationState(text: string): RotationState {
  if (text.length > MAX_STATE_BYTES) throw new Error(`larger than ${MAX_STATE_BYTES} bytes`)
  const state = JSON.parse(text) as RotationState
  const whole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
  const { sequence, phase, signing, trusted, since } = state ?? {}
  const [old, next, ...more] = Array.isArray(trusted) ? trusted : []
  const fits =
    phase === 'stable'
      ? old === signing && next === undefined
      : next === (old ?? 0) + 1 && more.length === 0 && signing === (phase === 'trust' ? old : next)
  if (!whole(sequence) || !['stable', 'trust', 'sign'].includes(phase) || typeof since !== 'string')
    throw new Error('not the state of a rotation')
  if (!whole(signing) || signing < 1 || !fits) throw new Error('signing and trusted do not fit the phase')
  return { sequence, phase, signing, trusted, since }
}

/**
 * The authorities of a cluster through their rotations. Each step is one write of `authorities.json`: what is made before
 * it is found again and carried on, what is to be cleared away after it is cleared at the next opening, so that an end at
 * any moment leaves one phase or the next.
 */
export class Generations {
  readonly #o: GenerationsOptions
  #state: RotationState
  #loaded = new Map<number, Authorities>()

  constructor(options: GenerationsOptions) {
    this.#o = options
    this.#state = readRotationState(options.directory)
    this.reload()
  }

  get state(): RotationState {
    return this.#state
  }

  /** Who signs now. */
  get signing(): Authorities {
    return this.#loaded.get(this.#state.signing)!
  }

  /** All that are trusted, oldest first. */
  get trusted(): readonly Authorities[] {
    return this.#state.trusted.map((n) => this.#loaded.get(n)!)
  }

  /** Reads the folder again, after somebody else has changed it. */
  reload(): void {
    this.#state = readRotationState(this.#o.directory)
    for (const n of this.#state.trusted) this.#open(n)
    this.#clear()
  }

  /** Makes the next generation and trusts it beside the present one. */
  trust(): void {
    const { phase, signing } = this.#state
    if (phase === 'trust') return
    if (phase === 'sign') throw outOfTurn(phase, 'trust')
    this.#open(signing + 1)
    this.#write({ phase: 'trust', signing, trusted: [signing, signing + 1] })
  }

  /** Signs with the new generation. */
  sign(): void {
    const { phase, trusted } = this.#state
    if (phase === 'sign') return
    if (phase === 'stable') throw outOfTurn(phase, 'sign')
    this.#write({ phase: 'sign', signing: trusted[1]!, trusted })
  }

  /** Ends the trust in the old generation and removes its keys. */
  retire(): void {
    const { phase, signing } = this.#state
    if (phase !== 'sign') throw outOfTurn(phase, 'retire')
    this.#write({ phase: 'stable', signing, trusted: [signing] })
    this.#clear()
  }

  #write(change: Pick<RotationState, 'phase' | 'signing' | 'trusted'>): void {
    const { directory, now } = this.#o
    const state: RotationState = {
      sequence: this.#state.sequence + 1,
      ...change,
      since: new Date(now()).toISOString(),
    }
    writePrivate(join(directory, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`)
    this.#state = state
  }

  #open(generation: number): void {
    if (this.#loaded.has(generation)) return
    const { directory, clusterName, now, lifetimeSeconds } = this.#o
    const authorities = openAuthorities({
      directory: generationFolder(directory, generation),
      // Names that differ: no verifier has to tell two authorities of one name apart.
      clusterName: generation === 1 ? clusterName : `${clusterName} G${generation}`,
      now: now(),
      lifetimeSeconds,
    })
    this.#loaded.set(generation, authorities)
  }

  /** Keys and certificates of generations before the trusted ones. */
  #clear(): void {
    const { directory } = this.#o
    const oldest = this.#state.trusted[0]!
    for (const n of this.#loaded.keys()) if (n < oldest) this.#loaded.delete(n)
    if (oldest > 1)
      for (const name of readdirSync(directory))
        if (/^ca(-[a-z-]+)?\.(key|crt)$/.test(name)) rmSync(join(directory, name), { force: true })
    for (const name of readdirSync(directory)) {
      const n = /^generation-(\d+)$/.exec(name)?.[1]
      if (n !== undefined && Number(n) < oldest) rmSync(join(directory, name), { recursive: true, force: true })
    }
  }
}

/** Subject key identifiers of a generation's authorities, hexadecimal: what their leaves name as their authority's. */
export function authorityKeyIds({ intermediates }: Authorities): string[] {
  return Object.values(intermediates).map(({ certificate }) =>
    Buffer.from(keyIdentifierOf(certificate) ?? []).toString('hex'),
  )
}

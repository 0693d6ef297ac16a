import { createHash } from 'node:crypto'

/**
 * HKDF-Expand with SHA-256 (RFC 5869) for outputs of one block: T(1) = HMAC(seed, info | 0x01). Every write derives a
 * key, and node:crypto's Hmac costs ten times the hash itself in objects that the collector has to clear away. So the
 * two halves of HMAC that depend on the seed alone (RFC 2104) are computed once, and what is left for each key are two
 * compressions (FIPS 180-4) in buffers that are reused. The tests compare it with node:crypto.
 */
export class SeedExpansion {
  readonly #inner: Int32Array
  readonly #outer: Int32Array

  constructor(seed: Uint8Array) {
    const block = new Uint8Array(BLOCK)
    block.set(seed.length > BLOCK ? createHash('sha256').update(seed).digest() : seed)
    this.#inner = padState(block, 0x36)
    this.#outer = padState(block, 0x5c)
    block.fill(0)
  }

  /** Writes the 32 bytes to `out`. `info` has at most 54 bytes. */
  expand(info: Uint8Array, out: Uint8Array): void {
    if (info.length > MAX_INFO) throw new RangeError(`info has ${info.length} bytes, at most ${MAX_INFO} fit`)
    scratch.fill(0)
    scratch.set(info)
    scratch[info.length] = 1
    finish(this.#inner, info.length + 1)
    scratch.fill(0)
    for (let i = 0; i < 8; i++) view.setInt32(4 * i, state[i]!)
    finish(this.#outer, 32)
    for (let i = 0; i < 32; i++) out[i] = (state[i >> 2]! >>> (24 - 8 * (i & 3))) & 0xff
    scratch.fill(0)
    schedule.fill(0)
    state.fill(0)
  }
}

const BLOCK = 64
/** With the 0x01, the end mark and the length it is one block. */
const MAX_INFO = BLOCK - 8 - 1 - 1

const scratch = new Uint8Array(BLOCK)
const view = new DataView(scratch.buffer)
const schedule = new Int32Array(64)
const state = new Int32Array(8)

const INITIAL = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
)

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
const ROUND_CONSTANTS: Int32Array = (() => {
  const primes: number[] = []
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p !== 0)) primes.push(n)
  return Int32Array.from(primes, (prime) => {
    // Exact: the integer cube root of prime * 2^96.
    const wanted = BigInt(prime) << 96n
    let low = 0n
    let high = 1n << 40n
    while (high - low > 1n) {
      const middle = (low + high) >> 1n
      if (middle ** 3n <= wanted) low = middle
      else high = middle
    }
    return Number(BigInt.asIntN(32, low))
  })
})()

/** State after the block of the padded key. */
function padState(key: Uint8Array, pad: number): Int32Array {
  for (let i = 0; i < BLOCK; i++) scratch[i] = key[i]! ^ pad
  state.set(INITIAL)
  compress()
  scratch.fill(0)
  schedule.fill(0)
  return state.slice()
}

/** Hashes the last block: `length` bytes in scratch, after the one that `start` has seen. */
function finish(start: Int32Array, length: number): void {
  scratch[length] = 0x80
  view.setUint32(60, (BLOCK + length) * 8)
  state.set(start)
  compress()
}

/** One round of SHA-256's compression: scratch into state. */
function compress(): void {
  const w = schedule
  for (let i = 0; i < 16; i++) w[i] = view.getInt32(4 * i)
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]!
    const y = w[i - 2]!
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  let e = state[4]!
  let f = state[5]!
  let g = state[6]!
  let h = state[7]!
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i]! + w[i]!) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  state[0] = (state[0]! + a) | 0
  state[1] = (state[1]! + b) | 0
  state[2] = (state[2]! + c) | 0
  state[3] = (state[3]! + d) | 0
  state[4] = (state[4]! + e) | 0
  state[5] = (state[5]! + f) | 0
  state[6] = (state[6]! + g) | 0
  state[7] = (state[7]! + h) | 0
}

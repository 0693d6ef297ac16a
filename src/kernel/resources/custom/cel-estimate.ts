import { SCALAR, type Sized } from './cel-size.ts'

/** Costs end here, where cel-go's uint64 does. */
const MOST = 2 ** 64
export const capped = (cost: number): number => Math.min(MOST, cost)

export const TRAVERSAL = 0.1
export type Size = { min: number; max: number }
export const UNKNOWN: Size = { min: 0, max: MOST }

export const times = (size: Size, factor: number): number => capped(Math.ceil(size.max * factor))

export type Estimate = {
  cost: number
  /** Undefined where it is the path's or the type's. */
  size?: Size | undefined
  /** From a variable through fields, `@items` and `@keys`; empty: it is not part of the variable's value. */
  path: readonly string[]
  type: Sized
}

export const exactly = (count: number): Size => ({ min: count, max: count })

export const scalar = (cost: number): Estimate => ({ cost: capped(cost), path: [], type: SCALAR })

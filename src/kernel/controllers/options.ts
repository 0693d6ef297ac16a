import type { Timers } from '../controller/timers.ts'

/** What every controller of the kernel takes beside its context; all of it has a default. */
export type ControllerOptions = {
  timers?: Timers
  /** In [0, 1); for jitter. */
  random?: () => number
}

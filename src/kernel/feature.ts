import type { Registry } from 'prom-client'
import type { Lookup } from './admission/lookup.ts'
import type { AdmissionStep } from './admission/types.ts'
import type { Attributes, Authorizer, Decision } from './authz/types.ts'
import type { Client } from './client/client.ts'
import type { ResourceDefinition } from './resources/definition.ts'

export type Clock = { /** Milliseconds since the epoch. */ now: () => number }

export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Record<string, unknown>,
) => void

export type Controller = {
  name: string
  /** Runs until the signal aborts; resolves when it has stopped. A rejection is a bug and is logged. */
  run: (signal: AbortSignal) => Promise<void>
}

export type ControllerContext = { client: Client; clock: Clock; log: Log }
export type ControllerFactory = (context: ControllerContext) => Controller

/** What an authorizer or admission step of a feature may use: reads come from informers, never from the request path. */
export type ServerContext = {
  client: Client
  clock: Clock
  log: Log
  /** Aborted when the server closes: what watches for a feature ends with it. */
  signal?: AbortSignal
  /** The finished authorizer chain, for admission steps that ask further questions; not to be called during start. */
  authorize?: (attributes: Attributes) => Decision | Promise<Decision>
  /** What is stored, from memory: for admission steps that look at other objects than the request's. */
  lookup?: Lookup
  /** Where /metrics is read from. */
  metrics?: Registry
  /** Path of the file with the configuration of admission steps (kube-apiserver's --admission-control-config-file). */
  admissionConfigFile?: string
}

/**
 * A feature is one value, handed to the kernel in one place (src/features/index.ts).
 * `start` of authorizers and admission steps runs before the first request is served.
 */
export type Feature = {
  name: string
  resources?: readonly ResourceDefinition[]
  /** Built once at start; may watch through the client. Resolves when it is ready to decide. */
  authorizers?: (context: ServerContext) => Promise<readonly Authorizer[]> | readonly Authorizer[]
  admission?: (context: ServerContext) => Promise<readonly AdmissionStep[]> | readonly AdmissionStep[]
  controllers?: readonly ControllerFactory[]
}

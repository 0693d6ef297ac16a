import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Client } from '../../kernel/client/client.ts'
import { createRemoteClient, type RemoteClient } from '../../kernel/client/remote.ts'
import { Backoff } from '../../kernel/controller/backoff.ts'
import { sleep, systemTimers, type Timers } from '../../kernel/controller/timers.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import type { NodeConfig } from '../config.ts'
import { type CertificateFiles, certificateFiles, lifeOf, type Pair, renewalDue } from './certificate.ts'
import { RequestRefusedError, requestCertificate, type Wanted } from './signing-request.ts'

export type { Pair } from './certificate.ts'

export type AgentCertificatesOptions = {
  config: NodeConfig
  clock: Clock
  log: Log
  timers?: Timers
  random?: () => number
}

/** The certificates of this machine, kept valid. */
export type AgentCertificates = {
  /** Authenticates as system:node:NAME with whatever certificate is current; connections are made anew after a change. */
  client: RemoteClient
  /** PEM bundle of the cluster's roots, as it is on disk now. */
  ca: () => string
  clientPair: () => Pair
  serving: () => { context: SecureContext; pair: Pair }
  /** Called after the serving certificate has changed. Returns how to stop that. */
  onServingChange: (listener: () => void) => () => void
  /** Resolves when the signal aborts. */
  keepValid: (signal: AbortSignal) => Promise<void>
}

/** How long to wait for somebody (or the approver) to approve. */
const APPROVAL_MS = 60_000
/** The clock may be set, the machine may sleep: no timer is trusted for longer. */
const LOOK_AGAIN_MS = 60_000

/**
 * Gets the client certificate (with the bootstrap token when this machine has none that is valid) and the serving
 * certificate. Rejects when the token is missing or refused; everything that can come by waiting is waited for.
 */
export async function openAgentCertificates(
  options: AgentCertificatesOptions,
  signal: AbortSignal,
): Promise<AgentCertificates> {
  const { config, clock, log, timers = systemTimers, random = Math.random } = options
  const folder = join(config.stateFolder, 'pki')
  const ca = (): string => readFileSync(config.caFile, 'utf8')
  const server = new URL(config.server)
  const userAgent = `rampart-node/${config.nodeName}`
  const backoff = (): Backoff => new Backoff({ baseMs: 1000, maxMs: 60_000, jitter: 1, random })

  const files = { client: certificateFiles(folder, 'client'), serving: certificateFiles(folder, 'serving') }
  const wanted: { client: Wanted; serving: Wanted } = {
    client: { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', nodeName: config.nodeName },
    serving: {
      signerName: 'kubernetes.io/kubelet-serving',
      nodeName: config.nodeName,
      sans: { dns: [config.nodeName], ip: [config.nodeAddress] },
    },
  }
  const usable = (file: CertificateFiles): Pair | undefined => {
    const pair = file.current()
    return pair !== undefined && lifeOf(pair).notAfter > clock.now() ? pair : undefined
  }

  /** Asks until there is an answer. A refusal ends the key; the next try has a new one. */
  async function obtain(client: Client, kind: 'client' | 'serving', tries: number): Promise<Pair> {
    const wait = backoff()
    for (let attempt = 1; ; attempt++) {
      try {
        const key = files[kind].pendingKey()
        const chain = await requestCertificate(client, wanted[kind], key, { timers, signal, timeoutMs: APPROVAL_MS })
        const pair = files[kind].install(chain)
        log('info', `a ${kind} certificate was issued`, { until: new Date(lifeOf(pair).notAfter).toISOString() })
        return pair
      } catch (error) {
        if (error instanceof RequestRefusedError) files[kind].dropPending()
        if (signal.aborted || attempt >= tries) throw error
        log('warn', `${kind} certificate: ${(error as Error).message}; trying again`)
        await sleep(timers, wait.next(), signal)
      }
    }
  }

  let clientPair = usable(files.client)
  if (clientPair === undefined) {
    const token = bootstrapToken(config.bootstrapTokenFile)
    const bootstrap = createRemoteClient({ server, ca: ca(), token, userAgent })
    try {
      clientPair = await obtain(bootstrap, 'client', 30)
    } finally {
      bootstrap.close()
    }
  }
  // Used or not needed: it must not lie about.
  rmSync(config.bootstrapTokenFile, { force: true })

  const client = createRemoteClient({
    server,
    ca: ca(),
    credentialProvider: () => clientPair!,
    userAgent,
  })
  let servingPair = usable(files.serving) ?? (await obtain(client, 'serving', 30))
  let context = contextOf(servingPair)
  const listeners = new Set<() => void>()

  async function renewOnce(): Promise<void> {
    if (clock.now() >= renewalDue(clientPair!, share.client)) clientPair = await obtain(client, 'client', 1)
    if (clock.now() >= renewalDue(servingPair, share.serving)) {
      servingPair = await obtain(client, 'serving', 1)
      context = contextOf(servingPair)
      for (const listener of listeners) listener()
    }
  }
  // Drawn once: a moment that moved with every look would come too early on average.
  const share = { client: random(), serving: random() }

  return {
    client,
    ca,
    clientPair: () => clientPair!,
    serving: () => ({ context, pair: servingPair }),
    onServingChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    keepValid: async (until) => {
      const wait = backoff()
      while (!until.aborted) {
        let pause = LOOK_AGAIN_MS
        try {
          await renewOnce()
          wait.reset()
        } catch (error) {
          if (until.aborted) break
          log('error', `certificates could not be renewed: ${(error as Error).message}`)
          pause = wait.next()
        }
        await sleep(timers, pause, until)
      }
    },
  }
}

function contextOf({ cert, key }: Pair): SecureContext {
  return createSecureContext({ cert, key, minVersion: 'TLSv1.2' })
}

function bootstrapToken(file: string): string {
  if (!existsSync(file))
    throw new Error(
      `this machine has no valid certificate and no bootstrap token (${file}): run "rampart node add" again`,
    )
  const token = readFileSync(file, 'utf8').trim()
  if (!/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(token)) throw new Error(`${file} holds no bootstrap token`)
  return token
}

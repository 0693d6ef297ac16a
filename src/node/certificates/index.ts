import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import { issuerKeyId, serialName } from '../../features/tls/describe.ts'
import { AGENT_ANNOTATION, type AgentReport, type ClusterTrust } from '../../features/tls/trust/bundle.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import { createRemoteClient, type RemoteClient } from '../../kernel/client/remote.ts'
import { Backoff } from '../../kernel/controller/backoff.ts'
import { sleep, systemTimers, type Timers } from '../../kernel/controller/timers.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import type { NodeConfig } from '../config.ts'
import { type CertificateFiles, certificateFiles, lifeOf, type Pair, renewalDue } from './certificate.ts'
import { RequestRefusedError, requestCertificate, type Wanted } from './signing-request.ts'
import { AgentTrust } from './trust.ts'

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
  /** PEM bundle of the cluster's roots. */
  ca: () => string
  /** PEM of the anchors of client certificates at the kubelet API. */
  clientCa: () => string
  /** Certificates that the cluster has revoked. */
  isRevoked: (serialNumber: string) => boolean
  clientPair: () => Pair
  serving: () => { context: SecureContext; pair: Pair }
  /** Called after the serving certificate or the anchors of clients have changed. Returns how to stop that. */
  onServingChange: (listener: () => void) => () => void
  /** Resolves when the signal aborts. */
  keepValid: (signal: AbortSignal) => Promise<void>
}

/** How long to wait for somebody (or the approver) to approve. */
const APPROVAL_MS = 60_000
/** The clock may be set, the machine may sleep: no timer is trusted for longer. */
const LOOK_AGAIN_MS = 60_000
const REPORT_AGAIN_MS = 2_000
/** Within which machines that hear of a change act on it. */
const SPREAD_MS = 3_000
/** The signers' certificates begin this much before they are issued. */
const BACKDATE_MS = 5 * 60_000
const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }

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
  const server = new URL(config.server)
  const userAgent = `rampart-node/${config.nodeName}`
  const tryBundle = async (bundle: string): Promise<void> => {
    const trial = createRemoteClient({ server, ca: bundle, userAgent })
    try {
      await trial.raw('GET', '/livez')
    } finally {
      trial.close()
    }
  }
  const trust = new AgentTrust({ caFile: config.caFile, folder, tryBundle, log })
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
    const bootstrap = createRemoteClient({ server, caProvider: trust.ca, token, userAgent })
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
    caProvider: trust.ca,
    credentialProvider: () => clientPair!,
    userAgent,
  })
  let servingPair = usable(files.serving) ?? (await obtain(client, 'serving', 30))
  let context = contextOf(servingPair)
  const listeners = new Set<() => void>()

  const changed = (): void => {
    for (const listener of listeners) listener()
  }

  /** Two thirds of life are over, another authority signs now, or the operator wants new ones. */
  const isDue = (pair: Pair, random: number): boolean =>
    clock.now() >= renewalDue(pair, random) || (trust.latest !== undefined && isUnwanted(pair, trust.latest))

  async function renewOnce(): Promise<void> {
    if (isDue(clientPair!, share.client)) clientPair = await obtain(client, 'client', 1)
    if (isDue(servingPair, share.serving)) {
      servingPair = await obtain(client, 'serving', 1)
      context = contextOf(servingPair)
      changed()
    }
  }
  // Drawn once: a moment that moved with every look would come too early on average.
  const share = { client: random(), serving: random() }

  let reported = ''
  /** Tells the control plane what is in use here: a rotation of the authorities waits for that. */
  async function report(): Promise<void> {
    const now: AgentReport = {
      trusts: trust.fingerprints,
      client: serialOf(clientPair!),
      serving: serialOf(servingPair),
    }
    const text = JSON.stringify(now)
    if (text === reported) return
    await client.patch(NODES, '', config.nodeName, 'merge', { metadata: { annotations: { [AGENT_ANNOTATION]: text } } })
    reported = text
  }

  async function keep(until: AbortSignal): Promise<void> {
    const wait = backoff()
    let wake = new AbortController()
    const stop = trust.onChange(() => wake.abort())
    try {
      while (!until.aborted) {
        const woken = AbortSignal.any([until, wake.signal])
        let pause = LOOK_AGAIN_MS
        try {
          await renewOnce()
          await report()
          wait.reset()
        } catch (error) {
          if (until.aborted) break
          // Its Node is not there before the agent has registered it: nothing to be told yet.
          const early = error instanceof ApiError && error.reason === 'NotFound'
          if (!early) log('error', `certificates could not be renewed: ${(error as Error).message}`)
          pause = early ? REPORT_AGAIN_MS : wait.next()
        }
        await sleep(timers, pause, woken)
        if (!wake.signal.aborted) continue
        wake = new AbortController()
        // All machines hear of it at once, and shall not all come at once.
        await sleep(timers, random() * SPREAD_MS, until)
      }
    } finally {
      stop()
    }
  }

  return {
    client,
    ca: trust.ca,
    clientCa: trust.clientCa,
    isRevoked: trust.isRevoked,
    clientPair: () => clientPair!,
    serving: () => ({ context, pair: servingPair }),
    onServingChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    keepValid: async (until) => {
      const stop = trust.onChange(changed)
      try {
        await Promise.all([keep(until), trust.follow(client, timers, until)])
      } finally {
        stop()
      }
    },
  }
}

const serialOf = ({ cert }: Pair): string => serialName(new X509Certificate(cert).serialNumber)

function isUnwanted(pair: Pair, { authorities, renewIssuedBefore }: ClusterTrust): boolean {
  const certificate = new X509Certificate(pair.cert)
  if (authorities.length > 0 && !authorities.includes(issuerKeyId(certificate))) return true
  return certificate.validFromDate.getTime() + BACKDATE_MS < renewIssuedBefore
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

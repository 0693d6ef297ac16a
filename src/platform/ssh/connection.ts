import type { Duplex, Readable } from 'node:stream'
import { type AnyAuthMethod, Client } from 'ssh2'
import { HOST_KEY_TYPES, offeredAlgorithms } from './algorithms.ts'
import { type Dial, dialTcp } from './dial.ts'
import { SshError } from './error.ts'
import { type ExecOptions, type ExecResult, execOn } from './exec.ts'
import { type HostKey, type HostKeyCheck, hostKey } from './host-key.ts'
import type { SshIdentity } from './identity.ts'
import { formatSshTarget, type SshTarget } from './target.ts'
import { type UploadOptions, uploadOver } from './upload.ts'

export type SshConnectOptions = {
  target: SshTarget
  /** There is no way around it: see pinnedFingerprint, pinnedKey, knownHosts. */
  hostKey: HostKeyCheck
  identity: SshIdentity
  /** Default: TCP. */
  dial?: Dial
  /** For dialling, and again for handshake and authentication; default 20 s. */
  timeoutMs?: number
}

export type SshConnection = {
  readonly target: SshTarget
  /** The key that the server proved to hold, and what vouched for it. */
  readonly hostKey: HostKey
  readonly verifiedBy: string
  /** A command line for the user's login shell; see shellCommand. Rejects with SshError, not for an exit code. */
  exec: (command: string, options: ExecOptions) => Promise<ExecResult>
  /** Writes a file whole or not at all; rejects with SshError. */
  upload: (content: Readable | Uint8Array | string, options: UploadOptions) => Promise<void>
  readonly closed: boolean
  close: () => void
}

const DEFAULT_TIMEOUT_MS = 20_000
const KEEPALIVE_MS = 10_000
/** Silent for this many keepalives: the machine is gone. */
const KEEPALIVE_COUNT = 3

type Refusal = { refused: HostKey; reason: string }

/** Connects and authenticates. Rejects with SshError; the host key is checked before anything is offered to the server. */
export async function connectSsh(options: SshConnectOptions): Promise<SshConnection> {
  const { types = [], tryOtherTypes = false } = options.hostKey
  let wanted = [...types.filter((t) => HOST_KEY_TYPES.includes(t)), ...HOST_KEY_TYPES.filter((t) => !types.includes(t))]
  let first: SshError | undefined
  for (;;) {
    const result = await attempt(options, wanted).catch((error: unknown) => {
      // The server had no other key to show.
      throw first ?? error
    })
    if (!('refused' in result)) return result
    first ??= new SshError(formatSshTarget(options.target), 'host key', result.reason)
    wanted = wanted.filter((t) => t !== result.refused.type)
    if (!tryOtherTypes || wanted.length === 0) throw first
  }
}

/** The server's key, proved but trusted by nobody yet: to show it to a person. Nothing else is said to the server. */
export async function readHostKey(target: SshTarget, dial?: Dial, timeoutMs?: number): Promise<HostKey> {
  const result = await attempt(
    {
      target,
      hostKey: { check: () => ({ verdict: 'refuse', reason: 'it is only looked at' }) },
      identity: { agentSocket: '' },
      ...(dial === undefined ? {} : { dial }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    },
    HOST_KEY_TYPES,
  )
  if ('refused' in result) return result.refused
  result.close()
  throw new SshError(formatSshTarget(target), 'host key', 'the server showed none')
}

async function attempt(options: SshConnectOptions, keyTypes: readonly string[]): Promise<SshConnection | Refusal> {
  const { target, identity, dial = dialTcp, timeoutMs = DEFAULT_TIMEOUT_MS } = options
  const name = formatSshTarget(target)
  let socket: Duplex
  try {
    socket = await dial(target.host, target.port, timeoutMs)
  } catch (error) {
    throw new SshError(name, 'connect', (error as Error).message, { cause: error, connectionLost: true })
  }
  const client = new Client()
  let accepted: { key: HostKey; by: string } | undefined
  let refusal: Refusal | undefined
  const verify = (blob: Buffer): boolean => {
    let key: HostKey
    try {
      key = hostKey(blob)
    } catch {
      return false
    }
    const verdict = options.hostKey.check(key)
    // A key exchange later on must show the same key again.
    if (verdict.verdict === 'accept' && (accepted === undefined || accepted.key.blob.equals(blob))) {
      accepted = { key, by: verdict.by }
      return true
    }
    refusal = { refused: key, reason: verdict.verdict === 'refuse' ? verdict.reason : 'the server changed its key' }
    return false
  }
  return await new Promise((resolve, reject) => {
    let ready = false
    let step = 'handshake'
    client.once('handshake', () => {
      step = 'authentication'
    })
    client.on('error', (error: Error & { level?: string }) => {
      socket.destroy()
      if (ready) return // what runs on the connection sees it close
      if (refusal !== undefined) return resolve(refusal)
      const lost = error.level !== 'client-authentication'
      reject(
        new SshError(name, step, lost ? error.message : refusedIdentity(target, identity), {
          cause: error,
          connectionLost: lost,
        }),
      )
    })
    client.once('close', () => {
      if (refusal !== undefined) return resolve(refusal)
      reject(new SshError(name, step, 'the machine closed the connection', { connectionLost: true }))
    })
    client.once('ready', () => {
      ready = true
      resolve(opened(client, socket, target, accepted!))
    })
    client.connect({
      sock: socket as never,
      username: target.user,
      hostVerifier: verify,
      authHandler: [authentication(target.user, identity)],
      algorithms: offeredAlgorithms(keyTypes),
      readyTimeout: timeoutMs,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: KEEPALIVE_COUNT,
    })
  })
}

function authentication(username: string, identity: SshIdentity): AnyAuthMethod {
  return 'key' in identity
    ? { type: 'publickey', username, key: identity.key }
    : { type: 'agent', username, agent: identity.agentSocket }
}

function refusedIdentity(target: SshTarget, identity: SshIdentity): string {
  const what = 'key' in identity ? `the key ${identity.file}` : `the keys of the agent ${identity.agentSocket}`
  return `the machine does not let ${target.user} in with ${what}`
}

function opened(
  client: Client,
  socket: Duplex,
  target: SshTarget,
  accepted: { key: HostKey; by: string },
): SshConnection {
  const name = formatSshTarget(target)
  let closed = false
  client.once('close', () => {
    closed = true
  })
  const exec: SshConnection['exec'] = (command, options) =>
    closed
      ? Promise.reject(new SshError(name, options.step, 'the connection is closed', { connectionLost: true }))
      : execOn(client, name, command, options)
  return {
    target,
    hostKey: accepted.key,
    verifiedBy: accepted.by,
    exec,
    upload: (content, options) => uploadOver(exec, name, content, options),
    get closed() {
      return closed
    },
    close: () => {
      client.end()
      // A machine that does not answer the goodbye is not waited for.
      setTimeout(() => socket.destroy(), 500).unref()
    },
  }
}

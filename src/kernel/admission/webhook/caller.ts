import { randomUUID } from 'node:crypto'
import { Agent } from 'node:https'
import { createSecureContext, getCACertificates } from 'node:tls'
import { postJson } from '../../authz/https-json.ts'
import type { AdmissionRequest } from '../types.ts'
import type { CompiledWebhook } from './configuration.ts'
import type { Invocation } from './match.ts'
import { type ReviewAnswer, readAnswer, reviewRequest } from './review.ts'
import type { ServiceResolver } from './service-resolver.ts'

/** An object of 3 MB as a patch in base64 fits. */
const MAX_RESPONSE_BYTES = 6 * 1024 * 1024
const MAX_AGENTS = 256

/** The webhook could not be asked, or its answer is not one: failurePolicy decides what that means. */
export class WebhookCallError extends Error {
  constructor(webhook: CompiledWebhook, why: string) {
    super(`failed calling webhook ${JSON.stringify(webhook.name)}: ${why}`)
    this.name = 'WebhookCallError'
  }
}

export type CallerOptions = {
  resolveService: ServiceResolver
  /** Certificate by which the API server shows webhooks who it is; PEM. Undefined: none. */
  clientCertificate?: () => { cert: string; key: string }
}

export type WebhookCaller = {
  /** Rejects with WebhookCallError. */
  call: (invocation: Invocation, request: AdmissionRequest) => Promise<ReviewAnswer>
  close: () => void
}

export function createWebhookCaller(options: CallerOptions): WebhookCaller {
  /** Connections are kept for each trust: never one that was verified by another bundle. */
  const agents = new Map<string, Agent>()

  function agentFor(webhook: CompiledWebhook): Agent {
    const identity = options.clientCertificate?.()
    const key = `${webhook.client.caBundle ?? ''}|${identity?.cert ?? ''}`
    const known = agents.get(key)
    if (known !== undefined) return known
    const ca = webhook.client.caBundle ? Buffer.from(webhook.client.caBundle, 'base64').toString('utf8') : undefined
    if (ca !== undefined) checkBundle(ca)
    // Made once: a context of its own for each connection would read all these certificates each time.
    const secureContext = createSecureContext({ minVersion: 'TLSv1.2', ca: ca ?? systemRoots(), ...identity })
    const agent = new Agent({ keepAlive: true, maxSockets: 100, maxFreeSockets: 4, secureContext })
    agents.set(key, agent)
    if (agents.size > MAX_AGENTS) {
      const [oldest, old] = agents.entries().next().value!
      agents.delete(oldest)
      old.destroy()
    }
    return agent
  }

  async function call(invocation: Invocation, request: AdmissionRequest): Promise<ReviewAnswer> {
    const { webhook } = invocation
    const uid = randomUUID()
    let body: unknown
    try {
      body = await postJson({
        ...(await target(options.resolveService, webhook)),
        body: JSON.stringify(reviewRequest(uid, invocation, request)),
        agent: agentFor(webhook),
        timeoutMs: webhook.timeoutMs,
        maxResponseBytes: MAX_RESPONSE_BYTES,
        signal: request.signal,
      })
    } catch (error) {
      throw new WebhookCallError(webhook, `failed to call webhook: ${(error as Error).message}`)
    }
    try {
      return readAnswer(webhook, uid, body)
    } catch (error) {
      throw new WebhookCallError(webhook, `received invalid webhook response: ${(error as Error).message}`)
    }
  }

  return {
    call,
    close: () => {
      for (const agent of agents.values()) agent.destroy()
      agents.clear()
    },
  }
}

let roots: string[] | undefined

/** What the machine trusts; where that is nothing (no ca-certificates installed), what comes with Node. */
function systemRoots(): string[] {
  if (roots === undefined) {
    // The folder of certificates names each of them more than once.
    const system = [...new Set(getCACertificates('system'))]
    roots = system.length > 0 ? system : [...getCACertificates('bundled')]
  }
  return roots
}

function checkBundle(ca: string): void {
  if (!ca.includes('-----BEGIN CERTIFICATE-----'))
    throw new Error('unable to load root certificates: unable to parse bytes as PEM block')
  try {
    createSecureContext({ ca })
  } catch (error) {
    throw new Error(`unable to load root certificates: ${(error as Error).message}`)
  }
}

async function target(
  resolve: ServiceResolver,
  webhook: CompiledWebhook,
): Promise<{ url: URL; address?: { host: string; port: number }; serverName?: string }> {
  const { url, service } = webhook.client
  const timeout = `timeout=${webhook.timeoutMs / 1000}s`
  if (url !== undefined) {
    const parsed = new URL(url)
    if (parsed.protocol !== 'https:') throw new Error(`unsupported URL scheme ${JSON.stringify(parsed.protocol)}`)
    parsed.search = timeout
    return { url: parsed }
  }
  if (service === undefined) throw new Error('webhook configuration must have either service or URL')
  const { namespace, name, path = '', port = 443 } = service
  const serverName = `${name}.${namespace}.svc`
  const address = await resolve(namespace, name, port)
  // The URL parser drops port 443; messages show it, as Kubernetes does.
  const parsed = new URL(`https://${serverName}:${port}/${path.replace(/^\//, '')}?${timeout}`)
  return { url: parsed, address, serverName }
}

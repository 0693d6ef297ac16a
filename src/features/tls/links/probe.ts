import type { X509Certificate } from 'node:crypto'
import { type CertificateText, describeCertificate } from '../describe.ts'
import { type Attempt, attempt, type HttpRequest, type Identity, type Session } from './attempt.ts'
import { startImpostor } from './impostor.ts'
import { type Refusal, refusesPlainText, refusesTls11, type Target } from './old-protocol.ts'

/** One direction of trust between two parts: who connects, to whom, and by what each knows the other. */
export type Link = {
  from: string
  to: string
  target: Target
  /** PEM of what the client verifies the server by. */
  ca: string
  /** What the client demands of the server's certificate beyond its chain and the dialled name. */
  identify?: (leaf: X509Certificate) => string | undefined
  /** The certificate that the server must accept. */
  right: Identity
  /** The client's own certificate, when `right` only stands for it: its key is on another machine. */
  shown?: CertificateText
  request: HttpRequest
  /** What is wrong with the answer to the right certificate; undefined: it was taken for who it is. */
  misjudged: (status: number, body: string) => string | undefined
  /**
   * Client certificates that look right, of an authority that nobody knows and of a wrong one of the same root. A text
   * says why there can be none here.
   */
  foreign: Identity
  wrongAuthority: Identity | string
  /** Server certificates: of the right authority for another name, and for the right name of one that nobody knows. */
  impostors: { wrongName: Identity | string; foreign: Identity }
  /** Connects as this link's client does and resolves when the server was believed. */
  dial: (host: string, port: number) => Promise<unknown>
  /** What is true of this link and not of every one, e.g. where the client's part was proved. */
  remarks?: readonly string[]
}

export const PROBES = [
  'right-certificate',
  'no-certificate',
  'foreign-ca',
  'wrong-authority',
  'wrong-name',
  'foreign-server',
  'plain-text',
  'tls-1.1',
] as const
export type ProbeName = (typeof PROBES)[number]

export type ProbeResult = {
  probe: ProbeName
  /**
   * `unproven`: the peer could not be brought to say yes or no; that is not right either. `impossible`: what the probe
   * needs does not exist here, e.g. the key of an authority of yours; it is said, and counts for nothing.
   */
  verdict: 'right' | 'wrong' | 'unproven' | 'impossible'
  detail: string
}

export type LinkReport = {
  from: string
  to: string
  address: string
  client: CertificateText
  /** Undefined: the server was not reached, or is not who it should be. */
  server: CertificateText | undefined
  protocol: string
  cipher: string
  probes: ProbeResult[]
  remarks: string[]
  right: boolean
}

const TIMEOUT_MS = 4000

/** Proves one link by trying it, rightly and wrongly. Resolves always; every try ends within `timeoutMs`. */
export async function probeLink(link: Link, timeoutMs: number = TIMEOUT_MS): Promise<LinkReport> {
  const { target, ca, request } = link
  const common = { target, ca, request, timeoutMs, ...(link.identify && { identify: link.identify }) }
  const [right, none, foreign, authority, name, server, plain, old] = await Promise.all([
    attempt({ ...common, identity: link.right }),
    attempt(common),
    attempt({ ...common, identity: link.foreign }),
    typeof link.wrongAuthority === 'string'
      ? link.wrongAuthority
      : attempt({ ...common, identity: link.wrongAuthority }),
    tryImpostor(link, link.impostors.wrongName, timeoutMs),
    tryImpostor(link, link.impostors.foreign, timeoutMs),
    refusesPlainText(target, timeoutMs),
    refusesTls11(target, timeoutMs),
  ])
  const probes: ProbeResult[] = [
    { probe: 'right-certificate', ...accepted(right, link.misjudged) },
    { probe: 'no-certificate', ...refused(none) },
    { probe: 'foreign-ca', ...refused(foreign) },
    { probe: 'wrong-authority', ...(typeof authority === 'string' ? impossible(authority) : refused(authority)) },
    { probe: 'wrong-name', ...name },
    { probe: 'foreign-server', ...server },
    { probe: 'plain-text', ...stated(plain) },
    { probe: 'tls-1.1', ...stated(old) },
  ]
  const tried = [right, none, foreign, ...(typeof authority === 'string' ? [] : [authority])]
  const session = tried.map(sessionOf).find((s) => s !== undefined)
  return {
    from: link.from,
    to: link.to,
    address: `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`,
    client: link.shown ?? describeCertificate(link.right.cert),
    server: session && describeCertificate(session.leaf),
    protocol: session?.protocol ?? '',
    cipher: session?.cipher ?? '',
    probes,
    remarks: [...(link.remarks ?? [])],
    right: probes.every(({ verdict }) => verdict === 'right' || verdict === 'impossible'),
  }
}

type Verdict = Pick<ProbeResult, 'verdict' | 'detail'>

const impossible = (detail: string): Verdict => ({ verdict: 'impossible', detail })

const sessionOf = (tried: Attempt): Session | undefined => (tried.kind === 'answered' ? tried.session : undefined)

function accepted(tried: Attempt, misjudged: Link['misjudged']): Verdict {
  if (tried.kind !== 'answered') return { verdict: 'wrong', detail: `${tried.kind}: ${tried.why}` }
  const problem = tried.status === 401 ? 'answered 401' : misjudged(tried.status, tried.body)
  return problem === undefined
    ? { verdict: 'right', detail: `accepted (${tried.status})` }
    : { verdict: 'wrong', detail: problem }
}

/** 401 says "you are nobody"; 403 and everything else were said to somebody. */
function refused(tried: Attempt): Verdict {
  switch (tried.kind) {
    case 'answered':
      return tried.status === 401
        ? { verdict: 'right', detail: 'refused (401)' }
        : { verdict: 'wrong', detail: `not refused: answered ${tried.status}` }
    case 'refused':
      return { verdict: 'right', detail: `refused (${tried.why})` }
    case 'distrusted':
      return { verdict: 'unproven', detail: `the server is not who it should be: ${tried.why}` }
    case 'unreachable':
      return { verdict: 'unproven', detail: tried.why }
  }
}

function stated({ refused: is, detail }: Refusal): Verdict {
  if (is === undefined) return { verdict: 'unproven', detail }
  return is ? { verdict: 'right', detail: `refused (${detail})` } : { verdict: 'wrong', detail }
}

/** Lets the link's client meet a server that it must not believe. */
async function tryImpostor(link: Link, identity: Identity | string, timeoutMs: number): Promise<Verdict> {
  if (typeof identity === 'string') return impossible(identity)
  const impostor = await startImpostor(identity)
  const late = AbortSignal.timeout(timeoutMs)
  const tooLate = new Promise<never>((_resolve, reject) => {
    late.addEventListener('abort', () => reject(new Error(`nothing within ${timeoutMs} ms`)), { once: true })
  })
  try {
    await Promise.race([link.dial(impostor.host, impostor.port), tooLate])
    return { verdict: 'wrong', detail: 'the client believed it' }
  } catch (error) {
    if (impostor.received() > 0)
      return { verdict: 'wrong', detail: `the client entrusted ${impostor.received()} bytes to it` }
    if (late.aborted || !impostor.visited())
      return { verdict: 'unproven', detail: `the client did not decide: ${(error as Error).message}` }
    return { verdict: 'right', detail: 'refused by the client, nothing sent' }
  } finally {
    await impostor.close()
  }
}

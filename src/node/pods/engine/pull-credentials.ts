import type { KubeObject } from '../../../kernel/api/object.ts'

export type PullCredential = { username: string; password: string; identityToken: string; serverAddress: string }

type Entry = { username?: string; password?: string; auth?: string; identitytoken?: string }
const MAX_BYTES = 1024 * 1024

/**
 * The credentials in these Secrets (kubernetes.io/dockerconfigjson and dockercfg) that are for the image's registry, the
 * most specific first. What cannot be read is passed over: it may be for another image.
 */
export function pullCredentials(secrets: readonly KubeObject[], image: string): PullCredential[] {
  const found: { credential: PullCredential; weight: number }[] = []
  for (const secret of secrets)
    for (const [server, entry] of Object.entries(entriesOf(secret))) {
      const weight = matches(server, image)
      if (weight > 0) found.push({ credential: credentialOf(server, entry), weight })
    }
  return found.sort((a, b) => b.weight - a.weight).map(({ credential }) => credential)
}

function entriesOf(secret: KubeObject): Record<string, Entry> {
  const data = (secret['data'] ?? {}) as Record<string, string>
  const json = data['.dockerconfigjson']
  const text = json ?? data['.dockercfg']
  if (text === undefined || text.length > MAX_BYTES) return {}
  try {
    const parsed = JSON.parse(Buffer.from(text, 'base64').toString()) as { auths?: Record<string, Entry> }
    const entries = json === undefined ? (parsed as Record<string, Entry>) : parsed.auths
    return typeof entries === 'object' && entries !== null ? entries : {}
  } catch {
    return {} // not JSON: no credential
  }
}

function credentialOf(server: string, entry: Entry): PullCredential {
  let { username = '', password = '' } = entry
  if (username === '' && typeof entry.auth === 'string') {
    const decoded = Buffer.from(entry.auth, 'base64').toString()
    const colon = decoded.indexOf(':')
    if (colon > 0) [username, password] = [decoded.slice(0, colon), decoded.slice(colon + 1)]
  }
  return { username, password, identityToken: entry.identitytoken ?? '', serverAddress: server }
}

/** 0: not for this image; more the longer the path that it names. `*` stands for one label of a host's name. */
function matches(server: string, image: string): number {
  const plain = server.replace(/^https?:\/\//, '').replace(/\/(v1|v2)?\/?$/, '')
  const [host = '', ...path] = plain.split('/')
  const [first = '', ...rest] = image.split('/')
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  const imageHost = isHost ? first : 'index.docker.io'
  const wanted = host === 'docker.io' ? 'index.docker.io' : host
  const given = imageHost === 'docker.io' ? 'index.docker.io' : imageHost
  const [a, b] = [wanted.split('.'), given.split('.')]
  if (a.length !== b.length || !a.every((label, i) => label === '*' || label === b[i])) return 0
  const imagePath = isHost ? rest : [first, ...rest]
  if (!path.every((part, i) => part === imagePath[i])) return 0
  return 1 + path.length
}

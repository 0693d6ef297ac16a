import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { load } from 'js-yaml'
import type { CredentialProvider, Credentials, Impersonation } from './connection.ts'
import { type ExecConfig, execCredentials } from './exec-credential.ts'
import type { RemoteClientOptions } from './remote.ts'

export type KubeconfigOptions = Omit<RemoteClientOptions, 'userAgent'> & {
  context: string
  /** Namespace of the context; 'default' when it names none. */
  namespace: string
}

/** Something is wrong with a kubeconfig; the message names the file and the place in it. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError'
}

type Entry = { fields: Record<string, unknown>; file: string }
type Merged = { current: string; clusters: Map<string, Entry>; users: Map<string, Entry>; contexts: Map<string, Entry> }

/** Files are read again when they change, looked at once in this many milliseconds (client-go: a minute). */
const REREAD_MS = 60_000

/**
 * Reads `file`, or the files of $KUBECONFIG (the first that names a thing wins), or ~/.kube/config, and picks
 * `context` or the current one. Refused with a reason: http, insecure-skip-tls-verify, passwords, proxies.
 */
export async function loadKubeconfig(
  file?: string,
  context?: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<KubeconfigOptions> {
  const files = kubeconfigFiles(file, env)
  const merged = await merge(files, file !== undefined)
  const name = context ?? merged.current
  if (name === '') throw new KubeconfigError(`${files.join(', ')}: no current-context, and no context was named`)
  const chosen = found(merged.contexts, 'context', name, files)
  const cluster = found(merged.clusters, 'cluster', text(chosen, 'cluster') ?? '', files)
  const userName = text(chosen, 'user')
  const user = userName === undefined ? undefined : found(merged.users, 'user', userName, files)
  return {
    context: name,
    namespace: text(chosen, 'namespace') ?? 'default',
    ...(await clusterOptions(cluster)),
    ...(user === undefined ? {} : await userOptions(user, cluster, env)),
  }
}

function kubeconfigFiles(file: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (file !== undefined) return [resolve(file)]
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((part) => part !== '')
  return listed.length > 0 ? listed.map((part) => resolve(part)) : [join(env['HOME'] ?? homedir(), '.kube', 'config')]
}

async function merge(files: string[], mustExist: boolean): Promise<Merged> {
  const merged: Merged = { current: '', clusters: new Map(), users: new Map(), contexts: new Map() }
  let read = 0
  for (const file of files) {
    const content = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && !mustExist && files.length > 1) return undefined
      throw new KubeconfigError(`${file}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`)
    })
    if (content === undefined) continue
    read++
    addFile(merged, file, parse(file, content))
  }
  if (read === 0) throw new KubeconfigError(`${files.join(', ')}: no such file`)
  return merged
}

function parse(file: string, content: string): Record<string, unknown> {
  let config: unknown
  try {
    config = load(content)
  } catch (error) {
    // The parser's message quotes the text, which may hold a token: only the place is told.
    const line = (error as { mark?: { line?: number } }).mark?.line
    throw new KubeconfigError(`${file}: not YAML${line === undefined ? '' : ` (line ${line + 1})`}`)
  }
  if (!isRecord(config) || (config['kind'] !== undefined && config['kind'] !== 'Config'))
    throw new KubeconfigError(`${file}: not a kubeconfig (kind: Config)`)
  return config
}

function addFile(merged: Merged, file: string, config: Record<string, unknown>): void {
  if (merged.current === '' && typeof config['current-context'] === 'string') merged.current = config['current-context']
  for (const [list, field] of [
    ['clusters', 'cluster'],
    ['users', 'user'],
    ['contexts', 'context'],
  ] as const) {
    const entries = config[list] ?? []
    if (!Array.isArray(entries)) throw new KubeconfigError(`${file}: ${list} must be a list`)
    for (const entry of entries) {
      if (!isRecord(entry) || typeof entry['name'] !== 'string')
        throw new KubeconfigError(`${file}: an entry of ${list} has no name`)
      const fields = entry[field] ?? {}
      if (!isRecord(fields))
        throw new KubeconfigError(`${file}: ${list} "${entry['name']}": ${field} must be an object`)
      if (!merged[list].has(entry['name'])) merged[list].set(entry['name'], { fields, file })
    }
  }
}

function found(entries: Map<string, Entry>, kind: string, name: string, files: string[]): Entry {
  const entry = entries.get(name)
  if (entry === undefined) {
    const known = [...entries.keys()].join(', ')
    throw new KubeconfigError(
      `${files.join(', ')}: no ${kind} "${name}"${known === '' ? '' : ` (there are: ${known})`}`,
    )
  }
  return entry
}

async function clusterOptions(cluster: Entry): Promise<Pick<KubeconfigOptions, 'server' | 'ca' | 'serverName'>> {
  const address = text(cluster, 'server')
  if (address === undefined || !URL.canParse(address))
    throw new KubeconfigError(`${cluster.file}: the cluster's server "${address ?? ''}" is not a URL`)
  if (cluster.fields['insecure-skip-tls-verify'] === true)
    throw new KubeconfigError(`${cluster.file}: insecure-skip-tls-verify is refused: name the certificate authority`)
  if (text(cluster, 'proxy-url') !== undefined) throw new KubeconfigError(`${cluster.file}: proxy-url is not supported`)
  const server = new URL(address)
  if (server.protocol !== 'https:') throw new KubeconfigError(`${cluster.file}: ${address}: only https is spoken`)
  const ca = await pem(cluster, 'certificate-authority')
  const serverName = text(cluster, 'tls-server-name')
  return { server, ...(ca === undefined ? {} : { ca }), ...(serverName === undefined ? {} : { serverName }) }
}

async function userOptions(
  user: Entry,
  cluster: Entry,
  env: NodeJS.ProcessEnv,
): Promise<Pick<KubeconfigOptions, 'credentialProvider' | 'impersonate'>> {
  for (const field of ['username', 'password', 'auth-provider'])
    if (user.fields[field] !== undefined) throw new KubeconfigError(`${user.file}: users: ${field} is not supported`)
  const provider = await providerOf(user, cluster, env)
  const impersonate = impersonation(user)
  return { ...(provider && { credentialProvider: provider }), ...(impersonate && { impersonate }) }
}

async function providerOf(
  user: Entry,
  cluster: Entry,
  env: NodeJS.ProcessEnv,
): Promise<CredentialProvider | undefined> {
  const exec = user.fields['exec']
  if (exec !== undefined) {
    if (!isRecord(exec) || typeof exec['command'] !== 'string' || typeof exec['apiVersion'] !== 'string')
      throw new KubeconfigError(`${user.file}: users: exec needs command and apiVersion`)
    return execCredentials(exec as ExecConfig, {
      directory: dirname(user.file),
      cluster: await execCluster(cluster),
      env,
    })
  }
  const read = async (): Promise<Credentials> => {
    const [cert, key] = [await pem(user, 'client-certificate'), await pem(user, 'client-key')]
    if ((cert === undefined) !== (key === undefined))
      throw new KubeconfigError(`${user.file}: users: client-certificate and client-key belong together`)
    const tokenFile = text(user, 'tokenFile')
    const token =
      tokenFile === undefined ? text(user, 'token') : (await readFile(pathIn(user, tokenFile), 'utf8')).trim()
    return { ...(cert && { cert }), ...(key && { key }), ...(token && { token }) }
  }
  const files = ['client-certificate', 'client-key', 'tokenFile']
    .filter((field) => field === 'tokenFile' || text(user, `${field}-data`) === undefined)
    .flatMap((field) => text(user, field) ?? [])
    .map((path) => pathIn(user, path))
  const first = await read()
  return files.length === 0 ? () => first : rereading(files, first, read)
}

/** Credentials that lie in files: read again when a file has changed, at once when the server refused them. */
function rereading(files: string[], first: Credentials, read: () => Promise<Credentials>): CredentialProvider {
  const stamp = async (): Promise<string> =>
    (await Promise.all(files.map(async (file) => (await stat(file)).mtimeMs))).join()
  let current = first
  let looked = performance.now()
  let stamped: string | undefined
  return async (refresh) => {
    if (!refresh && performance.now() - looked < REREAD_MS) return current
    looked = performance.now()
    const now = await stamp()
    if (refresh || now !== stamped) current = await read()
    stamped = now
    return current
  }
}

async function execCluster(cluster: Entry): Promise<Record<string, unknown>> {
  const { server, ca, serverName } = await clusterOptions(cluster)
  const config = execExtension(cluster)
  return {
    server: server.href.replace(/\/$/, ''),
    ...(serverName === undefined ? {} : { 'tls-server-name': serverName }),
    ...(ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(config === undefined ? {} : { config }),
  }
}

/** The extension by which a cluster configures exec plugins (client.authentication.k8s.io, ExecConfig). */
function execExtension(cluster: Entry): unknown {
  const extensions = cluster.fields['extensions']
  if (!Array.isArray(extensions)) return undefined
  const found = extensions.find((e) => isRecord(e) && e['name'] === 'client.authentication.k8s.io/exec')
  return (found as { extension?: unknown } | undefined)?.extension
}

function impersonation(user: Entry): Impersonation | undefined {
  const name = text(user, 'as')
  if (name === undefined) return undefined
  const uid = text(user, 'as-uid')
  return {
    user: name,
    ...(uid === undefined ? {} : { uid }),
    groups: (user.fields['as-groups'] ?? []) as string[],
    extra: (user.fields['as-user-extra'] ?? {}) as Record<string, string[]>,
  }
}

/** `<field>-data` (base64 PEM) wins over the file that `<field>` names. */
async function pem(entry: Entry, field: string): Promise<string | undefined> {
  const data = text(entry, `${field}-data`)
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8')
  const path = text(entry, field)
  if (path === undefined) return undefined
  const file = pathIn(entry, path)
  return await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new KubeconfigError(`${entry.file}: ${field} ${file}: ${error.code ?? error.message}`)
  })
}

const pathIn = (entry: Entry, path: string): string => (isAbsolute(path) ? path : join(dirname(entry.file), path))

function text(entry: Entry, field: string): string | undefined {
  const value = entry.fields[field]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { load } from 'js-yaml'
import { CliError } from './error.ts'

/** What `up` can be told, by flag or by a configuration file with the same names. */
export type Settings = {
  name: string
  dataDir: string | undefined
  port: number
  store: 'lmdb' | 'etcd'
  /** Other people's etcd; none: the control plane starts its own. */
  etcdEndpoints: string[]
  etcdCa: string | undefined
  etcdCert: string | undefined
  etcdKey: string | undefined
  /** Machines of a lab on this host. */
  nodes: number
  /** audit.k8s.io/v1 Policy file. */
  auditPolicy: string | undefined
  /** Further names and addresses in the server's certificate. */
  apiServerNames: string[]
  admissionControlConfigFile: string | undefined
  encryptionProviderConfig: string | undefined
  encryptionKeyFile: string | undefined
  /** Address to listen on. */
  bindAddress: string
  oidcIssuerUrl: string | undefined
  oidcClientId: string | undefined
  oidcCaFile: string | undefined
  oidcUsernameClaim: string | undefined
  oidcUsernamePrefix: string | undefined
  oidcGroupsClaim: string | undefined
  oidcGroupsPrefix: string | undefined
  oidcRequiredClaim: string[] | undefined
  oidcSigningAlgs: string[] | undefined
}

export const DEFAULTS: Settings = {
  name: 'default',
  dataDir: undefined,
  port: 6443,
  store: 'lmdb',
  etcdEndpoints: [],
  etcdCa: undefined,
  etcdCert: undefined,
  etcdKey: undefined,
  nodes: process.getuid?.() === 0 ? 2 : 0,
  auditPolicy: undefined,
  apiServerNames: [],
  admissionControlConfigFile: undefined,
  encryptionProviderConfig: undefined,
  encryptionKeyFile: undefined,
  bindAddress: '127.0.0.1',
  oidcIssuerUrl: undefined,
  oidcClientId: undefined,
  oidcCaFile: undefined,
  oidcUsernameClaim: undefined,
  oidcUsernamePrefix: undefined,
  oidcGroupsClaim: undefined,
  oidcGroupsPrefix: undefined,
  oidcRequiredClaim: undefined,
  oidcSigningAlgs: undefined,
}

type Check = (value: unknown) => unknown

const text: Check = (value) => {
  if (typeof value !== 'string' || value === '') throw new Error('must be a text')
  return value
}
/** The control plane works in another folder than who types the path. */
const path: Check = (value) => resolve(text(value) as string)
const list: Check = (value) => {
  const items = typeof value === 'string' ? value.split(',').filter((v) => v !== '') : value
  if (!Array.isArray(items) || items.some((v) => typeof v !== 'string')) throw new Error('must be a list of texts')
  return items
}
const integer =
  (min: number, max: number): Check =>
  (value) => {
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max)
      throw new Error(`must be a whole number from ${min} to ${max}`)
    return number
  }

/** File keys are the flags' names in camel case: `--data-dir` is `dataDir`. */
const CHECKS: Record<keyof Settings, Check> = {
  name: text,
  dataDir: text,
  port: integer(0, 65535),
  store: (value) => {
    if (value !== 'lmdb' && value !== 'etcd') throw new Error('must be lmdb or etcd')
    return value
  },
  etcdEndpoints: list,
  etcdCa: path,
  etcdCert: path,
  etcdKey: path,
  nodes: integer(0, 200),
  auditPolicy: path,
  apiServerNames: list,
  admissionControlConfigFile: path,
  encryptionProviderConfig: path,
  encryptionKeyFile: path,
  bindAddress: text,
  oidcIssuerUrl: text,
  oidcClientId: text,
  oidcCaFile: path,
  oidcUsernameClaim: text,
  oidcUsernamePrefix: text,
  oidcGroupsClaim: text,
  oidcGroupsPrefix: text,
  oidcRequiredClaim: list,
  oidcSigningAlgs: list,
}

/** `--data-dir` for `dataDir`. */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`
}

function checked(source: Record<string, unknown>, where: (key: string) => string): Partial<Settings> {
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(source)) {
    if (value === undefined) continue
    if (!Object.hasOwn(CHECKS, key))
      throw new CliError(`${where(key)} is not a setting; settings are ${Object.keys(CHECKS).join(', ')}`, 2)
    try {
      out[key] = CHECKS[key as keyof Settings](value)
    } catch (error) {
      throw new CliError(`${where(key)} ${(error as Error).message}, not ${JSON.stringify(value)}`, 2)
    }
  }
  return out as Partial<Settings>
}

function readFile(file: string): Partial<Settings> {
  let value: unknown
  try {
    value = load(readFileSync(file, 'utf8'), { filename: file })
  } catch (error) {
    throw new CliError(`the configuration file cannot be used: ${(error as Error).message}`, 2)
  }
  if (value === null || value === undefined) return {}
  if (typeof value !== 'object' || Array.isArray(value)) throw new CliError(`${file}: must be a map of settings`, 2)
  return checked(value as Record<string, unknown>, (key) => `${file}: ${key}`)
}

/** Flags win over the file, the file over the defaults. Throws CliError that names the setting and where it stands. */
export function readSettings(flags: Record<string, unknown>, file: string | undefined): Settings {
  const merged = { ...DEFAULTS, ...(file === undefined ? {} : readFile(file)), ...checked(flags, flagOf) }
  if (merged.etcdEndpoints.length > 0) {
    if (merged.store !== 'etcd') throw new CliError('--etcd-endpoints needs --store etcd', 2)
    for (const endpoint of merged.etcdEndpoints)
      if (!/^https:\/\/[^/]+$/.test(endpoint))
        throw new CliError(
          `--etcd-endpoints ${JSON.stringify(endpoint)} must be https://HOST:PORT: etcd is reached over TLS only`,
          2,
        )
    if (!merged.etcdCa || !merged.etcdCert || !merged.etcdKey)
      throw new CliError('--etcd-endpoints needs --etcd-ca, --etcd-cert and --etcd-key: both ends are verified', 2)
  }
  if ((merged.oidcIssuerUrl === undefined) !== (merged.oidcClientId === undefined))
    throw new CliError('--oidc-issuer-url and --oidc-client-id go together', 2)
  for (const key of Object.keys(merged) as (keyof Settings)[])
    if (key.startsWith('oidc') && merged[key] !== undefined && merged.oidcIssuerUrl === undefined)
      throw new CliError(`${flagOf(key)} needs --oidc-issuer-url`, 2)
  for (const claim of merged.oidcRequiredClaim ?? [])
    if (!/^[^=]+=/.test(claim))
      throw new CliError(`--oidc-required-claim ${JSON.stringify(claim)} must be CLAIM=VALUE`, 2)
  return merged
}

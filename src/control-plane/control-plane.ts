import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { features } from '../features/index.ts'
import {
  connectKeyService,
  type EncryptionAtRest,
  holdsLocalValues,
  openEncryption,
} from '../features/secrets/index.ts'
import {
  ControlPlanePki,
  certificateRevocation,
  certificateSigning,
  clusterTrust,
  ownCertificateRecords,
  type PkiChange,
  type Revocations,
  watchRevocations,
} from '../features/tls/index.ts'
import { resourceQuotaController } from '../kernel/admission/resourcequota/controller.ts'
import { type ApiServer, startApiServer } from '../kernel/apiserver/server.ts'
import { AuditLog } from '../kernel/audit/log-file.ts'
import { type AuditPolicy, DEFAULT_POLICY, parseAuditPolicy } from '../kernel/audit/policy.ts'
import type { LegacyTokens } from '../kernel/authn/legacy-token.ts'
import { oidcAuthenticator } from '../kernel/authn/oidc.ts'
import type { TokenAuthenticator } from '../kernel/authn/types.ts'
import { runControllers } from '../kernel/controller/runner.ts'
import {
  apiServerControllers,
  kernelControllers,
  type ServiceAllocations,
  serviceAllocations,
} from '../kernel/controllers/index.ts'
import type { Clock, Log } from '../kernel/feature.ts'
import { builtinKinds } from '../kernel/resources/kinds/index.ts'
import { openEtcdStore } from '../kernel/store/etcd.ts'
import type { EtcdTls, EtcdTlsSource } from '../kernel/store/etcd-client.ts'
import { openLmdbStore } from '../kernel/store/lmdb.ts'
import { type Store, StoreError } from '../kernel/store/store.ts'
import { writePrivate } from '../platform/files.ts'
import { createAccess, ISSUER } from './access.ts'
import { type EtcdProcess, startEtcd } from './etcd-process.ts'
import { historyCompaction } from './history-compaction.ts'
import { type ControlPlaneSettings, LAB_API_PORT, LAB_LISTENER } from './settings.ts'
import { serverVersion } from './version.ts'

export type ControlPlane = {
  port: number
  api: ApiServer
  store: Store
  encryption: EncryptionAtRest
  pki: ControlPlanePki
  revocations: Revocations
  settings: ControlPlaneSettings
  clock: Clock
  /** https:// endpoints of the store, when it is etcd. */
  etcdEndpoints: readonly string[]
  close: () => Promise<void>
}

export type ControlPlaneOptions = {
  directory: string
  settings: ControlPlaneSettings
  clock: Clock
  log: Log
}

const SERVICE_ADDRESS = '10.96.0.1'
const RENEW_EVERY_MS = 30 * 60_000

/** Wires one control plane: certificates, store, API server, controllers. */
export async function startControlPlane({
  directory,
  settings,
  clock,
  log,
}: ControlPlaneOptions): Promise<ControlPlane> {
  const auditPolicy = readAuditPolicy(settings.auditPolicy)
  const pki = new ControlPlanePki({
    directory: join(directory, 'pki'),
    clock,
    clusterName: settings.name,
    apiServerNames: [
      ...settings.apiServerNames,
      ...(isWildcard(settings.bindAddress) ? [hostname()] : [settings.bindAddress]),
      ...(settings.lab === undefined ? [] : [settings.lab.address]),
    ],
    serviceAddress: SERVICE_ADDRESS,
  })
  const stopping = new AbortController()
  const closers: (() => Promise<void> | void)[] = []
  const closeAll = async (): Promise<void> => {
    stopping.abort()
    for (const close of closers.reverse()) await close()
  }
  try {
    const { store, etcdEndpoints } = await openStore(directory, settings, pki, log, closers)
    const encryption = await openEncryption({
      keyFile: settings.encryptionKeyFile ?? join(directory, 'encryption', 'keys.json'),
      ...(settings.encryptionProviderConfig === undefined ? {} : { configFile: settings.encryptionProviderConfig }),
      clock,
      log,
      connectPlugin: (plugin) => connectKeyService({ ...plugin, log }),
      holdsLocalValues: () => holdsLocalValues(store),
    })
    closers.push(() => encryption.close())
    const revocations = watchRevocations(join(directory, 'pki', 'revoked.json'), log)
    closers.push(revocations.close)
    let allocations: ServiceAllocations | undefined
    let legacyTokens: LegacyTokens | undefined
    const auditor = new AuditLog({ file: join(directory, 'audit', 'audit.log'), policy: auditPolicy, clock, log })
    const api = await startApiServer({
      store,
      transformer: encryption,
      definitions: [...builtinKinds, ...features.flatMap((f) => f.resources ?? [])],
      access: (context) =>
        createAccess(context, {
          features,
          pki,
          revocations,
          tokenAuthenticators: oidc(settings, clock, log),
          signal: stopping.signal,
          admissionConfigFile: settings.admissionControlConfigFile,
          allocations: ({ client }) => (allocations = serviceAllocations({ store, client, log })),
          legacyTokens: (tokens) => (legacyTokens = tokens),
        }),
      auditor,
      clock,
      log,
      version: serverVersion(),
      ...(settings.lab === undefined
        ? { host: settings.bindAddress, port: settings.port }
        : { host: settings.lab.address, port: LAB_API_PORT, inheritedListener: LAB_LISTENER }),
      tls: pki.serverContext(),
      kubelet: {
        ca: () => pki.kubeletServingCaPem,
        clientCertificate: () => pki.leaf('api-server-kubelet-client'),
        isRevoked: revocations.isRevoked,
      },
    })
    const port = settings.lab?.hostPort ?? api.port
    closers.push(() => api.close())
    closers.push(
      runBackground(
        api,
        store,
        { allocations: allocations!, legacyTokens: legacyTokens! },
        settings,
        { pki, revocations },
        clock,
        log,
        stopping.signal,
      ),
    )
    publishKubeconfig(directory, pki, settings, port)
    closers.push(revocations.onChange(() => api.disconnect(revocations.isRevoked)))
    const useNew = ({ issued, trust }: PkiChange): void => {
      if (trust || issued.includes('api-server')) api.setSecureContext(pki.serverContext())
      if (trust || issued.includes('admin')) publishKubeconfig(directory, pki, settings, port)
      if (issued.length > 0) log('info', 'certificates were issued anew', { certificates: issued })
    }
    closers.push(pki.onChange(useNew))
    const renewal = setInterval(() => renew(pki, log), RENEW_EVERY_MS)
    closers.push(() => clearInterval(renewal))
    return { port, api, store, encryption, pki, revocations, settings, clock, etcdEndpoints, close: closeAll }
  } catch (error) {
    await closeAll()
    throw error
  }
}

/** Sign-in by an OpenID Connect provider, where one is configured; the flags are kube-apiserver's. */
function oidc(settings: ControlPlaneSettings, clock: Clock, log: Log): TokenAuthenticator[] {
  const { oidcIssuerUrl: issuerUrl, oidcClientId: clientId } = settings
  if (issuerUrl === undefined || clientId === undefined) return []
  const required = (settings.oidcRequiredClaim ?? []).map((text): [string, string] => {
    const equals = text.indexOf('=')
    return [text.slice(0, equals), text.slice(equals + 1)]
  })
  return [
    oidcAuthenticator({
      issuerUrl,
      clientId,
      apiAudiences: [ISSUER],
      clock,
      log,
      requiredClaims: Object.fromEntries(required),
      ...(settings.oidcCaFile === undefined ? {} : { ca: readFileSync(settings.oidcCaFile, 'utf8') }),
      ...(settings.oidcUsernameClaim === undefined ? {} : { usernameClaim: settings.oidcUsernameClaim }),
      ...(settings.oidcUsernamePrefix === undefined ? {} : { usernamePrefix: settings.oidcUsernamePrefix }),
      ...(settings.oidcGroupsClaim === undefined ? {} : { groupsClaim: settings.oidcGroupsClaim }),
      ...(settings.oidcGroupsPrefix === undefined ? {} : { groupsPrefix: settings.oidcGroupsPrefix }),
      ...(settings.oidcSigningAlgs === undefined ? {} : { signingAlgs: settings.oidcSigningAlgs }),
    }),
  ]
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

function readAuditPolicy(file: string | undefined): AuditPolicy {
  if (file === undefined) return DEFAULT_POLICY
  try {
    return parseAuditPolicy(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`the audit policy ${file} cannot be used: ${(error as Error).message}`)
  }
}

async function openStore(
  directory: string,
  settings: ControlPlaneSettings,
  pki: ControlPlanePki,
  log: Log,
  closers: (() => Promise<void> | void)[],
): Promise<{ store: Store; etcdEndpoints: readonly string[] }> {
  if (settings.store === 'lmdb') {
    const store = await openLmdbStore({ directory: join(directory, 'store'), owner: 'a control plane', log })
    closers.push(() => store.close())
    return { store, etcdEndpoints: [] }
  }
  let etcdEndpoints: string[] = settings.etcdEndpoints
  let tls: EtcdTls | EtcdTlsSource
  if (etcdEndpoints.length === 0) {
    const etcd: EtcdProcess = await startEtcd(join(directory, 'etcd'), pki, log)
    closers.push(() => etcd.stop())
    closers.push(pki.onChange(restartOnNewTrust(pki, etcd)))
    etcdEndpoints = [etcd.endpoint]
    tls = {
      current: () => ({ ca: pki.etcdCaPem, ...pki.leaf('etcd-client') }),
      onChange: (listener) =>
        pki.onChange(({ trust, issued }) => {
          if (trust || issued.includes('etcd-client')) listener()
        }),
    }
  } else
    tls = {
      ca: readFileSync(settings.etcdCa!, 'utf8'),
      cert: readFileSync(settings.etcdCert!, 'utf8'),
      key: readFileSync(settings.etcdKey!, 'utf8'),
    }
  const store = await untilAvailable(() => openEtcdStore({ endpoints: etcdEndpoints, tls, log }))
  closers.push(() => store.close())
  return { store, etcdEndpoints }
}

/** Which authorities are trusted etcd reads at its start only; who signs is no matter to it. */
function restartOnNewTrust(pki: ControlPlanePki, etcd: EtcdProcess): () => void {
  let known = String(pki.rotation.trusted)
  return () => {
    const now = String(pki.rotation.trusted)
    if (now !== known) etcd.restart()
    known = now
  }
}

/** An etcd that was just started needs a moment. */
async function untilAvailable(open: () => Promise<Store>): Promise<Store> {
  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'unavailable' || Date.now() > deadline) throw error
      await sleep(100)
    }
  }
}

/** Starts the controllers; the result stops them and waits until they have. */
function runBackground(
  api: ApiServer,
  store: Store,
  { allocations, legacyTokens }: { allocations: ServiceAllocations; legacyTokens: LegacyTokens },
  settings: ControlPlaneSettings,
  { pki, revocations }: { pki: ControlPlanePki; revocations: Revocations },
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): () => Promise<void> {
  const context = { client: api.client, clock, log }
  const identity = `${hostname()}:${api.port}`
  const own = runControllers(
    {
      factories: [
        ...apiServerControllers({
          identity,
          hostname: hostname(),
          ...advertised(settings, api.port),
        }),
        certificateRevocation(revocations),
        ownCertificateRecords(pki, identity),
      ],
      context,
    },
    signal,
  )
  const leading = runControllers(
    {
      factories: [
        ...kernelControllers({ rootCa: () => pki.rootPem, allocations, legacyTokens }),
        resourceQuotaController(),
        certificateSigning({ sign: (request) => pki.sign(request) }),
        clusterTrust(pki),
        ...(settings.store === 'etcd' ? [historyCompaction(store)] : []),
        ...features.flatMap((f) => f.controllers ?? []),
      ],
      context,
      // One process owns the embedded store: there is nobody to elect from.
      ...(settings.store === 'etcd'
        ? {
            election: { namespace: 'kube-system', name: 'rampart-controllers', identity },
          }
        : {}),
    },
    signal,
  )
  return async () => {
    await Promise.all([own, leading])
    allocations.close()
  }
}

/** Where other machines reach this API server: the Endpoints of the Service kubernetes. Loopback is nowhere for them. */
function advertised(
  { lab, bindAddress }: ControlPlaneSettings,
  port: number,
): { advertise?: { address: string; port: number } } {
  if (lab !== undefined) return { advertise: { address: lab.address, port } }
  if (bindAddress.startsWith('127.') || isWildcard(bindAddress)) return {}
  return { advertise: { address: bindAddress, port } }
}

function publishKubeconfig(
  directory: string,
  pki: ControlPlanePki,
  settings: ControlPlaneSettings,
  port: number,
): void {
  const host = isWildcard(settings.bindAddress) ? '127.0.0.1' : settings.bindAddress
  writePrivate(
    join(directory, 'kubeconfig'),
    pki.adminKubeconfig(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
  )
}

/** Running servers swap their certificates without a restart: they listen to the PKI. */
function renew(pki: ControlPlanePki, log: Log): void {
  try {
    pki.renew()
  } catch (error) {
    log('error', 'certificates could not be renewed', { error: (error as Error).message })
  }
}

import type { KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../../kernel/feature.ts'
import { type Authorities, type IntermediateName, openAuthorities, PURPOSES, trustAnchor } from './authorities.ts'
import type { Issuer, SubjectAltNames } from './certificate.ts'
import { kubeconfig } from './kubeconfig.ts'
import { type Credential, issueLeaf, type LeafSpec, openLeaf, renewalTime } from './leaf.ts'
import { openServiceAccountKeys, type ServiceAccountKeys } from './service-account-keys.ts'
import { type SigningRequest, type SigningResult, signCertificateRequest } from './sign-request.ts'
import { isSignerName, type SignerName } from './signers.ts'

export type { IntermediateName } from './authorities.ts'

const DAY_SECONDS = 86_400

export type ControlPlanePkiOptions = {
  /** Belongs to the cluster alone; made with mode 0700. One process at a time may use it. */
  directory: string
  clock: Clock
  clusterName: string
  /** Further DNS names and addresses of the API server. */
  apiServerNames: readonly string[]
  /** First address of the service range: the ClusterIP of `default/kubernetes`. */
  serviceAddress: string
  /** Default `cluster.local`. */
  clusterDomain?: string
  /** Default 7 days. */
  leafLifetimeSeconds?: number
  /** Default 10 years. */
  authorityLifetimeSeconds?: number
  /** Longest life of a certificate asked for by a CertificateSigningRequest; default one year. */
  maxSignedLifetimeSeconds?: number
}

export type LeafName =
  | 'api-server'
  | 'admin'
  | 'controller-manager'
  | 'api-server-kubelet-client'
  | 'etcd-server'
  | 'etcd-client'

type PlannedLeaf = { name: LeafName; issuer: IntermediateName; spec: LeafSpec }

const SIGNER_ISSUER: Readonly<Record<SignerName, IntermediateName>> = {
  'kubernetes.io/kube-apiserver-client': 'client',
  'kubernetes.io/kube-apiserver-client-kubelet': 'kubelet-client',
  'kubernetes.io/kubelet-serving': 'kubelet-serving',
}

function servingNames(options: ControlPlanePkiOptions): SubjectAltNames {
  const service = 'kubernetes.default.svc'
  const { clusterDomain = 'cluster.local' } = options
  const dns = new Set(['kubernetes', 'kubernetes.default', service, `${service}.${clusterDomain}`, 'localhost'])
  const ip = new Set(['127.0.0.1', '::1', options.serviceAddress])
  for (const name of options.apiServerNames) (isIP(name) === 0 ? dns : ip).add(name)
  return { dns: [...dns], ip: [...ip] }
}

function plannedLeaves(options: ControlPlanePkiOptions): PlannedLeaf[] {
  const leaf = (
    name: LeafName,
    issuer: IntermediateName,
    commonName: string,
    more: Partial<LeafSpec> = {},
  ): PlannedLeaf => ({ name, issuer, spec: { commonName, extKeyUsage: PURPOSES[issuer], ...more } })
  const masters = { organizations: ['system:masters'] }
  const loopback = { dns: ['localhost'], ip: ['127.0.0.1', '::1'] }
  return [
    leaf('api-server', 'api-server', 'kube-apiserver', { sans: servingNames(options) }),
    leaf('admin', 'client', 'kubernetes-admin', masters),
    leaf('controller-manager', 'client', 'system:kube-controller-manager'),
    // RBAC lets it do what kubelets ask about (system:kubelet-api-admin), and nothing else.
    leaf('api-server-kubelet-client', 'client', 'kube-apiserver-kubelet-client'),
    leaf('etcd-server', 'etcd', 'etcd', { sans: loopback }),
    leaf('etcd-client', 'etcd', 'kube-apiserver-etcd-client', { extKeyUsage: ['clientAuth'] }),
  ]
}

/**
 * The certificates of a control plane: one root, an intermediate per purpose, leaves that live seven days and are
 * renewed at two thirds of that. All keys are ECDSA P-256 in files that only their owner reads. Opening loads what the
 * folder holds, creates what is missing and renews what is due; throws PkiError when files do not fit together.
 */
export class ControlPlanePki {
  readonly #o: ControlPlanePkiOptions
  readonly #authorities: Authorities
  readonly #planned: readonly PlannedLeaf[]
  readonly #leaves = new Map<LeafName, Credential>()
  readonly #serviceAccountKeys: ServiceAccountKeys
  readonly #clientAnchors: readonly string[]
  readonly #kubeletServingAnchor: string
  readonly #etcdAnchor: string

  constructor(options: ControlPlanePkiOptions) {
    this.#o = options
    this.#planned = plannedLeaves(options)
    this.#authorities = openAuthorities({
      directory: options.directory,
      clusterName: options.clusterName,
      now: options.clock.now(),
      lifetimeSeconds: options.authorityLifetimeSeconds ?? 3650 * DAY_SECONDS,
    })
    this.#clientAnchors = (['client', 'kubelet-client'] as const).map((name) =>
      trustAnchor(this.issuer(name), PURPOSES[name]).toString(),
    )
    this.#kubeletServingAnchor = trustAnchor(this.issuer('kubelet-serving'), PURPOSES['kubelet-serving']).toString()
    this.#etcdAnchor = trustAnchor(this.issuer('etcd'), PURPOSES.etcd).toString()
    this.#serviceAccountKeys = openServiceAccountKeys(join(options.directory, 'service-account'))
    this.renew()
  }

  /**
   * Issues the leaves that are missing, past two thirds of their life, or for other names. Returns what it issued: a
   * running server then swaps its context for `serverContext()`.
   */
  renew(): LeafName[] {
    return this.#planned.flatMap(({ name, issuer, spec }) => {
      const { issued, ...credential } = openLeaf(this.#o.directory, name, spec, this.issuer(issuer), this.#validity())
      this.#leaves.set(name, credential)
      return issued === undefined ? [] : [name]
    })
  }

  #validity(): { now: number; lifetimeSeconds: number } {
    return { now: this.#o.clock.now(), lifetimeSeconds: this.#o.leafLifetimeSeconds ?? 7 * DAY_SECONDS }
  }

  /** When the next leaf is due, in milliseconds since the epoch. */
  nextRenewal(): number {
    return Math.min(...[...this.#leaves.values()].map(({ leaf }) => renewalTime(leaf)))
  }

  /** The root: what clients of the API server and of kubelets trust. */
  get rootPem(): string {
    return this.#authorities.root.certificate.toString()
  }

  /** Certificate with its intermediate, and key, both PEM; as they are now. */
  leaf(name: LeafName): { cert: string; key: string } {
    const { certificate, key } = this.#leaves.get(name)!
    return { cert: certificate, key }
  }

  /** Path of a certificate or key, for programs that read files. Authorities are `ca` and `ca-<intermediate>`. */
  file(name: LeafName | 'ca' | `ca-${IntermediateName}`, extension: 'crt' | 'key'): string {
    return join(this.#o.directory, `${name}.${extension}`)
  }

  /** Who signs certificates of a purpose. */
  issuer(name: IntermediateName): Issuer {
    return this.#authorities.intermediates[name]
  }

  /** A new key and certificate that are not kept here; the intermediate decides the extended usages. */
  issue(name: IntermediateName, spec: Omit<LeafSpec, 'extKeyUsage'>, lifetimeSeconds?: number): Credential {
    const validity = this.#validity()
    return issueLeaf({ ...spec, extKeyUsage: PURPOSES[name] }, this.issuer(name), {
      ...validity,
      lifetimeSeconds: lifetimeSeconds ?? validity.lifetimeSeconds,
    })
  }

  /** Signs an approved CertificateSigningRequest; see signCertificateRequest. */
  async sign(request: SigningRequest): Promise<SigningResult> {
    const { signerName } = request
    if (!isSignerName(signerName)) return { verdict: 'refused', reason: `unrecognized signerName: "${signerName}"` }
    const issuer = this.issuer(SIGNER_ISSUER[signerName])
    return signCertificateRequest(request, {
      issuer,
      chain: issuer.certificate.toString(),
      maxLifetimeSeconds: this.#o.maxSignedLifetimeSeconds ?? 365 * DAY_SECONDS,
      now: this.#o.clock.now(),
    })
  }

  /** PEM of the anchors for client certificates: the two client authorities, not the root above them. */
  get clientCaPem(): string {
    return this.#clientAnchors.join('')
  }

  /** PEM of the anchor for kubelets' serving certificates. */
  get kubeletServingCaPem(): string {
    return this.#kubeletServingAnchor
  }

  /** PEM of the anchor for etcd and its clients. */
  get etcdCaPem(): string {
    return this.#etcdAnchor
  }

  /** What the API server listens with; for https.createServer and for setSecureContext. */
  serverContext(): SecureContextOptions {
    const { cert, key } = this.leaf('api-server')
    return { cert, key, ca: [...this.#clientAnchors], minVersion: 'TLSv1.2' }
  }

  /** The first signs tokens, all verify. The same array until one is added or retired. */
  get serviceAccountKeys(): readonly KeyObject[] {
    return this.#serviceAccountKeys.keys()
  }

  /** Rotation of the keys that sign service-account tokens; see ServiceAccountKeys. */
  get serviceAccountKeyRotation(): Omit<ServiceAccountKeys, 'keys'> {
    return this.#serviceAccountKeys
  }

  /** kubeconfig of the administrator (YAML). */
  adminKubeconfig(server: string): string {
    const { clusterName } = this.#o
    return kubeconfig({
      server,
      ca: this.rootPem,
      ...this.leaf('admin'),
      clusterName,
      userName: `${clusterName}-admin`,
    })
  }
}

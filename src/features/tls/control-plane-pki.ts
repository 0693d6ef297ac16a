import type { KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../../kernel/feature.ts'
import { writePrivate } from '../../platform/files.ts'
import { type IntermediateName, PURPOSES, trustAnchor } from './authorities.ts'
import type { Issuer, SubjectAltNames } from './certificate.ts'
import { authorityKeyIds, Generations, generationFolder, type RotationState } from './generations.ts'
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

/** `trust`: what is trusted has changed, or who signs. */
export type PkiChange = { issued: readonly LeafName[]; trust: boolean }

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
  readonly #generations: Generations
  readonly #planned: readonly PlannedLeaf[]
  readonly #leaves = new Map<LeafName, Credential>()
  readonly #serviceAccountKeys: ServiceAccountKeys
  readonly #listeners = new Set<(change: PkiChange) => void>()
  #anchors!: Readonly<Record<'client' | 'kubelet-client' | 'kubelet-serving' | 'etcd', readonly string[]>>

  constructor(options: ControlPlanePkiOptions) {
    this.#o = options
    this.#planned = plannedLeaves(options)
    this.#generations = new Generations({
      directory: options.directory,
      clusterName: options.clusterName,
      now: options.clock.now,
      lifetimeSeconds: options.authorityLifetimeSeconds ?? 3650 * DAY_SECONDS,
    })
    this.#serviceAccountKeys = openServiceAccountKeys(join(options.directory, 'service-account'))
    this.#trustAgain()
    this.renew()
  }

  /** Told after leaves were issued anew, or the trusted authorities have changed. Returns how to stop that. */
  onChange(listener: (change: PkiChange) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Issues the leaves that are missing, past two thirds of their life, of another issuer than the one that signs now, or
   * for other names; and `forced` ones. Returns what it issued: a running server then swaps its context for
   * `serverContext()`.
   */
  renew(forced: readonly LeafName[] = []): LeafName[] {
    const issued = this.#renew(forced)
    if (issued.length > 0) this.#tell({ issued, trust: false })
    return issued
  }

  #renew(forced: readonly LeafName[]): LeafName[] {
    return this.#planned.flatMap(({ name, issuer, spec }) => {
      const { directory } = this.#o
      const force = forced.includes(name)
      const { issued, ...credential } = openLeaf(directory, name, spec, this.issuer(issuer), this.#validity(), force)
      this.#leaves.set(name, credential)
      return issued === undefined ? [] : [name]
    })
  }

  #tell(change: PkiChange): void {
    for (const listener of [...this.#listeners]) listener(change)
  }

  /** Which generations of authorities there are, and how far a rotation is. */
  get rotation(): RotationState {
    return this.#generations.state
  }

  /**
   * The next step of a rotation of root and intermediates: `trust` makes and trusts new ones, `sign` signs with them and
   * issues every leaf anew, `retire` ends the trust in the old ones. Repeating the present phase finishes what was
   * interrupted. Whether all others are ready for it is the caller's to know. Throws RotationError.
   */
  rotate(step: 'trust' | 'sign' | 'retire'): LeafName[] {
    this.#generations[step]()
    return this.#afterRotation()
  }

  /** Reads the authorities again after somebody else changed their files. */
  reload(): LeafName[] {
    this.#generations.reload()
    return this.#afterRotation()
  }

  #afterRotation(): LeafName[] {
    this.#trustAgain()
    const issued = this.#renew([])
    this.#tell({ issued, trust: true })
    return issued
  }

  #trustAgain(): void {
    const anchors = (name: IntermediateName): string[] =>
      this.#generations.trusted.map(({ intermediates }) => trustAnchor(intermediates[name], name).toString())
    this.#anchors = {
      client: anchors('client'),
      'kubelet-client': anchors('kubelet-client'),
      'kubelet-serving': anchors('kubelet-serving'),
      etcd: anchors('etcd'),
    }
    writePrivate(this.etcdTrustFile, this.etcdCaPem)
  }

  /** Key identifiers of the authorities that sign now, and of those that are only trusted still. */
  get authorityKeyIds(): { signing: readonly string[]; old: readonly string[] } {
    const { signing, trusted } = this.#generations
    const old = this.rotation.phase === 'sign' ? trusted.filter((t) => t !== signing) : []
    return { signing: authorityKeyIds(signing), old: old.flatMap(authorityKeyIds) }
  }

  /** Root and intermediates that are trusted, oldest first. */
  get authorities(): { generation: number; name: 'root' | IntermediateName; certificate: X509Certificate }[] {
    return this.#generations.trusted.flatMap(({ root, intermediates }, i) => {
      const generation = this.rotation.trusted[i]!
      const all = Object.entries(intermediates) as [IntermediateName, Issuer][]
      return [
        { generation, name: 'root' as const, certificate: root.certificate },
        ...all.map(([name, { certificate }]) => ({ generation, name, certificate })),
      ]
    })
  }

  #validity(): { now: number; lifetimeSeconds: number } {
    return { now: this.#o.clock.now(), lifetimeSeconds: this.#o.leafLifetimeSeconds ?? 7 * DAY_SECONDS }
  }

  /** When the next leaf is due, in milliseconds since the epoch. */
  nextRenewal(): number {
    return Math.min(...[...this.#leaves.values()].map(({ leaf }) => renewalTime(leaf)))
  }

  /** The root, and during a rotation both: what clients of the API server trust. */
  get rootPem(): string {
    return this.#generations.trusted.map(({ root }) => root.certificate.toString()).join('')
  }

  /** The leaves that this control plane uses. */
  get leafNames(): readonly LeafName[] {
    return this.#planned.map(({ name }) => name)
  }

  /** Certificate with its intermediate, and key, both PEM; as they are now. */
  leaf(name: LeafName): { cert: string; key: string } {
    const { certificate, key } = this.#leaves.get(name)!
    return { cert: certificate, key }
  }

  /** Path of what etcd and its clients verify each other by (PEM). */
  get etcdTrustFile(): string {
    return join(this.#o.directory, 'etcd-trust.pem')
  }

  /**
   * Path of a certificate or key, for programs that read files. Authorities are `ca` and `ca-<intermediate>`, those that
   * sign now.
   */
  file(name: LeafName | 'ca' | `ca-${IntermediateName}`, extension: 'crt' | 'key'): string {
    const { directory } = this.#o
    const folder = /^ca(-|$)/.test(name) ? generationFolder(directory, this.rotation.signing) : directory
    return join(folder, `${name}.${extension}`)
  }

  /** Who signs certificates of a purpose. */
  issuer(name: IntermediateName): Issuer {
    return this.#generations.signing.intermediates[name]
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
    return [...this.#anchors.client, ...this.#anchors['kubelet-client']].join('')
  }

  /** PEM of the anchor for kubelets' serving certificates. */
  get kubeletServingCaPem(): string {
    return this.#anchors['kubelet-serving'].join('')
  }

  /** PEM of the anchor for etcd and its clients. */
  get etcdCaPem(): string {
    return this.#anchors.etcd.join('')
  }

  /** What the API server listens with; for https.createServer and for setSecureContext. */
  serverContext(): SecureContextOptions {
    const { cert, key } = this.leaf('api-server')
    return { cert, key, ca: [...this.#anchors.client, ...this.#anchors['kubelet-client']], minVersion: 'TLSv1.2' }
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

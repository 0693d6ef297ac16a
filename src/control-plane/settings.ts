/** Where a control plane of a lab finds the socket that listens on the host. */
export const LAB_LISTENER = 3
/** Port of the API server inside the lab's network. */
export const LAB_API_PORT = 6443

/** What a control plane is started with; the command line checks it, `settings.json` in the data folder keeps it. */
export type ControlPlaneSettings = {
  name: string
  port: number
  bindAddress: string
  /**
   * The control plane of a lab runs inside the lab's network: it listens there for machines, and on a socket of the host
   * that it inherits (file descriptor LAB_LISTENER).
   */
  lab?: { address: string; hostPort: number } | undefined
  store: 'lmdb' | 'etcd'
  /** None: an etcd of its own. */
  etcdEndpoints: string[]
  etcdCa?: string | undefined
  etcdCert?: string | undefined
  etcdKey?: string | undefined
  auditPolicy?: string | undefined
  apiServerNames: string[]
  /** apiserver.config.k8s.io/v1 AdmissionConfiguration, or a PodSecurityConfiguration alone. */
  admissionControlConfigFile?: string | undefined
  /** apiserver.config.k8s.io/v1 EncryptionConfiguration; none: Secrets, with keys from the local key file. */
  encryptionProviderConfig?: string | undefined
  /** Local key file; none: in the data folder. */
  encryptionKeyFile?: string | undefined
  oidcIssuerUrl?: string | undefined
  oidcClientId?: string | undefined
  /** PEM file; none: the system's authorities. */
  oidcCaFile?: string | undefined
  oidcUsernameClaim?: string | undefined
  oidcUsernamePrefix?: string | undefined
  oidcGroupsClaim?: string | undefined
  oidcGroupsPrefix?: string | undefined
  /** `claim=value` each. */
  oidcRequiredClaim?: string[] | undefined
  oidcSigningAlgs?: string[] | undefined
}

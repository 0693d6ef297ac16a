/** What a control plane is started with; the command line checks it, `settings.json` in the data folder keeps it. */
export type ControlPlaneSettings = {
  name: string
  port: number
  bindAddress: string
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

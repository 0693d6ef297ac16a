/**
 * Bindings of the default roles: name → subjects as `user:NAME`, `group:NAME` or `sa:NAMESPACE/NAME`. A cluster role
 * binding refers to the cluster role of its own name.
 */
export const CLUSTER_ROLE_BINDINGS: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': ['group:system:masters'],
  'system:basic-user': ['group:system:authenticated'],
  'system:discovery': ['group:system:authenticated'],
  'system:kube-controller-manager': ['user:system:kube-controller-manager'],
  'system:kube-dns': ['sa:kube-system/kube-dns'],
  'system:kube-scheduler': ['user:system:kube-scheduler'],
  'system:monitoring': ['group:system:monitoring'],
  'system:node': [],
  'system:node-proxier': ['user:system:kube-proxy'],
  'system:public-info-viewer': ['group:system:authenticated', 'group:system:unauthenticated'],
  'system:service-account-issuer-discovery': ['group:system:serviceaccounts'],
  'system:volume-scheduler': ['user:system:kube-scheduler'],
}

/** namespace → binding → role of that namespace and subjects. */
export const NAMESPACE_ROLE_BINDINGS: Readonly<
  Record<string, Readonly<Record<string, { role: string; subjects: readonly string[] }>>>
> = {
  'kube-public': {
    'system:controller:bootstrap-signer': {
      role: 'system:controller:bootstrap-signer',
      subjects: ['sa:kube-system/bootstrap-signer'],
    },
  },
  'kube-system': {
    'system::extension-apiserver-authentication-reader': {
      role: 'extension-apiserver-authentication-reader',
      subjects: ['user:system:kube-controller-manager', 'user:system:kube-scheduler'],
    },
    'system::leader-locking-kube-controller-manager': {
      role: 'system::leader-locking-kube-controller-manager',
      subjects: ['user:system:kube-controller-manager', 'sa:kube-system/kube-controller-manager'],
    },
    'system::leader-locking-kube-scheduler': {
      role: 'system::leader-locking-kube-scheduler',
      subjects: ['user:system:kube-scheduler', 'sa:kube-system/kube-scheduler'],
    },
    'system:controller:bootstrap-signer': {
      role: 'system:controller:bootstrap-signer',
      subjects: ['sa:kube-system/bootstrap-signer'],
    },
    'system:controller:cloud-provider': {
      role: 'system:controller:cloud-provider',
      subjects: ['sa:kube-system/cloud-provider'],
    },
    'system:controller:token-cleaner': {
      role: 'system:controller:token-cleaner',
      subjects: ['sa:kube-system/token-cleaner'],
    },
  },
}

import { EVENTS, READ, type RuleLine } from './rule-line.ts'

/** Roles in the system namespaces (bootstrappolicy/namespace_policy.go): namespace → name → rules. */
export const NAMESPACE_ROLES: Readonly<Record<string, Readonly<Record<string, readonly RuleLine[]>>>> = {
  'kube-public': {
    'system:controller:bootstrap-signer': [`${READ} core configmaps`, 'update core configmaps cluster-info', EVENTS],
  },
  'kube-system': {
    'extension-apiserver-authentication-reader': [`${READ} core configmaps extension-apiserver-authentication`],
    'system::leader-locking-kube-controller-manager': [
      'create,get,list,update,watch coordination.k8s.io leases',
      'create,get,list,update,watch coordination.k8s.io leasecandidates',
    ],
    'system::leader-locking-kube-scheduler': [
      'create,get,list,update,watch coordination.k8s.io leases',
      'create,get,list,update,watch coordination.k8s.io leasecandidates',
    ],
    'system:controller:bootstrap-signer': [`${READ} core secrets`],
    'system:controller:cloud-provider': ['create,get,list,watch core configmaps'],
    'system:controller:token-cleaner': ['delete,get,list,watch core secrets', EVENTS],
  },
}

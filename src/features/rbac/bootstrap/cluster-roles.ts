import { ALL, EVENTS, READ, type RuleLine, WRITE } from './rule-line.ts'

/**
 * The cluster roles that every Kubernetes 1.32 cluster has (bootstrappolicy/policy.go with the feature gates of that
 * release), in the notation of rule-line.ts. Facts, sorted by name.
 */
export type DefaultClusterRole = {
  rules: readonly RuleLine[]
  /** Labels `rbac.authorization.k8s.io/<this>: "true"` that the role carries. */
  labels?: readonly string[]
  /** The label whose bearers' rules this role gathers. */
  aggregates?: string
}

export const CLUSTER_ROLES: Readonly<Record<string, DefaultClusterRole>> = {
  admin: {
    rules: [],
    aggregates: 'aggregate-to-admin',
  },
  'cluster-admin': {
    rules: ['* * *', '* *'],
  },
  edit: {
    rules: [],
    labels: ['aggregate-to-admin'],
    aggregates: 'aggregate-to-edit',
  },
  'system:aggregate-to-admin': {
    rules: [
      'create authorization.k8s.io localsubjectaccessreviews',
      `${ALL} rbac.authorization.k8s.io rolebindings,roles`,
    ],
    labels: ['aggregate-to-admin'],
  },
  'system:aggregate-to-edit': {
    rules: [
      `${READ} core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy`,
      'impersonate core serviceaccounts',
      `${WRITE} core pods,pods/attach,pods/exec,pods/portforward,pods/proxy`,
      'create core pods/eviction',
      `${WRITE} core configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy`,
      'create core serviceaccounts/token',
      `${WRITE} apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale`,
      `${WRITE} autoscaling horizontalpodautoscalers`,
      `${WRITE} batch cronjobs,jobs`,
      `${WRITE} extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale`,
      `${WRITE} policy poddisruptionbudgets`,
      `${WRITE} networking.k8s.io ingresses,networkpolicies`,
      `${ALL} coordination.k8s.io leases`,
    ],
    labels: ['aggregate-to-edit'],
  },
  'system:aggregate-to-view': {
    rules: [
      `${READ} core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status`,
      `${READ} core bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status`,
      `${READ} core namespaces`,
      `${READ} discovery.k8s.io endpointslices`,
      `${READ} apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status`,
      `${READ} autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status`,
      `${READ} batch cronjobs,cronjobs/status,jobs,jobs/status`,
      `${READ} extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale`,
      `${READ} policy poddisruptionbudgets,poddisruptionbudgets/status`,
      `${READ} networking.k8s.io ingresses,ingresses/status,networkpolicies`,
    ],
    labels: ['aggregate-to-view'],
  },
  'system:auth-delegator': {
    rules: ['create authentication.k8s.io tokenreviews', 'create authorization.k8s.io subjectaccessreviews'],
  },
  'system:basic-user': {
    rules: [
      'create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews',
      'create authentication.k8s.io selfsubjectreviews',
    ],
  },
  'system:certificates.k8s.io:certificatesigningrequests:nodeclient': {
    rules: ['create certificates.k8s.io certificatesigningrequests/nodeclient'],
  },
  'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient': {
    rules: ['create certificates.k8s.io certificatesigningrequests/selfnodeclient'],
  },
  'system:certificates.k8s.io:kube-apiserver-client-approver': {
    rules: ['approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client'],
  },
  'system:certificates.k8s.io:kube-apiserver-client-kubelet-approver': {
    rules: ['approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet'],
  },
  'system:certificates.k8s.io:kubelet-serving-approver': {
    rules: ['approve certificates.k8s.io signers kubernetes.io/kubelet-serving'],
  },
  'system:certificates.k8s.io:legacy-unknown-approver': {
    rules: ['approve certificates.k8s.io signers kubernetes.io/legacy-unknown'],
  },
  'system:discovery': {
    rules: ['get /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/'],
  },
  'system:heapster': {
    rules: [`${READ} core events,namespaces,nodes,pods`, `${READ} extensions deployments`],
  },
  'system:kube-aggregator': {
    rules: [`${READ} core endpoints,services`],
  },
  'system:kube-controller-manager': {
    rules: [
      EVENTS,
      'create coordination.k8s.io leases',
      'get,update coordination.k8s.io leases kube-controller-manager',
      'create core secrets,serviceaccounts',
      'delete core secrets',
      'get core configmaps,namespaces,secrets,serviceaccounts',
      'update core secrets,serviceaccounts',
      'create authentication.k8s.io tokenreviews',
      'create authorization.k8s.io subjectaccessreviews',
      'list,watch * *',
      'create core serviceaccounts/token',
    ],
  },
  'system:kube-dns': {
    rules: ['list,watch core endpoints,services'],
  },
  'system:kube-scheduler': {
    rules: [
      EVENTS,
      'create coordination.k8s.io leases',
      'get,list,update,watch coordination.k8s.io leases kube-scheduler',
      `${ALL} coordination.k8s.io leasecandidates`,
      `${READ} core nodes`,
      'delete,get,list,watch core pods',
      'create core bindings,pods/binding',
      'patch,update core pods/status',
      `${READ} core replicationcontrollers,services`,
      `${READ} apps,extensions replicasets`,
      `${READ} apps statefulsets`,
      `${READ} policy poddisruptionbudgets`,
      `${READ} core persistentvolumeclaims,persistentvolumes`,
      'create authentication.k8s.io tokenreviews',
      'create authorization.k8s.io subjectaccessreviews',
      `${READ} storage.k8s.io csinodes`,
      `${READ} core namespaces`,
      `${READ} storage.k8s.io csidrivers`,
      `${READ} storage.k8s.io csistoragecapacities`,
    ],
  },
  'system:kubelet-api-admin': {
    rules: [`${READ} core nodes`, 'proxy core nodes', '* core nodes/log,nodes/metrics,nodes/proxy,nodes/stats'],
  },
  'system:monitoring': {
    rules: ['get /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*'],
  },
  'system:node': {
    rules: [
      'create authentication.k8s.io tokenreviews',
      'create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews',
      `${READ} core services`,
      'create,get,list,watch core nodes',
      'patch,update core nodes/status',
      'patch,update core nodes',
      'create,patch,update core events',
      `${READ} core pods`,
      'create,delete core pods',
      'patch,update core pods/status',
      'create core pods/eviction',
      `${READ} core configmaps,secrets`,
      'get core persistentvolumeclaims,persistentvolumes',
      'get core endpoints',
      'create,get,list,watch certificates.k8s.io certificatesigningrequests',
      'create,delete,get,patch,update coordination.k8s.io leases',
      'get storage.k8s.io volumeattachments',
      'create core serviceaccounts/token',
      'get,patch,update core persistentvolumeclaims/status',
      `${READ} storage.k8s.io csidrivers`,
      'create,delete,get,patch,update storage.k8s.io csinodes',
      `${READ} node.k8s.io runtimeclasses`,
    ],
  },
  'system:node-bootstrapper': {
    rules: ['create,get,list,watch certificates.k8s.io certificatesigningrequests'],
  },
  'system:node-problem-detector': {
    rules: ['get core nodes', 'patch core nodes/status', EVENTS],
  },
  'system:node-proxier': {
    rules: [
      'list,watch core endpoints,services',
      `${READ} core nodes`,
      EVENTS,
      'list,watch discovery.k8s.io endpointslices',
    ],
  },
  'system:persistent-volume-provisioner': {
    rules: [
      'create,delete,get,list,watch core persistentvolumes',
      'get,list,update,watch core persistentvolumeclaims',
      `${READ} storage.k8s.io storageclasses`,
      'watch core events',
      EVENTS,
    ],
  },
  'system:public-info-viewer': {
    rules: ['get /healthz,/livez,/readyz,/version,/version/'],
  },
  'system:service-account-issuer-discovery': {
    rules: ['get /.well-known/openid-configuration,/openid/v1/jwks'],
  },
  'system:volume-scheduler': {
    rules: [
      'get,list,patch,update,watch core persistentvolumes',
      `${READ} storage.k8s.io storageclasses`,
      'get,list,patch,update,watch core persistentvolumeclaims',
    ],
  },
  view: {
    rules: [],
    labels: ['aggregate-to-edit'],
    aggregates: 'aggregate-to-view',
  },
}

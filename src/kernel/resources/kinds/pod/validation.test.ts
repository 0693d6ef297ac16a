import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { podKind } from '../pod.ts'
import { container, createErrors, pod } from './cases.ts'

type Fields = Record<string, unknown>
type Case = [name: string, spec: Fields, errors: string[], metadata?: Fields]

const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
const one = (fields: Fields): Fields => ({ containers: [container(fields)] })
const volume = (fields: Fields): Fields => ({ volumes: [{ name: 'v', ...fields }] })
const mounted = (mount: Fields, source: Fields = { emptyDir: {} }): Fields => ({
  ...volume(source),
  ...one({ volumeMounts: [{ name: 'v', mountPath: '/v', ...mount }] }),
})

const suites: Record<string, Case[]> = {
  containers: [
    ['a minimal pod', {}, []],
    ['no containers', { containers: [] }, ['spec.containers: Required value']],
    [
      'no name, no image',
      { containers: [{}] },
      ['spec.containers[0].name: Required value', 'spec.containers[0].image: Required value'],
    ],
    ['name', one({ name: 'Web' }), [`spec.containers[0].name: Invalid value: "Web": ${LABEL}`]],
    ['twice', { containers: [container(), container()] }, ['spec.containers[1].name: Duplicate value: "web"']],
    [
      'image with a space',
      one({ image: ' nginx' }),
      ['spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace'],
    ],
    [
      'policies',
      one({ imagePullPolicy: 'Sometimes', terminationMessagePolicy: 'Mail', restartPolicy: 'Always' }),
      [
        'spec.containers[0].terminationMessagePolicy: Unsupported value: "Mail": supported values: "File", "FallbackToLogsOnError"',
        'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
        'spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers',
      ],
    ],
    [
      'init containers',
      {
        initContainers: [
          container({ name: 'i', livenessProbe: { exec: { command: ['a'] } } }),
          container({ name: 'web' }),
          container({ name: 's', restartPolicy: 'Always', livenessProbe: { exec: { command: ['a'] } } }),
          container({ name: 't', restartPolicy: 'Never' }),
        ],
      },
      [
        'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
        'spec.initContainers[1].name: Duplicate value: "web"',
        'spec.initContainers[3].restartPolicy: Unsupported value: "Never": supported values: "Always"',
      ],
    ],
    [
      'ephemeral containers',
      { ephemeralContainers: [container({ name: 'debug' })] },
      ['spec.ephemeralContainers: Forbidden: cannot be set on create'],
    ],
    [
      'resize policy',
      {
        restartPolicy: 'Never',
        ...one({ resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] }),
      },
      [
        "spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'",
      ],
    ],
  ],
  ports: [
    [
      'numbers and protocols',
      one({ ports: [{ containerPort: 0 }, { containerPort: 65536, hostPort: -1, protocol: 'tcp' }] }),
      [
        'spec.containers[0].ports[0].containerPort: Required value',
        'spec.containers[0].ports[1].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive',
        'spec.containers[0].ports[1].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive',
        'spec.containers[0].ports[1].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
      ],
    ],
    [
      'names',
      one({
        ports: [
          { name: 'a--b', containerPort: 1 },
          { name: 'x', containerPort: 2 },
          { name: 'x', containerPort: 3 },
        ],
      }),
      [
        'spec.containers[0].ports[0].name: Invalid value: "a--b": must not contain consecutive hyphens',
        'spec.containers[0].ports[2].name: Duplicate value: "x"',
      ],
    ],
    [
      'host ports twice',
      {
        containers: [
          container({ ports: [{ containerPort: 80, hostPort: 80 }] }),
          container({ name: 'b', ports: [{ containerPort: 8080, hostPort: 80 }] }),
        ],
      },
      ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
    ],
    [
      'host network',
      { hostNetwork: true, ...one({ ports: [{ containerPort: 80, hostPort: 81 }] }) },
      [
        'spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true',
      ],
    ],
  ],
  environment: [
    ['relaxed names', one({ env: [{ name: 'a b-c.1' }] }), []],
    [
      'names',
      one({ env: [{ name: '' }, { name: 'a=b' }] }),
      [
        'spec.containers[0].env[0].name: Required value',
        'spec.containers[0].env[1].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than \'=\'',
      ],
    ],
    [
      'sources',
      one({
        env: [
          { name: 'A', valueFrom: {} },
          { name: 'B', value: 'x', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'C', valueFrom: { secretKeyRef: { name: 's', key: 'k' }, configMapKeyRef: { name: 'c', key: 'k' } } },
          { name: 'D', valueFrom: { secretKeyRef: { name: 's' } } },
        ],
      }),
      [
        'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
        'spec.containers[0].env[1].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
        'spec.containers[0].env[2].valueFrom: Invalid value: "": may not have more than one field specified at a time',
        'spec.containers[0].env[3].valueFrom.secretKeyRef.key: Required value',
      ],
    ],
    [
      'field paths',
      one({
        env: [
          { name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.hostname' } } },
          { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.labels' } } },
          { name: 'C', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
          { name: 'D', valueFrom: { fieldRef: { fieldPath: "metadata.name['app']" } } },
          { name: 'E', valueFrom: { fieldRef: { apiVersion: 'v2', fieldPath: 'metadata.name' } } },
        ],
      }),
      [
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.hostname": error converting fieldPath: field label not supported: spec.hostname',
        'spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
        "spec.containers[0].env[3].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.name['app']\": error converting fieldPath: field label does not support subscript: metadata.name['app']",
        'spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2',
      ],
    ],
    [
      'resource fields',
      one({
        env: [
          { name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.disk' } } },
          { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1Mi' } } },
          { name: 'C', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
          { name: 'D', valueFrom: { resourceFieldRef: { resource: 'requests.hugepages-2Mi', divisor: '1Mi' } } },
        ],
      }),
      [
        'spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.disk": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"',
        'spec.containers[0].env[1].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s values 1m and 1 are supported with the cpu resource',
      ],
    ],
    [
      'envFrom',
      one({ envFrom: [{ prefix: 'A=' }, { configMapRef: { name: 'c' }, secretRef: {} }] }),
      [
        'spec.containers[0].envFrom[0].prefix: Invalid value: "A=": a valid environment variable name must consist only of printable ASCII characters other than \'=\'',
        'spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
        'spec.containers[0].envFrom[1].secretRef.name: Required value',
        'spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time',
      ],
    ],
  ],
  volumes: [
    ['none', { volumes: [{}] }, ['spec.volumes[0].name: Required value']],
    [
      'two sources',
      volume({ emptyDir: {}, secret: { secretName: 's' } }),
      ['spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type'],
    ],
    ['the same name', { volumes: [{ name: 'v' }, { name: 'v' }] }, ['spec.volumes[1].name: Duplicate value: "v"']],
    ['an unknown source', volume({ unknown: {} }), ['spec.volumes[0]: Required value: must specify a volume type']],
    [
      'emptyDir',
      volume({ emptyDir: { sizeLimit: '-1' } }),
      ['spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity'],
    ],
    [
      'hostPath',
      volume({ hostPath: { path: '/a/../b', type: 'Disk' } }),
      [
        'spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
        'spec.volumes[0].hostPath.type: Unsupported value: "Disk": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
      ],
    ],
    [
      'secret',
      volume({ secret: { defaultMode: 512, items: [{ key: 'k', path: '/abs' }, { path: '..x' }] } }),
      [
        'spec.volumes[0].secret.secretName: Required value',
        'spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
        'spec.volumes[0].secret.items[0].path: Invalid value: "/abs": must be a relative path',
        'spec.volumes[0].secret.items[1].key: Required value',
        'spec.volumes[0].secret.items[1].path: Invalid value: "..x": must not start with \'..\'',
      ],
    ],
    ['configMap', volume({ configMap: {} }), ['spec.volumes[0].configMap.name: Required value']],
    [
      'downwardAPI',
      volume({ downwardAPI: { items: [{ path: 'a', fieldRef: { fieldPath: 'spec.nodeName' } }, { path: 'b' }] } }),
      [
        'spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"',
        'spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required',
      ],
    ],
    [
      'projected',
      {
        serviceAccountName: 'default',
        ...volume({
          projected: {
            sources: [
              { serviceAccountToken: { path: 'token', expirationSeconds: 60 } },
              {
                secret: { name: 's', items: [{ key: 'a', path: 'p' }] },
                configMap: { name: 'c', items: [{ key: 'a', path: 'p' }] },
              },
            ],
          },
        }),
      },
      [
        'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes',
        'spec.volumes[0].projected: Invalid value: "c": conflicting duplicate paths',
        'spec.volumes[0].projected.sources[1]: Forbidden: may not specify more than 1 volume type per source',
      ],
    ],
    [
      'a token for nobody',
      volume({ projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }),
      [
        'spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set',
      ],
    ],
    [
      'nfs',
      volume({ nfs: { server: 's', path: 'x' } }),
      ['spec.volumes[0].nfs.path: Invalid value: "x": must be an absolute path'],
    ],
    [
      'iscsi',
      volume({ iscsi: { targetPortal: 'p', iqn: 'foo', lun: 256 } }),
      [
        'spec.volumes[0].iscsi.iqn: Invalid value: "foo": must be valid format starting with iqn, eui, or naa',
        'spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive',
      ],
    ],
    [
      'other required fields',
      {
        volumes: [
          { name: 'a', persistentVolumeClaim: {} },
          { name: 'b', gcePersistentDisk: { partition: 256 } },
          { name: 'c', rbd: {} },
          { name: 'd', cephfs: {} },
          { name: 'e', azureFile: {} },
          { name: 'f', csi: {} },
        ],
      },
      [
        'spec.volumes[0].persistentVolumeClaim.claimName: Required value',
        'spec.volumes[1].persistentDisk.pdName: Required value',
        'spec.volumes[1].persistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive',
        'spec.volumes[2].rbd.monitors: Required value',
        'spec.volumes[2].rbd.image: Required value',
        'spec.volumes[3].cephfs.monitors: Required value',
        'spec.volumes[4].azureFile.secretName: Required value',
        'spec.volumes[4].azureFile.shareName: Required value',
        'spec.volumes[5].csi.driver: Required value',
        "spec.volumes[5].csi.driver: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      ],
    ],
    [
      'ephemeral',
      {
        volumes: [
          { name: 'v', ephemeral: { volumeClaimTemplate: { metadata: { name: 'x' }, spec: {} } } },
          { name: 'w', persistentVolumeClaim: { claimName: 'web-v' } },
        ],
      },
      [
        'spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set',
        'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required',
        'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value',
        'spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "web-v": must not reference a PVC that gets created for an ephemeral volume',
      ],
    ],
  ],
  mounts: [
    ['a volume', mounted({}), []],
    [
      'what is not there',
      one({
        volumeMounts: [
          { name: 'x', mountPath: '/x' },
          { name: 'x', mountPath: '/x' },
        ],
      }),
      [
        'spec.containers[0].volumeMounts[0].name: Not found: "x"',
        'spec.containers[0].volumeMounts[1].name: Not found: "x"',
        'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique',
      ],
    ],
    [
      'subPath',
      mounted({ subPath: '../x', subPathExpr: '$(A)' }),
      [
        'spec.containers[0].volumeMounts.subPath: Invalid value: "../x": must not contain \'..\'',
        'spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "$(A)": subPathExpr and subPath are mutually exclusive',
      ],
    ],
    [
      'propagation',
      mounted({ mountPropagation: 'Bidirectional', recursiveReadOnly: 'Enabled' }),
      [
        'spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
        'spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true',
        'spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified',
      ],
    ],
    [
      'devices',
      {
        volumes: [{ name: 'v' }, { name: 'p', persistentVolumeClaim: { claimName: 'c' } }],
        ...one({ volumeDevices: [{ name: 'v', devicePath: '/d' }, { name: 'p', devicePath: '/d' }, { name: 'q' }] }),
      },
      [
        'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        'spec.containers[0].volumeDevices[1].devicePath: Invalid value: "/d": must be unique',
        'spec.containers[0].volumeDevices[2].name: Not found: "q"',
        'spec.containers[0].volumeDevices[2].devicePath: Required value',
      ],
    ],
  ],
  probes: [
    [
      'handlers',
      one({
        livenessProbe: {},
        readinessProbe: { exec: { command: ['x'] }, tcpSocket: { port: 1 } },
        startupProbe: { exec: {} },
      }),
      [
        'spec.containers[0].livenessProbe: Required value: must specify a handler type',
        'spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
        'spec.containers[0].startupProbe.exec.command: Required value',
      ],
    ],
    [
      'values',
      one({
        livenessProbe: { tcpSocket: { port: 0 }, successThreshold: 2, initialDelaySeconds: -1 },
        readinessProbe: { grpc: { port: 1 }, terminationGracePeriodSeconds: 5 },
        startupProbe: {
          httpGet: { port: 'Http', scheme: 'ftp', httpHeaders: [{ name: 'a b' }] },
          terminationGracePeriodSeconds: 0,
        },
      }),
      [
        'spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0',
        'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
        'spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes',
        'spec.containers[0].startupProbe.httpGet.port: Invalid value: "Http": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.containers[0].startupProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"',
        "spec.containers[0].startupProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
        'spec.containers[0].startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0',
      ],
    ],
    [
      'lifecycle',
      one({ lifecycle: { preStop: { sleep: { seconds: 60 } }, postStart: {} } }),
      [
        'spec.containers[0].lifecycle.postStart: Required value: must specify a handler type',
        'spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be greater than 0 and less than terminationGracePeriodSeconds (30). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep.',
      ],
    ],
  ],
  resources: [
    ['amounts', one({ resources: { requests: { cpu: '100m' }, limits: { cpu: 1, memory: '64Mi' } } }), []],
    [
      'requests above limits',
      one({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }),
      ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ],
    [
      'names',
      one({ resources: { requests: { disk: '1', pods: '1', 'Bad Name/x': '1' } } }),
      [
        'spec.containers[0].resources.requests[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
        'spec.containers[0].resources.requests[disk]: Invalid value: "disk": must be a standard resource for containers',
        'spec.containers[0].resources.requests[pods]: Invalid value: "pods": must be a standard resource for containers',
        "spec.containers[0].resources.requests[Bad Name/x]: Invalid value: \"Bad Name/x\": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        'spec.containers[0].resources.requests[Bad Name/x]: Invalid value: "Bad Name/x": doesn\'t follow extended resource name standard',
        'spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources',
      ],
    ],
    [
      'amounts that are none',
      one({ resources: { limits: { cpu: '-1', memory: 'lots', 'example.com/gpu': '1.5' } } }),
      [
        'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        'spec.containers[0].resources.limits[memory]: Invalid value: "lots": quantities must match the regular expression \'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$\'',
        'spec.containers[0].resources.limits[example.com/gpu]: Invalid value: "1500m": must be an integer',
        'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        'spec.containers[0].resources.requests[memory]: Invalid value: "lots": quantities must match the regular expression \'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$\'',
        'spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "1500m": must be an integer',
      ],
    ],
    [
      'devices cannot be overcommitted',
      one({ resources: { requests: { 'example.com/gpu': 1 } } }),
      ['spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources'],
    ],
    [
      'huge pages',
      one({ resources: { limits: { 'hugepages-2Mi': '3Mi' } } }),
      [
        'spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
        'spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
        'spec.containers[0].resources: Forbidden: HugePages require cpu or memory',
      ],
    ],
    [
      'claims',
      one({ resources: { claims: [{ name: 'gpu' }] } }),
      [
        'spec.containers[0].resources.claims[0]: Not found: "gpu": must be one of the names in pod.spec.resourceClaims which is empty',
      ],
    ],
    [
      'of the pod',
      { resources: { requests: { cpu: '100m' } }, ...one({ resources: { requests: { cpu: '200m' } } }) },
      [
        'spec.resources.requests[cpu]: Invalid value: "100m": must be greater than or equal to aggregate container requests of 200m',
      ],
    ],
  ],
  security: [
    [
      'users',
      { securityContext: { runAsUser: -1, fsGroup: 2147483648, supplementalGroups: [-5] } },
      [
        'spec.securityContext.fsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive',
        'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
        'spec.securityContext.supplementalGroups[0]: Invalid value: -5: must be between 0 and 2147483647, inclusive',
      ],
    ],
    [
      'escalation',
      one({ securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
      [
        'spec.containers[0].securityContext: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
      ],
    ],
    [
      'profiles',
      {
        securityContext: { seccompProfile: { type: 'Localhost' } },
        ...one({ securityContext: { seccompProfile: { type: 'Strict' }, procMount: 'Unmasked' } }),
      },
      [
        'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
        'spec.containers[0].securityContext.seccompProfile.type: Unsupported value: "Strict": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
        'spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost',
      ],
    ],
    [
      'sysctls',
      {
        hostNetwork: true,
        securityContext: {
          sysctls: [{ name: 'net.core.somaxconn' }, { name: 'Bad' }, { name: 'a.b' }, { name: 'a.b' }],
        },
      },
      [
        'spec.securityContext.sysctls[0].name: Invalid value: "net.core.somaxconn": may not be specified when \'hostNetwork\' is true',
        'spec.securityContext.sysctls[1].name: Invalid value: "Bad": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
        'spec.securityContext.sysctls[3].name: Duplicate value: "a.b"',
      ],
    ],
    [
      'own users and host namespaces',
      { hostUsers: false, hostPID: true, shareProcessNamespace: true },
      [
        'spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled',
        'spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false',
      ],
    ],
    [
      'operating systems',
      { os: { name: 'windows' }, hostPID: true, ...one({ securityContext: { privileged: true } }) },
      [
        'spec.hostPID: Forbidden: cannot be set for a windows pod',
        'spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod',
      ],
    ],
    [
      'an unknown system',
      { os: { name: 'plan9' } },
      ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'],
    ],
    [
      'host processes',
      {
        containers: [
          container({ securityContext: { windowsOptions: { hostProcess: true } } }),
          container({ name: 'b' }),
        ],
      },
      [
        'spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers',
        'spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers',
      ],
    ],
  ],
  scheduling: [
    [
      'tolerations',
      {
        tolerations: [
          {},
          { key: 'a', operator: 'Exists', value: 'x' },
          { key: 'a', operator: 'Near', effect: 'Never' },
          { key: 'a', tolerationSeconds: 5 },
        ],
      },
      [
        'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"',
        'spec.tolerations[1].operator: Invalid value: "x": value must be empty when `operator` is \'Exists\'',
        'spec.tolerations[2].operator: Unsupported value: "Near": supported values: "Equal", "Exists"',
        'spec.tolerations[2].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        'spec.tolerations[3].effect: Invalid value: "": effect must be \'NoExecute\' when `tolerationSeconds` is set',
      ],
    ],
    [
      'node affinity',
      {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                {
                  matchExpressions: [
                    { key: 'a', operator: 'In' },
                    { key: 'b', operator: 'Gt', values: ['1', '2'] },
                    { key: 'c', operator: 'Is' },
                  ],
                },
                { matchFields: [{ key: 'metadata.uid', operator: 'In', values: ['x'] }] },
              ],
            },
            preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 101, preference: {} }],
          },
        },
      },
      [
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2].operator: Invalid value: "Is": not a valid selector operator',
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key',
        'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100',
      ],
    ],
    [
      'pod affinity',
      {
        affinity: {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { topologyKey: '', namespaces: ['A'], matchLabelKeys: ['v'] },
            ],
          },
        },
      },
      [
        `spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespace: Invalid value: "A": ${LABEL}`,
        'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set',
        'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty',
        'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must be non-empty',
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      ],
    ],
    [
      'spreading',
      {
        topologySpreadConstraints: [
          { maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway', minDomains: 1 },
          { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway', matchLabelKeys: ['v'] },
        ],
      },
      [
        'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
        'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, ScheduleAnyway}"',
        'spec.topologySpreadConstraints[0].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway',
        'spec.topologySpreadConstraints[1].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set',
      ],
    ],
    [
      'gates',
      { nodeName: 'n1', schedulingGates: [{ name: 'a' }, { name: 'a' }] },
      [
        'spec.schedulingGates[1]: Duplicate value: "a"',
        'spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared',
      ],
    ],
  ],
  'the rest': [
    [
      'policies',
      { restartPolicy: 'Maybe', dnsPolicy: 'Any', preemptionPolicy: 'x', activeDeadlineSeconds: 0 },
      [
        'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"',
        'spec.dnsPolicy: Unsupported value: "Any": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
        'spec.preemptionPolicy: Unsupported value: "x": supported values: "PreemptLowerPriority", "Never"',
        'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
      ],
    ],
    [
      'names',
      { hostname: 'a.b', subdomain: 'Sub' },
      ['spec.hostname: Invalid value: "a.b": must not contain dots', `spec.subdomain: Invalid value: "Sub": ${LABEL}`],
    ],
    [
      'DNS',
      { dnsPolicy: 'None' },
      ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    ],
    [
      'DNS servers',
      { dnsConfig: { nameservers: ['1.1.1.1', '2.2.2.2', '3.3.3.3', 'x'], searches: ['a.b.', '.'], options: [{}] } },
      [
        'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","2.2.2.2","3.3.3.3","x"]: must not have more than 3 nameservers',
        `spec.dnsConfig.nameservers[3]: Invalid value: "x": ${IP}`,
        "spec.dnsConfig.searches[1]: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        'spec.dnsConfig.options[0]: Required value: must not be empty',
      ],
    ],
    [
      'host aliases',
      { hostAliases: [{ ip: 'x', hostnames: ['ok'] }] },
      [`spec.hostAliases[0].ip: Invalid value: "x": ${IP}`],
    ],
    [
      'annotations',
      {},
      [
        'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+1": must be a 32bit integer',
        'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set',
        'metadata.annotations[container.apparmor.security.beta.kubernetes.io/db]: Invalid value: "db": container not found',
      ],
      {
        annotations: {
          'controller.kubernetes.io/pod-deletion-cost': '+1',
          'kubernetes.io/config.mirror': 'x',
          'container.apparmor.security.beta.kubernetes.io/db': 'unconfined',
        },
      },
    ],
    [
      'profiles as annotations',
      { securityContext: { seccompProfile: { type: 'Unconfined' } } },
      ['spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match'],
      { annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'runtime/default' } },
    ],
  ],
}

for (const [suite, rows] of Object.entries(suites))
  describe(`validation of pods: ${suite}`, () => {
    for (const [name, spec, errors, metadata] of rows)
      it(name, () => assert.deepEqual(createErrors(podKind, pod(spec, metadata)), errors))
  })

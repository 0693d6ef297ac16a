import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PodSpec } from '../../../kernel/resources/kinds/pod/types.ts'
import { quote } from './check.ts'
import { createEvaluator, forbiddenDetail, forbiddenReason, type PodSecurityVerdict } from './evaluator.ts'
import type { Level, PolicyVersion } from './levels.ts'
import { smallestPod } from './pods.fixture.ts'

const evaluate = createEvaluator()

function judge(level: Level, version: PolicyVersion, spec: PodSpec, annotations = {}): PodSecurityVerdict {
  return evaluate({ level, version }, { metadata: { annotations }, spec })
}
const detailOf = (verdict: PodSecurityVerdict): string => (verdict.allowed ? '' : forbiddenDetail(verdict))

const two = (fields: object): PodSpec => ({
  containers: [
    { name: 'a', ...fields },
    { name: 'b', ...fields },
  ],
})
const one = (fields: object): PodSpec => ({ containers: [{ name: 'a', ...fields }] })
const context = (fields: object): object => ({ securityContext: fields })

/** The texts are Kubernetes' own; users and its e2e tests compare them. */
describe('baseline texts', () => {
  const rows: [PodSpec, string, object?, PolicyVersion?][] = [
    [
      { hostIPC: true, hostNetwork: true, hostPID: true },
      'host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)',
    ],
    [{ volumes: [{ name: 'x', hostPath: {} }] }, 'hostPath volumes (volume "x")'],
    [
      {
        volumes: [
          { name: 'x', hostPath: {} },
          { name: 'y', emptyDir: {} },
          { name: 'w', hostPath: {} },
        ],
      },
      'hostPath volumes (volumes "x", "w")',
    ],
    [one({ ports: [{ hostPort: 80 }] }), 'hostPort (container "a" uses hostPort 80)'],
    [
      two({ ports: [{ hostPort: 80 }, { hostPort: 443 }, { hostPort: 0 }] }),
      'hostPort (containers "a", "b" use hostPorts 443, 80)',
    ],
    [
      { ...one({ ports: [{ hostPort: 1 }] }), initContainers: [{ name: 'z', ports: [{ hostPort: 1 }] }] },
      'hostPort (containers "z", "a" use hostPort 1)',
    ],
    [
      one({ livenessProbe: { httpGet: { host: '127.0.0.1' } } }),
      'probe or lifecycle host (container "a" uses probe or lifecycle host "127.0.0.1")',
    ],
    [
      {
        containers: [
          { name: 'b', lifecycle: { preStop: { tcpSocket: { host: 'y' } } } },
          { name: 'a', startupProbe: { tcpSocket: { host: 'x' } } },
        ],
      },
      'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "x", "y")',
    ],
    [
      {
        ...two(context({ windowsOptions: { hostProcess: true } })),
        securityContext: { windowsOptions: { hostProcess: true } },
      },
      'hostProcess (pod and containers "a", "b" must not set securityContext.windowsOptions.hostProcess=true)',
    ],
    [
      two(context({ privileged: true })),
      'privileged (containers "a", "b" must not set securityContext.privileged=true)',
    ],
    [
      two(context({ capabilities: { add: ['SYS_TIME', 'NET_RAW', 'CHOWN'] } })),
      'non-default capabilities (containers "a", "b" must not include "NET_RAW", "SYS_TIME" in securityContext.capabilities.add)',
    ],
    [
      one(context({ procMount: 'Unmasked' })),
      'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ],
    [
      {
        ...one(context({ seLinuxOptions: { type: 'b', user: 'u' } })),
        securityContext: { seLinuxOptions: { type: 'a', role: 'r' } },
      },
      'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "a", "b"; user may not be set; role may not be set)',
    ],
    [
      one(context({ seLinuxOptions: { role: 'r' } })),
      'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: role may not be set)',
    ],
    [
      {
        ...one(context({ seccompProfile: { type: 'X' } })),
        securityContext: { seccompProfile: { type: 'Unconfined' } },
      },
      'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined", "X")',
    ],
    [{ securityContext: { sysctls: [{ name: 'z' }, { name: 'a' }] } }, 'forbidden sysctls (z, a)'],
    [
      one(context({ appArmorProfile: { type: 'Unconfined' } })),
      'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
    ],
    [
      { securityContext: { appArmorProfile: { type: 'Unconfined' } } },
      'forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to "Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined"")',
      { 'container.apparmor.security.beta.kubernetes.io/a': 'unconfined' },
    ],
    [
      {},
      'forbidden AppArmor profiles (annotations must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/a="unconfined"", "container.apparmor.security.beta.kubernetes.io/b="x"")',
      {
        'container.apparmor.security.beta.kubernetes.io/b': 'x',
        'container.apparmor.security.beta.kubernetes.io/a': 'unconfined',
      },
    ],
    [
      one({}),
      'seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/a="x", seccomp.security.alpha.kubernetes.io/pod="unconfined")',
      {
        'seccomp.security.alpha.kubernetes.io/pod': 'unconfined',
        'container.seccomp.security.alpha.kubernetes.io/a': 'x',
      },
      18,
    ],
    [
      one({}),
      'seccompProfile (forbidden annotation container.seccomp.security.alpha.kubernetes.io/a="un\\"con")',
      { 'container.seccomp.security.alpha.kubernetes.io/a': 'un"con' },
      0,
    ],
  ]
  for (const [spec, text, annotations, version = 'latest'] of rows)
    test(text, () => assert.equal(detailOf(judge('baseline', version, spec, annotations)), text))
})

describe('restricted texts', () => {
  const rows: [PodSpec, string][] = [
    [
      two({}),
      'allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), ' +
        'unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), ' +
        'runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), ' +
        'seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    ],
    [
      {
        hostPID: true,
        volumes: [
          { name: 'v', hostPath: {} },
          { name: 'n', nfs: {} },
        ],
      },
      'host namespaces (hostPID=true), restricted volume types (volumes "v", "n" use restricted volume types "hostPath", "nfs")',
    ],
    [{ volumes: [{ name: 'v' }] }, 'restricted volume types (volume "v" uses restricted volume type "unknown")'],
    [
      { securityContext: { runAsNonRoot: false, runAsUser: 0 } },
      'runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set runAsUser=0)',
    ],
    [
      {
        securityContext: { seccompProfile: { type: 'RuntimeDefault' }, runAsUser: 0 },
        containers: [
          {
            name: 'a',
            securityContext: {
              runAsNonRoot: false,
              runAsUser: 0,
              allowPrivilegeEscalation: false,
              capabilities: { add: ['CHOWN', 'BPF'] },
            },
          },
        ],
      },
      'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "BPF", "CHOWN" in securityContext.capabilities.add), ' +
        'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false), ' +
        'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
    ],
  ]
  for (const [spec, text] of rows)
    test(text.slice(0, 60), () => assert.equal(detailOf(judge('restricted', 'latest', spec)), text))
})

test('reasons alone are listed for pods that exist', () => {
  const verdict = judge('restricted', 'latest', { hostPID: true, ...one(context({ privileged: true })) })
  assert.ok(!verdict.allowed)
  assert.equal(
    forbiddenReason(verdict),
    'host namespaces, privileged, allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile',
  )
})

test('versions to come are judged like the newest that is known', () => {
  const pod = smallestPod('baseline', 0, ({ spec }) => {
    spec.containers[0].livenessProbe = { httpGet: { host: 'x' } }
  })
  for (const version of [34, 35, 1000, 'latest'] as const)
    assert.equal(evaluate({ level: 'baseline', version }, pod).allowed, false, `${version}`)
  assert.equal(evaluate({ level: 'baseline', version: 33 }, pod).allowed, true)
})

test('null is absent', () => {
  const pod = JSON.parse(
    '{"securityContext":null,"volumes":null,"containers":[{"name":"a","ports":null,"securityContext":null,"lifecycle":null,"livenessProbe":{"httpGet":null}},{"name":"b","securityContext":{"seccompProfile":null,"capabilities":null,"seLinuxOptions":null,"procMount":null}}],"ephemeralContainers":null}',
  ) as PodSpec
  assert.deepEqual(judge('baseline', 'latest', pod), { allowed: true })
  assert.match(detailOf(judge('restricted', 'latest', pod)), /^allowPrivilegeEscalation != false \(containers "a", "b"/)
})

test('texts are quoted as Go does', () => {
  const rows = [
    ['a b', '"a b"'],
    ['"\\', '"\\"\\\\"'],
    ['\n\t\x00\x7f', '"\\n\\t\\x00\\x7f"'],
    ['é€', '"é€"'],
    ['\u200b\u{e0001}', '"\\u200b\\U000e0001"'],
  ] as const
  for (const [text, quoted] of rows) assert.equal(quote(text), quoted)
})

/** Every kubectl command of the compatibility list, typed with each supported kubectl against one running cluster. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  KUBECTL_VERSIONS,
  type KubectlVersion,
  type Run,
  run,
  startCluster,
  type TestCluster,
  testProgram,
} from './setup/cluster.ts'

let cluster: TestCluster
const folder = mkdtempSync(join(tmpdir(), 'rampart-kubectl-'))
before(async () => {
  cluster = await startCluster()
})
after(() => cluster.stop())

function file(name: string, content: string | object): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

/** Placeholders: NS is the version's own namespace. */
type Step = {
  args: string
  /** Extra arguments that hold spaces. */
  more?: string[]
  input?: string
  code?: number
  stdout?: RegExp
  stderr?: RegExp
  versions?: KubectlVersion[]
  env?: Record<string, string>
}

const modern: KubectlVersion[] = ['1.32', '1.36']

const manifest = (ns: string): string => `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: ${ns}, labels: {app: shop}}
data: {color: blue, size: "3"}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: ${ns}, labels: {app: shop}}
stringData: {password: hunter2}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: ${ns}, labels: {app: shop}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: ${ns}, labels: {app: shop}}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: ${ns}, labels: {app: shop}}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: ${ns}, labels: {app: shop}}
spec: {containers: [{name: web, image: "registry.example/web:1", ports: [{containerPort: 8080}], env: [{name: A, value: b}]}]}
`

function steps(ns: string): Step[] {
  const all = file(`${ns}.yaml`, manifest(ns))
  const changed = file(`${ns}-changed.yaml`, manifest(ns).replace('color: blue', 'color: red'))
  const invalid = file(
    `${ns}-invalid.yaml`,
    manifest(ns).replace('data: {color: blue', 'unknownField: 1\ndata: {color: blue'),
  )
  const settings = file(`${ns}-settings.yaml`, manifest(ns).replace('color: blue', 'color: red').split('---')[0]!)
  const crd = file(`${ns}-crd.yaml`, widgetCrd(ns))
  const widget = file(
    `${ns}-widget.yaml`,
    `apiVersion: ${ns}.example.com/v1\nkind: Widget\nmetadata: {name: w1, namespace: ${ns}}\nspec: {size: 3}\n`,
  )
  const roles = file(
    `${ns}-rbac.yaml`,
    `apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reconciled, namespace: ${ns}}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get]}]\n`,
  )
  return [
    { args: 'version', stdout: /Server Version: .*v?1\.32|GitVersion:"v1\.32/ },
    { args: 'api-versions', stdout: /^rbac\.authorization\.k8s\.io\/v1$/m },
    { args: 'api-resources', stdout: /^networkpolicies +netpol +networking\.k8s\.io\/v1 +true +NetworkPolicy$/m },
    { args: 'api-resources --namespaced=false -o name', stdout: /^clusterroles\.rbac\.authorization\.k8s\.io$/m },
    { args: 'explain pod.spec.containers', stdout: /KIND: +Pod[\s\S]*image/ },
    { args: 'explain configmap --recursive', stdout: /binaryData/ },
    { args: `create ns ${ns}`, stdout: new RegExp(`^namespace/${ns} created`) },
    { args: `create ns ${ns}`, code: 1, stderr: /AlreadyExists|already exists/ },
    { args: `get ns ${ns} -o jsonpath={.status.phase}`, stdout: /^Active$/ },
    { args: 'create secret generic s1 --from-literal=a=b -n NS', stdout: /secret\/s1 created/ },
    { args: 'create configmap c1 --from-literal=k=v -n NS', stdout: /configmap\/c1 created/ },
    { args: 'create sa robot -n NS', stdout: /serviceaccount\/robot created/ },
    { args: 'create role r1 --verb=get,list --resource=pods,secrets -n NS', stdout: /r1 created/ },
    { args: 'create rolebinding rb1 --role=r1 --serviceaccount=NS:robot -n NS', stdout: /rb1 created/ },
    { args: 'create clusterrole NS-cr --verb=get --resource=nodes', stdout: /created/ },
    { args: 'create clusterrolebinding NS-crb --clusterrole=NS-cr --user=alice', stdout: /created/ },
    { args: 'create token robot -n NS', versions: modern, stdout: /^eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$/ },
    { args: `apply -f ${all}`, stdout: /configmap\/settings created[\s\S]*secret\/db created[\s\S]*pod\/web created/ },
    { args: `apply -f ${all}`, stdout: /configmap\/settings unchanged/ },
    { args: `diff -f ${all}`, code: 0 },
    { args: `diff -f ${changed}`, code: 1, stdout: /-\s+color: blue[\s\S]*\+\s+color: red/ },
    { args: `apply -f ${changed} --dry-run=server`, stdout: /configmap\/settings configured \(server dry run\)/ },
    { args: 'get cm settings -n NS -o jsonpath={.data.color}', stdout: /^blue$/ },
    { args: `apply -f ${changed}`, stdout: /configmap\/settings configured/ },
    { args: 'get cm settings -n NS -o jsonpath={.data.color}', stdout: /^red$/ },
    { args: `apply -f ${invalid}`, code: 1, stderr: /unknownField/ },
    { args: `apply --server-side --field-manager=other -f ${all}`, code: 1, stderr: /conflict/i },
    { args: `apply --server-side --field-manager=other --force-conflicts -f ${all}`, stdout: /serverside-applied/ },
    { args: 'get cm settings -n NS -o jsonpath={.data.color}', stdout: /^blue$/ },
    { args: `replace -f ${settings}`, stdout: /^configmap\/settings replaced\n$/ },
    { args: 'get secrets -n NS', stdout: /NAME +TYPE +DATA +AGE\n[\s\S]*s1 +Opaque +1 / },
    { args: 'get secret,cm -n NS -l app=shop -o name', stdout: /^secret\/db\nconfigmap\/settings\n$/ },
    { args: 'get pods -n NS -o wide', stdout: /NAME +READY +STATUS +RESTARTS +AGE +IP +NODE/ },
    { args: 'get pods -n NS', stdout: /web +0\/1 +Pending +0 / },
    { args: 'get pods -A --field-selector=status.phase=Pending,metadata.namespace=NS -o name', stdout: /^pod\/web\n$/ },
    {
      args: 'get cm -n NS --sort-by=.metadata.name -o name',
      stdout: /c1\nconfigmap\/kube-root-ca\.crt\nconfigmap\/settings/,
    },
    { args: 'get cm -n NS --chunk-size=1 -o name', stdout: /c1\nconfigmap\/kube-root-ca\.crt\nconfigmap\/settings/ },
    { args: 'get svc web -n NS', stdout: /web +ClusterIP +10\.\d+\.\d+\.\d+ +<none> +80\/TCP/ },
    { args: 'get cm settings -n NS -o custom-columns=N:.metadata.name,S:.data.size', stdout: /^N +S\nsettings +3\n$/ },
    { args: 'get cm settings -n NS -o yaml', stdout: /^apiVersion: v1\ndata:\n {2}color: red/ },
    { args: 'get cm settings -n NS -o json', stdout: /"kind": "ConfigMap"/ },
    { args: 'get cm nothing -n NS', code: 1, stderr: /Error from server \(NotFound\): configmaps "nothing" not found/ },
    { args: 'get widgets -n NS', code: 1, stderr: /doesn't have a resource type|could not find/ },
    { args: 'patch cm settings -n NS --type=merge', more: ['-p', '{"data":{"size":"4"}}'], stdout: /patched/ },
    {
      args: 'patch cm settings -n NS --type=json',
      more: ['-p', '[{"op":"replace","path":"/data/size","value":"5"}]'],
      stdout: /patched/,
    },
    {
      args: 'patch cm settings -n NS --type=json',
      more: ['-p', '[{"op":"test","path":"/data/size","value":"9"}]'],
      code: 1,
      stderr: /./,
    },
    { args: 'patch svc web -n NS', more: ['-p', '{"spec":{"ports":[{"port":80,"name":"http"}]}}'], stdout: /patched/ },
    { args: 'get svc web -n NS -o jsonpath={.spec.ports[*].name}:{.spec.ports[*].targetPort}', stdout: /^http:8080$/ },
    { args: 'label cm settings -n NS tier=back', stdout: /labeled/ },
    { args: 'label cm settings -n NS tier=front', code: 1, stderr: /overwrite/ },
    { args: 'label cm settings -n NS tier-', stdout: /labeled/ },
    { args: 'annotate cm settings -n NS note=x --overwrite', stdout: /annotated/ },
    {
      args: 'edit cm settings -n NS',
      env: { KUBE_EDITOR: `sh -c 'sed -i s/size:.*/size:\\ \\"9\\"/ "$1"' --` },
      stdout: /edited/,
    },
    { args: 'get cm settings -n NS -o jsonpath={.data.size}', stdout: /^9$/ },
    { args: 'describe secret db -n NS', stdout: /password: +7 bytes/ },
    { args: 'describe pod web -n NS', stdout: /Image: +registry\.example\/web:1/ },
    { args: 'describe role reader -n NS', stdout: /configmaps/ },
    { args: 'describe ns NS', stdout: /Status: +Active/ },
    { args: 'auth can-i list secrets -n NS', stdout: /^yes$/m },
    { args: 'auth can-i list secrets -n NS --as=system:serviceaccount:NS:robot', stdout: /^yes$/m },
    { args: 'auth can-i delete secrets -n NS --as=system:serviceaccount:NS:robot', code: 1, stdout: /^no/m },
    { args: 'auth can-i --list -n NS --as=system:serviceaccount:NS:robot', stdout: /pods +\[\] +\[\] +\[get list\]/ },
    {
      args: 'get secrets -n default --as=system:serviceaccount:NS:robot',
      code: 1,
      stderr: /Forbidden.*cannot list resource "secrets" in API group "" in the namespace "default"/,
    },
    { args: 'auth whoami', versions: modern, stdout: /Username +kubernetes-admin/ },
    { args: `auth reconcile -f ${roles}`, stdout: /reconciled reconciled/ },
    { args: `create -f ${crd}`, stdout: /created/ },
    { args: `wait --for=condition=Established --timeout=20s crd/widgets.${ns}.example.com`, stdout: /condition met/ },
    { args: `apply -f ${widget}`, stdout: /w1 created/ },
    { args: `get widgets.${ns}.example.com -n NS`, stdout: /NAME +SIZE +AGE\nw1 +3 / },
    {
      args: `patch widgets.${ns}.example.com w1 -n NS --type=merge`,
      more: ['-p', '{"spec":{"size":"big"}}'],
      code: 1,
      stderr: /spec\.size: Invalid value: "string": spec\.size in body must be of type integer/,
    },
    { args: `explain widgets.${ns}.example.com.spec`, versions: modern, stdout: /size/ },
    { args: `delete -f ${widget}`, stdout: /deleted/ },
    { args: `delete -f ${crd}`, stdout: /deleted/ },
    { args: 'events -n NS', versions: modern, code: 0 },
    { args: 'get events -n NS', code: 0 },
    { args: 'delete cm -n NS -l app=shop', stdout: /configmap "settings" deleted/ },
    { args: 'delete pod web -n NS --grace-period=0 --force', stdout: /deleted/ },
    { args: 'delete secret s1 -n NS --wait=false', stdout: /deleted/ },
    { args: 'delete svc web -n NS', stdout: /deleted/ },
    { args: 'delete clusterrole/NS-cr clusterrolebinding/NS-crb', stdout: /deleted/ },
  ]
}

function widgetCrd(ns: string): string {
  return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.${ns}.example.com}
spec:
  group: ${ns}.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, description: how big it is}
`
}

const explain = (args: string, result: Run): string =>
  `kubectl ${args}\nexit ${result.code}\n--- stdout\n${result.stdout}\n--- stderr\n${result.stderr}`

for (const version of KUBECTL_VERSIONS) {
  const ns = `compat-${version.replace('.', '-')}`
  const there = testProgram(`kubectl-${version}`) !== undefined
  describe(`kubectl ${version}`, { skip: there ? false : `kubectl ${version} could not be unpacked here` }, () => {
    for (const step of steps(ns)) {
      if (step.versions !== undefined && !step.versions.includes(version)) continue
      const args = step.args.replaceAll('NS', ns)
      test(args.replaceAll(folder, ''), async () => {
        const words = [...args.split(' ').filter((w) => w !== ''), ...(step.more ?? [])]
        const result = await cluster.kubectl(version, words, {
          ...(step.input ? { input: step.input } : {}),
          ...(step.env ? { env: step.env } : {}),
        })
        const context = explain(args, result)
        assert.equal(result.code, step.code ?? 0, context)
        const of = (expected: RegExp): RegExp => new RegExp(expected.source.replaceAll('NS', ns), expected.flags)
        if (step.stdout) assert.match(result.stdout, of(step.stdout), context)
        if (step.stderr) assert.match(result.stderr, of(step.stderr), context)
      })
    }

    test('apply --prune removes what left the manifest', async () => {
      const one = (name: string): string =>
        `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: ${ns}, labels: {pruned: "yes"}}\n`
      const both = file(`${ns}-both.yaml`, `${one('keep')}---\n${one('drop')}`)
      const kept = file(`${ns}-kept.yaml`, one('keep'))
      const scope = [
        '-l',
        'pruned=yes',
        '-n',
        ns,
        '--prune',
        version === '1.20' ? '--prune-whitelist=core/v1/ConfigMap' : '--prune-allowlist=core/v1/ConfigMap',
      ]
      await cluster.kubectl(version, ['apply', '-f', both, ...scope])
      const result = await cluster.kubectl(version, ['apply', '-f', kept, ...scope])
      assert.match(result.stdout, /configmap\/drop pruned/, explain('apply --prune', result))
    })

    test('certificate approve and deny', async () => {
      const request = await certificateRequest()
      for (const [verb, condition] of [
        ['approve', 'Approved'],
        ['deny', 'Denied'],
      ] as const) {
        const name = `${ns}-${verb}`
        const csr = file(`${name}.json`, {
          apiVersion: 'certificates.k8s.io/v1',
          kind: 'CertificateSigningRequest',
          metadata: { name },
          spec: { request, signerName: 'example.com/other', usages: ['client auth'] },
        })
        assert.equal((await cluster.kubectl(version, ['create', '-f', csr])).code, 0)
        const result = await cluster.kubectl(version, ['certificate', verb, name])
        assert.equal(result.code, 0, explain(`certificate ${verb}`, result))
        const shown = await cluster.kubectl(version, ['get', 'csr', name])
        assert.match(shown.stdout, new RegExp(condition), explain('get csr', shown))
      }
    })

    test('get -w shows changes as they happen', async () => {
      const program = testProgram(`kubectl-${version}`)!
      const child = spawn(program, ['get', 'cm', '-n', ns, '-w', '-o', 'name'], {
        env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
      })
      try {
        const seen = new Promise<void>((resolve, reject) => {
          let text = ''
          const timer = setTimeout(() => reject(new Error(`not seen in: ${text}`)), 15_000)
          child.stdout.on('data', async (chunk: Buffer) => {
            const first = text === ''
            text += chunk.toString()
            if (first) await cluster.kubectl(version, ['create', 'cm', 'watched', '-n', ns])
            if (text.includes('configmap/watched')) {
              clearTimeout(timer)
              resolve()
            }
          })
        })
        await seen
      } finally {
        child.kill()
      }
    })

    test('delete with cascade, then the namespace with all that is in it', async () => {
      const owner = JSON.parse(
        (await cluster.kubectl(version, ['create', 'cm', 'owner', '-n', ns, '-o', 'json'])).stdout,
      )
      const owned = file(`${ns}-owned.json`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: 'owned',
          namespace: ns,
          ownerReferences: [
            { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid, blockOwnerDeletion: true },
          ],
        },
      })
      await cluster.kubectl(version, ['create', '-f', owned])
      const cascade = version === '1.20' ? '--cascade=foreground' : '--cascade=foreground'
      const result = await cluster.kubectl(version, ['delete', 'cm', 'owner', '-n', ns, cascade, '--timeout=30s'])
      assert.equal(result.code, 0, explain('delete --cascade', result))
      assert.equal((await cluster.kubectl(version, ['get', 'cm', 'owned', '-n', ns])).code, 1)
      const gone = await cluster.kubectl(version, ['delete', 'ns', ns, '--timeout=60s'])
      assert.equal(gone.code, 0, explain('delete ns', gone))
      assert.equal((await cluster.kubectl(version, ['get', 'ns', ns])).code, 1)
    })
  })
}

/** A PKCS #10 request in base64, by openssl. */
async function certificateRequest(): Promise<string> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = file('csr.key', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  const { stdout, stderr, code } = await run('openssl', ['req', '-new', '-key', key, '-subj', '/CN=someone'])
  assert.equal(code, 0, stderr)
  return Buffer.from(stdout).toString('base64')
}

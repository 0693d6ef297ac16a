/** The commands of docs/tls.md by which a user gets a client certificate, typed with openssl and kubectl. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Run, root, run, startCluster, type TestCluster, testProgram } from './setup/cluster.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-csr-kubectl-'))
let cluster: TestCluster
before(async () => {
  cluster = await startCluster(['--name', 'certificate-signing'])
})
after(async () => {
  await cluster.stop()
  rmSync(folder, { recursive: true })
})

const SECTION = '## Client certificates by CertificateSigningRequest'

/** The first block of commands of the section, as it stands in the guide. */
function documentedCommands(): string {
  const guide = readFileSync(join(root, 'docs/tls.md'), 'utf8')
  const block = guide.slice(guide.indexOf(SECTION)).match(/```sh\n([\s\S]*?)```/)
  assert.ok(block, 'docs/tls.md has commands')
  return block[1]!
}

test('kubectl certificate approve gives a user a certificate that works', async () => {
  const environment = { KUBECONFIG: cluster.kubeconfig, HOME: folder, LC_ALL: 'C' }
  const kubectl = `kubectl() { '${testProgram('kubectl-1.32')}' "$@"; }`
  const sh = (script: string): Promise<Run> =>
    run('sh', ['-euc', `${kubectl}\n${script}`], { cwd: folder, env: environment })

  const typed = await sh(documentedCommands())
  assert.equal(typed.code, 0, `${typed.stdout}\n${typed.stderr}`)
  assert.match(typed.stdout, /certificatesigningrequest\.certificates\.k8s\.io\/alice approved/)

  const whoami = await sh(
    'kubectl --context alice auth whoami -o jsonpath={.status.userInfo.username},{.status.userInfo.groups}',
  )
  assert.equal(whoami.stdout, 'alice,["dev","system:authenticated"]', whoami.stderr)
  const shown = await sh('kubectl get csr alice')
  assert.match(shown.stdout, /Approved,Issued/)

  const refused = await sh('kubectl --context alice get configmaps')
  assert.match(refused.stderr, /User "alice" cannot list resource "configmaps"/)
  await sh('kubectl create rolebinding dev --clusterrole view --group dev')
  const allowed = await sh('kubectl --context alice get configmaps -o name')
  assert.match(allowed.stdout, /configmap\/kube-root-ca\.crt/, allowed.stderr)
})

test('what the signer refuses is shown as failed, with the reason', async () => {
  const csr = await run('openssl', [
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', join(folder, 'eve.key'), '-subj', '/CN=eve'],
  ])
  const manifest = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'eve' },
    spec: {
      request: Buffer.from(csr.stdout).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['server auth'],
    },
  }
  const kubectl = (...args: string[]): Promise<Run> => cluster.kubectl('1.32', args)
  assert.equal((await cluster.kubectl('1.32', ['create', '-f', '-'], { input: JSON.stringify(manifest) })).code, 0)
  assert.equal((await kubectl('certificate', 'approve', 'eve')).code, 0)
  const waited = await kubectl('wait', 'csr/eve', '--for=condition=Failed', '--timeout=20s')
  assert.equal(waited.code, 0, waited.stderr)
  const reason = await kubectl(
    'get',
    'csr',
    'eve',
    '-o',
    'jsonpath={.status.conditions[1].reason}: {.status.conditions[1].message}',
  )
  assert.equal(reason.stdout, 'SignerValidationFailure: invalid usage for client certificate: server auth')
  assert.match((await kubectl('get', 'csr', 'eve')).stdout, /Approved,Failed/)
})

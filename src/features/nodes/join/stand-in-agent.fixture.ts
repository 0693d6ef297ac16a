/**
 * In tests, what a machine runs instead of the agent: real requests for certificates by the token, a Node, a Lease, and a
 * TLS server that wants a client certificate. Without pods.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../../kernel/api/object.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { createRemoteClient } from '../../../kernel/client/remote.ts'
import { readNodeConfig } from '../../../node/config.ts'

const REQUESTS: ResourceId = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
const LEASES: ResourceId = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }

const config = readNodeConfig(process.argv[2]!)
const pki = join(config.stateFolder, 'pki')
const ca = readFileSync(config.caFile, 'utf8')
const server = new URL(config.server)
const userName = `system:node:${config.nodeName}`
process.stderr.write(`stand-in for ${config.nodeName}\n`)

function certificateRequest(name: string, sans: string): string {
  const key = join(pki, `${name}.key`)
  execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key])
  const subject = [
    '-subj',
    `/O=system:nodes/CN=${userName}`,
    ...(sans === '' ? [] : ['-addext', `subjectAltName=${sans}`]),
  ]
  return execFileSync('openssl', ['req', '-new', '-key', key, ...subject], { encoding: 'utf8' })
}

async function certificate(client: Client, name: string, signer: string, purpose: string, sans: string): Promise<void> {
  if (existsSync(join(pki, `${name}.crt`))) return
  const request = await client.create(REQUESTS, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { generateName: 'csr-' },
    spec: {
      signerName: `kubernetes.io/${signer}`,
      request: Buffer.from(certificateRequest(name, sans)).toString('base64'),
      usages: ['digital signature', purpose],
      expirationSeconds: 3600,
    },
  } as KubeObject)
  for (;;) {
    const now = await client.get(REQUESTS, '', request.metadata.name!)
    const signed = now['status']?.certificate as string | undefined
    if (signed !== undefined) return writeFileSync(join(pki, `${name}.crt`), Buffer.from(signed, 'base64'))
    await sleep(50)
  }
}

mkdirSync(pki, { recursive: true, mode: 0o700 })
const credentials = (name: string): { cert: string; key: string } => ({
  cert: readFileSync(join(pki, `${name}.crt`), 'utf8'),
  key: readFileSync(join(pki, `${name}.key`), 'utf8'),
})
if (!existsSync(join(pki, 'client.crt'))) {
  const token = readFileSync(config.bootstrapTokenFile, 'utf8').trim()
  const first = createRemoteClient({ server, ca, token, userAgent: 'stand-in' })
  await certificate(first, 'client', 'kube-apiserver-client-kubelet', 'client auth', '')
  rmSync(config.bootstrapTokenFile)
  first.close()
}
const client = createRemoteClient({ server, ca, ...credentials('client'), userAgent: 'stand-in' })
await certificate(
  client,
  'serving',
  'kubelet-serving',
  'server auth',
  `DNS:${config.nodeName},IP:${config.nodeAddress}`,
)
createServer({ ca, ...credentials('serving'), requestCert: true, rejectUnauthorized: true }, (_request, answer) =>
  answer.end('ok'),
).listen(config.kubeletPort, config.nodeAddress)

const address = { type: 'InternalIP', address: config.nodeAddress }
const node: KubeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: config.nodeName } }
await client.create(NODES, node).catch(() => undefined)
const now = new Date().toISOString().replace(/\.\d+/, '')
const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: '', lastHeartbeatTime: now }
await client.patch(
  NODES,
  '',
  config.nodeName,
  'strategic',
  { status: { addresses: [address], conditions: [ready] } },
  { subresource: 'status' },
)
for (;;) {
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: config.nodeName, namespace: 'kube-node-lease' },
    spec: {
      holderIdentity: config.nodeName,
      leaseDurationSeconds: 40,
      renewTime: new Date().toISOString().replace('Z', '000Z'),
    },
  }
  await client
    .patch(LEASES, 'kube-node-lease', config.nodeName, 'merge', { spec: lease.spec })
    .catch(() => client.create(LEASES, lease))
  await sleep(1000)
}

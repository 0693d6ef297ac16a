import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { parseCertificateRequest, writeCertificateRequest } from '../../tls/index.ts'

import { type Asked, judge, KUBELET_CLIENT, KUBELET_SERVING } from './judge.ts'

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
type Given = Partial<Omit<Asked, 'request'>> & { commonName?: string; dns?: string[]; ip?: string[] }

async function verdict({ commonName = 'system:node:n1', dns = [], ip = [], ...asked }: Given): Promise<string> {
  const pem = writeCertificateRequest({ commonName, organizations: ['system:nodes'], sans: { dns, ip }, key })
  const judgement = judge(
    {
      signerName: KUBELET_CLIENT,
      usages: ['digital signature', 'client auth'],
      expirationSeconds: 604800,
      username: 'system:node:n1',
      groups: ['system:nodes'],
      ...asked,
      request: await parseCertificateRequest(pem),
    },
    (node) => (node === 'n1' ? ['172.31.0.11', 'fd00::11'] : undefined),
  )
  return judgement.verdict === 'approve' ? judgement.permission : (judgement.why ?? 'not ours')
}

const token = {
  username: 'system:bootstrap:abcdef',
  groups: ['system:bootstrappers', 'system:bootstrappers:rampart:node:n1'],
}
const serving = { signerName: KUBELET_SERVING, usages: ['digital signature', 'server auth'] }

describe('requests of machines', () => {
  const cases: [what: string, given: Given, expected: string][] = [
    ['renewal', {}, 'selfnodeclient'],
    ['first, by its token', token, 'nodeclient'],
    [
      'by the token of another',
      { ...token, commonName: 'system:node:n2' },
      'system:bootstrap:abcdef asks for a certificate of the machine n2',
    ],
    ['of another machine', { commonName: 'system:node:n2' }, 'system:node:n1 asks for a certificate of the machine n2'],
    [
      'by the name without the group',
      { groups: ['system:authenticated'] },
      'system:node:n1 asks for a certificate of the machine n1',
    ],
    [
      'by an administrator',
      { username: 'admin', groups: ['system:masters'] },
      'admin asks for a certificate of the machine n1',
    ],
    [
      'for longer than a week',
      { expirationSeconds: 604801 },
      'spec.expirationSeconds is 604801; by rule at most 604800 (7 days) are approved',
    ],
    ['for as long as the signer gives', { expirationSeconds: undefined }, 'spec.expirationSeconds is not set'],
    ['not a machine', { commonName: 'admin', username: 'admin' }, 'the common name is not that of a machine'],
    ['another signer', { signerName: 'kubernetes.io/kube-apiserver-client' }, 'not ours'],
    ['serving its name and address', { ...serving, dns: ['n1'], ip: ['172.31.0.11'] }, 'selfnodeserver'],
    ['serving an address in another spelling', { ...serving, ip: ['fd00:0:0::11'] }, 'selfnodeserver'],
    [
      'serving another’s address',
      { ...serving, dns: ['n1'], ip: ['172.31.0.11', '172.31.0.12'] },
      '172.31.0.12 is not known to be n1',
    ],
    [
      'serving the API server’s name',
      { ...serving, dns: ['n1', 'kubernetes.default.svc'] },
      'kubernetes.default.svc is not known to be n1',
    ],
    ['serving a wildcard', { ...serving, dns: ['*.n1'] }, '*.n1 is not known to be n1'],
    [
      'serving, by a token',
      { ...serving, ...token, dns: ['n1'] },
      'a serving certificate is given to the machine itself only',
    ],
    [
      'serving, of a machine without record',
      { ...serving, commonName: 'system:node:n3', username: 'system:node:n3', dns: ['n3'] },
      'it is not known which addresses n3 has: it did not join by "rampart node add"',
    ],
  ]
  for (const [what, given, expected] of cases) test(what, async () => assert.equal(await verdict(given), expected))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RequestedCertificate, type SignerName, signerRefusal } from './signers.ts'

const CLIENT = 'kubernetes.io/kube-apiserver-client'
const KUBELET = 'kubernetes.io/kube-apiserver-client-kubelet'
const SERVING = 'kubernetes.io/kubelet-serving'
const none = { dns: [], ip: [], email: [], uri: [] }
const node: RequestedCertificate = { commonName: 'system:node:n1', organizations: ['system:nodes'], sans: none }
const named: RequestedCertificate = { ...node, sans: { ...none, dns: ['n1'] } }
const clientUse = ['digital signature', 'client auth']
const serverUse = ['digital signature', 'server auth']

const rows: [name: string, SignerName, RequestedCertificate, usages: string[], refusal: string | undefined][] = [
  ['client', CLIENT, { ...node, commonName: 'alice', organizations: [] }, ['client auth'], undefined],
  ['client with all it may have', CLIENT, node, [...clientUse, 'key encipherment'], undefined],
  [
    'client without client auth',
    CLIENT,
    node,
    ['digital signature'],
    'missing required usage for client certificate: client auth',
  ],
  ['client that would serve', CLIENT, node, serverUse, 'invalid usage for client certificate: server auth'],
  [
    'client that would sign',
    CLIENT,
    node,
    ['client auth', 'cert sign'],
    'invalid usage for client certificate: cert sign',
  ],
  ['kubelet', KUBELET, node, clientUse, undefined],
  ['kubelet with an RSA key', KUBELET, node, [...clientUse, 'key encipherment'], undefined],
  [
    'kubelet of no group',
    KUBELET,
    { ...node, organizations: [] },
    clientUse,
    'subject organization is not system:nodes',
  ],
  [
    'kubelet of one group more',
    KUBELET,
    { ...node, organizations: ['system:nodes', 'system:masters'] },
    clientUse,
    'subject organization is not system:nodes',
  ],
  ['kubelet with a DNS name', KUBELET, named, clientUse, 'DNS subjectAltNames are not allowed'],
  [
    'kubelet with an address',
    KUBELET,
    { ...node, sans: { ...none, ip: ['10.0.0.1'] } },
    clientUse,
    'IP subjectAltNames are not allowed',
  ],
  [
    'kubelet with mail',
    KUBELET,
    { ...node, sans: { ...none, email: ['a@b'] } },
    clientUse,
    'Email subjectAltNames are not allowed',
  ],
  [
    'kubelet with a URI',
    KUBELET,
    { ...node, sans: { ...none, uri: ['spiffe://a'] } },
    clientUse,
    'URI subjectAltNames are not allowed',
  ],
  [
    'kubelet of another name',
    KUBELET,
    { ...node, commonName: 'n1' },
    clientUse,
    'subject common name does not begin with system:node:',
  ],
  [
    'kubelet of no name',
    KUBELET,
    { ...node, commonName: 'system:node:' },
    clientUse,
    'subject common name does not begin with system:node:',
  ],
  [
    'kubelet with too few usages',
    KUBELET,
    node,
    ['client auth'],
    'usages did not match [client auth digital signature key encipherment]',
  ],
  [
    'kubelet with too many',
    KUBELET,
    node,
    [...clientUse, 'server auth'],
    'usages did not match [client auth digital signature key encipherment]',
  ],
  ['serving', SERVING, named, serverUse, undefined],
  [
    'serving by address',
    SERVING,
    { ...node, sans: { ...none, ip: ['10.0.0.1'] } },
    [...serverUse, 'key encipherment'],
    undefined,
  ],
  ['serving no name', SERVING, node, serverUse, 'DNS or IP subjectAltName is required'],
  [
    'serving mail',
    SERVING,
    { ...named, sans: { ...named.sans, email: ['a@b'] } },
    serverUse,
    'Email subjectAltNames are not allowed',
  ],
  [
    'serving a URI',
    SERVING,
    { ...named, sans: { ...named.sans, uri: ['x:y'] } },
    serverUse,
    'URI subjectAltNames are not allowed',
  ],
  [
    'serving as another',
    SERVING,
    { ...named, commonName: 'n1' },
    serverUse,
    'subject common name does not begin with system:node:',
  ],
  [
    'serving of another group',
    SERVING,
    { ...named, organizations: ['x'] },
    serverUse,
    'subject organization is not system:nodes',
  ],
  [
    'serving and calling',
    SERVING,
    named,
    [...serverUse, 'client auth'],
    'usages did not match [digital signature key encipherment server auth]',
  ],
]
for (const [name, signer, request, usages, refusal] of rows)
  test(`signer: ${name}`, () => assert.equal(signerRefusal(signer, request, usages), refusal))

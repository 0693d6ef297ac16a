import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { parseCertificateRequest } from './certificate-request.ts'
import { writeCertificateRequest } from './request-writer.ts'

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

test('a request is read again as it was meant, and openssl verifies it', async () => {
  const pem = writeCertificateRequest({
    commonName: 'system:node:n1',
    organizations: ['system:nodes'],
    sans: { dns: ['n1'], ip: ['172.31.0.11', 'fd00::1'] },
    key,
  })
  const read = await parseCertificateRequest(pem)
  assert.equal(read.commonName, 'system:node:n1')
  assert.deepEqual(read.organizations, ['system:nodes'])
  assert.deepEqual([read.sans.dns, read.sans.ip], [['n1'], ['172.31.0.11', 'fd00:0:0:0:0:0:0:1']])
  assert.ok(read.publicKey.equals(createPublicKey(key)))
  const text = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
    input: pem,
    encoding: 'utf8',
    stdio: 'pipe',
  })
  assert.match(text, /Subject: O = system:nodes, CN = system:node:n1/)
  assert.match(text, /DNS:n1, IP Address:172.31.0.11/)
})

test('a request without names has no extensions', async () => {
  const { sans, commonName } = await parseCertificateRequest(writeCertificateRequest({ commonName: 'alice', key }))
  assert.deepEqual([commonName, sans.dns, sans.ip], ['alice', [], []])
})

test('what cannot be encoded is refused', () => {
  assert.throws(() => writeCertificateRequest({ commonName: '', key }), /empty/)
  assert.throws(() => writeCertificateRequest({ commonName: 'a', sans: { ip: ['1.2.3'] }, key }), /no IP address/)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  assert.throws(() => writeCertificateRequest({ commonName: 'a', key: rsa }), /EC keys/)
})

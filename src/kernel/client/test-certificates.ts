import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** Certificates for tests; nothing here ever leaves loopback. */

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[1])

export type PemPair = { cert: string; key: string }
export type TestAuthority = { ca: string; issue: (commonName: string, hosts?: readonly string[]) => Promise<PemPair> }

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const notBefore = new Date('2020-01-01T00:00:00Z')
const notAfter = new Date('2120-01-01T00:00:00Z')

export async function testAuthority(name: string): Promise<TestAuthority> {
  const keys = (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore,
    notAfter,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  let serial = 1
  return {
    ca: root.toString('pem'),
    issue: async (commonName, hosts = []) => {
      const pair = (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
      const names = hosts.map((value) => ({
        type: /^[\d.]+$|:/.test(value) ? ('ip' as const) : ('dns' as const),
        value,
      }))
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: (++serial).toString(16).padStart(2, '0'),
        subject: `CN=${commonName}`,
        issuer: root.subject,
        notBefore,
        notAfter,
        publicKey: pair.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
      })
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
      const lines = key.match(/.{1,64}/g)!.join('\n')
      return {
        cert: certificate.toString('pem'),
        key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
      }
    },
  }
}

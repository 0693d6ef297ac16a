import { Buffer } from 'node:buffer'
import { generateKeyPairSync } from 'node:crypto'

/**
 * Credentials that are nobody's, put together when the tests run: written out they would be findings in this
 * repository.
 */
const CHARACTERS = 'kT7bQ2mXw9RzC4vNfH8sJdL3gYpE6aUtB5xWqM1rZnVcK0yGhDjF'

/** `n` letters and digits that look drawn by lot. */
export const letters = (n: number, from: number = 0): string =>
  Array.from({ length: n }, (_, i) => CHARACTERS[(from + i * 7 + (i >> 3)) % CHARACTERS.length]).join('')

export const hex = (n: number): string =>
  Array.from({ length: n }, (_, i) => '0f3a9c6e1b7d2845'[(i * 5 + (i >> 2)) % 16]).join('')

const upper = (n: number): string =>
  letters(n * 3)
    .toUpperCase()
    .replace(/[^A-Z2-7]/g, '')
    .padEnd(n, 'QZ')
    .slice(0, n)

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export const jwt = (payload: object = { sub: 'jane', iat: 1 }): string =>
  [base64url({ alg: 'HS256', typ: 'JWT' }), base64url(payload), letters(43)].join('.')

export const ecKey: string = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey

const PEM = '-----'
export const opensshKey: string = [
  `${PEM}BEGIN OPENSSH PRIVATE KEY${PEM}`,
  Buffer.from(`openssh-key-v1\0${letters(60)}`).toString('base64'),
  `${PEM}END OPENSSH PRIVATE KEY${PEM}`,
].join('\n')

export const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** Rule and a value that it must find, wherever it stands. */
export const CREDENTIALS: readonly (readonly [rule: string, value: string])[] = [
  ['aws-access-key', `AK${'IA'}${upper(16)}`],
  ['aws-access-key', `AS${'IA'}${upper(16)}`],
  ['alibaba-access-key', `LT${'AI'}${letters(20)}`],
  ['google-api-key', `AI${'za'}${letters(35)}`],
  ['google-oauth-secret', `GOCS${'PX'}-${letters(28)}`],
  ['github-token', `gh${'p'}_${letters(36)}`],
  ['github-token', `gh${'s'}_${letters(36)}`],
  ['github-token', `github${'_pat'}_${letters(22)}_${letters(59)}`],
  ['gitlab-token', `gl${'pat'}-${letters(20)}`],
  ['slack-token', `xo${'xb'}-${'2345678901'}-${letters(24)}`],
  ['slack-webhook', `https://hooks.${'slack'}.com/services/T0${letters(8)}/B0${letters(8)}/${letters(24)}`],
  ['stripe-key', `sk_${'live'}_${letters(24)}`],
  ['stripe-key', `rk_${'test'}_${letters(24)}`],
  ['npm-token', `np${'m'}_${letters(36)}`],
  ['pypi-token', `py${'pi'}-AgEIcHlwaS5vcmc${letters(60)}`],
  ['twilio-key', `S${'K'}${hex(32)}`],
  ['sendgrid-key', `S${'G'}.${letters(22)}.${letters(43)}`],
  ['mailgun-key', `ke${'y'}-${hex(32)}`],
  ['digitalocean-token', `do${'p'}_v1_${hex(64)}`],
  ['anthropic-key', `sk-${'ant'}-api03-${letters(60)}`],
  ['openai-key', `sk-${'proj'}-${letters(48)}`],
  ['huggingface-token', `h${'f'}_${letters(34)}`],
  ['databricks-token', `da${'pi'}${hex(32)}`],
  ['vault-token', `hv${'s'}.${letters(24)}`],
  ['docker-token', `dckr${'_pat'}_${letters(27)}`],
  ['grafana-token', `gl${'sa'}_${letters(32)}_${hex(8)}`],
  ['newrelic-key', `NR${'AK'}-${upper(27)}`],
  ['shopify-token', `sh${'pat'}_${hex(32)}`],
  ['age-key', `AGE-SECRET-${'KEY'}-1${upper(58)}`],
  ['azure-key', `DefaultEndpointsProtocol=https;AccountName=a;Account${'Key'}=${letters(86)}==;EndpointSuffix=x`],
  ['jwt', jwt()],
  ['jwt', jwt({ sub: 'system:serviceaccount:shop:web' })],
  ['private-key', ecKey],
  ['private-key', opensshKey],
  ['private-key', base64(ecKey)],
  ['url-credentials', `postgres://shop:${letters(12)}@db.shop:5432/shop`],
  ['url-credentials', `mongodb+srv://app:${letters(12)}@cluster0.example.net/test`],
  ['url-credentials', `amqp://user:${letters(10)}@mq:5672/%2f`],
  ['url-credentials', `redis://:${letters(16)}@cache:6379/0`],
  ['url-credentials', `https://ci:${letters(16)}@git.example.com/repo.git`],
  ['bearer-token', `Bearer ${letters(32)}`],
  ['basic-auth', `Basic ${base64(`admin:${letters(9)}`)}`],
  ['htpasswd', `admin:$apr1$${letters(8)}$${letters(22)}`],
  ['htpasswd', `admin:$2y$10$${letters(53)}`],
  ['htpasswd', `admin:{SHA}${letters(27)}=`],
]

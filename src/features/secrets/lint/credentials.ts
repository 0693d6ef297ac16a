import { Buffer } from 'node:buffer'
import { readPrivateKey } from './private-keys.ts'
import type { Detection } from './types.ts'
import { classifyValue, isPlaceholder, isReference } from './values.ts'

/**
 * Credentials that are known by their shape. Each pattern begins with a literal that `ANCHORS` finds, may not begin
 * within a longer word, and repeats one class of characters at a time: no text makes it look at a character more than a
 * few times.
 */
type Shape = { rule: string; what: string; pattern: RegExp; severity?: Detection['severity'] }

const W = '(?<![A-Za-z0-9_-])'
const END = '(?![A-Za-z0-9_-])'
const shape = (rule: string, what: string, pattern: string, severity?: Detection['severity']): Shape => ({
  rule,
  what,
  pattern: new RegExp(`${W}${pattern}${END}`, 'y'),
  ...(severity === undefined ? {} : { severity }),
})

const SHAPES: readonly (readonly [anchors: readonly string[], shape: Shape])[] = [
  [
    ['AKIA', 'ASIA', 'ABIA', 'ACCA'],
    shape('aws-access-key', 'an AWS access key id', 'A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}', 'medium'),
  ],
  [['LTAI'], shape('alibaba-access-key', 'an Alibaba Cloud access key id', 'LTAI[A-Za-z0-9]{12,24}', 'medium')],
  [['AIza'], shape('google-api-key', 'a Google API key', 'AIza[0-9A-Za-z_-]{35}')],
  [['GOCSPX-'], shape('google-oauth-secret', 'a Google OAuth client secret', 'GOCSPX-[0-9A-Za-z_-]{28}')],
  [['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'], shape('github-token', 'a GitHub token', 'gh[pousr]_[A-Za-z0-9]{36,255}')],
  [['github_pat_'], shape('github-token', 'a GitHub token', 'github_pat_[A-Za-z0-9_]{60,255}')],
  [
    ['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glft-', 'glsoat-', 'glcbt-', 'glagent-'],
    shape('gitlab-token', 'a GitLab token', 'gl(?:pat|dt|rt|ptt|ft|soat|cbt|agent)-[A-Za-z0-9_.-]{20,255}'),
  ],
  [
    ['xoxb-', 'xoxp-', 'xoxa-', 'xoxr-', 'xoxs-', 'xoxe-', 'xoxo-'],
    shape('slack-token', 'a Slack token', 'xox[abeoprs]-[A-Za-z0-9-]{10,250}'),
  ],
  [['xapp-'], shape('slack-token', 'a Slack app token', 'xapp-[0-9]-[A-Za-z0-9-]{20,250}')],
  [
    ['hooks.slack.com/'],
    shape(
      'slack-webhook',
      'a Slack webhook address',
      'hooks\\.slack\\.com/(?:services|workflows)/[A-Za-z0-9/]{20,200}',
    ),
  ],
  [
    ['discord.com/api/', 'discordapp.com/api/'],
    shape(
      'discord-webhook',
      'a Discord webhook address',
      'discord(?:app)?\\.com/api/webhooks/[0-9]{10,25}/[A-Za-z0-9_-]{50,100}',
    ),
  ],
  [['sk_live_', 'rk_live_'], shape('stripe-key', 'a Stripe key', '[sr]k_live_[A-Za-z0-9]{16,255}')],
  [['sk_test_', 'rk_test_'], shape('stripe-key', 'a Stripe test key', '[sr]k_test_[A-Za-z0-9]{16,255}', 'medium')],
  [['whsec_'], shape('stripe-key', 'a webhook signing secret', 'whsec_[A-Za-z0-9+/]{24,255}=?')],
  [['npm_'], shape('npm-token', 'an npm token', 'npm_[A-Za-z0-9]{36}')],
  [['pypi-'], shape('pypi-token', 'a PyPI token', 'pypi-AgE[A-Za-z0-9_-]{50,1000}')],
  [['SK'], shape('twilio-key', 'a Twilio API key', 'SK[0-9a-f]{32}')],
  [['SG.'], shape('sendgrid-key', 'a SendGrid key', 'SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{32,64}')],
  [['key-'], shape('mailgun-key', 'a Mailgun key', 'key-[0-9a-f]{32}')],
  [['dop_v1_', 'doo_v1_', 'dor_v1_'], shape('digitalocean-token', 'a DigitalOcean token', 'do[por]_v1_[0-9a-f]{64}')],
  [['sk-ant-'], shape('anthropic-key', 'an Anthropic key', 'sk-ant-[A-Za-z0-9_-]{24,255}')],
  [
    ['sk-proj-', 'sk-svcacct-', 'sk-admin-'],
    shape('openai-key', 'an OpenAI key', 'sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{24,255}'),
  ],
  [['sk-'], shape('openai-key', 'an OpenAI key', 'sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}')],
  [['hf_'], shape('huggingface-token', 'a Hugging Face token', 'hf_[A-Za-z0-9]{34}')],
  [['dapi'], shape('databricks-token', 'a Databricks token', 'dapi[0-9a-f]{32}(?:-[0-9])?')],
  [['hvs.', 'hvb.', 'hvr.'], shape('vault-token', 'a Vault token', 'hv[sbr]\\.[A-Za-z0-9_-]{24,300}')],
  [['dckr_pat_', 'dckr_oat_'], shape('docker-token', 'a Docker token', 'dckr_[po]at_[A-Za-z0-9_-]{20,64}')],
  [['dp.'], shape('doppler-token', 'a Doppler token', 'dp\\.(?:pt|st|ct|sa|scim|audit)\\.[A-Za-z0-9._-]{30,100}')],
  [['glsa_', 'glc_'], shape('grafana-token', 'a Grafana token', 'gl(?:sa|c)_[A-Za-z0-9+/_=]{32,400}')],
  [['NRAK-'], shape('newrelic-key', 'a New Relic key', 'NRAK-[A-Z0-9]{27}')],
  [
    ['shpat_', 'shpca_', 'shppa_', 'shpss_'],
    shape('shopify-token', 'a Shopify token', 'shp(?:at|ca|pa|ss)_[0-9a-f]{32}'),
  ],
  [['AGE-SECRET-KEY-1'], shape('age-key', 'an age private key', 'AGE-SECRET-KEY-1[0-9A-Z]{58}')],
  [['lin_api_'], shape('linear-key', 'a Linear key', 'lin_api_[A-Za-z0-9]{40}')],
  [
    ['AccountKey=', 'SharedAccessKey='],
    shape('azure-key', 'an Azure account key', '(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,100}={0,2}'),
  ],
]

/** The longest anchor comes first where one is the beginning of another. */
const BY_ANCHOR = new Map<string, Shape[]>()
for (const [anchors, s] of SHAPES)
  for (const anchor of anchors) BY_ANCHOR.set(anchor, [...(BY_ANCHOR.get(anchor) ?? []), s])

const quoteRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
const ANCHORED = [...BY_ANCHOR.keys()].sort((a, b) => b.length - a.length).map(quoteRegExp)
/** Twilio's anchor is two letters: only before hex. */
const ANCHORS = new RegExp(
  `${W}(?:${ANCHORED.map((a) => (a === 'SK' ? 'SK(?=[0-9a-f]{32})' : a)).join('|')}|eyJ)|-----BEGIN |:\\/\\/|` +
    'LS0tLS1CRUdJTi|\\$(?:2[aby]|apr1)\\$|\\{SHA\\}|(?<![A-Za-z])(?:[Bb]earer|[Bb]asic) |PuTTY-User-Key-File',
  'g',
)

const MAX_DETECTIONS = 1000

/** Every credential of known shape in the text, in order, without overlaps. Linear in the text's length. */
export function findCredentials(text: string): Detection[] {
  if (text.length < 9) return []
  ANCHORS.lastIndex = 0
  let match = ANCHORS.exec(text)
  if (match === null) return []
  const found: Detection[] = []
  const bound = new RegExp(ANCHORS.source, 'g')
  while (match !== null && found.length < MAX_DETECTIONS) {
    const detection = at(text, match.index, match[0])
    if (typeof detection === 'object') found.push(detection)
    bound.lastIndex = Math.max(match.index + match[0].length, typeof detection === 'object' ? detection.end : detection)
    match = bound.exec(text)
  }
  return found
}

/** What begins at the anchor, or the offset up to which nothing can. */
function at(text: string, index: number, anchor: string): Detection | number {
  return special(text, index, anchor) ?? shaped(text, index, anchor) ?? 0
}

function special(text: string, index: number, anchor: string): Detection | number | undefined {
  switch (anchor) {
    case 'eyJ':
      return jwt(text, index)
    case '://':
      return urlCredentials(text, index)
    case '-----BEGIN ':
    case 'PuTTY-User-Key-File':
      return privateKey(text, index)
    case 'LS0tLS1CRUdJTi':
      return encodedPrivateKey(text, index)
    case '{SHA}':
    case '$apr1$':
    case '$2a$':
    case '$2b$':
    case '$2y$':
      return passwordHash(text, index)
  }
  return /^b(?:earer|asic) $/i.test(anchor) ? httpCredentials(text, index, anchor) : undefined
}

function shaped(text: string, index: number, anchor: string): Detection | undefined {
  for (const { rule, what, pattern, severity = 'high' } of BY_ANCHOR.get(anchor) ?? []) {
    pattern.lastIndex = index
    const length = pattern.exec(text)?.[0].length
    if (length === undefined) continue
    const start = rule === 'azure-key' ? index + anchor.length : index
    const value = text.slice(start, index + length)
    // Examples of documentation, and rows of the same character.
    if (/EXAMPLE|example|xxxxx|XXXXX|(.)\1{7}/.test(value))
      return { rule, what, severity: 'low', start, end: index + length }
    return { rule, what, severity, start, end: index + length }
  }
  return undefined
}

const JWT = /eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{2,8000}\.[A-Za-z0-9_-]{10,2000}(?![A-Za-z0-9_-])/y

/** RFC 7519: three parts, the first a JSON header that names an algorithm. */
function jwt(text: string, start: number): Detection | undefined {
  JWT.lastIndex = start
  const token = JWT.exec(text)?.[0]
  if (token === undefined) return undefined
  const [header, payload] = token.split('.').map(decodeObject)
  if (typeof header?.['alg'] !== 'string' || payload === undefined) return undefined
  const serviceAccount = typeof payload['sub'] === 'string' && payload['sub'].startsWith('system:serviceaccount:')
  const what = serviceAccount ? 'the token of a service account' : 'a JSON web token'
  return { rule: 'jwt', what, severity: 'high', start, end: start + token.length }
}

function decodeObject(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const MAX_SCHEME = 24
const MAX_AUTHORITY = 2048
const AUTHORITY_END = /[\s"'<>`\\,;|/?#)\]}]/

/** `scheme://user:password@host`; the password alone is the secret. */
function urlCredentials(text: string, index: number): Detection | undefined {
  const scheme = /[a-z][a-z0-9+.-]*$/i.exec(text.slice(Math.max(0, index - MAX_SCHEME), index))?.[0]
  if (scheme === undefined) return undefined
  const rest = text.slice(index + 3, index + 3 + MAX_AUTHORITY)
  const colon = rest.indexOf(':')
  if (colon < 0) return undefined
  const user = rest.slice(0, colon)
  if (AUTHORITY_END.test(user) || user.includes('@')) return undefined
  const end = endOfPassword(rest, colon + 1)
  const password = end < 0 ? '' : rest.slice(colon + 1, end)
  if (password === '' || isReference(password)) return undefined
  // `image: docker://host:port@digest` and the like have no user.
  if (user === '' && !/redis|amqp|mongo|mysql|postgres/i.test(scheme)) return undefined
  const start = index + 3 + colon + 1
  const low = isPlaceholder(password) || /^(?:pass|password|pw|pwd|passwd)$/i.test(password)
  return {
    rule: 'url-credentials',
    what: `a password in a ${scheme.toLowerCase()} address`,
    severity: low ? 'low' : 'high',
    start,
    end: start + password.length,
  }
}

/** The '@' before the host; a bare '/' in the password is taken as the end of the address, as URL parsers do. */
function endOfPassword(rest: string, from: number): number {
  let last = -1
  for (let i = from; i < rest.length; i++) {
    const c = rest[i]!
    if (c === '@') last = i
    else if (c === '$' && (rest[i + 1] === '(' || rest[i + 1] === '{')) {
      // A reference may hold characters that would end the address.
      const close = rest.indexOf(rest[i + 1] === '(' ? ')' : '}', i)
      if (close < 0 || close - i > 200) break
      i = close
    } else if (AUTHORITY_END.test(c)) break
  }
  return last
}

const PEM_LABEL = /-----BEGIN ((?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?)-----/y
const MAX_PEM = 64 * 1024

function privateKey(text: string, start: number): Detection | undefined {
  if (text.startsWith('PuTTY', start)) {
    const end = upToNext(text, start, 'PuTTY-User-Key-File').indexOf('Private-MAC:')
    if (end < 0) return undefined
    return { rule: 'private-key', what: 'a PuTTY private key', severity: 'high', start, end: start + end + 12 }
  }
  PEM_LABEL.lastIndex = start
  const match = PEM_LABEL.exec(text)
  if (match === null) return undefined
  const label = match[1]!
  const window = upToNext(text, start, '-----BEGIN ')
  const close = window.indexOf(`-----END ${label}-----`)
  const length = close < 0 ? match[0].length : close + label.length + 14
  const kind = readPrivateKey(label, close < 0 ? undefined : window.slice(0, length))
  return kind === undefined ? undefined : { rule: 'private-key', ...kind, start, end: start + length }
}

/** The text from `start` to where the next such thing begins: what is looked at once is not looked at again. */
function upToNext(text: string, start: number, mark: string): string {
  const window = text.slice(start, start + MAX_PEM)
  const next = window.indexOf(mark, 1)
  return next < 0 ? window : window.slice(0, next)
}

/** Base64 of a PEM private key, as kubeconfigs and Secrets have it. */
function encodedPrivateKey(text: string, start: number): Detection | number {
  let end = start
  while (end < text.length && end - start < MAX_PEM && isBase64(text.charCodeAt(end))) end++
  const inner = Buffer.from(text.slice(start, end), 'base64').toString('latin1')
  const found = privateKey(inner, 0)
  return found === undefined ? end : { ...found, what: `${found.what} in base64`, start, end }
}

const isBase64 = (c: number): boolean =>
  (c >= 0x41 && c <= 0x5a) ||
  (c >= 0x61 && c <= 0x7a) ||
  (c >= 0x30 && c <= 0x39) ||
  c === 0x2b ||
  c === 0x2f ||
  c === 0x3d

const HTPASSWD =
  /(?:\{SHA\}[A-Za-z0-9+/]{27}=|\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53})/y

/** `user:hash` as htpasswd writes it. */
function passwordHash(text: string, start: number): Detection | undefined {
  HTPASSWD.lastIndex = start
  const hash = HTPASSWD.exec(text)?.[0]
  if (hash === undefined) return undefined
  return { rule: 'htpasswd', what: 'the hash of a password', severity: 'medium', start, end: start + hash.length }
}

const CREDENTIALS = /[A-Za-z0-9+/_.~:-]{8,4096}={0,2}/y

/** RFC 6750 and RFC 7617, as they stand in a header. */
function httpCredentials(text: string, index: number, anchor: string): Detection | undefined {
  let start = index + anchor.length
  while (text[start] === ' ') start++
  CREDENTIALS.lastIndex = start
  const value = CREDENTIALS.exec(text)?.[0]
  if (value === undefined || classifyValue(value) !== 'plain') return undefined
  const end = start + value.length
  if (/^basic/i.test(anchor)) {
    const pair = Buffer.from(value, 'base64').toString('latin1')
    if (!/^[\x20-\x7e]+:[\x20-\x7e]+$/.test(pair)) return undefined
    return { rule: 'basic-auth', what: 'a user and password in base64', severity: 'high', start, end }
  }
  // Words of a sentence are not tokens.
  if (!/[0-9]/.test(value) || (value.length < 16 && !/[A-Z]/.test(value))) return undefined
  const token = value.startsWith('eyJ') ? jwt(text, start) : undefined
  return token ?? { rule: 'bearer-token', what: 'a bearer token', severity: 'high', start, end }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hostKey, hostKeyLine, parseHostKeyLine, pinnedFingerprint } from './host-key.ts'
import { knownHosts, matchesHosts, parseKnownHosts } from './known-hosts.ts'
import { shellQuote } from './shell.ts'
import { formatSshTarget, knownHostsName, parseSshTarget } from './target.ts'

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKVEUg83kd3ZxXR3L8LNuvNJ9vUcVi1ObMrXXcXC4m1C'
const OTHER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8iDgTP3UvO5+Ro9NcEXXNE1FPYpAwRWmnbnuWpI7lk'

const matching: [hosts: string, name: string, matches: boolean][] = [
  ['a.example', 'a.example', true],
  ['A.Example', 'a.example', true],
  ['a.example', '[a.example]:2222', false],
  ['[a.example]:2222', '[a.example]:2222', true],
  ['[a.example]:2222', 'a.example', false],
  ['x,10.0.0.7', '10.0.0.7', true],
  ['*.example', 'a.example', true],
  ['*.example,!b.example', 'b.example', false],
  ['!b.example,*', 'b.example', false],
  ['!b.example', 'c.example', false],
  ['10.0.0.?', '10.0.0.7', true],
  ['10.0.0.?', '10.0.0.77', false],
  ['*', '[::1]:22', true],
  ['', 'a', false],
  ['a*b*c', 'a--b--c', true],
  ['a*b*c', 'a--b--', false],
]
for (const [hosts, name, matches] of matching)
  test(`known_hosts: ${JSON.stringify(hosts)} ${matches ? 'is' : 'is not'} ${name}`, () =>
    assert.equal(matchesHosts(hosts, name), matches))

test('known_hosts: patterns agree with regular expressions, and are never slow', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 12 })
  fc.assert(
    fc.property(
      letters,
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 12 }),
      (pattern, name) => {
        const regex = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
        assert.equal(matchesHosts(pattern, name), regex.test(name))
      },
    ),
  )
  assert.equal(matchesHosts(`${'a*'.repeat(500)}b`, 'a'.repeat(250)), false)
})

const broken: [text: string, reason: RegExp][] = [
  [`a.example ssh-ed25519`, /line 1: .*not a public key/],
  [`# x\na.example ssh-rsa ${KEY.split(' ')[1]}`, /line 2: it says ssh-rsa but holds/],
  [`@trusted a.example ${KEY}`, /line 1: unknown marker "@trusted"/],
  [`|2|abc|def ${KEY}`, /line 1: its hashed host/],
  [`a ${'x'.repeat(40_000)}`, /line 1 is longer/],
]
for (const [text, reason] of broken)
  test(`known_hosts is refused: ${reason.source}`, () =>
    assert.throws(() => knownHosts(text, 'f', { host: 'a', port: 22 }), new RegExp(`^Error: f: ${reason.source}`)))

test('known_hosts: a certificate authority is no host key, a key of @revoked is never accepted', () => {
  const verdict = (text: string) => knownHosts(text, 'f', { host: 'a', port: 22 }).check(parseHostKeyLine(KEY)).verdict
  assert.equal(verdict(`a ${KEY}`), 'accept')
  assert.equal(verdict(`@cert-authority a ${KEY}`), 'refuse')
  assert.equal(verdict(`a ${KEY}\n@revoked a ${KEY}`), 'refuse')
  assert.equal(verdict(`a ${KEY}\n@revoked a ${OTHER}`), 'accept')
  assert.equal(verdict(`a ${OTHER}`), 'refuse')
  assert.equal(verdict(''), 'refuse')
  assert.equal(parseKnownHosts(`\n# c\n a ${KEY} comment\n`).length, 1)
})

test('host keys: what is none is refused', () => {
  for (const blob of [Buffer.alloc(0), Buffer.alloc(4), Buffer.from([0, 0, 255, 255, 1])])
    assert.throws(() => hostKey(blob), /no type/)
  assert.equal(hostKeyLine(parseHostKeyLine(`${KEY} me@here`)), KEY)
  for (const text of ['', 'SHA256:abc', 'MD5:00:11', `SHA1:${'a'.repeat(43)}`])
    assert.throws(() => pinnedFingerprint(text), /is not a fingerprint/)
})

const targets: [text: string, shown: string, name: string][] = [
  ['root@10.0.0.7', 'root@10.0.0.7', '10.0.0.7'],
  ['10.0.0.7', 'root@10.0.0.7', '10.0.0.7'],
  ['ops@Host.Example:2222', 'ops@host.example:2222', '[host.example]:2222'],
  ['ops@[2001:db8::1]:2222', 'ops@[2001:db8::1]:2222', '[2001:db8::1]:2222'],
  ['ops@[2001:db8::1]', 'ops@[2001:db8::1]', '2001:db8::1'],
]
for (const [text, shown, name] of targets)
  test(`target ${text}`, () => {
    const target = parseSshTarget(text)
    assert.equal(formatSshTarget(target), shown)
    assert.equal(knownHostsName(target), name)
  })
for (const text of [
  '',
  'root@',
  '-oProxyCommand=x@host',
  'root@-oProxyCommand=x',
  'a b@c',
  'root@h:0',
  'root@h:70000',
  'root@h:x',
  'root@2001:db8::1:22x',
  'r@h/x',
])
  test(`target ${JSON.stringify(text)} is refused`, () => assert.throws(() => parseSshTarget(text), /is not user@host/))

test('shell words', () => {
  assert.equal(shellQuote('/opt/a-b.c'), '/opt/a-b.c')
  assert.equal(shellQuote(`it's $HOME`), `'it'\\''s $HOME'`)
  assert.equal(shellQuote(''), `''`)
  assert.throws(() => shellQuote('a\0b'))
})

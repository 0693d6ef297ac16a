import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { execCredentials } from './exec-credential.ts'
import { loadKubeconfig } from './kubeconfig.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'kubeconfig-test-'))
})
after(() => rmSync(directory, { recursive: true }))

function file(name: string, content: string | object): string {
  const path = join(directory, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

function config(user: object, cluster: object = {}, more: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'main',
    clusters: [
      {
        name: 'c',
        cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority-data': base64('CA'), ...cluster },
      },
    ],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
    ...more,
  }
}

describe('loadKubeconfig', () => {
  test('certificates as data', async () => {
    const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') }
    const loaded = await loadKubeconfig(file('data', config(user)))
    assert.deepEqual(
      [loaded.server.href, loaded.ca, loaded.context, loaded.namespace],
      ['https://127.0.0.1:6443/', 'CA', 'main', 'shop'],
    )
    assert.deepEqual(await loaded.credentialProvider!(false), { cert: 'CERT', key: 'KEY' })
  })

  test('files, relative to the kubeconfig, are read again when they were refused', async () => {
    mkdirSync(join(directory, 'pki'), { recursive: true })
    file('pki/ca', 'CA2')
    file('pki/token', 'one\n')
    file('pki/cert', 'CERT')
    file('pki/key', 'KEY')
    const cluster = {
      'certificate-authority-data': undefined,
      'certificate-authority': 'pki/ca',
      'tls-server-name': 'api',
    }
    const user = { tokenFile: 'pki/token', 'client-certificate': 'pki/cert', 'client-key': 'pki/key' }
    const loaded = await loadKubeconfig(file('files', config(user, cluster)))
    assert.deepEqual([loaded.ca, loaded.serverName], ['CA2', 'api'])
    assert.deepEqual(await loaded.credentialProvider!(false), { cert: 'CERT', key: 'KEY', token: 'one' })
    file('pki/token', 'two\n')
    assert.equal((await loaded.credentialProvider!(true)).token, 'two')
  })

  test('a context by name, impersonation, YAML', async () => {
    const yaml = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://h:1"}}]
users:
- name: u
  user: {token: t, as: alice, as-groups: [g], as-uid: "7", as-user-extra: {k: [v]}}
contexts: [{name: x, context: {cluster: c, user: u}}]
`
    const loaded = await loadKubeconfig(file('yaml', yaml), 'x')
    assert.deepEqual(loaded.impersonate, { user: 'alice', uid: '7', groups: ['g'], extra: { k: ['v'] } })
    assert.deepEqual(await loaded.credentialProvider!(false), { token: 't' })
    assert.equal(loaded.namespace, 'default')
  })

  test('of several files in KUBECONFIG the first that names a thing wins; missing ones do not matter', async () => {
    const first = file('first', { kind: 'Config', users: [{ name: 'u', user: { token: 'first' } }] })
    const second = file('second', config({ token: 'second' }))
    const env = { KUBECONFIG: [first, join(directory, 'missing'), second].join(delimiter) }
    const loaded = await loadKubeconfig(undefined, undefined, env)
    assert.equal((await loaded.credentialProvider!(false)).token, 'first')
    assert.equal(loaded.context, 'main')
  })

  const refused: [string, object | string, RegExp][] = [
    ['http', config({}, { server: 'http://h' }), /only https is spoken/],
    ['no address', config({}, { server: 'not a url' }), /is not a URL/],
    ['no verification', config({}, { 'insecure-skip-tls-verify': true }), /insecure-skip-tls-verify is refused/],
    ['a proxy', config({}, { 'proxy-url': 'http://p' }), /proxy-url is not supported/],
    ['passwords', config({ username: 'u', password: 'hunter2' }), /username is not supported/],
    ['auth-provider', config({ 'auth-provider': { name: 'x' } }), /auth-provider is not supported/],
    ['half a certificate', config({ 'client-certificate-data': base64('C') }), /belong together/],
    [
      'a missing file',
      config({ 'client-certificate': 'nowhere', 'client-key': 'nowhere' }),
      /client-certificate .*nowhere: ENOENT/,
    ],
    ['no such user', config({}, {}, { users: [] }), /no user "u"/],
    ['no current context', config({}, {}, { 'current-context': '' }), /no current-context/],
    ['another kind', { kind: 'Pod' }, /not a kubeconfig/],
    ['no YAML', 'token: "hunter2\n  x: [', /not YAML \(line \d+\)$/],
    ['exec of an unknown version', config({ exec: { command: 'x', apiVersion: 'v9' } }), /unknown apiVersion "v9"/],
  ]
  for (const [name, content, message] of refused)
    test(`refused: ${name}`, async () => {
      await assert.rejects(loadKubeconfig(file('refused', content)), (error: Error) => {
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /hunter2/)
        return true
      })
    })

  test('a file that is not there', async () => {
    await assert.rejects(loadKubeconfig(join(directory, 'none')), /no such file/)
    await assert.rejects(
      loadKubeconfig(undefined, undefined, { HOME: join(directory, 'nohome') }),
      /\.kube\/config: no such file/,
    )
    await assert.rejects(loadKubeconfig(file('ctx', config({})), 'other'), /no context "other" \(there are: main\)/)
  })
})

describe('exec credentials', () => {
  const v1 = 'client.authentication.k8s.io/v1'
  function plugin(name: string, script: string): string {
    const path = file(name, `#!/bin/sh\n${script}\n`)
    chmodSync(path, 0o700)
    return path
  }
  const credential = (status: string): string =>
    `echo '{"apiVersion":"${v1}","kind":"ExecCredential","status":${status}}'`

  test('runs beside the kubeconfig, keeps until it expires, runs again when refused', async () => {
    const script = `echo x >> "$COUNT"; printf '%s' "$KUBERNETES_EXEC_INFO" > "$COUNT.info"; ${credential('{"token":"\'"$1"\'","expirationTimestamp":"2030-01-01T00:00:00Z"}')}`
    plugin('plugin', script)
    const count = join(directory, 'count')
    const exec = {
      apiVersion: v1,
      command: './plugin',
      args: ['tok'],
      env: [{ name: 'COUNT', value: count }],
      provideClusterInfo: true,
      interactiveMode: 'Never',
    }
    const loaded = await loadKubeconfig(file('exec', config({ exec })))
    const runs = async (): Promise<number> => (await import('node:fs')).readFileSync(count, 'utf8').length / 2
    const both = await Promise.all([loaded.credentialProvider!(false), loaded.credentialProvider!(false)])
    assert.deepEqual(both[0], { token: 'tok' })
    await loaded.credentialProvider!(false)
    assert.equal(await runs(), 1)
    await loaded.credentialProvider!(true)
    assert.equal(await runs(), 2)
    const info = JSON.parse((await import('node:fs')).readFileSync(`${count}.info`, 'utf8'))
    assert.deepEqual(info, {
      apiVersion: v1,
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority-data': base64('CA') },
      },
    })
  })

  test('what has expired is fetched anew', async () => {
    let now = Date.parse('2026-01-01T00:00:00Z')
    const command = plugin(
      'expiring',
      `${credential('{"token":"\'"$(date +%N)"\'","expirationTimestamp":"2026-01-01T01:00:00Z"}')}`,
    )
    const provider = execCredentials(
      { apiVersion: v1, command, interactiveMode: 'Never' },
      { directory, cluster: {}, env: process.env, now: () => now },
    )
    const first = await provider(false)
    assert.equal(await provider(false), first)
    now += 3_700_000
    assert.notEqual(await provider(false), first)
  })

  const broken: [string, string, RegExp][] = [
    ['exits with an error', 'exit 3', /it exited with 3\nget it there/],
    ['prints no JSON', 'echo hunter2', /output is not JSON/],
    ['answers another kind', `echo '{"kind":"Secret"}'`, /not an ExecCredential/],
    ['gives nothing', credential('{}'), /neither a token nor a client certificate/],
    ['gives half a certificate', credential('{"clientCertificateData":"x"}'), /belong together/],
    ['prints without end', 'yes', /output is over/],
  ]
  for (const [name, script, message] of broken)
    test(`a plugin that ${name}`, async () => {
      const command = plugin('broken', script)
      const context = { directory, cluster: {}, env: process.env }
      const provider = execCredentials(
        { apiVersion: v1, command, installHint: 'get it there', interactiveMode: 'Never' },
        context,
      )
      await assert.rejects(
        async () => await provider(false),
        (error: Error) => {
          assert.match(error.message, message)
          assert.doesNotMatch(error.message, /hunter2/)
          return true
        },
      )
    })

  test('a plugin that is not there', async () => {
    const context = { directory, cluster: {}, env: process.env }
    const missing = execCredentials(
      { apiVersion: v1, command: 'no-such-plugin-anywhere', installHint: 'get it' },
      context,
    )
    await assert.rejects(async () => await missing(false), /no-such-plugin-anywhere: not found\nget it/)
  })
})

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '../api/object.ts'
import type { UserInfo } from '../authn/types.ts'
import type { Attributes } from '../authz/types.ts'
import { compilePolicy } from './compiled-policy.ts'
import { AuditLog, type AuditLogOptions } from './log-file.ts'
import { parseAuditPolicy } from './policy.ts'
import type { AuditRecord } from './types.ts'

const alice: UserInfo = { name: 'alice', groups: ['dev', 'system:authenticated'] }
const request = (over: Partial<Extract<Attributes, { resourceRequest: true }>> = {}): Attributes => ({
  resourceRequest: true,
  user: alice,
  verb: 'create',
  apiGroup: '',
  apiVersion: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'shop',
  name: 'web',
  ...over,
})
const url = (path: string): Attributes => ({ resourceRequest: false, user: alice, verb: 'get', path })

const policy = (rules: string): string => `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n${rules}`

const ROWS: [name: string, rules: string, attributes: Attributes, level: string][] = [
  ['first match wins', '- {level: None, users: [alice]}\n- {level: Request}', request(), 'None'],
  ['other user', '- {level: None, users: [bob]}\n- {level: Request}', request(), 'Request'],
  ['group', '- {level: Metadata, userGroups: [dev]}', request(), 'Metadata'],
  ['verb', '- {level: Metadata, verbs: [delete]}', request(), 'None'],
  ['resource', '- {level: Request, resources: [{resources: [pods]}]}', request(), 'Request'],
  [
    'resource is not its subresource',
    '- {level: Request, resources: [{resources: [pods]}]}',
    request({ subresource: 'log' }),
    'None',
  ],
  [
    'subresource',
    '- {level: Request, resources: [{resources: [pods/log]}]}',
    request({ subresource: 'log' }),
    'Request',
  ],
  [
    'any subresource',
    '- {level: Request, resources: [{resources: ["pods/*"]}]}',
    request({ subresource: 'log' }),
    'Request',
  ],
  [
    'a resource with a star is the resource too',
    '- {level: Request, resources: [{resources: ["pods/*"]}]}',
    request(),
    'Request',
  ],
  [
    'a subresource of any resource',
    '- {level: Request, resources: [{resources: ["*/scale"]}]}',
    request({ subresource: 'scale' }),
    'Request',
  ],
  [
    'a subresource of any resource is not the resource',
    '- {level: Request, resources: [{resources: ["*/scale"]}]}',
    request(),
    'None',
  ],
  ['everything', '- {level: Request, resources: [{resources: ["*"]}]}', request({ subresource: 'log' }), 'Request'],
  ['a group without resources is all of it', '- {level: Request, resources: [{group: ""}]}', request(), 'Request'],
  [
    'one of several groups',
    '- {level: Request, resources: [{group: apps}, {group: "", resources: [pods]}]}',
    request(),
    'Request',
  ],
  [
    'a name of the list',
    '- {level: Request, resources: [{resources: [pods], resourceNames: [db, web]}]}',
    request(),
    'Request',
  ],
  ['all conditions at once', '- {level: Metadata, users: [alice], verbs: [get]}', request(), 'None'],
  ['another namespace', '- {level: Request, namespaces: [bank]}', request(), 'None'],
  ['resources are no URLs', '- {level: Request, namespaces: [shop]}', url('/version'), 'None'],
  ['url', '- {level: Metadata, nonResourceURLs: [/version]}', url('/version'), 'Metadata'],
  ['url below', '- {level: Metadata, nonResourceURLs: [/version]}', url('/version/x'), 'None'],
  ['configmaps never above Metadata', '- {level: Request}', request({ resource: 'configmaps' }), 'Metadata'],
  ['secrets may be left out', '- {level: None}', request({ resource: 'secrets' }), 'None'],
  [
    'secrets of another group are other secrets',
    '- {level: Request}',
    request({ apiGroup: 'example.org', resource: 'secrets' }),
    'Request',
  ],
  ['group of the resource', '- {level: Request, resources: [{group: apps}]}', request(), 'None'],
  ['namespace', '- {level: Request, namespaces: [shop]}', request(), 'Request'],
  [
    'cluster scope is the empty namespace',
    '- {level: Request, namespaces: [""]}',
    request({ namespace: '' }),
    'Request',
  ],
  ['resource names', '- {level: Request, resources: [{resources: [pods], resourceNames: [db]}]}', request(), 'None'],
  ['url prefix', '- {level: Metadata, nonResourceURLs: ["/api*"]}', url('/apis/apps'), 'Metadata'],
  ['url is no resource', '- {level: Metadata, nonResourceURLs: ["*"]}', request(), 'None'],
  ['secrets never above Metadata', '- {level: RequestResponse}', request({ resource: 'secrets' }), 'Metadata'],
  [
    'nor token requests',
    '- {level: RequestResponse}',
    request({ resource: 'serviceaccounts', subresource: 'token' }),
    'Metadata',
  ],
  [
    'nor token reviews',
    '- {level: Request}',
    request({ apiGroup: 'authentication.k8s.io', resource: 'tokenreviews' }),
    'Metadata',
  ],
  ['service accounts may be', '- {level: Request}', request({ resource: 'serviceaccounts' }), 'Request'],
]
for (const [name, rules, attributes, level] of ROWS)
  test(`policy: ${name}`, () =>
    assert.equal(compilePolicy(parseAuditPolicy(policy(rules)))(attributes, alice).level, level))

const BROKEN: [text: string, place: RegExp][] = [
  ['kind: Policy', /apiVersion/],
  [policy('- {level: Loud}'), /policy\.rules\[0\]\.level/],
  [policy('- {level: None}\n- {level: None, nope: 1}'), /policy\.rules\[1\]\.nope/],
  [policy('- {level: None, resources: [{resourceNames: [a]}]}'), /policy\.rules\[0\]\.resources\[0\]\.resourceNames/],
  [policy('- {level: None, nonResourceURLs: ["/a*b"]}'), /nonResourceURLs/],
  [policy('- {level: None, omitStages: [Never]}'), /omitStages/],
  ['', /policy: must be a map/],
  ['apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []', /policy\.rules: must hold at least one rule/],
  ['apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\nextra: 1', /policy\.extra: unknown field/],
  [
    'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\nomitManagedFields: 1',
    /policy\.omitManagedFields/,
  ],
  ['apiVersion: audit.k8s.io/v1\nkind: Policy\nkind: Policy\nrules: [{level: None}]', /duplicated mapping key/],
  [policy('- {level: None, users: alice}'), /policy\.rules\[0\]\.users: must be a list/],
  [policy('- {level: None, resources: [{group: apps/v1}]}'), /policy\.rules\[0\]\.resources\[0\]\.group/],
  [policy('- {level: None, resources: [{kind: Pod}]}'), /policy\.rules\[0\]\.resources\[0\]\.kind/],
  [policy('- {level: None, namespaces: [a], nonResourceURLs: [/a]}'), /not both/],
  [policy('- {level: None, nonResourceURLs: [a]}'), /must begin with/],
]
for (const [text, place] of BROKEN)
  test(`policy refused: ${place.source}`, () => assert.throws(() => parseAuditPolicy(text), place))

function record(over: Partial<AuditRecord> = {}): AuditRecord {
  return {
    auditID: 'id',
    stage: 'ResponseComplete',
    requestURI: '/api/v1/namespaces/shop/pods',
    verb: 'create',
    user: alice,
    sourceIPs: ['127.0.0.1'],
    userAgent: 'test',
    attributes: request(),
    code: 201,
    receivedAt: 0,
    now: 1,
    annotations: {},
    requestObject: { a: 1 },
    responseObject: { b: 2 },
    ...over,
  }
}

test('log: events in order, bodies by level, file for its owner only, rotation by size', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  const log = new AuditLog({
    file,
    policy: { rules: [{ level: 'RequestResponse' }] },
    clock: { now: Date.now },
    log: () => undefined,
    maxBytes: 2000,
    maxFiles: 2,
  })
  log.record('Metadata', record({ auditID: 'one' }))
  log.record('RequestResponse', record({ auditID: 'two' }))
  // Events that come together are written together: what counts is that the file has been rotated twice.
  for (let i = 0; i < 5000 && readdirSync(folder).length < 3; i++) {
    log.record('Metadata', record({ auditID: `more-${i}` }))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await log.close()
  const names = readdirSync(folder).sort()
  assert.equal(names.length, 3, names.join())
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const events = names.flatMap((name) =>
    readFileSync(join(folder, name), 'utf8')
      .split('\n')
      .filter((l) => l !== '')
      .map((l) => JSON.parse(l)),
  )
  assert.ok(events.every((e) => e.kind === 'Event' && e.apiVersion === 'audit.k8s.io/v1'))
  assert.equal(log.dropped, 0)
  rmSync(folder, { recursive: true })
})

test('log: bodies stand only where the level holds them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  const log = new AuditLog({
    file,
    policy: { rules: [{ level: 'RequestResponse' }] },
    clock: { now: Date.now },
    log: () => undefined,
  })
  for (const level of ['Metadata', 'Request', 'RequestResponse'] as const) log.record(level, record())
  await log.close()
  const events = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l))
  assert.deepEqual(
    events.map((e) => ['requestObject' in e, 'responseObject' in e]),
    [
      [false, false],
      [true, false],
      [true, true],
    ],
  )
  rmSync(folder, { recursive: true })
})

/** A log in a folder of its own; `lines` closes it and reads what it wrote. */
function scratch(over: Partial<AuditLogOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  const said: string[] = []
  const log = new AuditLog({
    file,
    policy: { rules: [{ level: 'RequestResponse' }] },
    clock: { now: Date.now },
    log: (_level, message, fields) => said.push(`${message}: ${String(fields?.['reason'])}`),
    ...over,
  })
  const lines = async (): Promise<JsonObject[]> => {
    await log.close()
    const text = readFileSync(file, 'utf8')
    rmSync(folder, { recursive: true })
    return text
      .split('\n')
      .filter((l) => l !== '')
      .map((l) => JSON.parse(l))
  }
  return { log, lines, said, folder, file }
}

test('log: no body of what may hold secrets, whatever level the caller names', async () => {
  const { log, lines } = scratch({ metadataOnly: ['iam.rampart.dev/accesskeys'] })
  for (const attributes of [
    request({ resource: 'secrets' }),
    request({ resource: 'configmaps' }),
    request({ resource: 'serviceaccounts', subresource: 'token' }),
    request({ apiGroup: 'authentication.k8s.io', resource: 'tokenreviews' }),
    request({ apiGroup: 'iam.rampart.dev', resource: 'accesskeys' }),
  ])
    log.record(
      'RequestResponse',
      record({ attributes, requestObject: { data: 'hunter2' }, responseObject: { data: 'hunter2' } }),
    )
  const events = await lines()
  assert.equal(events.length, 5)
  assert.ok(!JSON.stringify(events).includes('hunter2'))
  assert.ok(events.every((e) => e['level'] === 'Metadata'))
})

test('log: an event as Kubernetes writes it', async () => {
  const { log, lines } = scratch()
  log.record(
    'Metadata',
    record({
      receivedAt: Date.parse('2026-06-01T00:00:00.123Z'),
      now: Date.parse('2026-06-01T00:00:00.456Z'),
      impersonatedUser: { name: 'bob', groups: ['g'], uid: 'u', extra: { k: ['v'] } },
      code: 403,
      reason: 'Forbidden',
      message: 'no',
      attributes: request({ apiGroup: 'apps', resource: 'deployments', subresource: 'scale' }),
      annotations: { 'authorization.k8s.io/decision': 'forbid' },
    }),
  )
  assert.deepEqual(await lines(), [
    {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'Metadata',
      auditID: 'id',
      stage: 'ResponseComplete',
      requestURI: '/api/v1/namespaces/shop/pods',
      verb: 'create',
      user: { username: 'alice', groups: ['dev', 'system:authenticated'] },
      impersonatedUser: { username: 'bob', uid: 'u', groups: ['g'], extra: { k: ['v'] } },
      sourceIPs: ['127.0.0.1'],
      userAgent: 'test',
      objectRef: {
        resource: 'deployments',
        namespace: 'shop',
        name: 'web',
        apiGroup: 'apps',
        apiVersion: 'v1',
        subresource: 'scale',
      },
      responseStatus: { metadata: {}, status: 'Failure', reason: 'Forbidden', message: 'no', code: 403 },
      requestReceivedTimestamp: '2026-06-01T00:00:00.123000Z',
      stageTimestamp: '2026-06-01T00:00:00.456000Z',
      annotations: { 'authorization.k8s.io/decision': 'forbid' },
    },
  ])
})

test('log: managed fields are left out when the policy says so', async () => {
  const { log, lines } = scratch({ policy: { omitManagedFields: true, rules: [{ level: 'Request' }] } })
  log.record('Request', record({ requestObject: { metadata: { name: 'a', managedFields: [] } } }))
  assert.deepEqual((await lines())[0]!['requestObject'], { metadata: { name: 'a' } })
})

test('log: text from outside cannot begin a line of its own', async () => {
  const { log, lines } = scratch()
  log.record('Metadata', record({ userAgent: 'x"}\n{"kind":"Event"}', requestURI: '/a\r\nb\u2028' }))
  const events = await lines()
  assert.equal(events.length, 1)
  assert.equal(events[0]!['userAgent'], 'x"}\n{"kind":"Event"}')
})

test('log: beyond its bound it drops, counts and says so once', async () => {
  const { log, lines, said } = scratch({ maxQueueBytes: 2000 })
  for (let i = 0; i < 100; i++) log.record('Metadata', record())
  const kept = await lines()
  assert.ok(kept.length > 0 && kept.length < 100)
  assert.equal(log.dropped, 100 - kept.length)
  assert.deepEqual(said, ['audit events are lost: the disk is too slow'])
})

test('log: what cannot be written as JSON, or comes after the end, is dropped and harms nobody', async () => {
  const { log, lines } = scratch()
  const loop: JsonObject = {}
  loop['loop'] = loop
  log.record('Request', record({ requestObject: loop }))
  log.record('Metadata', record({ auditID: 'good' }))
  const events = await lines()
  assert.deepEqual(
    events.map((e) => e['auditID']),
    ['good'],
  )
  log.record('Metadata', record())
  assert.equal(log.dropped, 2)
  await log.close()
})

test('log: a disk that is full loses events, never requests, and is reported once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  const program = `
    import { AuditLog } from ${JSON.stringify(new URL('./log-file.ts', import.meta.url).href)}
    const said = []
    const log = new AuditLog({
      file: ${JSON.stringify(file)},
      policy: { rules: [{ level: 'Metadata' }] },
      clock: { now: Date.now },
      log: (_level, message, fields) => said.push(message + ': ' + fields.reason),
    })
    const record = ${JSON.stringify(record())}
    for (let turn = 0; turn < 5; turn++) {
      for (let i = 0; i < 10; i++) log.record('Metadata', record)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await log.close()
    console.log(JSON.stringify({ said, dropped: log.dropped }))
  `
  // No file may grow beyond 1 KiB (`ulimit -f` counts 512 or 1024 bytes): writes fail as on a full disk.
  const shell = `trap '' XFSZ; ulimit -f 1; exec "$0" --input-type=module -e "$1"`
  const out = JSON.parse(execFileSync('sh', ['-c', shell, process.execPath, program], { encoding: 'utf8' }))
  assert.ok(out.dropped >= 40, String(out.dropped))
  assert.equal(out.said.length, 1)
  assert.match(out.said[0], /audit events are lost: EFBIG/)
  rmSync(folder, { recursive: true })
})

test('log: what a process left half written does not spoil the next line', async () => {
  const { log, lines, file } = scratch()
  await log.close()
  writeFileSync(file, '{"half":')
  const again = new AuditLog({ file, policy: { rules: [] }, clock: { now: Date.now }, log: () => undefined })
  again.record('Metadata', record({ auditID: 'next' }))
  await again.close()
  const last = readFileSync(file, 'utf8').trim().split('\n').at(-1)!
  assert.equal(JSON.parse(last).auditID, 'next')
  writeFileSync(file, '')
  await lines()
})

test('log: rotated files that are too old are removed at the next start', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  writeFileSync(`${file}.2020-01-01T00-00-00-000Z-0000`, '')
  utimesSync(`${file}.2020-01-01T00-00-00-000Z-0000`, 0, 0)
  writeFileSync(`${file}.2026-01-01T00-00-00-000Z-0000`, '')
  const log = new AuditLog({ file, policy: { rules: [] }, clock: { now: Date.now }, log: () => undefined })
  await log.close()
  assert.deepEqual(readdirSync(folder).sort(), ['audit.log', 'audit.log.2026-01-01T00-00-00-000Z-0000'])
  rmSync(folder, { recursive: true })
})

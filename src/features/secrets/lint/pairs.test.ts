import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { examineCommandLine } from './command-line.ts'
import { examineText } from './config-text.ts'
import { inspect } from './inspect.ts'
import { findPairs } from './pairs.ts'

const found = (text: string): string[] => findPairs(text).map((d) => text.slice(d.start, d.end))

describe('names and values within a text', () => {
  const rows: [text: string, ...secrets: string[]][] = [
    ['host=db user=app password=Zx9kQ2pL dbname=app', 'Zx9kQ2pL'],
    ["host=db password='Zx9 kQ2pL'", 'Zx9 kQ2pL'],
    ['jdbc:postgresql://db:5432/app?user=app&password=Zx9kQ2pL&ssl=true', 'Zx9kQ2pL'],
    ['Server=db;Database=app;User Id=sa;Password=Zx9kQ2pL!;', 'Zx9kQ2pL!'],
    ['Server=db;Pwd = "Zx9kQ2pL"', 'Zx9kQ2pL'],
    ['-Xmx1g -Dspring.datasource.password=Zx9kQ2pL -Dx=y', 'Zx9kQ2pL'],
    ['/health?token=Zx9kQ2pL77aa', 'Zx9kQ2pL77aa'],
    ['password=Zx9kQ2pL,sslmode=off,api_key=9f8e7d6c5b4a', 'Zx9kQ2pL', '9f8e7d6c5b4a'],
    ['-Djavax.net.ssl.trustStorePassword=changeit'],
    [`password=$(DB_PASSWORD) token=$${'{TOKEN}'} secret={{ .Values.secret }}`],
    ['password == "Zx9kQ2pL"'],
    ['tokenExpiry=3600&passwordPolicy=strong&password_file=/run/pw'],
    ['mypassword policy: password=required'],
    ['?token='],
    ['===password===x'],
  ]
  for (const [text, ...secrets] of rows) it(text, () => assert.deepEqual(found(text), secrets))

  it('lie within arbitrary text, and take linear time', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const { start, end } of findPairs(text)) assert.ok(0 <= start && start < end && end <= text.length)
      }),
    )
    assert.equal(findPairs(' password=a'.repeat(200_000)).length, 0)
    assert.equal(findPairs(`${'a'.repeat(1_000_000)}=${'='.repeat(1_000_000)}`).length, 0)
  })

  it('are found in variables, probes, fields of custom resources and kustomizations', () => {
    const env = (value: string): object => ({
      containers: [{ name: 'c', env: [{ name: 'JAVA_OPTS', value }], livenessProbe: {} }],
    })
    const rows: [object: object, fields: number][] = [
      [{ kind: 'Pod', spec: env('-Dspring.datasource.password=Zx9kQ2pL') }, 1],
      [{ kind: 'Pod', spec: env('-Dspring.datasource.password=$(DB_PASSWORD)') }, 0],
      [{ kind: 'Pod', spec: { containers: [{ livenessProbe: { httpGet: { path: '/h?token=Zx9kQ2pL77aa' } } }] } }, 1],
      [{ kind: 'Kustomization', secretGenerator: [{ name: 's', literals: ['password=Zx9kQ2pL', 'user=x'] }] }, 1],
      [{ kind: 'Database', spec: { url: 'jdbc:mysql://db/app?user=u&password=Zx9kQ2pL' } }, 1],
    ]
    for (const [object, count] of rows) {
      const { leaks } = inspect({ apiVersion: 'v1', metadata: { name: 'x' }, ...object } as Parameters<
        typeof inspect
      >[0])
      assert.equal(leaks.length, count, JSON.stringify(object))
    }
  })

  it('are found on command lines', () => {
    const rows: [elements: string[], ...secrets: string[]][] = [
      [['psql', 'host=db password=Zx9kQ2pL'], 'Zx9kQ2pL'],
      [['sh', '-c', 'psql "host=db password=Zx9kQ2pL"'], 'Zx9kQ2pL'],
      [['sh', '-c', 'curl "https://x/y?token=Zx9kQ2pL77aa"'], 'Zx9kQ2pL77aa'],
      [['java', '-Dspring.datasource.url=jdbc:mysql://db/app?password=Zx9kQ2pL'], 'Zx9kQ2pL'],
      [['curl', '-uadmin:Zx9kQ2pL', 'https://x'], 'Zx9kQ2pL'],
      [['curl', '-u', 'admin:Zx9kQ2pL', 'https://x'], 'Zx9kQ2pL'],
      [['curl', '-uadmin', '--url', 'https://x:8080/']],
      [['sh', '-c', 'psql "host=db password=$PW"']],
    ]
    for (const [elements, ...secrets] of rows)
      assert.deepEqual(
        examineCommandLine(elements).map((d) => elements[d.element]!.slice(d.start, d.end)),
        secrets,
        elements.join(' '),
      )
  })

  it('are found in configuration files', () => {
    const rows: [file: string, text: string, ...secrets: string[]][] = [
      [
        'application.properties',
        'a=b\nspring.datasource.url=jdbc:mysql://db/app?user=u&password=Zx9kQ2pL\n',
        'Zx9kQ2pL',
      ],
      ['application.yaml', 'a: b\nurl: jdbc:mysql://db/app?user=u&password=Zx9kQ2pL\n', 'Zx9kQ2pL'],
      ['appsettings.json', '{"ConnectionStrings": {"x": "Server=db;Password=Zx9kQ2pL;"}}', 'Zx9kQ2pL'],
      [
        'web.config',
        '<a>\n<add key="ApiKey" value="9f8e7d6c5b4a3928170699" />\n<add name="x" connectionString="Server=a;Password=Zx9kQ2pL;" />\n',
        '9f8e7d6c5b4a3928170699',
        'Zx9kQ2pL',
      ],
      ['.pgpass', '# host:port\ndb:5432:app:app:Zx9kQ2pL\n*:*:*:o\\:ther:Kd83jd7x\n', 'Zx9kQ2pL', 'Kd83jd7x'],
      ['app.py', 'import os\nconnect(host=db, password=db_password)\nconnect(password=cfg.password)\n'],
      ['run.sh', `set -e\nexport DB_PASS="$${'{DB_PASS:?missing}'}"\nmysql --password="$PASSWORD"\n`],
    ]
    for (const [file, text, ...secrets] of rows)
      assert.deepEqual(
        examineText(file, text).map((d) => text.slice(d.start, d.end)),
        secrets,
        file,
      )
  })
})

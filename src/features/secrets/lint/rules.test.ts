// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are shell and configuration
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { base64, CREDENTIALS, ecKey, hex, jwt, letters } from './credentials.fixture.ts'
import { examineObject } from './findings.ts'
import type { Severity } from './types.ts'

const pod = (container: object, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', ...metadata },
  spec: { containers: [{ name: 'web', image: 'web:1', ...container }] },
})
const configMap = (data: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'c' },
  data,
})
const rules = (object: KubeObject): string[] => examineObject(object).leaks.map((leak) => leak.rule)
const severities = (object: KubeObject): Severity[] => examineObject(object).leaks.map((leak) => leak.severity)

describe('credentials of known shape, wherever they stand', () => {
  for (const [rule, value] of CREDENTIALS)
    test(`${rule}: ${value.slice(0, 3)}…`, () => {
      assert.deepEqual(rules(pod({ env: [{ name: 'SETTING', value }] })), [rule], 'environment')
      assert.deepEqual(rules(pod({ args: [`--setting=${value}`] })), [rule], 'argument')
      assert.deepEqual(rules(configMap({ setting: value })), [rule], 'ConfigMap')
      assert.deepEqual(
        rules(configMap({ 'a.txt': `# notes\n\nsome text ${value}\nmore text\n` })),
        [rule],
        'within text',
      )
      assert.deepEqual(rules(pod({}, { annotations: { note: value } })), [rule], 'annotation')
      const custom = {
        apiVersion: 'example.com/v1',
        kind: 'Widget',
        metadata: { name: 'w' },
        spec: { deep: [{ value }] },
      }
      assert.deepEqual(rules(custom), [rule], 'custom resource')
    })
})

describe('near-misses of known shapes', () => {
  const rows: [string, string][] = [
    ['AWS key id that goes on', `AK${'IA'}${'A2B3C4D5E6F7G2H3'}XYZ`],
    ['AWS key id with 0 and 1', `AK${'IA'}0123456701234567`],
    ['a word that contains one', `pre${'gh'}p_${letters(36)}`],
    ['a short GitHub token', `gh${'p'}_${letters(20)}`],
    ['three parts that are no JWT', `eyJ${letters(20)}.eyJ${letters(20)}.${letters(20)}`],
    ['a JWT header alone', jwt().split('.')[0]!],
    ['an image digest', `registry/web@sha256:${hex(64)}`],
    ['a Git commit', hex(40)],
    ['a UID', '7f3c2c1e-8d55-4c2b-9a51-0a1b2c3d4e5f'],
    ['a subresource integrity hash', `sha384-${letters(64)}`],
    ['a checksum', hex(64)],
    ['a URL with a port', 'http://web.shop:8080/path'],
    ['a URL with a user only', 'ssh://git@github.com:22/org/repo'],
    ['a URL whose password is a variable', 'postgres://shop:$(DB_PASSWORD)@db/shop'],
    ['a URL whose password is a template', 'postgres://shop:${DB_PASSWORD}@db/shop'],
    ['a URL with an @ in its path', 'https://example.com:443/@scope/pkg'],
    ['a URL with a masked password', 'postgres://shop:****@db/shop'],
    ['an address list', 'tcp://a:1,tcp://b:2'],
    ['Bearer of a variable', 'Bearer $(TOKEN)'],
    ['Bearer in a sentence', 'Bearer authentication is supported'],
    ['basic in a sentence', 'uses basic authentication everywhere'],
    ['a certificate', `-----BEGIN CERTIFICATE-----\n${letters(64)}\n-----END CERTIFICATE-----`],
    ['a public key', `-----BEGIN PUBLIC KEY-----\n${letters(64)}\n-----END PUBLIC KEY-----`],
    ['a base64 certificate', base64(`-----BEGIN CERTIFICATE-----\n${letters(64)}`)],
    ['a private key left out', '-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----'],
    ['a private key as a template', '-----BEGIN PRIVATE KEY-----\n{{ .Values.key }}\n-----END PRIVATE KEY-----'],
    ['an SK prefix', 'SKU-1234'],
    ['a pull policy', 'IfNotPresent'],
    ['an SSH public key', `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${letters(43)} me@host`],
    ['a bcrypt prefix', 'admin:$2y$10$short'],
  ]
  for (const [what, value] of rows)
    test(what, () => {
      assert.deepEqual(rules(pod({ env: [{ name: 'SETTING', value }] })), [])
      assert.deepEqual(rules(pod({}, { annotations: { note: value } })), [])
      assert.deepEqual(rules(configMap({ setting: value })), [])
    })
})

describe('names that mean secrets', () => {
  const found: [string, string, Severity][] = [
    ['PASSWORD', 'Tr0ub4dor&3x', 'high'],
    ['DB_PASSWORD', 'hunter2', 'medium'],
    ['MYSQL_ROOT_PASSWORD', 'S3cretRootPw', 'high'],
    ['MYSQL_PWD', 'q9w8e7r6', 'high'],
    ['DB_PASS', 'q9w8e7r6', 'high'],
    ['PGPASSWORD', 'q9w8e7r6', 'high'],
    ['dbPassword', 'q9w8e7r6', 'high'],
    ['db-password', 'q9w8e7r6', 'high'],
    ['db.password', 'q9w8e7r6', 'high'],
    ['spring.datasource.password', 'q9w8e7r6', 'high'],
    ['REDIS_PASSWORD_MASTER', 'q9w8e7r6', 'high'],
    ['PASSWORD2', 'q9w8e7r6', 'high'],
    ['PASSPHRASE', 'correct horse battery staple 9', 'high'],
    ['API_KEY', letters(24), 'high'],
    ['apiKey', letters(24), 'high'],
    ['APIKey', letters(24), 'high'],
    ['APIKEY', letters(24), 'high'],
    ['X_API_KEY', letters(24), 'high'],
    ['ACCESS_TOKEN', letters(24), 'high'],
    ['authToken', letters(24), 'high'],
    ['GITHUB_TOKEN', 'q9w8e7r6', 'high'],
    ['SLACK_BOT_TOKEN', 'q9w8e7r6', 'high'],
    ['CLIENT_SECRET', letters(24), 'high'],
    ['clientSecret', letters(24), 'high'],
    ['JWT_SECRET', 'someLongSigningValue1', 'high'],
    ['AWS_SECRET_ACCESS_KEY', letters(40), 'high'],
    ['SECRET_KEY', letters(24), 'high'],
    ['secretKey', letters(24), 'high'],
    ['PRIVATE_KEY', letters(64), 'high'],
    ['ENCRYPTION_KEY', hex(32), 'high'],
    ['APP_KEY', `base64:${letters(43)}=`, 'high'],
    ['STORAGE_ACCOUNT_KEY', `${letters(86)}==`, 'high'],
    ['CREDENTIALS', 'q9w8e7r6Q', 'high'],
    ['ADMIN_CREDS', 'admin:q9w8e7', 'high'],
    ['COOKIE_SECRET', letters(32), 'high'],
    ['WEBHOOK_SECRET', letters(32), 'high'],
    ['REQUIREPASS', 'q9w8e7r6', 'high'],
    ['_authToken', letters(24), 'high'],
    ['PASSWORD', 'changeme', 'low'],
    ['PASSWORD', 'change-me-please', 'low'],
    ['PASSWORD', 'password', 'low'],
    ['PASSWORD', 'password123', 'low'],
    ['PASSWORD', 'admin', 'low'],
    ['PASSWORD', '123456', 'low'],
    ['PASSWORD', '20231124', 'low'],
    ['POSTGRES_PASSWORD', 'postgres', 'low'],
    ['API_TOKEN', 'your-api-token-here', 'low'],
    ['DB_PASSWORD', '${DB_PASSWORD:-q9w8e7r6}', 'medium'],
    ['SIGNING_SEED', hex(64), 'medium'],
    ['SESSION', letters(40), 'medium'],
  ]
  for (const [name, value, severity] of found)
    test(`${name}=${value.slice(0, 12)}`, () => {
      assert.deepEqual(severities(pod({ env: [{ name, value }] })), [severity])
    })
})

describe('names and values that are no secrets', () => {
  const rows: [string, string][] = [
    ['PASSWORD_FILE', '/run/secrets/q9w8e7r6'],
    ['PASSWORD_FILE', 'q9w8e7r6Q'],
    ['TOKEN_PATH', 'q9w8e7r6Q'],
    ['tokenExpirySeconds', '3600'],
    ['TOKEN_TTL', '15m'],
    ['secretName', 'web-tls'],
    ['passwordPolicy', 'strong1234'],
    ['PUBLIC_KEY', letters(64)],
    ['PASSWORD_MIN_LENGTH', '12'],
    ['PASSWORD', 'true'],
    ['PASSWORD', ''],
    ['PASSWORD', '12'],
    ['PASSWORD', '$(DB_PASSWORD)'],
    ['PASSWORD', '${DB_PASSWORD}'],
    ['PASSWORD', '$DB_PASSWORD'],
    ['PASSWORD', '{{ .Values.password }}'],
    ['PASSWORD', '<redacted>'],
    ['PASSWORD', '<password>'],
    ['PASSWORD', '********'],
    ['PASSWORD', 'REDACTED'],
    ['PASSWORD', 'xxxxxxxx'],
    ['PASSWORD', 'vault://secret/data/db#password'],
    ['PASSWORD', 'vault:secret/data/db#password'],
    ['PASSWORD', 'ref+awssecrets://db/password'.replace('awssecrets', 'awssm')],
    ['PASSWORD', 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:db'],
    ['PASSWORD', 'projects/p/secrets/db/versions/1'],
    ['PASSWORD', 'op://vault/db/password'],
    ['PASSWORD', `ENC[AES256_GCM,data:${letters(20)}]`],
    ['PASSWORD', '/run/secrets/db'],
    ['PASSWORD', './secrets/db.txt'],
    ['PASSWORD', 'file:///etc/db'],
    ['PASSWORD', 'DB_PASSWORD'],
    ['PASSWORD', '%DB_PASSWORD%'],
    ['PASSWORD', '__DB_PASSWORD__'],
    ['PASSWORD', 'none'],
    ['DISABLE_PASSWORD_AUTH', 'q9w8e7r6'],
    ['USE_TOKEN', 'q9w8e7r6'],
    ['MAX_TOKENS', '4096'],
    ['MAX_TOKEN', '200000'],
    ['TOKENIZER', 'cl100k_base'],
    ['TOKEN_URL', 'https://idp.example.com/token'],
    ['TOKEN_ENDPOINT', '/oauth/token'],
    ['API_KEY_HEADER', 'X-Api-Key'],
    ['SECRET_NAME', 'web-tls-1a2b3c4d'],
    ['auth-secret', 'basic-auth'],
    ['existingSecret', 'web-credentials'],
    ['secretKey', 'db-password'],
    ['existingSecretPasswordKey', 'redis-password'],
    ['CACHE_KEY', letters(32)],
    ['PARTITION_KEY', letters(32)],
    ['COMMIT_SHA', hex(40)],
    ['CONFIG_HASH', hex(64)],
    ['checksum/secret', hex(64)],
    ['BUILD_ID', letters(32)],
    ['TLS_CERT', letters(60)],
    ['LOG_LEVEL', 'debug'],
    ['KEYBOARD', 'qwertz1234'],
    ['MONKEY', 'q9w8e7r6'],
    ['BYPASS', 'q9w8e7r6'],
    ['COMPASS', 'q9w8e7r6'],
    ['PASSENGER', 'q9w8e7r6'],
    ['proxy_pass', 'q9w8e7r6'],
    ['PASSWORD_RESET_URL', 'q9w8e7r6'],
    ['passwordHint', 'the usual one'],
    ['FORGOT_PASSWORD_TEXT', 'q9w8e7r6'],
    ['AWS_ACCESS_KEY_ID', 'q9w8e7r6'],
    ['KEYSTORE_TYPE', 'PKCS12'],
    ['TOKEN_TYPE', 'Bearer'],
  ]
  for (const [name, value] of rows)
    test(`${name}=${value.slice(0, 30)}`, () => {
      assert.deepEqual(rules(pod({ env: [{ name, value }] })), [])
    })
})

describe('command lines', () => {
  const pw = 'q9w8E7r6'
  const found: [string, string[], string][] = [
    ['--password=x', [`--password=${pw}`], pw],
    ['-password=x', [`-password=${pw}`], pw],
    ['--password x', ['--password', pw], pw],
    ['--db-password x', ['serve', '--db-password', pw], pw],
    ['--api-key x', ['--api-key', letters(24)], letters(24)],
    ['--auth.token=x', [`--auth.token=${letters(24)}`], letters(24)],
    ['-Dapp.password=x', ['java', `-Dapp.password=${pw}`, '-jar', 'a.jar'], pw],
    ['PGPASSWORD=x psql', ['sh', '-c', `PGPASSWORD=${pw} psql -h db`], pw],
    ["PGPASSWORD='x' psql", ['sh', '-c', `PGPASSWORD='${pw}' psql -h db`], pw],
    ['export X_TOKEN="x"', ['bash', '-ec', `set -e\nexport X_TOKEN="${pw}"\nrun`], pw],
    ['mysql -px', ['mysql', '-uroot', `-p${pw}`], pw],
    ['mysqldump in a script', ['sh', '-c', `mysqldump -u root -p${pw} shop > /backup/x`], pw],
    ['sshpass -p x', ['sshpass', '-p', pw, 'ssh', 'host'], pw],
    ['redis-cli -a x', ['redis-cli', '-a', pw, 'ping'], pw],
    ['curl -u a:x', ['curl', '-u', `admin:${pw}`, 'https://x'], pw],
    ['curl --user a:x', ['sh', '-c', `curl --user 'admin:${pw}' https://x`], pw],
    ['curl -H bearer', ['curl', '-H', `Authorization: Bearer ${letters(24)}`, 'https://x'], letters(24)],
    ['curl -H api key', ['curl', '-H', `X-Api-Key: ${letters(24)}`], letters(24)],
    ['docker login -p', ['sh', '-c', `docker login -u me -p ${pw} registry`], pw],
    ['mongosh -p', ['mongosh', '-u', 'root', '-p', pw], pw],
    ['ldapsearch -w', ['ldapsearch', '-D', 'cn=admin', '-w', pw], pw],
    ['openssl pass:', ['openssl', 'enc', '-pass', `pass:${pw}`], pw],
    ['a URL in an argument', [`--dsn=postgres://a:${pw}@db/x`], pw],
    ['after &&', ['sh', '-c', `cd /app && ./run --token ${letters(24)}`], letters(24)],
    ['after a pipe', ['sh', '-c', `cat x | mysql -p${pw}`], pw],
    ['behind sudo', ['sh', '-c', `sudo redis-cli -a ${pw}`], pw],
  ]
  for (const [what, args, secret] of found)
    test(what, () => {
      const { leaks } = examineObject(pod({ command: args.slice(0, 1), args: args.slice(1) }))
      assert.deepEqual(
        leaks.map((leak) => leak.text.slice(leak.start, leak.end)),
        [secret],
      )
    })
  const none: [string, string[]][] = [
    ['a port', ['-p', '8080:80']],
    ['a port with an address', ['-p', '127.0.0.1:80']],
    ['a project', ['gcloud', '-p', 'my-project']],
    ['a path', ['--password-file', '/run/secrets/pw']],
    ['a path with =', ['--password-file=/run/secrets/pw']],
    ['stdin', ['docker', 'login', '--password-stdin', 'registry.example.com']],
    ['a variable', ['--password=$(PASSWORD)']],
    ['a shell variable', ['sh', '-c', 'mysql -p"$MYSQL_PASSWORD" -e "select 1"']],
    ['a shell variable in braces', ['sh', '-c', 'redis-cli -a ${REDIS_PASSWORD} ping']],
    ['a command', ['sh', '-c', 'TOKEN=$(cat /run/token) ./run']],
    ['a flag after a flag', ['--token', '--verbose']],
    ['mkdir -p', ['sh', '-c', 'mkdir -p /data/q9w8E7r6x']],
    ['ssh -p', ['ssh', '-p', '2222', 'host']],
    ['a comment', ['sh', '-c', '# --password=q9w8E7r6\ntrue']],
    ['a token ttl', ['--token-ttl=24h']],
    ['a secret by name', ['--secret-name', 'web-tls-1a2b3c']],
    ['a boolean', ['--use-password=true']],
    ['a config file', ['-c', '/etc/app.yaml']],
  ]
  for (const [what, args] of none) test(`no finding: ${what}`, () => assert.deepEqual(rules(pod({ args })), []))
})

describe('configuration files in ConfigMaps', () => {
  const pw = 'q9w8E7r6'
  const found: [string, string, string, string | undefined][] = [
    ['.env', '.env', `A=b\nDB_PASSWORD=${pw}\n`, 'DB_PASSWORD'],
    ['.env with export', '.env', `A=b\nexport DB_PASSWORD="${pw}" # x\n`, 'DB_PASSWORD'],
    ['properties', 'app.properties', `a.b=c\ndb.password = ${pw}\n`, 'db.password'],
    ['properties with a default', 'app.properties', `a=b\ndb.password=\${PW:${pw}}\n`, 'db.password'],
    ['INI', 'my.cnf', `[client]\nuser=root\npassword=${pw}\n`, 'client.password'],
    ['TOML', 'app.toml', `[db]\nhost = "x"\npassword = "${pw}"\n`, 'db.password'],
    ['YAML', 'app.yaml', `db:\n  host: x\n  password: ${pw}\n`, 'db.password'],
    ['YAML list', 'app.yaml', `users:\n- name: a\n  password: ${pw}\n`, 'users[0].password'],
    ['flow YAML', 'app.yml', `db: {host: x, password: ${pw}}\n`, 'db.password'],
    ['JSON', 'app.json', `{"db": {"password": "${pw}"}}`, 'db.password'],
    ['pretty JSON', 'app.json', `{\n  "db": {\n    "password": "${pw}"\n  }\n}\n`, 'db.password'],
    ['XML', 'settings.xml', `<server>\n  <id>x</id>\n  <password>${pw}</password>\n</server>\n`, 'password'],
    ['a program', 'app.js', `const x = 1\nconst password = '${pw}'\n`, 'password'],
    ['redis.conf', 'redis.conf', `port 6379\nrequirepass ${pw}\n`, 'requirepass'],
    ['netrc', '.netrc', `machine x\nlogin y password ${pw}\n`, 'password'],
    ['npmrc', '.npmrc', `a=b\n//registry.example.com/:_authToken=${letters(24)}\n`, undefined],
    [
      'docker config',
      'config.json',
      JSON.stringify({ auths: { 'r.io': { auth: base64(`me:${pw}`) } } }),
      'auths.r.io.auth',
    ],
    [
      'kubeconfig token',
      'kubeconfig',
      `apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    token: ${jwt()}\n`,
      'users[0].user.token',
    ],
    ['kubeconfig key', 'config', `apiVersion: v1\nusers:\n- user:\n    client-key-data: ${base64(ecKey)}\n`, undefined],
    ['service account JSON', 'sa.json', JSON.stringify({ type: 'service_account', private_key: ecKey }), undefined],
    ['PEM', 'tls.key', ecKey, undefined],
    ['htpasswd', 'auth', `a:$apr1$${letters(8)}$${letters(22)}\n`, undefined],
    ['a URL in YAML', 'app.yaml', `a: b\nurl: postgres://a:${pw}@db/x\n`, undefined],
  ]
  for (const [what, key, text, within] of found)
    test(what, () => {
      const { leaks } = examineObject(configMap({ [key]: text }))
      assert.equal(leaks.length, 1, JSON.stringify(leaks.map((l) => [l.rule, l.within])))
      if (within !== undefined) assert.equal(leaks[0]!.within, within)
    })
  const none: [string, string, string][] = [
    ['commented out', '.env', `A=b\n# DB_PASSWORD=${pw}\n`],
    ['variables', 'app.properties', 'a=b\ndb.password=${DB_PASSWORD}\n'],
    ['templates', 'app.yaml', 'db:\n  password: "{{ password }}"\n  b: c\n'],
    ['code', 'run.py', 'import os\npassword = os.environ["PW"]\ntoken = get_token(x)\nself.password = password\n'],
    ['a shell script', 'run.sh', 'set -e\nTOKEN=$(cat /run/token)\nexport PGPASSWORD="$PW"\n'],
    ['nginx', 'nginx.conf', 'location / {\n  proxy_pass http://x;\n  auth_basic_user_file /etc/htpasswd;\n}\n'],
    ['messages', 'en.properties', 'login.password=Please enter your password\npassword.hint=Your pet\n'],
    ['a certificate', 'ca.crt', `-----BEGIN CERTIFICATE-----\n${letters(64)}\n-----END CERTIFICATE-----\n`],
    [
      'Prometheus rules',
      'rules.yaml',
      'groups:\n- name: a\n  rules:\n  - alert: X\n    expr: rate(token_requests_total[5m]) > 1\n',
    ],
    ['CoreDNS', 'Corefile', '.:53 {\n    errors\n    forward . /etc/resolv.conf\n}\n'],
    ['a reference in YAML', 'app.yaml', 'db:\n  passwordSecretRef:\n    name: db\n    key: password\n  x: y\n'],
    ['broken JSON', 'app.json', '{"password": \n'],
  ]
  for (const [what, key, text] of none)
    test(`no finding: ${what}`, () => {
      const { leaks } = examineObject(configMap({ [key]: text }))
      assert.deepEqual(
        leaks.map((l) => [l.rule, l.within]),
        [],
      )
    })
})

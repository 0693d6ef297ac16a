import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { decodeYaml } from '../../../kernel/codec/yaml.ts'
import { hex, letters } from './credentials.fixture.ts'
import { lintDocument } from './document.ts'

function lint(text: string): string[] {
  const object = decodeYaml(Buffer.from(text)).value as unknown as KubeObject
  const { found } = lintDocument({ file: 'a.yaml', line: 1, text, objects: [{ object, path: [] }] })
  return found.map(({ finding }) => `${finding.line} ${finding.rule} ${finding.field}`)
}

/** As charts render them: what is full of words like password and token, and holds none. */
const CLEAN: Record<string, string> = {
  'a database that reads its password from a Secret': `apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db-postgresql
  labels: {app.kubernetes.io/instance: db, helm.sh/chart: postgresql-15.2.5}
spec:
  serviceName: db-postgresql-hl
  template:
    metadata:
      annotations:
        checksum/secret: ${hex(64)}
        prometheus.io/scrape: "true"
    spec:
      automountServiceAccountToken: false
      containers:
      - name: postgresql
        image: docker.io/example/postgresql@sha256:${hex(64)}
        env:
        - {name: POSTGRESQL_PORT_NUMBER, value: "5432"}
        - {name: POSTGRES_USER, value: shop}
        - {name: POSTGRES_PASSWORD, valueFrom: {secretKeyRef: {name: db-postgresql, key: password}}}
        - {name: POSTGRES_PASSWORD_FILE, value: /opt/secrets/password}
        - {name: POSTGRESQL_ENABLE_TLS, value: "no"}
        - {name: POSTGRESQL_LOG_HOSTNAME, value: "false"}
        - {name: PGDATA, value: /var/lib/postgresql/data}
        livenessProbe:
          exec:
            command: [/bin/sh, -c, exec pg_isready -U "shop" -d "dbname=shop" -h 127.0.0.1 -p 5432]
        command:
        - /bin/bash
        - -ec
        - |
          export PGPASSWORD=$POSTGRES_PASSWORD
          password_aux="\${POSTGRES_PASSWORD:-}"
          if [[ -f "\${POSTGRES_PASSWORD_FILE:-}" ]]; then
              password_aux=$(cat "\${POSTGRES_PASSWORD_FILE}")
          fi
          mysql -uroot -p"\${password_aux}" -e "SELECT 1"
`,
  'a proxy': `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations:
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: basic-auth
    nginx.ingress.kubernetes.io/auth-realm: Authentication Required
    nginx.ingress.kubernetes.io/auth-url: https://oauth.example.com/oauth2/auth
    nginx.ingress.kubernetes.io/auth-tls-secret: default/ca-secret
    cert-manager.io/private-key-algorithm: ECDSA
spec:
  tls: [{hosts: [a.example.com], secretName: a-tls}]
`,
  'an identity proxy': `apiVersion: apps/v1
kind: Deployment
metadata: {name: oauth2-proxy}
spec:
  template:
    spec:
      containers:
      - name: proxy
        image: oauth2-proxy:v7
        args:
        - --http-address=0.0.0.0:4180
        - --cookie-secret-file=/etc/proxy/cookie
        - --client-secret-file=/etc/proxy/client
        - --oidc-issuer-url=https://idp.example.com/realms/x
        - --pass-access-token=true
        - --skip-jwt-bearer-tokens=true
        - --set-authorization-header=true
        - --token-validation-regex=^a.*z$
        - --service-account-private-key-file=/etc/kubernetes/pki/sa.key
        - --authentication-token-webhook-cache-ttl=10s
        - --enable-bootstrap-token-auth=true
        - --tls-private-key-file=/etc/tls/tls.key
        - --etcd-keyfile=/etc/kubernetes/pki/etcd.key
        - --cloud-provider-secret-name=cloud
`,
  'dashboards and rules': `apiVersion: v1
kind: ConfigMap
metadata: {name: grafana}
data:
  grafana.ini: |
    [auth]
    disable_login_form = false
    login_cookie_name = grafana_session
    token_rotation_interval_minutes = 10
    [auth.ldap]
    enabled = true
    [security]
    admin_password = \${GF_ADMIN_PASSWORD}
    secret_key = $__file{/etc/secrets/key}
    cookie_secure = true
    [smtp]
    password = """#password;"""
    [users]
    password_hint = password
  datasources.yaml: |
    apiVersion: 1
    datasources:
    - name: Prometheus
      type: prometheus
      url: http://prometheus:9090
      basicAuth: false
      secureJsonData:
        password: $PROM_PASSWORD
  dashboard.json: '{"title": "Tokens", "uid": "${letters(9)}", "panels": [{"title": "Password resets", "targets": [{"expr": "sum(rate(auth_token_total[5m]))"}]}]}'
`,
  scripts: `apiVersion: v1
kind: ConfigMap
metadata: {name: scripts}
data:
  init.sh: |
    #!/bin/sh
    set -eu
    TOKEN="$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)"
    curl -sS -H "Authorization: Bearer \${TOKEN}" https://kubernetes.default.svc/api
    redis-cli -a "\${REDIS_PASSWORD}" ping
    PASSWORD=$1
    if [ -z "\${API_KEY:-}" ]; then echo "API_KEY: not set"; fi
    read -r -s -p "Password: " password
  app.py: |
    import os
    password = os.getenv("DB_PASSWORD")
    api_key = settings.API_KEY
    token = request.headers.get("X-Token")
    client = Client(token=token, secret=secret)
    def password(self): return self._password
  app.js: |
    const password = process.env.PASSWORD
    const token = await getToken(user)
    module.exports = { secret: process.env.SECRET, apiKey: config.get('key') }
`,
  'a custom resource definition': `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: databases.example.com
  annotations: {controller-gen.kubebuilder.io/version: v0.14.0}
spec:
  group: example.com
  names: {kind: Database, plural: databases}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          password: {type: string, description: The password of the administrator, at least 12 characters}
          tokenSecretRef:
            type: object
            properties: {key: {type: string}, name: {type: string, default: ""}}
            required: [key]
          apiKey: {type: string, format: password, pattern: "^[A-Za-z0-9]{32}$"}
`,
  roles: `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: token-reader}
rules:
- {apiGroups: [""], resources: [secrets, serviceaccounts/token], verbs: [get, create], resourceNames: [db-password-1a2B3c]}
`,
  'a cluster DNS': `apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        health { lameduck 5s }
        kubernetes cluster.local in-addr.arpa ip6.arpa { pods insecure }
        prometheus :9153
        forward . /etc/resolv.conf
    }
`,
  'a certificate bundle': `apiVersion: v1
kind: ConfigMap
metadata: {name: ca}
data:
  ca.crt: |
    -----BEGIN CERTIFICATE-----
    ${letters(64)}
    ${letters(64, 3)}
    -----END CERTIFICATE-----
`,
}

describe('charts that are in order', () => {
  for (const [what, text] of Object.entries(CLEAN)) test(what, () => assert.deepEqual(lint(text), []))
})

test('a chart that is not', () => {
  const text = `apiVersion: v1
kind: ConfigMap
metadata:
  name: wordpress
data:
  WORDPRESS_DB_HOST: db
  WORDPRESS_DB_PASSWORD: q9w8E7r6Tz
  wp-config.php: |
    <?php
    define( 'DB_NAME', 'wordpress' );
    define( 'DB_PASSWORD', 'q9w8E7r6Tz' );
    $table_prefix = 'wp_';
  settings.xml: |
    <settings>
      <servers><server><id>x</id><password>q9w8E7r6Tz</password></server></servers>
    </settings>
  redis.conf: |
    maxmemory 100mb
    requirepass q9w8E7r6Tz
    masterauth q9w8E7r6Tz   # rampart:ignore
  values.yaml: "db:\\n  password: q9w8E7r6Tz\\n"
`
  assert.deepEqual(lint(text), [
    '7 named-secret data.WORDPRESS_DB_PASSWORD',
    '11 named-secret data["wp-config.php"] (DB_PASSWORD)',
    '15 named-secret data["settings.xml"] (password)',
    '19 named-secret data["redis.conf"] (requirepass)',
    '21 named-secret data["values.yaml"] (db.password)',
  ])
})

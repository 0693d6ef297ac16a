/**
 * How long the leak finder takes for 1,000 manifests, beside what parsing the same files with the `yaml` package alone
 * takes in the same run; and for one pod without findings in admission.
 * Usage: node bench/lint.ts [--manifests 1000] [--rounds 3]. Writes its files to a temporary folder.
 * Traps: the first round is cold, as a command's only round is; every third manifest has findings, whose positions cost
 * a second parse; the files are in the page cache.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { manifestDocuments, parseDocument } from '../src/cli/manifests.ts'
import { lintStep } from '../src/features/secrets/lint/admission.ts'
import { lintDocument } from '../src/features/secrets/lint/document.ts'
import { makeRequest } from '../src/kernel/admission/request.fixture.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'

const { values } = parseArgs({
  options: { manifests: { type: 'string', default: '1000' }, rounds: { type: 'string', default: '3' } },
})
const count = Number(values.manifests)

/** Park and Miller's generator: the same manifests every time. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => (state = (state * 48271) % 2147483647) % below
}

const next = numbers(7)
const word = (n: number): string =>
  Array.from({ length: n }, () => 'abcdefghijklmnopqrstuvwxyzABCDEFGHJK23456789'[next(44)]).join('')
const lines = (n: number, line: (i: number) => string): string => Array.from({ length: n }, (_, i) => line(i)).join('')

function deployment(i: number, leaky: boolean): string {
  const env = lines(6 + next(14), (n) => `        - name: SETTING_${n}\n          value: "${word(8 + next(20))}"\n`)
  const leak = leaky ? `        - name: DB_PASSWORD\n          value: ${word(16)}9x\n` : ''
  return `apiVersion: apps/v1
kind: ${['Deployment', 'StatefulSet', 'DaemonSet'][next(3)]}
metadata:
  name: app-${i}
  namespace: team-${next(20)}
  labels: {app.kubernetes.io/name: app-${i}, helm.sh/chart: app-1.${next(9)}.0}
  annotations:
    checksum/config: ${lines(64, () => '0123456789abcdef'[next(16)]!)}
spec:
  replicas: ${1 + next(5)}
  selector: {matchLabels: {app.kubernetes.io/name: app-${i}}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: app-${i}}
    spec:
      serviceAccountName: app-${i}
      containers:
      - name: main
        image: registry.example.com/app-${i}:1.${next(30)}.${next(9)}
        args: [--port=8080, --config=/etc/app/config.yaml, --log-level=info${leaky ? `, --token=${word(24)}8` : ''}]
        env:
${env}${leak}        - name: API_TOKEN
          valueFrom: {secretKeyRef: {name: app-${i}, key: token}}
        ports:
        - {name: http, containerPort: 8080, protocol: TCP}
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 10}
        resources:
          limits: {cpu: "1", memory: 512Mi}
          requests: {cpu: 100m, memory: 128Mi}
        volumeMounts:
        - {name: config, mountPath: /etc/app}
      volumes:
      - name: config
        configMap: {name: app-${i}}
`
}

function configMap(i: number, leaky: boolean): string {
  const settings = lines(20 + next(60), (n) => `    section.${n % 7}.option-${n}=${word(4 + next(30))}\n`)
  const nested = lines(10 + next(20), (n) => `      key${n}: ${word(5 + next(12))}\n`)
  return `apiVersion: v1
kind: ConfigMap
metadata: {name: app-${i}, namespace: team-${next(20)}}
data:
  LOG_LEVEL: info
  application.properties: |
${settings}${leaky ? `    spring.datasource.password=${word(14)}7\n` : ''}  config.yaml: |
    server:
${nested}    database:
      url: postgres://app:\${DB_PASSWORD}@db:5432/app
`
}

function custom(i: number, leaky: boolean): string {
  const items = lines(
    10 + next(30),
    (n) => `  - name: item-${n}\n    host: h${n}.example.com\n    weight: ${next(100)}\n`,
  )
  return `apiVersion: example.com/v1
kind: Widget
metadata: {name: w-${i}}
spec:
  credentialsSecretRef: {name: w-${i}, key: password}
${leaky ? `  admin:\n    password: ${word(12)}5\n` : ''}  items:
${items}`
}

const KINDS = [deployment, deployment, configMap, custom]
const folder = mkdtempSync(join(tmpdir(), 'rampart-bench-lint-'))
try {
  const files = Array.from({ length: count }, (_, i) => {
    const file = join(folder, `m${String(i).padStart(5, '0')}.yaml`)
    writeFileSync(file, KINDS[i % KINDS.length]!(i, i % 3 === 0))
    return file
  })
  const bytes = files.reduce((sum, file) => sum + readFileSync(file).length, 0)
  console.log(`${count} manifests, ${(bytes / 1024).toFixed(0)} KiB`)
  for (let round = 1; round <= Number(values.rounds); round++) {
    const [findings, lint] = timed(() => lintAll(files))
    const [, parse] = timed(() =>
      files.map((file) => parseAllDocuments(readFileSync(file, 'utf8'), { logLevel: 'silent' })),
    )
    console.log(
      `round ${round}: lint ${lint.toFixed(0)} ms (${findings} findings); yaml's parse alone ${parse.toFixed(0)} ms; ratio ${(lint / parse).toFixed(2)}`,
    )
  }
  console.log(`admission of a pod without findings: ${admission().toFixed(1)} µs`)
} finally {
  rmSync(folder, { recursive: true })
}

function timed<T>(work: () => T): [T, number] {
  const started = performance.now()
  const result = work()
  return [result, performance.now() - started]
}

function lintAll(files: readonly string[]): number {
  let findings = 0
  for (const document of manifestDocuments(files))
    findings += lintDocument({ ...document, objects: [...parseDocument(document)] }).found.length
  return findings
}

/** Microseconds for the step, warm; the median of ten runs. */
function admission(): number {
  const document = { file: 'x', line: 1, start: 0, text: deployment(1, false) }
  const [{ object }] = [...parseDocument(document)] as unknown as [{ object: KubeObject }]
  const pod: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, spec: object['spec'].template.spec }
  const step = lintStep({ of: () => 'warn', ready: () => undefined })
  const request = makeRequest({ object: pod })
  const runs = Array.from(
    { length: 10 },
    () =>
      timed(() => {
        for (let i = 0; i < 2000; i++) void step.validate!(request)
      })[1] / 2,
  )
  return runs.sort((a, b) => a - b)[5]!
}

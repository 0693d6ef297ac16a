import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

type Import = { from: string; to: string; typeOnly: boolean }

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((f) => f.isFile() && f.name.endsWith('.ts'))
    .map((f) => relative(root, join(f.parentPath, f.name)))
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  const found: Import[] = []
  for (const match of text.matchAll(/^(import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?'(\.[^']+)'/gm))
    found.push({
      from: file,
      to: relative(root, resolve(root, dirname(file), match[3]!)),
      typeOnly: match[2] !== undefined,
    })
  for (const match of text.matchAll(/\bimport\('(\.[^']+)'\)/g))
    found.push({ from: file, to: relative(root, resolve(root, dirname(file), match[1]!)), typeOnly: false })
  return found
}

const files = sources('src')
const isTest = (file: string): boolean => /(\.test|\/suite|\/testing)\.ts$/.test(file)
const imports = files.flatMap(importsOf)

/** A layer may import those at or below its own height; features see each other through index.ts only. */
const HEIGHT: [prefix: string, height: number][] = [
  ['src/platform/', 0],
  ['src/kernel/', 1],
  ['src/features/', 2],
  ['src/node/', 2],
  ['src/lab/', 2],
  ['src/control-plane/', 3],
  ['src/cli/', 4],
  ['src/console/', 4],
]

function heightOf(file: string): number {
  return HEIGHT.find(([prefix]) => file.startsWith(prefix))?.[1] ?? 0
}

test('imports point down', () => {
  const wrong = imports
    .filter((i) => !isTest(i.from) && heightOf(i.to) > heightOf(i.from))
    .map((i) => `${i.from} → ${i.to}`)
  // The command line's settings and cluster paths are types that the control plane reads; nothing else goes up.
  assert.deepEqual(wrong, [])
})

test('a feature imports another only through its index', () => {
  const featureOf = (file: string): string | undefined => /^src\/features\/([^/]+)\//.exec(file)?.[1]
  const wrong = imports.filter((i) => {
    const [from, to] = [featureOf(i.from), featureOf(i.to)]
    return from !== undefined && to !== undefined && from !== to && !i.to.endsWith('/index.ts')
  })
  assert.deepEqual(
    wrong.map((i) => `${i.from} → ${i.to}`),
    [],
  )
})

test('imports exist and make no circle', () => {
  const graph = new Map<string, string[]>()
  for (const { from, to, typeOnly } of imports) {
    if (to.endsWith('.ts')) assert.ok(existsSync(join(root, to)), `${from} imports ${to}, which is not there`)
    if (!typeOnly) graph.set(from, [...(graph.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): void => {
    if (done.has(file)) return
    const at = path.indexOf(file)
    assert.equal(at, -1, `circle: ${[...path.slice(at), file].join(' → ')}`)
    path.push(file)
    for (const next of graph.get(file) ?? []) visit(next)
    path.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
})

/** Names of the commands in a help text. */
function commandsOf(arguments_: readonly string[]): Set<string> {
  const help = execFileSync(join(root, 'rampart'), [...arguments_, '--help'], { encoding: 'utf8' })
  const list = help.split('\nCommands:\n')[1] ?? ''
  return new Set([...list.matchAll(/^ {2}([a-z][a-z-]*)[ |]/gm)].map((m) => m[1]!))
}

test('the documents name commands that exist', () => {
  const known = commandsOf([])
  assert.ok(known.has('up'), 'the help lists the commands')
  const groups = new Map<string, Set<string>>()
  const documents = [
    'README.md',
    'AGENTS.md',
    ...readdirSync(join(root, 'docs'), { recursive: true }).map((f) => join('docs', String(f))),
  ]
  for (const document of documents.filter((d) => d.endsWith('.md') && !d.includes('decisions/'))) {
    const text = readFileSync(join(root, document), 'utf8')
    for (const block of text.matchAll(/```(?:sh|console|bash)?\n([\s\S]*?)```|`(\.\/rampart [^`]*)`/g))
      for (const [typed, name, sub] of (block[1] ?? block[2])!.matchAll(
        /\.\/rampart ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?/g,
      )) {
        assert.ok(known.has(name!), `${document} names "${typed}", which is not a command`)
        if (!groups.has(name!)) groups.set(name!, commandsOf([name!]))
        const within = groups.get(name!)!
        assert.ok(within.size === 0 || sub === undefined || within.has(sub), `${document}: there is no "${typed}"`)
      }
  }
})

test('no private key and no token lies in the repository', () => {
  const tracked = execFileSync('git', ['-C', root, 'ls-files', '-z'], { encoding: 'utf8' })
    .split('\0')
    .filter((f) => f !== '')
  const patterns = [
    /-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}/,
    /\beyJhbGciOi[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}/,
  ]
  for (const file of tracked) {
    if (!existsSync(join(root, file))) continue
    const text = readFileSync(join(root, file), 'latin1')
    for (const pattern of patterns) assert.ok(!pattern.test(text), `${file} holds what looks like a credential`)
  }
})

test('every exported feature has a page in docs', () => {
  for (const feature of readdirSync(join(root, 'src/features'), { withFileTypes: true }).filter((f) => f.isDirectory()))
    assert.ok(existsSync(join(root, 'docs', `${feature.name}.md`)), `docs/${feature.name}.md is missing`)
})

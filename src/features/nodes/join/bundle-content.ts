import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

export type Architecture = 'x64' | 'arm64'

/** Path within the bundle, and the file that it comes from. */
export type BundleFile = { path: string; file: string; executable?: boolean }

const SOURCES = ['src/node', 'src/kernel', 'src/platform', 'src/features']
/** Where the agent's program begins; what it reaches says which packages are needed. */
const ROOTS = ['src/node', 'src/features/nodes/join/on-machine']
const NOT_SHIPPED = /(\.(test|fixture)\.ts|\/(suite|testing)\.ts|\/(testdata|test)\/.*)$/
const NOT_SHIPPED_OF_PACKAGES =
  /(\.(map|md|markdown|tsbuildinfo|flow)|\.d\.[cm]?ts|\/(test|tests|docs|example|examples|\.github)\/.*)$/i

/**
 * What a machine needs to run the agent: the sources without tests, the packages that the agent reaches, and Node itself.
 * Throws an Error when a part is not installed here.
 */
export function bundleContent(folder: string, architecture: Architecture): BundleFile[] {
  const root = resolve(folder)
  const node = join(root, 'node_modules', `node-linux-${architecture}`, 'bin', 'node')
  if (!existsSync(node))
    throw new Error(`the package node-linux-${architecture} is not installed: it holds the Node that the machine runs`)
  const sources = SOURCES.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    filesBelow(join(root, folder)).filter((file) => !NOT_SHIPPED.test(file)),
  )
  const packages = packagesOf(root, agentSources(root))
  return [
    { path: 'bin/node', file: node, executable: true },
    { path: 'package.json', file: join(root, 'package.json') },
    ...[...sources, ...packages.flatMap(packageFiles)].map((file) => ({ path: relative(root, file), file })),
  ].sort((a, b) => (a.path < b.path ? -1 : 1))
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

const packageFiles = (folder: string): string[] =>
  filesBelow(folder).filter((file) => {
    const path = file.slice(folder.length)
    return !path.startsWith('/node_modules/') && !NOT_SHIPPED_OF_PACKAGES.test(path)
  })

const IMPORT = /(?:^(?:import|export)\s+(?:[^'"=]*?\sfrom\s+)?|\bimport\()'([^']+)'/gm

/** The agent's own files and every file of ours that they import, however far away. */
function agentSources(root: string): Set<string> {
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file) || !existsSync(file) || !statSync(file).isFile()) return
    reached.add(file)
    if (!file.endsWith('.ts')) return
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(IMPORT))
      if (name.startsWith('.')) visit(resolve(dirname(file), name))
  }
  for (const folder of ROOTS.map((r) => join(root, r)).filter((f) => existsSync(f)))
    for (const file of filesBelow(folder)) if (file.endsWith('.ts') && !NOT_SHIPPED.test(file)) visit(file)
  return reached
}

/** Folders of the packages that the files import, with everything those depend on. */
function packagesOf(root: string, files: ReadonlySet<string>): string[] {
  const folders = new Set<string>()
  const need = (name: string, from: string, optional: boolean): void => {
    const folder = findPackage(name, from, root)
    if (folder === undefined) {
      if (optional) return
      throw new Error(`the package ${name} is not installed`)
    }
    if (folders.has(folder)) return
    folders.add(folder)
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      object | undefined
    >
    for (const dependency of Object.keys(manifest['dependencies'] ?? {})) need(dependency, folder, false)
    for (const dependency of Object.keys({ ...manifest['optionalDependencies'], ...manifest['peerDependencies'] }))
      need(dependency, folder, true)
  }
  for (const file of files)
    for (const [statement, name = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      if (/^(\.|node:)/.test(name) || /^(import|export)\s+type\s/.test(statement)) continue
      need(
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
        dirname(file),
        false,
      )
    }
  return [...folders].sort()
}

function findPackage(name: string, from: string, root: string): string | undefined {
  for (let folder = from; folder.startsWith(root); folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name)
    if (existsSync(join(candidate, 'package.json'))) return candidate
  }
  return undefined
}

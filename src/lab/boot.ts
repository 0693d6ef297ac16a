/**
 * A machine's first program, in its own namespaces: builds the machine's root around itself, then becomes its init.
 * Called with the path of a file that holds its steps. What goes wrong is printed on the machine's console.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { mountTable } from '../platform/mounts.ts'
import { type BootStep, OLD_ROOT } from './boot-steps.ts'
import { mergeInittab } from './inittab.ts'

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
}

function command(argv: readonly string[]): void {
  const { status, stderr, error } = spawnSync(argv[0]!, argv.slice(1), { encoding: 'utf8', env: ENVIRONMENT, cwd: '/' })
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${error?.message ?? stderr.trim()}`)
}

/** A new file in the place of whatever was there: a link that lies there is not followed. */
function write(path: string, mode: number, content: string | Buffer): void {
  makeDirectory(dirname(path), 0o755)
  const temporary = `${path}.new`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, content, { mode, flag: 'wx' })
  chmodSync(temporary, mode)
  renameSync(temporary, path)
}

function makeDirectory(path: string, mode: number): void {
  const present = lstatSync(path, { throwIfNoEntry: false })
  if (present?.isDirectory()) return
  if (present !== undefined) unlinkSync(path)
  if (path !== '/') makeDirectory(dirname(path), 0o755)
  mkdirSync(path, { mode })
  chmodSync(path, mode)
}

function link(path: string, target: string): void {
  const present = lstatSync(path, { throwIfNoEntry: false })
  if (present?.isSymbolicLink() && readlinkSync(path) === target) return
  if (present?.isDirectory()) rmSync(path, { recursive: true })
  else if (present !== undefined) unlinkSync(path)
  makeDirectory(dirname(path), 0o755)
  symlinkSync(target, path)
}

function mount(step: BootStep & { do: 'mount' }): void {
  const table = '/.mounts'
  writeFileSync(table, mountTable(step.mounts), { mode: 0o600 })
  command([...(step.within ?? []), 'mount', '--all', '--fstab', table])
  unlinkSync(table)
}

const PERFORM: { [Kind in BootStep['do']]: (step: Extract<BootStep, { do: Kind }>) => void } = {
  run: (step) => command(step.argv),
  mount,
  directory: (step) => makeDirectory(step.path, step.mode),
  link: (step) => link(step.path, step.target),
  write: (step) => write(step.path, step.mode, step.content),
  copy: (step) => write(step.path, step.mode, readFileSync(`${OLD_ROOT}${step.from}`)),
  put: (step) => writeFileSync(step.path, step.content),
  'merge-inittab': (step) => {
    const present = lstatSync(step.path, { throwIfNoEntry: false })?.isFile() ? readFileSync(step.path, 'utf8') : ''
    write(step.path, 0o644, mergeInittab(present, step.lines))
  },
  enter: (step) => {
    const old = `${step.root}${OLD_ROOT}`
    if (!lstatSync(old, { throwIfNoEntry: false })?.isDirectory()) mkdirSync(old, { mode: 0o700 })
    process.chdir(step.root)
    command(['pivot_root', step.root, old])
    process.chdir('/')
  },
  forget: () => {
    command(['umount', '--lazy', OLD_ROOT])
    rmdirSync(OLD_ROOT)
  },
  become: (step) => process.execve!(step.argv[0]!, step.argv, { ...ENVIRONMENT, TERM: 'linux' }),
}

const [file] = process.argv.slice(2)
try {
  const steps = JSON.parse(readFileSync(file!, 'utf8')) as BootStep[]
  for (const step of steps) (PERFORM[step.do] as (step: BootStep) => void)(step)
} catch (error) {
  process.stderr.write(`the machine does not start: ${(error as Error).message}\n`)
  process.exit(1)
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Blocker, RotationPhase, RotationState } from '../../features/tls/index.ts'
import { type ClusterPaths, clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printValue, say } from '../output.ts'
import type { ClusterOptions } from './tls-links.ts'

const STEPS = ['trust', 'sign', 'retire'] as const
type Step = (typeof STEPS)[number]
type Answer = { rotation: RotationState; blockers: Blocker[]; issued?: string[]; done?: boolean }

/** What each phase means for whoever looks. */
const MEANING: Readonly<Record<RotationPhase, string>> = {
  stable: 'one generation of authorities; no rotation is under way',
  trust: 'the next authorities exist and are trusted; the old ones still sign',
  sign: 'the new authorities sign; the old ones are still trusted',
}
const NEXT: Readonly<Record<RotationPhase, Step>> = { stable: 'trust', trust: 'sign', sign: 'retire' }
const POLL_MS = 1000

/** Exit 0 when what was asked for is done, 1 when it must wait for somebody. */
export async function rotateCa(
  options: ClusterOptions & { phase?: string; status?: true; wait: string },
): Promise<void> {
  const format = outputFormat(options.output)
  const { phase } = options
  if (phase !== undefined && !(STEPS as readonly string[]).includes(phase))
    throw new CliError(`--phase ${JSON.stringify(phase)} is not a step: ${STEPS.join(', ')}`, 2)
  if (!/^\d{1,6}$/.test(options.wait)) throw new CliError('--wait must be a number of seconds', 2)
  const paths = clusterPaths(options)
  const answer = options.status === true ? await ask(paths) : await rotate(paths, phase as Step | undefined, options)
  if (format === 'json' || format === 'yaml') {
    printValue(format, { rotation: answer.rotation, blockers: answer.blockers })
  } else {
    print(`phase       ${answer.rotation.phase}: ${MEANING[answer.rotation.phase]}`)
    print(`trusted     generation ${answer.rotation.trusted.join(' and ')}; ${answer.rotation.signing} signs`)
    if (answer.rotation.since !== '') print(`since       ${answer.rotation.since}`)
    if (answer.blockers.length > 0) {
      print(`waits for   before ${NEXT[answer.rotation.phase]}:`)
      for (const { name, why } of answer.blockers) print(`            ${name}: ${why}`)
    }
    if (answer.rotation.phase === 'sign' && answer.blockers.length > 0)
      say('these end by themselves when they expire; "rampart tls revoke SERIAL" ends one now; then run this again')
  }
  if (options.status !== true && answer.done === false) process.exitCode = 1
}

const ask = async (paths: ClusterPaths): Promise<Answer> =>
  (await askControlPlane(paths, { command: 'tls-rotation' })) as unknown as Answer

async function rotate(paths: ClusterPaths, only: Step | undefined, { wait }: { wait: string }): Promise<Answer> {
  if (only !== undefined) return await take(paths, only, Number(wait))
  let answer = await ask(paths)
  do {
    const step = NEXT[answer.rotation.phase]
    answer = await take(paths, step, Number(wait))
    if (answer.done === true) say(`[ok] ${step}`)
  } while (answer.done === true && answer.rotation.phase !== 'stable')
  return answer
}

/** Machines hear of a step within a second or two and report; certificates of users and kubeconfigs are not waited for. */
async function take(paths: ClusterPaths, step: Step, seconds: number): Promise<Answer> {
  const deadline = Date.now() + seconds * 1000
  let said = ''
  for (;;) {
    const answer = (await askControlPlane(paths, { command: 'tls-rotate', step })) as unknown as Answer
    const machines = answer.blockers.filter(({ name }) => name.startsWith('node/'))
    if (answer.done === true || machines.length === 0 || Date.now() >= deadline) return answer
    const waiting = `     ${step} waits for ${[...new Set(machines.map(({ name }) => name))].join(', ')}`
    if (waiting !== said) say((said = waiting))
    await sleep(POLL_MS)
  }
}

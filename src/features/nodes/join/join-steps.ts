import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../../kernel/feature.ts'
import { createToken, deleteTokens } from './bootstrap-token.ts'
import { uploadBundle, withdrawBundle } from './bundle-upload.ts'
import type { JoinContext } from './join-node.ts'
import { formatJournal, type Journal, parseJournal } from './journal.ts'
import { probeLinks } from './links.ts'
import { deleteRecord, readRecord, writeRecord } from './machine-record.ts'
import { certificatesState, forgetNode, getLease, getNode, isFresh, readyReason, requestsOf } from './node-state.ts'
import { PLACES } from './places.ts'
import { removeFolder } from './remove-folder.ts'
import type { Step } from './step.ts'
import { agentLog, startAgent, startScript, stopAgent } from './supervisor.ts'

const POLL_MS = 150
/** Requests are listed once in so many looks at the Node. */
const REQUESTS_EVERY = 6
const DEFAULT_TIMEOUT_MS = 120_000

/** The files that this machine must have, beside the token: path, content, mode. */
function filesOf({ config, options, bundle, facts }: JoinContext): [path: string, content: string, mode: number][] {
  return [
    [PLACES.ca, options.ca, 0o644],
    [PLACES.config, `${JSON.stringify(config, null, 2)}\n`, 0o600],
    [PLACES.start, startScript(bundle.sha256, facts.supervisor!), 0o755],
  ]
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The plan: what must be so, in this order. */
export async function joinSteps(context: JoinContext, clock: Clock): Promise<Step<JoinContext>[]> {
  const { facts, options } = context
  const sameFiles = filesOf(context).every(([path, content]) => facts.files.get(path) === sha256(content))
  const runs = facts.running && facts.supervised && sameFiles && facts.bundle === 'verified'
  const node = await getNode(options.client, options.nodeName)
  const lease = await getLease(options.client, options.nodeName)
  // A Node that speaks needs no first certificates.
  const speaks = facts.running && readyReason(node).ready && isFresh(lease, clock.now())
  const settled = runs && speaks && parseJournal(facts.journalJson)?.state === 'joined'
  return [
    journalStep(settled),
    bundleStep,
    filesStep(sameFiles),
    reachStep(settled, clock),
    // Before the agent starts: its serving certificate is approved for the address that is recorded.
    recordStep,
    tokenStep(speaks, clock),
    // An agent registers its Node when it starts: one whose Node is gone is started again.
    serviceStep(runs && node !== undefined),
    readyStep(runs && speaks, clock),
    linksStep,
    finishStep(settled),
  ]
}

const journalStep = (settled: boolean): Step<JoinContext> => ({
  name: 'mark the machine',
  check: () => settled,
  apply: async ({ machine, facts, ...context }) => {
    await machine.run('mark the machine', `umask 077; mkdir -p ${PLACES.folder}; chmod 700 ${PLACES.folder}`)
    await putJournal({ machine, facts, ...context }, 'joining')
  },
  undo: async ({ machine, facts }) => {
    if (facts.journalJson !== undefined) return await machine.put('undo', PLACES.journal, facts.journalJson, 0o600)
    await machine.run('undo', `rm -f ${PLACES.journal}; rmdir ${PLACES.folder} 2>/dev/null || true`)
  },
})

async function putJournal(context: JoinContext, state: Journal['state']): Promise<void> {
  const { machine, cluster, options, bundle, tokenId } = context
  const time = new Date(options.clock.now()).toISOString()
  const journal: Journal = {
    cluster,
    nodeName: options.nodeName,
    bundle: bundle.sha256,
    ...(tokenId === undefined || state === 'joined' ? {} : { tokenId }),
    state,
    time,
  }
  await machine.put('mark the machine', PLACES.journal, formatJournal(journal), 0o600)
}

const bundleStep: Step<JoinContext> = {
  name: 'upload the agent',
  check: ({ facts }) => facts.bundle === 'verified',
  apply: async ({ machine, bundle }) => await uploadBundle(machine, bundle),
  undo: async ({ machine, bundle }) => await withdrawBundle(machine, bundle.sha256),
}

const filesStep = (same: boolean): Step<JoinContext> => {
  const before = new Map<string, string>()
  return {
    name: 'write its configuration',
    check: () => same,
    apply: async (context) => {
      for (const [path, content, mode] of filesOf(context)) {
        if (context.facts.files.has(path))
          before.set(path, await context.machine.run('write its configuration', `head -c 1048576 ${path}`))
        await context.machine.put('write its configuration', path, content, mode)
      }
    },
    undo: async (context) => {
      for (const [path, , mode] of filesOf(context)) {
        const old = before.get(path)
        if (old !== undefined) await context.machine.put('undo', path, old, mode)
        else if (!context.facts.files.has(path)) await context.machine.run('undo', `rm -f ${path}`)
      }
    },
  }
}

/** From the machine, with its own Node: only now is there something on it that can speak TLS. */
const reachStep = (settled: boolean, clock: Clock): Step<JoinContext> => ({
  name: 'reach the API server from the machine',
  check: () => settled,
  apply: async ({ machine, bundle, options }) => {
    const folder = `${PLACES.bundles}/${bundle.sha256}`
    const text = await machine.run(
      'reach the API server',
      `${folder}/bin/node --disable-warning=ExperimentalWarning ${folder}/src/features/nodes/join/on-machine/reach.ts "$1" ${PLACES.ca}`,
      { args: [options.server] },
    )
    const answer = JSON.parse(text) as { ok: boolean; reason?: string; date?: string }
    if (!answer.ok) throw new Error(`the machine does not reach ${options.server}: ${answer.reason}`)
    const skew = Math.abs(Date.parse(answer.date ?? '') - clock.now())
    if (skew > 31_000)
      throw new Error(`the clock of the API server differs by ${Math.round(skew / 1000)} s from the one here`)
  },
})

const tokenStep = (speaks: boolean, clock: Clock): Step<JoinContext> => ({
  name: 'make its bootstrap token',
  check: () => speaks,
  apply: async (context) => {
    const { options, machine, nodeBefore } = context
    const { client, nodeName } = options
    // Left by a machine of that name which is gone: its requests would be taken for those to come.
    if (!nodeBefore) await forgetNode(client, nodeName)
    const token = await createToken(client, nodeName, clock, options.randomInt)
    context.tokenId = token.id
    await putJournal(context, 'joining')
    await machine.put('make its bootstrap token', PLACES.token, `${token.id}.${token.secret}\n`, 0o600)
  },
  // The agent has been stopped by now, or was never started.
  undo: async ({ options, machine, nodeBefore }) => {
    const { client, nodeName } = options
    const failures: string[] = []
    const attempt = async (work: Promise<unknown>): Promise<void> => {
      await work.catch((error: unknown) => failures.push((error as Error).message))
    }
    await attempt(deleteTokens(client, nodeName))
    if (!nodeBefore) {
      if (options.revoke !== undefined) await attempt(options.revoke(nodeName))
      await attempt(forgetNode(client, nodeName))
    }
    await attempt(machine.run('undo', `rm -f ${PLACES.token}`))
    if (failures.length > 0) throw new Error(failures.join('; '))
  },
})

const serviceStep = (runs: boolean): Step<JoinContext> => ({
  name: 'start the agent',
  check: () => runs,
  apply: async ({ machine, facts }) => await startAgent(machine, facts.supervisor!),
  undo: async ({ machine, facts, config }) => {
    await stopAgent(machine)
    if (facts.stateFolder) return
    await removeFolder(machine, config.stateFolder)
    await removeFolder(machine, config.runFolder)
    await machine.run('undo', `rm -f ${PLACES.log} ${PLACES.log}.1`)
  },
})

const readyStep = (already: boolean, clock: Clock): Step<JoinContext> => ({
  name: 'wait until its certificates are signed and it is Ready',
  check: () => already,
  apply: async ({ options, machine, tokenId, nodeBefore, leaseBefore }) => {
    const { client, nodeName, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options
    const deadline = clock.now() + timeoutMs
    let reason = ''
    for (let look = 0; ; look++) {
      signal?.throwIfAborted()
      const node = readyReason(await getNode(client, nodeName))
      const lease = await getLease(client, nodeName)
      const spoke = lease !== undefined && lease.metadata.resourceVersion !== leaseBefore
      reason = node.reason || (spoke ? '' : 'it does not renew its Lease')
      // A machine that had certificates before asks for none.
      if (look % REQUESTS_EVERY === 0 || reason === '') {
        const certificates = certificatesState(await requestsOf(client, nodeName, tokenId))
        if (certificates.state === 'refused') throw await withLog(certificates.reason, machine)
        if (certificates.state === 'waiting' && !nodeBefore) reason = certificates.reason
      }
      if (reason === '') return
      if (clock.now() > deadline) throw await withLog(`not within ${timeoutMs / 1000} s: ${reason}`, machine)
      await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal })
    }
  },
})

async function withLog(reason: string, machine: JoinContext['machine']): Promise<Error> {
  const log = await agentLog(machine).catch((error: unknown) => `not readable: ${(error as Error).message}`)
  return new Error(`${reason}\nthe agent's log ends with:\n${log === '' ? '(nothing)' : log}`)
}

const linksStep: Step<JoinContext> = {
  name: 'probe both links',
  check: () => false,
  apply: async ({ options, leaseBefore }) =>
    await probeLinks(options.client, options.nodeName, leaseBefore, options.clock, options.probeKubelet),
}

const recordStep: Step<JoinContext> = {
  name: 'remember how it is reached',
  check: () => false,
  apply: async ({ options, machine, config }) => {
    const { target, hostKey } = await machine.connection()
    const { client, nodeName, identityFile, networkNamespace } = options
    const { stateFolder, runFolder } = config
    await writeRecord(client, {
      nodeName,
      ssh: target,
      hostKey,
      nodeAddress: config.nodeAddress,
      stateFolder,
      runFolder,
      ...(identityFile === undefined ? {} : { identityFile }),
      ...(networkNamespace === undefined ? {} : { networkNamespace }),
    })
  },
  undo: async ({ options, nodeBefore }) => {
    if (!nodeBefore && (await readRecord(options.client, options.nodeName)) !== undefined)
      await deleteRecord(options.client, options.nodeName)
  },
}

/** Nothing that could admit a machine is left, neither there nor here. */
const finishStep = (settled: boolean): Step<JoinContext> => ({
  name: 'remove the token',
  check: () => settled,
  apply: async (context) => {
    await deleteTokens(context.options.client, context.options.nodeName)
    await context.machine.run('remove the token', `rm -f ${PLACES.token}`)
    await putJournal(context, 'joined')
  },
})

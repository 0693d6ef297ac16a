import type { SshConnection } from '../../../platform/ssh/connection.ts'
import { withdrawBundle } from './bundle-upload.ts'
import { parseJournal } from './journal.ts'
import { Machine } from './machine.ts'
import { PLACES } from './places.ts'
import { removeFolder } from './remove-folder.ts'
import { stopAgent } from './supervisor.ts'

export type LeaveOptions = {
  nodeName: string
  /** As in Journal: a machine of another cluster is left alone. */
  cluster: string
  connect: () => Promise<SshConnection>
  stateFolder: string
  runFolder: string
}

export type LeavingMachine = {
  /** Takes the agent out of the supervisor's hands: from now on it does nothing in the cluster. */
  stop: () => Promise<void>
  /** Deletes credentials, state, configuration and program. */
  clean: () => Promise<void>
  close: () => void
}

/**
 * The machine's side of leaving the cluster, also after a join that was abandoned half-way. Rejects with SshError when it
 * cannot be reached, and with an Error when it belongs to somebody else. Undefined: nothing of ours is there.
 */
export async function leavingMachine(options: LeaveOptions): Promise<LeavingMachine | undefined> {
  const machine = new Machine(options.connect)
  const step = 'look at the machine'
  try {
    const [uid = '', sudo = ''] = (
      await machine.run(step, 'id -u; sudo -n true 2>/dev/null && echo sudo || echo none', { asUser: true })
    ).split('\n')
    if (uid !== '0' && sudo !== 'sudo') throw new Error('the SSH user is not root, and "sudo -n" asks for a password')
    machine.sudo = uid !== '0'
    const text = await machine.run(step, `head -c 16384 ${PLACES.journal} 2>/dev/null || true`)
    const journal = parseJournal(text)
    if (journal === undefined) {
      machine.close()
      return undefined
    }
    if (journal.cluster !== options.cluster || journal.nodeName !== options.nodeName)
      throw new Error(
        `${await machine.name()} is ${journal.nodeName} of ${journal.cluster === options.cluster ? 'this' : 'another'} cluster: nothing was changed there`,
      )
    return {
      stop: () => stopAgent(machine),
      clean: async () => {
        await removeFolder(machine, options.stateFolder)
        await removeFolder(machine, options.runFolder)
        await withdrawBundle(machine, journal.bundle)
        // The journal goes last: until then the machine is known to be ours.
        await machine.run(
          'remove its configuration',
          `rm -f ${PLACES.token} ${PLACES.config} ${PLACES.start} ${PLACES.ca} ${PLACES.log} ${PLACES.log}.1 && rm -f ${PLACES.journal} && { rmdir ${PLACES.folder} 2>/dev/null || true; }`,
        )
      },
      close: () => machine.close(),
    }
  } catch (error) {
    machine.close()
    throw error
  }
}

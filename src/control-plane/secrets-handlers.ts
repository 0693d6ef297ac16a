import {
  discardUnreadable,
  type EncryptionAtRest,
  forgetKeys,
  type RewriteProgress,
  rewriteStale,
  survey,
} from '../features/secrets/index.ts'
import type { Store } from '../kernel/store/store.ts'
import type { ControlHandler } from './control-socket.ts'

/** How many unreadable values an answer names. */
const NAMED = 100
const PROGRESS_EVERY_MS = 200

/** Encryption at rest, for the command line on the control plane's own machine. */
export function secretsHandlers({
  store,
  encryption,
}: {
  store: Store
  encryption: EncryptionAtRest
}): Record<string, ControlHandler> {
  let rotating = false
  const status: ControlHandler = async (_request, _progress, signal) => {
    // What is wrong is told with the answer: in `troubles`, and as the keys' health.
    await encryption.refresh().catch(() => undefined)
    const { usage, unreadable } = await survey(store, encryption, signal)
    return {
      keys: encryption.keys(),
      troubles: encryption.troubles(),
      usage,
      unreadable: unreadable.slice(0, NAMED),
      unreadableCount: unreadable.length,
    }
  }

  /** `rotate`: 'kek' makes a key-encryption key and data keys first, 'dek' data keys, nothing only rewrites. */
  const rotate: ControlHandler = async ({ rotate: what }, progress, signal) => {
    if (rotating) throw new Error('a rotation is under way already')
    rotating = true
    try {
      // A plugin is asked once a minute only: what it changed since would not count as stale.
      await encryption.refresh()
      if (what === 'kek') progress({ keyId: (await encryption.rotateLocalKey()).keyId })
      if (what === 'dek') await encryption.rotateDataKeys()
      let told = 0
      const result = await rewriteStale({
        store,
        encryption,
        signal,
        onProgress: (now) => {
          if (Date.now() - told < PROGRESS_EVERY_MS) return
          told = Date.now()
          progress(shown(now))
        },
      })
      return shown(result)
    } finally {
      rotating = false
    }
  }

  return {
    'secrets-status': status,
    'secrets-rotate': rotate,
    'secrets-discard': async ({ keys }) => {
      // A key service that is not well is no reason to discard: its health must be of now.
      await encryption.refresh().catch(() => undefined)
      return discardUnreadable(store, encryption, Array.isArray(keys) ? keys.map(String) : [])
    },
    'secrets-forget-keys': async ({ keyIds }) =>
      forgetKeys(store, encryption, Array.isArray(keyIds) && keyIds.length > 0 ? keyIds.map(String) : undefined),
  }
}

function shown({ unreadable, ...numbers }: RewriteProgress): Record<string, unknown> {
  return { ...numbers, unreadable: unreadable.slice(0, NAMED), unreadableCount: unreadable.length }
}

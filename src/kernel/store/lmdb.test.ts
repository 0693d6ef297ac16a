import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdbStore } from './lmdb.ts'
import { storeSuite } from './suite.ts'

storeSuite(
  'lmdb',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rampart-store-'))
    const store = await openLmdbStore({ directory, autoCompact: false })
    return {
      store,
      dispose: async () => {
        await store.close()
        await rm(directory, { recursive: true })
      },
    }
  },
  { histories: 6, workers: 16, steps: 60 },
)

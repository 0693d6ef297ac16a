import { writeSync } from 'node:fs'
import { openLmdbStore } from './lmdb.ts'
import { seeded } from './suite-history.ts'

/*
 * A process to be killed: writes without end to the store in the folder of its first argument, and says on stdout, one
 * line each, what it was acknowledged (`revision key value`) once that was so.
 */
const [directory, seed] = process.argv.slice(2)
const random = seeded(Number(seed))
const store = await openLmdbStore({
  directory: directory!,
  owner: 'crash-writer',
  autoCompact: { keepRevisions: 2000 },
})
writeSync(1, `opened ${await store.revision()}\n`)
await Promise.all(
  Array.from({ length: 16 }, async (_, who) => {
    for (let i = 0; ; i++) {
      const key = `/${who}/${Math.floor(random() * 40)}`
      if (random() < 0.1) {
        const { revision, results } = await store.txn({ compare: [], success: [{ type: 'delete', key }] })
        if (results[0]!.kvs.length > 0) writeSync(1, `${revision} ${key} -\n`)
      } else {
        const value = `${i}`.padEnd(Math.floor(random() * 6000) + 8, '.')
        const put = { type: 'put', key, value: Buffer.from(value) } as const
        const { revision } = await store.txn({ compare: [], success: [put] })
        writeSync(1, `${revision} ${key} ${i}:${value.length}\n`)
      }
    }
  }),
)

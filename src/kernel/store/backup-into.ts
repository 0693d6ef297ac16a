import { BackupReader } from './backup.ts'
import { type Operation, type Store, StoreError } from './store.ts'

// etcd takes 128 operations and 1.5 MiB in one transaction.
const maxOperations = 100
const maxBytes = 1 << 20

/**
 * Puts the keys of a backup into a store that is in use and empty, by ordinary transactions: the way into etcd, which
 * gives out its own revisions. The keys are created in the order in which they were last written; their revisions and
 * versions are new. When it fails half way, what was written stays: empty the store and start again.
 * @throws StoreError 'internal' when the store is not empty, 'corrupt' when the backup is damaged.
 */
export async function restoreBackupInto(store: Store, file: string): Promise<{ revision: number; count: number }> {
  const { count: present } = await store.range({ key: '', prefix: true, countOnly: true })
  if (present > 0) throw new StoreError('internal', `the store holds ${present} keys already: nothing was restored`)
  const reader = await BackupReader.open(file)
  try {
    let revision = 0
    let gathered: Operation[] = []
    let bytes = 0
    const write = async (): Promise<void> => {
      const absent = gathered.map(({ key }) => ({ key, version: 0 }))
      const result = await store.txn({ compare: absent, success: gathered })
      if (!result.succeeded) throw new StoreError('internal', 'someone else wrote to the store while it was restored')
      revision = result.revision
      gathered = []
      bytes = 0
    }
    for await (const { key, value } of reader.entries()) {
      const size = key.length + value.length
      if (gathered.length > 0 && (gathered.length >= maxOperations || bytes + size > maxBytes)) await write()
      gathered.push({ type: 'put', key, value })
      bytes += size
    }
    if (gathered.length > 0) await write()
    return { revision, count: reader.count }
  } finally {
    await reader.close()
  }
}

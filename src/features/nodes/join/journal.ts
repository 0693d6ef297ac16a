/** /etc/rampart/join.json: to which cluster a machine belongs, and how far its joining has come. No secrets. */
export type Journal = {
  /** See clusterId. */
  cluster: string
  nodeName: string
  bundle: string
  /** Public half of the bootstrap token that is in use while state is `joining`. */
  tokenId?: string
  state: 'joining' | 'joined'
  /** RFC 3339. */
  time: string
}

export const formatJournal = (journal: Journal): string => `${JSON.stringify(journal, null, 2)}\n`

/** undefined: there is none, or it cannot be read, e.g. because the machine died while it was written. */
export function parseJournal(text: string | undefined): Journal | undefined {
  try {
    const value = JSON.parse(text ?? '') as Partial<Journal> | null
    const good =
      typeof value?.cluster === 'string' &&
      typeof value.nodeName === 'string' &&
      typeof value.bundle === 'string' &&
      (value.state === 'joining' || value.state === 'joined')
    return good ? (value as Journal) : undefined
  } catch {
    return undefined // the machine is looked at anyway; a journal only tells whose it is
  }
}

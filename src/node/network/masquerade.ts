import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../platform/namespaces.ts'

export const MASQUERADE_TABLE = 'rampart_network'

/**
 * Pods reach what is not a pod with their machine's address: nobody outside has a route to theirs. Between pods addresses
 * stay as they are, so that policies see who talks. One transaction replaces the table as a whole.
 */
export function masqueradeRules(podCidr: string, clusterCidr: string): string {
  return `table inet ${MASQUERADE_TABLE}
delete table inet ${MASQUERADE_TABLE}
table inet ${MASQUERADE_TABLE} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${podCidr} ip daddr != ${clusterCidr} ip daddr != 224.0.0.0/4 masquerade fully-random comment "pods leave with the machine's address"
  }
}
`
}

/** Loads a ruleset from a file of its own: nft cannot read the kind of pipe that Node gives its children. */
export async function loadRules(rules: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-nft-'))
  try {
    const file = join(folder, 'rules.nft')
    writeFileSync(file, rules, { mode: 0o600 })
    await run(['nft', '-f', file])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const CNI_NETWORK = 'rampart'
const CONF_FILE = '10-rampart.conflist'
/** Where host-local keeps which address is whose. */
const IPAM_FOLDER = '/var/lib/cni/networks'

/** The pod network of this machine for the reference plugins ptp and host-local (CNI specification 1.0). */
export function cniConfiguration(podCidr: string, mtu: number): object {
  return {
    cniVersion: '0.4.0',
    name: CNI_NETWORK,
    plugins: [
      {
        type: 'ptp',
        mtu,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          dataDir: IPAM_FOLDER,
          ranges: [[{ subnet: podCidr }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
    ],
  }
}

/**
 * Puts the configuration in place, whole or not at all. Returns
 * whether anything changed. containerd watches the folder.
 */
export function writeCniConfiguration(folder: string, configuration: object): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const file = join(folder, CONF_FILE)
  const text = `${JSON.stringify(configuration, null, 2)}\n`
  let current: string | undefined
  try {
    current = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (current === text) return false
  const temporary = join(folder, `.${CONF_FILE}.${process.pid}`)
  writeFileSync(temporary, text, { mode: 0o644 })
  renameSync(temporary, file)
  return true
}

/** Configurations that container runtimes would take before ours (they use the first by name). */
export function foreignConfigurations(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /\.(conf|conflist|json)$/.test(name) && name < CONF_FILE)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

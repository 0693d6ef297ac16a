import { readFileSync } from 'node:fs'
import type { VersionInfo } from '../kernel/apiserver/http/endpoints.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

export const PRODUCT_VERSION: string = manifest.version

/** The Kubernetes minor version whose API is served: clients decide by it what they may use. */
const KUBERNETES = '1.32.0'

export function serverVersion(): VersionInfo {
  const [major = '', minor = ''] = KUBERNETES.split('.')
  return {
    major,
    minor,
    gitVersion: `v${KUBERNETES}+rampart.${PRODUCT_VERSION}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: `node ${process.version}`,
    compiler: 'node',
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  }
}

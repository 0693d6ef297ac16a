import { PRODUCT_VERSION, serverVersion } from '../../control-plane/version.ts'
import { adminClient } from '../admin.ts'
import { clusterPaths, runningControlPlane } from '../cluster.ts'
import { outputFormat, print, printValue } from '../output.ts'

export async function version(options: { name?: string; dataDir?: string; output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const paths = clusterPaths(options)
  const running = runningControlPlane(paths)
  const server = running === undefined ? undefined : await (await adminClient(paths)).get('/version')
  const value = {
    client: { version: PRODUCT_VERSION, kubernetes: serverVersion().gitVersion, node: process.version },
    ...(server ? { server } : {}),
  }
  if (format === 'json' || format === 'yaml') return printValue(format, value)
  print(`client   ${value.client.version} (Kubernetes API ${value.client.kubernetes}, Node ${value.client.node})`)
  print(`server   ${server ? (server as { gitVersion: string }).gitVersion : `${paths.name} does not run`}`)
}

import { existsSync } from 'node:fs'
import { clusterPaths } from '../cluster.ts'
import { CliError } from '../error.ts'
import { print } from '../output.ts'

export function kubeconfig(options: { name?: string; dataDir?: string }): void {
  const paths = clusterPaths(options)
  if (!existsSync(paths.kubeconfig))
    throw new CliError(`there is no cluster ${paths.name} in ${paths.directory}: run "rampart up" first`)
  print(paths.kubeconfig)
}

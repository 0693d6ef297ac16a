import type { Command } from 'commander'
import type { ImportTarget } from '../../lab/index.ts'
import { clusterPaths } from '../cluster.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printTable, printValue, step } from '../output.ts'

type ImportOptions = { name?: string; node?: string[]; cluster?: string; dataDir?: string; output?: string }

export function registerImage(root: Command): void {
  const image = root.command('image').description('images on the machines of a cluster')
  image
    .command('import')
    .description('give an OCI layout, a docker-archive or a root file system to every machine')
    .argument('<source>', 'file (tar, also gzip) or folder')
    .option('--name <reference>', 'name of the image, such as shop.internal/web:1; needed when it brings none')
    .option('--node <name...>', 'only these machines')
    .option('--cluster <name>', 'name of the cluster (default "default")')
    .option('--data-dir <folder>', 'where the cluster keeps its data')
    .option('-o, --output <format>', 'json, yaml or name')
    .action(importCommand)
}

async function importCommand(path: string, options: ImportOptions): Promise<void> {
  const format = outputFormat(options.output)
  const { fullImageName, importImages, openImageSource } = await import('../../lab/index.ts')
  const { labOf } = await import('../lab.ts')
  if (options.name !== undefined) usage(() => fullImageName(options.name!))
  const paths = clusterPaths({
    ...(options.cluster === undefined ? {} : { name: options.cluster }),
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
  })
  const targets = chosen(labOf(paths).importTargets(), options.node)
  if (targets.length === 0) throw new CliError(`the cluster ${paths.name} has no machine that runs`)
  const source = await openImageSource(path, options.name).catch((error: Error) => {
    throw new CliError(error.message)
  })
  try {
    const done = await step(
      `importing ${source.names.join(', ')} (${source.kind}) into ${targets.map((t) => t.name).join(', ')}`,
      () => Promise.allSettled(targets.map((target) => importImages(target, source))),
    )
    const failed = done.flatMap((result, i) =>
      result.status === 'rejected' ? [`${targets[i]!.name}: ${(result.reason as Error).message}`] : [],
    )
    if (failed.length > 0) throw new CliError(failed.join('\n'))
  } finally {
    source.close()
  }
  const rows = targets.flatMap((target) => source.names.map((name) => ({ machine: target.name, image: name })))
  if (format === 'json' || format === 'yaml') printValue(format, rows)
  else if (format === 'name') print(source.names.join('\n'))
  else
    printTable(
      ['MACHINE', 'IMAGE'],
      rows.map((row) => [row.machine, row.image]),
    )
}

function chosen(targets: readonly ImportTarget[], names: readonly string[] | undefined): ImportTarget[] {
  const unknown = (names ?? []).filter((name) => !targets.some((target) => target.name === name))
  if (unknown.length > 0) throw new CliError(`no machine that runs is named ${unknown.join(', ')}`, 2)
  return targets.filter((target) => names === undefined || names.includes(target.name))
}

function usage(check: () => unknown): void {
  try {
    check()
  } catch (error) {
    throw new CliError(`--name: ${(error as Error).message}`, 2)
  }
}

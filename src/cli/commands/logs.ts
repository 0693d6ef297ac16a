import { createReadStream, existsSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { clusterPaths } from '../cluster.ts'
import { CliError } from '../error.ts'

const BLOCK = 64 * 1024

/** Byte offset at which the last `lines` lines begin; reads from the end. */
async function tailOffset(file: string, lines: number): Promise<number> {
  const handle = await open(file)
  try {
    let end = (await handle.stat()).size
    let found = 0
    const block = Buffer.alloc(BLOCK)
    while (end > 0) {
      const size = Math.min(BLOCK, end)
      await handle.read(block, 0, size, end - size)
      for (let i = size - 1; i >= 0; i--) {
        if (block[i] !== 0x0a) continue
        if (++found > lines) return end - size + i + 1
      }
      end -= size
    }
    return 0
  } finally {
    await handle.close()
  }
}

function copy(file: string, start: number, end: number): Promise<void> {
  if (start >= end) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const stream = createReadStream(file, { start, end: end - 1 })
    stream.on('error', reject)
    stream.on('end', resolve)
    stream.pipe(process.stdout, { end: false })
  })
}

export async function logs(options: {
  name?: string
  dataDir?: string
  follow?: boolean
  tail?: string
}): Promise<void> {
  const paths = clusterPaths(options)
  const tail = options.tail === undefined ? 100 : Number(options.tail)
  if (!Number.isInteger(tail) || tail < -1)
    throw new CliError(`--tail must be a whole number, not ${JSON.stringify(options.tail)}`, 2)
  if (!existsSync(paths.log)) throw new CliError(`there is no log at ${paths.log}: run "rampart up" first`)
  let position = tail === -1 ? 0 : await tailOffset(paths.log, tail)
  for (;;) {
    const { size } = statSync(paths.log)
    if (size < position) position = 0 // rotated
    await copy(paths.log, position, size)
    position = size
    if (!options.follow) return
    await sleep(200)
  }
}

import { existsSync, readFileSync } from 'node:fs'
import { arch, availableParallelism, hostname, release } from 'node:os'

/** What this machine has. */
export type Machine = {
  hostname: string
  cpus: number
  memoryBytes: number
  arch: string
  kernelVersion: string
  osImage: string
  machineId: string
  bootId: string
}

const ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' }

export function readMachine(): Machine {
  const meminfo = readFileSync('/proc/meminfo', 'utf8')
  const total = /^MemTotal:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? '0'
  const osRelease = textOf('/etc/os-release') || textOf('/usr/lib/os-release')
  return {
    hostname: hostname(),
    cpus: availableParallelism(),
    memoryBytes: Number(total) * 1024,
    arch: ARCH[arch()] ?? arch(),
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
    machineId: textOf('/etc/machine-id').trim(),
    bootId: textOf('/proc/sys/kernel/random/boot_id').trim(),
  }
}

const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')

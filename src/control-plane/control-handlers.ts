import { resolve } from 'node:path'
import type { ControlPlane } from './control-plane.ts'
import type { ControlHandler } from './control-socket.ts'
import { secretsHandlers } from './secrets-handlers.ts'
import { importTrust } from './shared-trust.ts'
import { tlsHandlers } from './tls-handlers.ts'

/** What the running control plane does for the command line on its own machine. */
export function controlHandlers(directory: string, plane: ControlPlane): Record<string, ControlHandler> {
  const { store, pki } = plane
  const rotation = pki.serviceAccountKeyRotation
  const keyCount = (): { keys: number } => ({ keys: pki.serviceAccountKeys.length })
  return {
    ...secretsHandlers(plane),
    ...tlsHandlers(directory, plane),
    backup: async ({ file }) => store.backup(resolve(text(file, 'file'))),
    'import-trust': async ({ file }) => {
      const changed = importTrust(directory, resolve(text(file, 'file')))
      rotation.reload()
      pki.reload()
      return { changed }
    },
    'prepare-service-account-key': async () => {
      rotation.prepare()
      return keyCount()
    },
    'rotate-service-account-key': async () => {
      rotation.rotate()
      return keyCount()
    },
    'retire-service-account-keys': async ({ keep }) => {
      rotation.retire(typeof keep === 'number' ? keep : 1)
      return keyCount()
    },
  }
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${name} must be a text`)
  return value
}

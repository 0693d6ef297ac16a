/** A whole control plane in this process for tests: real store, real TLS, real authorization, a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ControlPlane, startControlPlane } from '../../control-plane/control-plane.ts'
import type { ControlPlaneSettings } from '../../control-plane/settings.ts'
import type { Client } from '../client/client.ts'
import { createRemoteClient, type RemoteClient } from '../client/remote.ts'
import type { Clock, Log } from '../feature.ts'

export type TestServer = {
  url: string
  port: number
  /** PEM. */
  ca: string
  adminCert: string
  adminKey: string
  directory: string
  plane: ControlPlane
  /** In the server's process. */
  localClient: Client
  /** Over HTTPS, as the administrator. */
  remoteClient: RemoteClient
  log: { level: string; message: string; fields?: Record<string, unknown> }[]
  /** Stops the server; `keep` leaves the data folder for another start. */
  close: (options?: { keep?: boolean }) => Promise<void>
}

export type TestServerOptions = { settings?: Partial<ControlPlaneSettings>; directory?: string; clock?: Clock }

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'rampart-server-'))
  const lines: TestServer['log'] = []
  const log: Log = (level, message, fields) => lines.push({ level, message, ...(fields ? { fields } : {}) })
  const settings: ControlPlaneSettings = {
    name: 'test',
    port: 0,
    bindAddress: '127.0.0.1',
    store: 'lmdb',
    etcdEndpoints: [],
    apiServerNames: [],
    ...options.settings,
  }
  const plane = await startControlPlane({ directory, settings, clock: options.clock ?? { now: Date.now }, log })
  const url = `https://127.0.0.1:${plane.port}`
  const admin = plane.pki.leaf('admin')
  const remoteClient = createRemoteClient({ server: new URL(url), ca: plane.pki.rootPem, ...admin, userAgent: 'test' })
  return {
    url,
    port: plane.port,
    ca: plane.pki.rootPem,
    adminCert: admin.cert,
    adminKey: admin.key,
    directory,
    plane,
    localClient: plane.api.client,
    remoteClient,
    log: lines,
    close: async ({ keep = false } = {}) => {
      remoteClient.close()
      await plane.close()
      if (!keep) rmSync(directory, { recursive: true, force: true })
    },
  }
}

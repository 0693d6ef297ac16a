import type { NodeTaskFactory } from '../task.ts'
import { kubeletAccess } from './access.ts'
import type { KubeletRuntime, ServingCertificate } from './runtime.ts'
import { type KubeletServer, startKubeletServer } from './server.ts'

export type KubeletApiOptions = {
  certificate: ServingCertificate
  /** PEM of the anchors of client certificates. */
  clientCa: () => string
  runtime: KubeletRuntime
  isRevoked?: (serialNumber: string, fingerprint256: string) => boolean
  /** Told once the server listens; tests and `--kubelet-port 0` need it. */
  onListening?: (port: number) => void
}

/** The part of the agent that answers the API server on the machine's address. */
export function kubeletApiTask(options: KubeletApiOptions): NodeTaskFactory {
  return ({ config, client, clock, log }) => {
    let server: KubeletServer | undefined
    return {
      name: 'kubelet-api',
      start: async () => {
        const { isRevoked, certificate, clientCa, runtime } = options
        const access = kubeletAccess({
          client,
          clock,
          nodeName: config.nodeName,
          ...(isRevoked === undefined ? {} : { isRevoked }),
        })
        const { nodeAddress: host, kubeletPort: port } = config
        server = await startKubeletServer({ host, port, clientCa, certificate, access, runtime, clock, log })
        options.onListening?.(server.port)
      },
      stop: async () => {
        await server?.close()
        server = undefined
      },
    }
  }
}

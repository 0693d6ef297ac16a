import { X509Certificate } from 'node:crypto'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What is used of node's own side of a TLS connection. */
type TlsHandle = {
  getPeerX509Certificate: () => unknown
  getPeerCertificate: () => { raw?: Buffer } | undefined
  [symbol: symbol]: unknown
}

let mended = false

/**
 * Node 24 loses every certificate that a client sends beside its own: `getPeerX509Certificate`, which node itself asks
 * after each handshake, takes the chain apart without freeing it. That is 5 KB a connection for an ordinary client, up to
 * hundreds for one that means harm, whether or not its certificate verifies. So on the server's side the certificate is
 * read by `getPeerCertificate`, which frees what it takes; only `issuerCertificate` is not known of it then. Clients'
 * sockets stay as they are.
 */
export function keepPeerCertificatesFromLeaking(): void {
  if (mended) return
  mended = true
  const socket = new TLSSocket(new Socket(), { isServer: true })
  const handle = (socket as unknown as { _handle: TlsHandle })._handle
  const owner = Object.getOwnPropertySymbols(handle).find((s) => handle[s] === socket)
  socket.destroy()
  if (owner === undefined) return
  const prototype = Object.getPrototypeOf(handle) as TlsHandle
  const { getPeerX509Certificate } = prototype
  prototype.getPeerX509Certificate = function (this: TlsHandle): unknown {
    const { _tlsOptions: options } = (this[owner] ?? {}) as { _tlsOptions?: { isServer?: boolean } }
    if (options?.isServer !== true) return getPeerX509Certificate.call(this)
    const raw = this.getPeerCertificate()?.raw
    return raw === undefined ? undefined : handleOf(new X509Certificate(raw))
  }
}

/** Node's own side of a certificate. */
function handleOf(certificate: X509Certificate): unknown {
  const symbol = Object.getOwnPropertySymbols(certificate).find((s) => s.description === 'kHandle')
  return symbol && (certificate as unknown as { [symbol: symbol]: unknown })[symbol]
}

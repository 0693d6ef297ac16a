import { X509Certificate } from 'node:crypto'
import { relative } from 'node:path'
import {
  type Blocker,
  type InventoryItem,
  ISSUED_CERTIFICATES,
  inventory,
  issuedCertificateSpec,
  type LeafName,
  renewMachinesIssuedBefore,
  retireBlockers,
  serialName,
  signBlockers,
} from '../features/tls/index.ts'
import type { KubeObject } from '../kernel/api/object.ts'
import type { Client, ResourceId } from '../kernel/client/client.ts'
import { isReason } from '../kernel/controllers/api-errors.ts'
import type { ControlPlane } from './control-plane.ts'
import type { ControlHandler } from './control-socket.ts'
import { linksHandler } from './tls-links.ts'

const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
const SECRETS: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const PAGE = 500

/** Certificates, for the command line on the control plane's own machine. */
export function tlsHandlers(directory: string, plane: ControlPlane): Record<string, ControlHandler> {
  const { pki, revocations, api, clock } = plane
  const { client } = api
  const items = async (): Promise<InventoryItem[]> =>
    inventory({
      authorities: pki.authorities,
      leaves: pki.leafNames.map((name) => ({
        name,
        file: relative(directory, pki.file(name, 'crt')),
        certificate: new X509Certificate(pki.leaf(name).cert),
      })),
      records: await listAll(client, ISSUED_CERTIFICATES),
      nodes: await listAll(client, NODES),
      oldAuthorities: pki.authorityKeyIds.old,
      isRevoked: revocations.isRevoked,
      now: clock.now(),
    })
  const blockers = async (): Promise<Blocker[]> => {
    const { phase } = pki.rotation
    if (phase === 'sign') return retireBlockers(await items())
    if (phase === 'stable') return []
    const roots = pki.authorities.filter(({ name }) => name === 'root')
    return signBlockers(await listAll(client, NODES), roots.at(-1)!.certificate.fingerprint256)
  }

  return {
    'tls-links': linksHandler(plane),
    'tls-list': async () => ({ certificates: await items(), rotation: pki.rotation }),

    /** `names`: of the control plane's own; `machines`: every machine renews what it has now. */
    'tls-renew': async ({ names, machines }) => {
      const wanted = Array.isArray(names) ? names.map(String) : []
      const unknown = wanted.filter((name) => !(pki.leafNames as readonly string[]).includes(name))
      if (unknown.length > 0)
        throw new Error(
          `no certificate of the control plane: ${unknown.join(', ')} (there are ${pki.leafNames.join(', ')})`,
        )
      const issued = pki.renew(wanted as LeafName[])
      if (machines === true) await renewMachinesIssuedBefore(client, clock.now())
      return { issued }
    },

    'tls-revoke': async ({ serial, node, user }) => {
      const records = await listAll(client, ISSUED_CERTIFICATES)
      const chosen = records.filter((record) => {
        const { commonName, node: machine, notAfter, revokedAt } = issuedCertificateSpec(record)
        if (revokedAt !== undefined || Date.parse(notAfter) <= clock.now()) return false
        if (typeof serial === 'string') return record.metadata.name === serialName(serial)
        return typeof node === 'string' ? machine === node : commonName === user
      })
      // A machine whose certificates end must not come back by the token of its join.
      if (typeof node === 'string') await deleteTokens(client, node)
      // In force first, recorded then: what is written down twice does no harm.
      const serials = typeof serial === 'string' ? [serialName(serial)] : chosen.map(({ metadata }) => metadata.name!)
      for (const serialNumber of serials) revocations.revoke({ serialNumber })
      const revokedAt = new Date(clock.now()).toISOString()
      for (const { metadata } of chosen)
        await client.patch(ISSUED_CERTIFICATES, '', metadata.name!, 'merge', { spec: { revokedAt } })
      // The control plane goes on with new ones where it was its own.
      const own = pki.leafNames.filter((name) => {
        const { serialNumber } = new X509Certificate(pki.leaf(name).cert)
        return serials.includes(serialName(serialNumber))
      })
      const issued = own.length === 0 ? [] : pki.renew(own)
      return {
        revoked: serials.map((name) => {
          const record = chosen.find(({ metadata }) => metadata.name === name)
          const spec = record && issuedCertificateSpec(record)
          return { serial: name.toUpperCase(), commonName: spec?.commonName ?? '', signerName: spec?.signerName ?? '' }
        }),
        issued,
      }
    },

    'tls-rotation': async () => ({ rotation: pki.rotation, blockers: await blockers() }),

    /** `step`: trust, sign or retire. Refused, with the list, while somebody is not ready for it. */
    'tls-rotate': async ({ step }) => {
      if (step !== 'trust' && step !== 'sign' && step !== 'retire')
        throw new Error('step must be trust, sign or retire')
      const { phase } = pki.rotation
      const waiting = (step === 'sign' && phase === 'trust') || (step === 'retire' && phase === 'sign')
      const blocking = waiting ? await blockers() : []
      if (blocking.length > 0) return { rotation: pki.rotation, blockers: blocking, issued: [], done: false }
      const issued = pki.rotate(step)
      return { rotation: pki.rotation, blockers: [], issued, done: true }
    },
  }
}

async function listAll(client: Client, id: ResourceId): Promise<KubeObject[]> {
  const found: KubeObject[] = []
  let next: string | undefined
  do {
    const page = await client.list(id, { limit: PAGE, ...(next ? { continue: next } : {}) })
    found.push(...page.items)
    next = page.metadata.continue
  } while (next)
  return found
}

/** Bootstrap tokens that were made for the machine. */
async function deleteTokens(client: Client, node: string): Promise<void> {
  const group = `system:bootstrappers:rampart:node:${node}`
  const { items } = await client.list(SECRETS, { namespace: 'kube-system' })
  for (const { type, data, metadata } of items) {
    if (type !== 'bootstrap.kubernetes.io/token') continue
    const groups = Buffer.from(String(data?.['auth-extra-groups'] ?? ''), 'base64').toString('utf8')
    if (!groups.split(',').some((g) => g.trim() === group)) continue
    await client.delete(SECRETS, 'kube-system', metadata.name!).catch((error: unknown) => {
      if (!isReason(error, 'NotFound')) throw error
    })
  }
}

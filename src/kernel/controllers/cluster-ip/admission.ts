import type { AdmissionRequest, AdmissionStep } from '../../admission/types.ts'
import { ApiError, type FieldError, fieldError, invalid } from '../../api/status.ts'
import { needsClusterIP, needsHealthCheck, type ServiceSpec } from '../../resources/kinds/service-types.ts'
import { settleServiceUpdate, validateServiceChange } from '../../resources/kinds/service-update.ts'
import { validateService } from '../../resources/kinds/service-validation.ts'
import type { Family } from './address.ts'
import { canonicalAddress, type ServiceAllocations } from './allocations.ts'
import { settleFamilies } from './families.ts'
import { mayHaveNodePorts, missingNodePorts, nodePortsOf } from './node-ports.ts'
import type { Owner, Pool } from './pool.ts'

/**
 * Gives Services their cluster addresses and node ports. It must be the last mutating step: what it reserves is lost
 * (until the repair finds it) when the write fails after it.
 */
export function clusterIpAdmission(allocations: ServiceAllocations): AdmissionStep {
  return {
    name: 'cluster-ip',
    handles: ({ operation, definition, subresource }) =>
      definition.group === '' &&
      definition.plural === 'services' &&
      subresource === '' &&
      (operation === 'CREATE' || operation === 'UPDATE'),
    mutate: async (request) => await allocate(allocations, request),
  }
}

async function allocate(allocations: ServiceAllocations, request: AdmissionRequest): Promise<void> {
  const service = request.object
  if (service === undefined) return
  const spec = (service['spec'] ??= {}) as ServiceSpec
  const old = request.oldObject?.['spec'] as ServiceSpec | undefined
  if (old !== undefined) settleServiceUpdate(spec, old)
  // What is not valid gets nothing; the validation that follows says why.
  if (validateService(service).some((error) => !willBeFilled(error))) return
  if (request.oldObject !== undefined && service.metadata.deletionTimestamp !== undefined) return
  const errors = settleFamilies(spec, old, allocations.families)
  if (errors.length > 0) throw invalid('', 'Service', service.metadata.name ?? '', errors)
  if (request.oldObject !== undefined && validateServiceChange(service, request.oldObject).length > 0) return
  const { uid = '', name = '' } = service.metadata
  const owner = { uid, namespace: request.namespace, name }
  const reservations = new Reservations(allocations, owner, request.dryRun)
  try {
    if (needsClusterIP(spec)) await allocateAddresses(allocations, spec, old, reservations)
    await allocatePorts(allocations, spec, old, reservations)
  } catch (error) {
    await reservations.undo()
    throw error
  }
}

/** The one field that validation demands and that is filled here. */
const willBeFilled = (error: FieldError): boolean =>
  error.field === 'spec.healthCheckNodePort' && error.type === 'FieldValueRequired'

async function allocateAddresses(
  allocations: ServiceAllocations,
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  reservations: Reservations,
): Promise<void> {
  if (spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None') return
  const before = old !== undefined && needsClusterIP(old) ? (old.clusterIPs ?? []) : []
  const ips = [...(spec.clusterIPs ?? [])]
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    const asked = ips[i]
    if (asked !== undefined && asked !== '' && before.includes(asked)) continue
    ips[i] = await allocateAddress(allocations, family as Family, asked ?? '', spec, reservations)
  }
  spec.clusterIPs = ips
  if (ips[0] !== undefined) spec.clusterIP = ips[0]
}

async function allocateAddress(
  allocations: ServiceAllocations,
  family: Family,
  asked: string,
  spec: ServiceSpec,
  reservations: Reservations,
): Promise<string> {
  const { range, pool } = allocations.addresses.get(family)!
  if (asked === '') {
    const offset = await reservations.takeAny(pool)
    if (offset === undefined) throw internal('failed to allocate a serviceIP: range is full')
    return range.at(offset)
  }
  const offset = range.offsetOf(canonicalAddress(asked) ?? '')
  const refuse = (why: string): FieldError =>
    fieldError.invalid('spec.clusterIPs', spec.clusterIPs, `failed to allocate IP ${asked}: ${why}`)
  if (offset === undefined)
    throw reservations.refused(
      refuse(`the provided IP (${asked}) is not in the valid range. The range of valid IPs is ${range.cidr}`),
    )
  if (!(await reservations.take(pool, offset))) throw reservations.refused(refuse('provided IP is already allocated'))
  return asked
}

async function allocatePorts(
  allocations: ServiceAllocations,
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  reservations: Reservations,
): Promise<void> {
  const before = new Set(old === undefined ? [] : nodePortsOf(old))
  const take = async (port: number, field: string): Promise<void> => {
    if (before.has(port)) return
    const { from, to, pool } = allocations.ports
    const why = !pool.contains(port - from)
      ? `provided port is not in the valid range. The range of valid ports is ${from}-${to}`
      : (await reservations.take(pool, port - from))
        ? undefined
        : 'provided port is already allocated'
    if (why !== undefined) throw reservations.refused(fieldError.invalid(field, port, why))
  }
  const takeAny = async (what: string): Promise<number> => {
    const offset = await reservations.takeAny(allocations.ports.pool)
    if (offset === undefined) throw internal(`failed to allocate a ${what}: range is full`)
    return allocations.ports.from + offset
  }
  if (mayHaveNodePorts(spec)) {
    for (const [i, port] of (spec.ports ?? []).entries())
      if (port.nodePort) await take(port.nodePort, `spec.ports[${i}].nodePort`)
    // Asked again for each: the one before may have got the number to share.
    for (const missing of missingNodePorts(spec))
      missing.port.nodePort = sharedNow(spec, missing.port) ?? (await takeAny('nodePort'))
  }
  if (!needsHealthCheck(spec)) return
  if (spec.healthCheckNodePort) await take(spec.healthCheckNodePort, 'spec.healthCheckNodePort')
  else spec.healthCheckNodePort = await takeAny('HealthCheck NodePort')
}

const sharedNow = (spec: ServiceSpec, port: { port?: number; protocol?: string }): number | undefined =>
  missingNodePorts(spec).find((missing) => missing.port === port)?.shared

const internal = (message: string): ApiError => new ApiError('InternalError', message)

/** What one request reserves; undone when it fails half way. */
class Reservations {
  readonly #allocations: ServiceAllocations
  readonly #owner: Owner
  readonly #dryRun: boolean
  readonly #taken: { pool: Pool; number: number }[] = []

  constructor(allocations: ServiceAllocations, owner: Owner, dryRun: boolean) {
    this.#allocations = allocations
    this.#owner = owner
    this.#dryRun = dryRun
  }

  /** False when someone else has it. */
  async take(pool: Pool, number: number): Promise<boolean> {
    if (this.#taken.some((taken) => taken.pool === pool && taken.number === number)) return true
    if (this.#dryRun) return !(await pool.isTaken(number, this.#owner))
    const outcome = await pool.reserve(number, this.#owner, this.#allocations.mayTakeOver(this.#owner))
    if (outcome === 'taken') return false
    this.#taken.push({ pool, number })
    return true
  }

  /** undefined when the pool is empty. */
  async takeAny(pool: Pool): Promise<number | undefined> {
    if (this.#dryRun) return await pool.suggest()
    const number = await pool.reserveAny(this.#owner)
    if (number !== undefined) this.#taken.push({ pool, number })
    return number
  }

  async undo(): Promise<void> {
    for (const { pool, number } of this.#taken) await pool.release(number, this.#owner.uid)
  }

  refused(error: FieldError): ApiError {
    return invalid('', 'Service', this.#owner.name, [error])
  }
}

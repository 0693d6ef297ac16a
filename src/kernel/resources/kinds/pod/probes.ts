import { type FieldError, fieldError } from '../../../api/status.ts'
import { httpHeaderName, invalidEach, nonNegative, portNumberOrName } from './formats.ts'
import type { Container, Handler, HttpGetAction, Lifecycle, Probe } from './types.ts'

/** Probes and lifecycle hooks: what the kubelet runs or calls to learn of, or tell, a container. */

const KINDS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const
const TIMES = [
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
] as const

/** Exactly one kind of handler. `grace`: the pod's terminationGracePeriodSeconds. */
function validateHandler(handler: Handler, grace: number | undefined, path: string, errors: FieldError[]): void {
  let found = false
  for (const kind of KINDS) {
    if (handler[kind] == null) continue
    const at = `${path}.${kind}`
    if (found) errors.push(fieldError.forbidden(at, 'may not specify more than 1 handler type'))
    else validateAction(handler, kind, grace, at, errors)
    found = true
  }
  if (!found) errors.push(fieldError.required(path, 'must specify a handler type'))
}

function validateAction(
  handler: Handler,
  kind: (typeof KINDS)[number],
  grace: number | undefined,
  at: string,
  errors: FieldError[],
): void {
  switch (kind) {
    case 'exec':
      if ((handler.exec?.command ?? []).length === 0) errors.push(fieldError.required(`${at}.command`))
      break
    case 'httpGet':
      validateHttpGet(handler.httpGet!, at, errors)
      break
    case 'sleep':
      validateSleep(handler.sleep?.seconds ?? 0, grace, at, errors)
      break
    default:
      portNumberOrName(handler[kind]?.port, `${at}.port`, errors)
  }
}

function validateHttpGet(action: HttpGetAction, path: string, errors: FieldError[]): void {
  if (!action.path) errors.push(fieldError.required(`${path}.path`))
  portNumberOrName(action.port, `${path}.port`, errors)
  const scheme = action.scheme ?? ''
  if (scheme !== 'HTTP' && scheme !== 'HTTPS')
    errors.push(fieldError.notSupported(`${path}.scheme`, scheme, ['HTTP', 'HTTPS']))
  for (const header of action.httpHeaders ?? [])
    invalidEach(errors, `${path}.httpHeaders`, header.name ?? '', httpHeaderName(header.name ?? ''))
}

function validateSleep(seconds: number, grace: number | undefined, path: string, errors: FieldError[]): void {
  if (grace === undefined || (seconds > 0 && seconds <= grace)) return
  errors.push(
    fieldError.invalid(
      path,
      seconds,
      `must be greater than 0 and less than terminationGracePeriodSeconds (${grace}). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep.`,
    ),
  )
}

function validateProbe(probe: Probe, grace: number | undefined, path: string, errors: FieldError[]): void {
  validateHandler(probe, grace, path, errors)
  for (const time of TIMES) nonNegative(probe[time], `${path}.${time}`, errors)
  const own = probe.terminationGracePeriodSeconds
  if (own != null && own <= 0)
    errors.push(fieldError.invalid(`${path}.terminationGracePeriodSeconds`, own, 'must be greater than 0'))
}

function mustSucceedOnce(probe: Probe, path: string, errors: FieldError[]): void {
  if (probe.successThreshold !== 1)
    errors.push(fieldError.invalid(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'))
}

/** The three probes and the lifecycle hooks of a container that may have them. */
export function validateProbesAndLifecycle(
  container: Container,
  grace: number | undefined,
  path: string,
  errors: FieldError[],
): void {
  const { lifecycle, livenessProbe, readinessProbe, startupProbe } = container
  if (lifecycle != null) validateLifecycle(lifecycle, grace, `${path}.lifecycle`, errors)
  if (livenessProbe != null) {
    validateProbe(livenessProbe, grace, `${path}.livenessProbe`, errors)
    mustSucceedOnce(livenessProbe, `${path}.livenessProbe`, errors)
  }
  if (readinessProbe != null) {
    validateProbe(readinessProbe, grace, `${path}.readinessProbe`, errors)
    if (readinessProbe.terminationGracePeriodSeconds != null)
      errors.push(
        fieldError.invalid(
          `${path}.readinessProbe.terminationGracePeriodSeconds`,
          readinessProbe.terminationGracePeriodSeconds,
          'must not be set for readinessProbes',
        ),
      )
  }
  if (startupProbe != null) {
    validateProbe(startupProbe, grace, `${path}.startupProbe`, errors)
    mustSucceedOnce(startupProbe, `${path}.startupProbe`, errors)
  }
}

function validateLifecycle(lifecycle: Lifecycle, grace: number | undefined, path: string, errors: FieldError[]): void {
  if (lifecycle.postStart != null) validateHandler(lifecycle.postStart, grace, `${path}.postStart`, errors)
  if (lifecycle.preStop != null) validateHandler(lifecycle.preStop, grace, `${path}.preStop`, errors)
}

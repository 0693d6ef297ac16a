/** Checks of what a pod takes from its node: namespaces, processes, paths, ports, addresses. */
import type { Container, Handler } from '../../../kernel/resources/kinds/pod/types.ts'
import {
  type Check,
  containersOf,
  containersWith,
  joinQuote,
  named,
  nameOf,
  pluralize,
  settersOf,
  sorted,
} from './check.ts'

const HOST_NAMESPACES = ['hostNetwork', 'hostPID', 'hostIPC'] as const

const hostNamespaces: Check = {
  id: 'hostNamespaces',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const shared = HOST_NAMESPACES.filter((field) => spec[field] === true)
        if (shared.length === 0) return undefined
        return { reason: 'host namespaces', detail: shared.map((field) => `${field}=true`).join(', ') }
      },
    },
  ],
}

const hostPathVolumes: Check = {
  id: 'hostPathVolumes',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const bad = (spec.volumes ?? []).filter((volume) => volume['hostPath'] != null).map((v) => v.name ?? '')
        return bad.length === 0 ? undefined : { reason: 'hostPath volumes', detail: named('volume', bad) }
      },
    },
  ],
}

/** `containers "a", "b" use hostPorts 1, 2`. */
function containersUse(names: readonly string[], what: string, values: readonly string[], printed: string): string {
  return `${named('container', names)} ${pluralize('uses', names.length, 'use')} ${pluralize(what, values.length)} ${printed}`
}

const hostPorts: Check = {
  id: 'hostPorts',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const taken = containersOf(spec)
          .map((container) => ({
            name: nameOf(container),
            ports: (container.ports ?? []).map(({ hostPort }) => hostPort ?? 0).filter((port) => port !== 0),
          }))
          .filter(({ ports }) => ports.length > 0)
        if (taken.length === 0) return undefined
        // As texts: 443 stands before 80.
        const ports = sorted(taken.flatMap((c) => c.ports.map(String)))
        const names = taken.map((c) => c.name)
        return { reason: 'hostPort', detail: containersUse(names, 'hostPort', ports, ports.join(', ')) }
      },
    },
  ],
}

const hostsOf = (handler: Handler | undefined): string[] =>
  [handler?.httpGet?.host, handler?.tcpSocket?.host].filter((host) => host != null && host !== '') as string[]

function hostsNamedBy(container: Container): string[] {
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container
  return [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].flatMap((handler) =>
    hostsOf(handler ?? undefined),
  )
}

/** A probe with a host lets whoever writes pods send requests from the node to any address (KEP-4940). */
const hostProbesAndHostLifecycle: Check = {
  id: 'hostProbesAndHostLifecycle',
  level: 'baseline',
  versions: [
    {
      since: 34,
      check: ({ spec }) => {
        const bad = containersOf(spec).filter((container) => hostsNamedBy(container).length > 0)
        if (bad.length === 0) return undefined
        const hosts = sorted(bad.flatMap(hostsNamedBy))
        const detail = containersUse(sorted(bad.map(nameOf)), 'probe or lifecycle host', hosts, joinQuote(hosts))
        return { reason: 'probe or lifecycle host', detail }
      },
    },
  ],
}

const windowsHostProcess: Check = {
  id: 'windowsHostProcess',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const setters = settersOf(
          spec.securityContext?.windowsOptions?.hostProcess === true,
          containersWith(spec, (context) => context.windowsOptions?.hostProcess === true),
        )
        if (setters === '') return undefined
        return {
          reason: 'hostProcess',
          detail: `${setters} must not set securityContext.windowsOptions.hostProcess=true`,
        }
      },
    },
  ],
}

export const hostChecks: readonly Check[] = [
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostProbesAndHostLifecycle,
  windowsHostProcess,
]

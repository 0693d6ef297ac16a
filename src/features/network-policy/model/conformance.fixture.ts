import { pod } from './fixture.ts'
import { NetworkPolicyModel } from './model.ts'

/** The world and the actions of data/conformance.json.gz. */
export type ConformanceAction =
  | { policy: { namespace: string; name: string; spec: object } }
  | { deletePolicy: [string, string] }
  | { namespace: string; labels: Record<string, string> }
  | { deleteNamespace: string }
  | { pod: [string, string]; labels: Record<string, string> }
  | { deletePod: [string, string] }

export type ConformanceCase = {
  group: string
  description: string
  tags: string[]
  steps: { actions: ConformanceAction[]; services: string[]; pods: string[]; cells: string }[]
}

export type ConformanceWorld = { model: NetworkPolicyModel }

export const conformanceCases = (json: Buffer): { source: string; cases: ConformanceCase[] } =>
  JSON.parse(json.toString()) as { source: string; cases: ConformanceCase[] }

const PORTS = [80, 81].flatMap((port) =>
  ['TCP', 'UDP', 'SCTP'].map((protocol) => ({
    name: `serve-${port}-${protocol.toLowerCase()}`,
    containerPort: port,
    protocol,
  })),
)

export function conformanceWorld(): ConformanceWorld {
  const world: ConformanceWorld = { model: new NetworkPolicyModel() }
  for (const namespace of ['x', 'y', 'z']) {
    runActions(world, [{ namespace, labels: { ns: namespace } }])
    for (const name of ['a', 'b', 'c']) runActions(world, [{ pod: [namespace, name], labels: { pod: name } }])
  }
  return world
}

/** The third octet is the namespace's: z/a, z/b and z/c are 10.244.3.10 to 12, in the block that the cases speak of. */
const addressOf = (namespace: string, name: string): string =>
  `10.244.${(namespace.charCodeAt(0) - 'w'.charCodeAt(0) + 16 * (namespace.length - 1)) & 255}.${10 + name.charCodeAt(0) - 'a'.charCodeAt(0)}`

export function runActions(world: ConformanceWorld, actions: readonly ConformanceAction[]): void {
  const { model } = world
  for (const action of actions)
    if ('policy' in action) {
      const { namespace, name, spec } = action.policy
      model.upsertPolicy({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { namespace, name },
        spec,
      })
    } else if ('deletePolicy' in action) model.deletePolicy(...action.deletePolicy)
    else if ('deleteNamespace' in action) {
      for (const { namespace, name } of [...model.pods()])
        if (namespace === action.deleteNamespace) model.deletePod(namespace, name)
      model.deleteNamespace(action.deleteNamespace)
    } else if ('deletePod' in action) model.deletePod(...action.deletePod)
    else if ('pod' in action) {
      const [namespace, name] = action.pod
      model.upsertPod(
        pod(namespace, name, { labels: action.labels, addresses: [addressOf(namespace, name)], ports: PORTS }),
      )
    } else
      model.upsertNamespace({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: action.namespace, labels: action.labels },
      })
}

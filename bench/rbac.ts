/**
 * RBAC decisions in process: the engine, and beside it Kubernetes' own algorithm written down plainly
 * (src/features/rbac/engine/reference.ts), on the same worlds and the same questions. Usage:
 * node --expose-gc bench/rbac.ts [--quick]
 *
 * Traps that made earlier figures too good or too bad:
 * - Asking the same few questions again and again measures a warm cache line. Here every question is made of strings
 *   that no decision has seen (a request's strings come fresh from its URL and certificate: V8 has not hashed them,
 *   and they are not the objects that lie in the engine's maps), for a random user, namespace, verb and resource.
 * - Making questions costs more than answering them. They are made in batches outside the clock; a batch is small
 *   enough to stay in the second-level cache, as a request that was just parsed does. It must not allocate outside
 *   the heap (TextEncoder does): malloc then takes the caches away from what is measured.
 * - What grows is waiting for memory. The first asking of a question fetches a dozen cache lines from anywhere in a
 *   table that at 100,000 bindings is larger than the second-level cache; asked again, they are there. Both are printed.
 * - A world that grows in bindings but not in users and namespaces keeps its maps in cache and looks flat; one where
 *   most users hold nothing at 100 bindings but something at 100,000 looks steep. `growth` keeps five bindings a user
 *   and twenty a namespace at every size, so that the question stays the same and only the world grows.
 * - A miss must look at everything the user and all groups hold; hits alone flatter whoever stops early.
 * - `denied` depends on the mix: the share of hits is printed.
 * - One binding to a stranger is not a change that matters: added bindings go to subjects that hold much already,
 *   and the clock runs until the decision that needs them has been made.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { bootstrapPolicy } from '../src/features/rbac/bootstrap/policy.ts'
import { createRbacEngine, type RbacEngine } from '../src/features/rbac/engine/engine.ts'
import { createReference, type World } from '../src/features/rbac/engine/reference.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../src/features/rbac/engine/types.ts'
import type { Attributes } from '../src/kernel/authz/types.ts'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const published = (
  JSON.parse(readFileSync(new URL('./baseline.json', import.meta.url), 'utf8')) as {
    rbacNanosecondsPerDecision: Record<string, number>
  }
).rbacNanosecondsPerDecision

type Random = (below: number) => number

/** mulberry32: the same world and questions at every run. */
function random(seed: number): Random {
  let a = seed
  return (below) => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']
const RESOURCES: readonly [group: string, resource: string, subresource: string][] = [
  ['', 'pods', ''],
  ['', 'pods', 'log'],
  ['', 'pods', 'exec'],
  ['', 'secrets', ''],
  ['', 'configmaps', ''],
  ['', 'services', ''],
  ['apps', 'deployments', ''],
  ['apps', 'deployments', 'scale'],
  ['batch', 'jobs', ''],
  ['networking.k8s.io', 'networkpolicies', ''],
  ['rbac.authorization.k8s.io', 'rolebindings', ''],
  ['', 'nodes', 'proxy'],
]

type Shape = { bindings: number; users: number; namespaces: number; clusterWide: boolean }

const userName = (i: number): string => `user-${i}@example.com`
const namespaceName = (i: number): string => `team-space-${i}`
const groupName = (i: number): string => `team-${i}`
const teams = (shape: Shape): number => Math.max(2, shape.users / 10)

function may(random: Random, names: readonly string[] = []): PolicyRule {
  const [group, resource, subresource] = RESOURCES[random(RESOURCES.length)]!
  return {
    verbs: [VERBS[random(VERBS.length)]!, VERBS[random(VERBS.length)]!],
    apiGroups: [group],
    resources: [subresource === '' ? resource : `${resource}/${subresource}`],
    ...(names.length === 0 ? {} : { resourceNames: [...names] }),
  }
}

/**
 * The default policy and `bindings` more: three of four to a user, one to a group, one of twenty to
 * system:authenticated, which every user is in (for single objects, as one does it: a shared ConfigMap).
 */
function makeWorld(shape: Shape): World {
  const r = random(1)
  const policy = bootstrapPolicy()
  const world: World = {
    roles: policy.roles as RoleObject[],
    clusterRoles: policy.clusterRoles as RoleObject[],
    roleBindings: policy.roleBindings as unknown as BindingObject[],
    clusterRoleBindings: policy.clusterRoleBindings as unknown as BindingObject[],
  }
  const common = ['view', 'edit']
  const roles = Math.max(20, shape.bindings / 20)
  for (let i = 0; i < roles; i++) {
    world.clusterRoles.push({
      metadata: { name: `app-${i}` },
      rules: Array.from({ length: 1 + r(6) }, () => may(r)),
    })
    world.clusterRoles.push({ metadata: { name: `shared-${i}` }, rules: [may(r, [`shared-${i}`])] })
  }
  for (let i = 0; i < shape.namespaces; i++)
    world.roles.push({
      metadata: { namespace: namespaceName(i), name: 'member' },
      rules: Array.from({ length: 4 }, () => may(r)),
    })
  for (let i = 0; i < shape.bindings; i++) {
    const dice = r(20)
    const subject: Subject =
      dice === 0
        ? { kind: 'Group', name: 'system:authenticated' }
        : dice < 5
          ? { kind: 'Group', name: groupName(r(teams(shape))) }
          : { kind: 'User', name: userName(r(shape.users)) }
    const kind = dice !== 0 && !shape.clusterWide && r(3) === 0 ? 'Role' : 'ClusterRole'
    const name =
      dice === 0
        ? `shared-${r(roles)}`
        : kind === 'Role'
          ? 'member'
          : !shape.clusterWide && r(10) === 0
            ? common[r(2)]!
            : `app-${r(roles)}`
    const object: BindingObject = {
      metadata: {
        name: `binding-${i}`,
        ...(shape.clusterWide ? {} : { namespace: namespaceName(r(shape.namespaces)) }),
      },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
      subjects: [subject],
    }
    ;(shape.clusterWide ? world.clusterRoleBindings : world.roleBindings).push(object)
  }
  return world
}

/** Where each user has RoleBindings: half of the questions are asked there. */
function homes(world: World): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const b of world.roleBindings)
    for (const s of b.subjects ?? []) {
      const list = found.get(s.name)
      if (list === undefined) found.set(s.name, [b.metadata.namespace!])
      else list.push(b.metadata.namespace!)
    }
  return found
}

const scratch = Buffer.alloc(256)
/** The same text as a string that V8 has never seen: not hashed, not shared with anything in the engine. */
const fresh = (text: string): string => scratch.toString('latin1', 0, scratch.write(text, 'latin1'))

function makeQuestion(shape: Shape, home: Map<string, string[]>, r: Random): Attributes {
  const dice = r(20)
  const who = r(shape.users)
  const stranger = dice < 2
  const name = stranger ? `stranger-${r(1 << 20)}@example.org` : userName(who)
  const team = who % teams(shape)
  // Two teams, never one twice: in a world of two teams that would be half of all users, and they would hold less.
  const second = (team + 1 + r(teams(shape) - 1)) % teams(shape)
  const groups = [groupName(team), groupName(second), 'system:authenticated']
  const user = { name: fresh(name), groups: stranger ? [fresh('system:authenticated')] : groups.map(fresh) }
  if (dice === 19)
    return { resourceRequest: false, user, verb: fresh('get'), path: fresh(r(2) === 0 ? '/apis/apps/v1' : '/metrics') }
  const [apiGroup, resource, subresource] = RESOURCES[r(RESOURCES.length)]!
  const own = home.get(name)
  const namespace = own !== undefined && r(2) === 0 ? own[r(own.length)]! : namespaceName(r(shape.namespaces))
  return {
    resourceRequest: true,
    user,
    verb: fresh(VERBS[r(VERBS.length)]!),
    apiGroup: fresh(apiGroup),
    apiVersion: 'v1',
    resource: fresh(resource),
    subresource: fresh(subresource),
    namespace: fresh(namespace),
    name: r(3) === 0 ? '' : fresh(`object-${r(1000)}`),
  }
}

/** Nanoseconds of a decision. */
type Figure = { first: number; again: number; mean: number; allowed: number }

/**
 * Asks batches of questions, each batch twice. `first`: nobody has asked them, what they look at lies anywhere in the
 * engine's memory; `again`: it lies in the cache. The lower quartile of the batches' means, because the machine has
 * other work, too; beside it the mean of all first askings with everything that came between.
 */
function measure(
  decide: (a: Attributes) => boolean,
  shape: Shape,
  world: World,
  batches: number,
  size: number,
): Figure {
  const r = random(2)
  const home = homes(world)
  const first: number[] = []
  const again: number[] = []
  let allowed = 0
  for (let batch = -Math.ceil(batches / 4); batch < batches; batch++) {
    const questions = Array.from({ length: size }, () => makeQuestion(shape, home, r))
    const pass = (): { time: number; yes: number } => {
      let yes = 0
      const start = process.hrtime.bigint()
      for (let i = 0; i < size; i++) if (decide(questions[i]!)) yes++
      return { time: Number(process.hrtime.bigint() - start) / size, yes }
    }
    const [one, two] = [pass(), pass()]
    if (batch < 0) continue
    first.push(one.time)
    again.push(two.time)
    allowed += one.yes
  }
  const quartile = (times: number[]): number => times.sort((a, b) => a - b)[times.length >> 2]!
  return {
    first: quartile(first),
    again: quartile(again),
    mean: first.reduce((sum, t) => sum + t, 0) / first.length,
    allowed: allowed / (batches * size),
  }
}

function load(world: World): RbacEngine {
  const engine = createRbacEngine()
  for (const o of world.clusterRoles) engine.upsertClusterRole(o)
  for (const o of world.roles) engine.upsertRole(o)
  for (const o of world.clusterRoleBindings) engine.upsertClusterRoleBinding(o)
  for (const o of world.roleBindings) engine.upsertRoleBinding(o)
  return engine
}

function heap(): number {
  if (globalThis.gc === undefined) return Number.NaN
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

type Built = { engine: RbacEngine; bytesPerBinding: number; buildMs: number }

function build(world: World, bindings: number): Built {
  const before = heap()
  const start = performance.now()
  const engine = load(world)
  const buildMs = performance.now() - start
  return { engine, buildMs, bytesPerBinding: (heap() - before) / bindings }
}

/** Milliseconds from a change until the decision that depends on it is made, sorted. */
function measureChange(engine: RbacEngine, shape: Shape): { add: number[]; remove: number[] } {
  const add: number[] = []
  const remove: number[] = []
  const rounds = 600
  for (let i = 0; i < rounds; i++) {
    // In turn: a user who holds something, a team, and the group that everybody is in.
    const subject: Subject = [
      { kind: 'User', name: userName(i) },
      { kind: 'Group', name: groupName(i % teams(shape)) },
      { kind: 'Group', name: 'system:authenticated' },
    ][i % 3]!
    const user =
      subject.kind === 'User' ? { name: subject.name, groups: [] } : { name: 'nobody-else', groups: [subject.name] }
    const question: Attributes = {
      resourceRequest: true,
      user,
      verb: 'get',
      apiGroup: 'bench.example.com',
      apiVersion: 'v1',
      resource: 'things',
      subresource: '',
      namespace: namespaceName(0),
      name: 'x',
    }
    engine.upsertClusterRole({
      metadata: { name: 'changed' },
      rules: [{ verbs: ['get'], apiGroups: ['bench.example.com'], resources: ['things'] }],
    })
    const object: BindingObject = {
      metadata: { name: 'changed', namespace: namespaceName(0) },
      roleRef: { kind: 'ClusterRole', name: 'changed' },
      subjects: [subject],
    }
    let start = performance.now()
    if (shape.clusterWide) engine.upsertClusterRoleBinding(object)
    else engine.upsertRoleBinding(object)
    const now = engine.decide(question).verdict === 'allow'
    add.push(performance.now() - start)
    start = performance.now()
    if (shape.clusterWide) engine.deleteClusterRoleBinding('changed')
    else engine.deleteRoleBinding(namespaceName(0), 'changed')
    const after = engine.decide(question).verdict === 'allow'
    remove.push(performance.now() - start)
    if (!now || after) throw new Error(`the change was not effective: ${JSON.stringify(subject)}`)
  }
  const sort = (list: number[]): number[] => list.sort((a, b) => a - b)
  return { add: sort(add), remove: sort(remove) }
}

const ns = (n: number): string => `${n.toFixed(0)} ns`
const us = (ms: number): string => `${(ms * 1000).toFixed(1)} µs`
const times = (a: number, b: number): string => `${(a / b).toFixed(a / b < 10 ? 1 : 0)} ×`
const BATCHES = values.quick ? 100 : 1000
const SIZE = 256

const cases: { title: string; shape: Shape; key: string }[] = [
  {
    title: '(a) 10,000 RoleBindings in 500 namespaces, 2,000 users',
    shape: { bindings: 10_000, users: 2_000, namespaces: 500, clusterWide: false },
    key: 'BenchmarkScale/A_10kRB_500ns/allow_get_secrets',
  },
  {
    title: '(b) 10,000 ClusterRoleBindings, 2,000 users',
    shape: { bindings: 10_000, users: 2_000, namespaces: 500, clusterWide: true },
    key: 'BenchmarkScale/B_10kCRB/deny_member_delete',
  },
  {
    title: '(c) 10,000 RoleBindings in one namespace, 2,000 users',
    shape: { bindings: 10_000, users: 2_000, namespaces: 1, clusterWide: false },
    key: 'BenchmarkScale/C_10kRB_1ns/allow_get_secrets',
  },
]

for (const { title, shape, key } of cases) {
  const world = makeWorld(shape)
  const engine = load(world)
  const fast = measure((a) => engine.decide(a).verdict === 'allow', shape, world, BATCHES, SIZE)
  const reference = createReference(world)
  const plain = measure((a) => reference.decide(a).allowed, shape, world, values.quick ? 4 : 20, 32)
  console.log(`${title}; ${(fast.allowed * 100).toFixed(0)} % allowed`)
  console.log(`  engine         ${ns(fast.first)}, asked again ${ns(fast.again)} (mean of all ${ns(fast.mean)})`)
  console.log(
    `  plain reading  ${ns(plain.again)}: ${times(plain.first, fast.first)}; again ${times(plain.again, fast.again)}`,
  )
  // Go's benchmark asks one question over and over.
  console.log(
    `  Kubernetes, Go ${ns(published[key]!)} (published): ${times(published[key]!, fast.first)}; again ${times(published[key]!, fast.again)}`,
  )
}

console.log('growth: 5 bindings a user, 20 a namespace')
for (const clusterWide of [false, true]) {
  let smallest: Figure | undefined
  for (const bindings of [100, 1_000, 10_000, 100_000]) {
    const shape: Shape = { bindings, users: bindings / 5, namespaces: bindings / 20, clusterWide }
    const world = makeWorld(shape)
    const { engine, bytesPerBinding, buildMs } = build(world, bindings)
    const figure = measure((a) => engine.decide(a).verdict === 'allow', shape, world, BATCHES, SIZE)
    smallest ??= figure
    const { add, remove } = measureChange(engine, shape)
    const change = (list: number[]): string =>
      `${us(list[list.length >> 1]!)} (p99 ${us(list[Math.floor(list.length * 0.99)]!)})`
    console.log(
      `  ${bindings} ${clusterWide ? 'ClusterRoleBindings' : 'RoleBindings'}, ${(figure.allowed * 100).toFixed(0)} % allowed`,
    )
    console.log(
      `    decision ${ns(figure.first)}, ${times(figure.first, smallest.first)}; again ${ns(figure.again)}, ${times(figure.again, smallest.again)}`,
    )
    console.log(
      `    added and effective ${change(add)}, deleted ${change(remove)}; ${Number.isNaN(bytesPerBinding) ? 'memory unknown without --expose-gc' : `${bytesPerBinding.toFixed(0)} bytes a binding`}, built in ${buildMs.toFixed(0)} ms`,
    )
  }
}

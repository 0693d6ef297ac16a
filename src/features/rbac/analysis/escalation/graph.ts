import type { Evidence } from './holdings.ts'

/** A subject's key, or a place on the way: `accounts:NS`, `running:NS`, `users`, `groups`, `admin`. */
export type Node = string

export const ADMIN: Node = 'admin'

/** What is done to get from one node to the next; an edge without it is only a choice among many. */
export type Deed = {
  /** Completes "may …": `create pods in namespace shop`. */
  may: string
  /** Completes a sentence about the target: `runs one as`. */
  so: string
  by: readonly Evidence[]
}

export type Edge = { from: Node; to: Node; deed: Deed | undefined }

/** A step of a chain: choices are drawn into the deed that leads to them. */
export type Step = { from: Node; to: Node; deed: Deed }

/** Who can become whom. Kept backwards: questions are asked from the goal. */
export class EscalationGraph {
  readonly #incoming = new Map<Node, Edge[]>()
  readonly #nodes = new Set<Node>()

  add(from: Node, to: Node, deed?: Deed): void {
    if (from === to) return
    this.#nodes.add(from).add(to)
    const edge = { from, to, deed }
    const edges = this.#incoming.get(to)
    if (edges === undefined) this.#incoming.set(to, [edge])
    else edges.push(edge)
  }

  has(node: Node): boolean {
    return this.#nodes.has(node)
  }

  /**
   * The first edge of a shortest way from each node that can reach a goal, counted in deeds; goals themselves have none.
   * One pass over the edges, whatever the number of nodes asked about.
   */
  waysTo(goals: Iterable<Node>): ReadonlyMap<Node, Edge | undefined> {
    const first = new Map<Node, Edge | undefined>()
    let level: [Node, Edge | undefined][] = [...goals].map((goal) => [goal, undefined])
    while (level.length > 0) {
      const next: [Node, Edge | undefined][] = []
      // Choices cost nothing: they lengthen the list while it is walked.
      for (let i = 0; i < level.length; i++) {
        const [node, way] = level[i]!
        if (first.has(node)) continue
        first.set(node, way)
        for (const edge of this.#incoming.get(node) ?? []) {
          if (first.has(edge.from)) continue
          if (edge.deed === undefined) level.push([edge.from, edge])
          else next.push([edge.from, edge])
        }
      }
      level = next
    }
    return first
  }
}

/** The way from a node as deeds, each with the node where its choices end. Empty for a goal or what reaches none. */
export function chainFrom(ways: ReadonlyMap<Node, Edge | undefined>, start: Node): Step[] {
  const steps: Step[] = []
  for (let edge = ways.get(start); edge !== undefined; edge = ways.get(edge.to)) {
    const last = steps.at(-1)
    if (edge.deed !== undefined) steps.push({ from: edge.from, to: edge.to, deed: edge.deed })
    else if (last !== undefined) last.to = edge.to
  }
  return steps
}

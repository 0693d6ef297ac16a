import { createHash } from 'node:crypto'
import { printable } from '../diff/report.ts'
import type { GraphEdge, GraphNode, NodeKind, RbacGraph } from './graph.ts'

type Look = { shape: string; fill: string }

const LOOKS: Readonly<Record<NodeKind, Look>> = {
  Workload: { shape: 'component', fill: '#eceff1' },
  ServiceAccount: { shape: 'ellipse', fill: '#e3f2fd' },
  User: { shape: 'ellipse', fill: '#e8f5e9' },
  Group: { shape: 'doubleoctagon', fill: '#f1f8e9' },
  ClusterRoleBinding: { shape: 'cds', fill: '#fff8e1' },
  RoleBinding: { shape: 'cds', fill: '#fffde7' },
  ClusterRole: { shape: 'folder', fill: '#ede7f6' },
  Role: { shape: 'tab', fill: '#f3e5f5' },
  Rule: { shape: 'note', fill: '#fafafa' },
}
const DANGER = { border: '#c62828', fill: '#ffcdd2' }
const EDGE_STYLE: Readonly<Record<GraphEdge['kind'], string>> = {
  'runs as': 'solid',
  'member of': 'dotted',
  'bound by': 'solid',
  'refers to': 'solid',
  gathers: 'dashed',
  grants: 'solid',
}
/** Longer rules are cut in the picture; the JSON form has all of it. */
const MAX_LABEL = 160

/** Graphviz DOT, the same for the same graph. Red: dangerous rules, and with a red border all that leads to them. */
export function toDot(graph: RbacGraph): string {
  return [
    'digraph rbac {',
    '  graph [rankdir="LR", fontname="sans-serif"]',
    '  node [fontname="sans-serif", fontsize="10", style="filled"]',
    '  edge [fontname="sans-serif", fontsize="8", color="#607d8b"]',
    ...graph.nodes.map(nodeLine),
    ...graph.edges.map(edgeLine),
    ...legend(),
    '}',
    '',
  ].join('\n')
}

function nodeLine(node: GraphNode): string {
  const { shape, fill } = LOOKS[node.kind]
  const isDangerousRule = node.kind === 'Rule' && node.dangers !== undefined
  return `  ${quotedId(node.id)} ${attributes({
    label: labelOf(node),
    shape,
    fillcolor: isDangerousRule ? DANGER.fill : node.missing ? '#ffffff' : fill,
    ...(node.dangers === undefined ? {} : { color: DANGER.border, penwidth: '2', tooltip: node.dangers.join('\n') }),
    ...(node.missing ? { style: 'filled,dashed' } : {}),
  })}`
}

function labelOf(node: GraphNode): string {
  if (node.kind === 'Rule') return cut([node.name, ...(node.dangers ?? []).map((why) => `! ${why}`)].join('\n'))
  const name = node.namespace === undefined ? node.name : `${node.namespace}/${node.name}`
  return cut(`${node.objectKind ?? node.kind}${node.missing ? ' (missing)' : ''}\n${name}`)
}

function cut(text: string): string {
  const characters = [...text]
  return characters.length <= MAX_LABEL ? text : `${characters.slice(0, MAX_LABEL - 1).join('')}…`
}

function edgeLine({ from, to, kind }: GraphEdge): string {
  const style = EDGE_STYLE[kind]
  const looks = { ...(style === 'solid' ? {} : { style }), ...(kind === 'grants' ? {} : { label: kind }) }
  return `  ${quotedId(from)} -> ${quotedId(to)}${Object.keys(looks).length === 0 ? '' : ` ${attributes(looks)}`}`
}

function legend(): string[] {
  const kinds = Object.entries(LOOKS).map(
    ([kind, { shape, fill }]) =>
      `    ${quoted(`legend/${kind}`)} ${attributes({ label: kind, shape, fillcolor: fill })}`,
  )
  return [
    '  subgraph "cluster_legend" {',
    `    graph ${attributes({ label: 'Legend', color: '#b0bec5', fontsize: '10' })}`,
    ...kinds,
    `    "legend/danger" ${attributes({ label: 'dangerous rule', shape: 'note', fillcolor: DANGER.fill, color: DANGER.border, penwidth: '2' })}`,
    `    "legend/leads" ${attributes({ label: 'leads to a dangerous rule', shape: 'box', fillcolor: '#ffffff', color: DANGER.border, penwidth: '2' })}`,
    `    "legend/missing" ${attributes({ label: 'does not exist', shape: 'box', fillcolor: '#ffffff', style: 'filled,dashed' })}`,
    '  }',
  ]
}

function attributes(values: Readonly<Record<string, string>>): string {
  return `[${Object.entries(values)
    // Labels know HTML's entities.
    .map(([key, value]) => `${key}=${quoted(value.replaceAll('&', '&amp;'))}`)
    .join(', ')}]`
}

/** Ids that cannot be shown as they are get a mark, so that two never look alike. */
function quotedId(id: string): string {
  const shown = printable(id)
  return quoted(shown === id ? id : `${shown} #${createHash('sha256').update(id).digest('hex').slice(0, 8)}`)
}

/**
 * A quoted DOT string. In labels a backslash begins an escape (`\n`, `\N`), so each one of a name is doubled; a real
 * line break becomes `\n`; other control characters are spelled out.
 */
function quoted(text: string): string {
  return `"${text
    .split('\n')
    .map((line) => printable(line).replaceAll('\\', '\\\\').replaceAll('"', '\\"'))
    .join('\\n')}"`
}

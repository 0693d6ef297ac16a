import type { LinkReport, ProbeResult } from '../../features/tls/index.ts'
import { clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { outputFormat, print, printTable, printValue, say } from '../output.ts'

export type ClusterOptions = { name?: string; dataDir?: string; output?: string }

/** Exit 0 when every probe of every link answers rightly, 1 otherwise. */
export async function links(options: ClusterOptions): Promise<void> {
  const format = outputFormat(options.output)
  const paths = clusterPaths(options)
  const answer = await askControlPlane(paths, { command: 'tls-links' })
  const reports = answer['links'] as LinkReport[]
  process.exitCode = reports.every(({ right }) => right) ? 0 : 1
  if (format === 'json' || format === 'yaml') return printValue(format, { links: reports })
  if (format === 'name') return print(reports.map(({ from, to }) => `link/${from} → ${to}`).join('\n'))
  const head = ['LINK', 'CLIENT', 'SERVER', 'PROTOCOL', 'EXPIRES', 'PROBES']
  if (format === 'wide') head.splice(5, 0, 'ADDRESS', 'ISSUERS', 'NAMES', 'CIPHER')
  printTable(
    head,
    reports.map((report) => row(report, format === 'wide')),
  )
  for (const report of reports)
    for (const probe of report.probes)
      if (probe.verdict === 'wrong' || probe.verdict === 'unproven') say(finding(report, probe))
  if (format === 'wide')
    for (const { from, to, remarks, probes } of reports) {
      for (const remark of remarks) say(`${from} → ${to}: ${remark}`)
      for (const { probe, verdict, detail } of probes)
        if (verdict === 'impossible') say(`${from} → ${to}: ${probe} cannot be tried: ${detail}`)
    }
}

function row(report: LinkReport, wide: boolean): string[] {
  const { from, to, client, server, protocol, cipher, probes, address } = report
  const right = probes.filter(({ verdict }) => verdict === 'right').length
  const tried = probes.filter(({ verdict }) => verdict !== 'impossible').length
  const first = [client.notAfter, ...(server === undefined ? [] : [server.notAfter])].sort()[0]!
  const more = [
    address,
    [client.issuer, server?.issuer ?? 'none'].join(' / '),
    (server?.names ?? []).join(' ') || 'none',
    cipher || 'none',
  ]
  return [
    `${from} → ${to}`,
    client.subject,
    server?.subject ?? 'not verified',
    protocol || 'none',
    first,
    ...(wide ? more : []),
    right === tried ? `all ${tried} right` : `${tried - right} of ${tried} not right`,
  ]
}

const finding = ({ from, to }: LinkReport, { probe, verdict, detail }: ProbeResult): string =>
  `${verdict === 'wrong' ? 'WRONG' : 'not proved'}: ${from} → ${to}: ${probe}: ${detail}`

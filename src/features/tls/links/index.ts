export type { Identity } from './attempt.ts'
export { type ClusterLinksOptions, clusterLinks } from './cluster-links.ts'
export { type Link, type LinkReport, PROBES, type ProbeName, type ProbeResult, probeLink } from './probe.ts'

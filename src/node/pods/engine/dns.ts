import type { DnsConfig } from '../../../platform/cri/index.ts'
import type { Pod } from './pod.ts'

/** resolv.conf(5), as far as it is handed on. */
export function parseResolvConf(text: string): DnsConfig {
  const config: DnsConfig = { servers: [], searches: [], options: [] }
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver' && words[0] !== undefined) config.servers.push(words[0])
    else if (keyword === 'search' || keyword === 'domain') config.searches = words
    else if (keyword === 'options') config.options = words
  }
  return config
}

/**
 * The pod's resolver. No cluster DNS is configured, so that ClusterFirst falls back to the node's resolver, as kubelets
 * have it; dnsConfig is added in any case.
 */
export function podDns(pod: Pod, node: DnsConfig): DnsConfig {
  const { dnsPolicy, dnsConfig } = pod.spec
  const base = dnsPolicy === 'None' ? { servers: [], searches: [], options: [] } : node
  const options = new Map(base.options.map((option) => [option.split(':')[0]!, option]))
  for (const { name = '', value } of dnsConfig?.options ?? [])
    options.set(name, value == null || value === '' ? name : `${name}:${value}`)
  return {
    servers: [...new Set([...base.servers, ...(dnsConfig?.nameservers ?? [])])].slice(0, 3),
    searches: [...new Set([...base.searches, ...(dnsConfig?.searches ?? [])])].slice(0, 32),
    options: [...options.values()],
  }
}

/** At most 63 bytes, a DNS label. */
export function podHostname(pod: Pod): string {
  return (pod.spec.hostname || pod.name).slice(0, 63).replace(/[-.]+$/, '')
}

/** The pod's /etc/hosts. `nodeFile` is the node's own, for pods in its network. */
export function hostsFile(pod: Pod, ips: readonly string[], nodeFile: string): string {
  const lines: string[] = []
  if (pod.spec.hostNetwork === true) lines.push('# Kubernetes-managed hosts file (host network).', nodeFile.trimEnd())
  else {
    lines.push(
      '# Kubernetes-managed hosts file.',
      '127.0.0.1\tlocalhost',
      '::1\tlocalhost ip6-localhost ip6-loopback',
      'fe00::\tip6-localnet',
      'fe00::\tip6-mcastprefix',
      'fe00::1\tip6-allnodes',
      'fe00::2\tip6-allrouters',
    )
    const hostname = podHostname(pod)
    const { subdomain } = pod.spec
    const names = subdomain ? `${hostname}.${subdomain}.${pod.namespace}.svc.cluster.local\t${hostname}` : hostname
    for (const ip of ips) lines.push(`${ip}\t${names}`)
  }
  const aliases = pod.spec.hostAliases ?? []
  if (aliases.length > 0) lines.push('', '# Entries added by HostAliases.')
  for (const { ip = '', hostnames = [] } of aliases) lines.push(`${ip}\t${hostnames.join('\t')}`)
  return `${lines.join('\n')}\n`
}

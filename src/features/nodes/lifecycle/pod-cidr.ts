/** IPv4 CIDR as its first address (32 bits) and prefix length. */
export type Ipv4Cidr = { first: number; bits: number }

/** Throws an Error that says what is wrong. */
export function parseIpv4Cidr(text: string): Ipv4Cidr {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)
  const octets = match?.slice(1, 5).map(Number)
  const bits = Number(match?.[5])
  if (octets === undefined || octets.some((octet) => octet > 255) || bits > 32)
    throw new Error(`${JSON.stringify(text)} is not an IPv4 CIDR such as 10.244.0.0/16`)
  const first = octets.reduce((value, octet) => value * 256 + octet, 0)
  if (first % 2 ** (32 - bits) !== 0) throw new Error(`${text} has address bits behind its prefix`)
  return { first, bits }
}

export function printIpv4Cidr({ first, bits }: Ipv4Cidr): string {
  const octets = [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256)
  return `${octets.join('.')}/${bits}`
}

const overlap = (a: Ipv4Cidr, b: Ipv4Cidr): boolean =>
  a.first < b.first + 2 ** (32 - b.bits) && b.first < a.first + 2 ** (32 - a.bits)

/** The lowest block of `bits` within the cluster's that overlaps none of those taken; undefined when there is none left. */
export function freeBlock(cluster: Ipv4Cidr, bits: number, taken: readonly Ipv4Cidr[]): Ipv4Cidr | undefined {
  const size = 2 ** (32 - bits)
  const end = cluster.first + 2 ** (32 - cluster.bits)
  for (let first = cluster.first; first + size <= end; first += size) {
    const block = { first, bits }
    if (!taken.some((other) => overlap(block, other))) return block
  }
  return undefined
}

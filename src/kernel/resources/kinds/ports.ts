/** Protocols of ports, in the order in which Kubernetes names them in its errors. */
export const PROTOCOLS: readonly string[] = ['SCTP', 'TCP', 'UDP']

/** The first three texts, and how many there are beyond them (the table cells of Endpoints and EndpointSlices). */
export function firstThree(texts: readonly string[]): string {
  const shown = texts.slice(0, 3).join(',')
  return texts.length > 3 ? `${shown} + ${texts.length - 3} more...` : shown
}

import { run } from './namespaces.ts'

/** A link as `ip -json` tells of it: what we look at. */
export type Link = { name: string; alias: string | undefined }

/** The links inside a network namespace that `ip netns` knows by this name. */
export async function linksOf(netns: string): Promise<Link[]> {
  const text = await run(['ip', '-netns', netns, '-json', 'link', 'show'])
  const list = JSON.parse(text === '' ? '[]' : text) as { ifname?: string; ifalias?: string }[]
  return list.filter((link) => link.ifname !== undefined).map((link) => ({ name: link.ifname!, alias: link.ifalias }))
}

/** Runs lines of `ip -batch` inside a network namespace; they stop at the first that fails. */
export async function configureLinks(netns: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  await run(['ip', '-netns', netns, '-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') })
}

/** Deletes a link, which may vanish at the same moment with the namespace of its peer. */
export async function deleteLink(netns: string, name: string): Promise<void> {
  try {
    await run(['ip', '-netns', netns, 'link', 'delete', name])
  } catch (error) {
    if ((await linksOf(netns)).some((link) => link.name === name)) throw error
  }
}

/**
 * A pair of links between two namespaces, made where it belongs: it is at no moment in the caller's own namespace.
 * For `configureLinks` in the namespace of `name`.
 */
export function vethPair(name: string, peer: { name: string; netns: string }): string {
  return `link add ${name} mtu 1500 type veth peer name ${peer.name} mtu 1500 netns ${peer.netns}`
}

/** Run inside a machine's namespace: applies the tunnel that its arguments (own peer, all peers, as JSON) call for. */
import { loadRules, masqueradeRules } from './masquerade.ts'
import { type Peer, planTunnel } from './plan.ts'
import { applyTunnel } from './tunnel.ts'

const [own, peers] = process.argv.slice(2).map((text) => JSON.parse(text)) as [Peer, Peer[]]
await loadRules(masqueradeRules(own.podCidr, '10.244.0.0/16'))
console.log(await applyTunnel(own.address, planTunnel(own, peers)))

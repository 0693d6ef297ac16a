/** Where a joined machine keeps what `node add` writes; what the agent writes is in its NodeConfig. */
export const PLACES = {
  folder: '/etc/rampart',
  config: '/etc/rampart/node.json',
  ca: '/etc/rampart/ca.crt',
  token: '/etc/rampart/bootstrap-token',
  journal: '/etc/rampart/join.json',
  /** What the supervisor starts: busybox init takes no long commands. */
  start: '/etc/rampart/start-agent',
  bundles: '/opt/rampart',
  unit: '/etc/systemd/system/rampart-node.service',
  log: '/var/log/rampart-node.log',
} as const
export const UNIT = 'rampart-node.service'

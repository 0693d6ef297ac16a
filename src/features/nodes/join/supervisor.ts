import type { SupervisorKind } from './facts.ts'
import type { Machine } from './machine.ts'
import { PLACES, UNIT } from './places.ts'

/** Started anew whenever it ends. Its pods, links and rules outlive it: only the process itself is killed. */
export function startScript(bundle: string, supervisor: SupervisorKind): string {
  const folder = `${PLACES.bundles}/${bundle}`
  // systemd keeps the log itself.
  const log = `if [ -f ${PLACES.log} ] && [ "$(wc -c <${PLACES.log})" -gt 10485760 ]; then mv -f ${PLACES.log} ${PLACES.log}.1; fi
umask 077
exec >>${PLACES.log} 2>&1
`
  return `#!/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
cd /
${supervisor === 'systemd' ? '' : log}exec ${folder}/bin/node --disable-warning=ExperimentalWarning ${folder}/src/node/main.ts ${PLACES.config}
`
}

export const SYSTEMD_UNIT: string = `[Unit]
Description=Rampart node agent
After=network-online.target containerd.service
Wants=network-online.target containerd.service

[Service]
ExecStart=${PLACES.start}
Restart=always
RestartSec=1
KillMode=process
Delegate=yes
OOMScoreAdjust=-999
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`

/** busybox: the first field is a terminal, none here; sysvinit: an id of at most four characters, and runlevels. */
export const INITTAB_LINES: Readonly<Record<Exclude<SupervisorKind, 'systemd'>, string>> = {
  'busybox-init': `::respawn:${PLACES.start}`,
  sysvinit: `rmpt:2345:respawn:${PLACES.start}`,
}

/** Everything that leads to the agent's processes of this machine, and only to them. */
const AGENT_PROCESSES = `
agents() {
  for p in /proc/[0-9]*; do
    case "$(readlink "$p/exe" 2>/dev/null)" in ${PLACES.bundles}/*/bin/node*)
      tr '\\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q 'src/node/main.ts ${PLACES.config}' && echo "\${p#/proc/}";;
    esac
  done
  return 0
}
stop_agents() {
  for pid in $(agents); do kill "$pid" 2>/dev/null; done
  n=0
  while [ -n "$(agents)" ]; do
    n=$((n + 1))
    if [ $n -gt 100 ]; then for pid in $(agents); do kill -9 "$pid" 2>/dev/null; done; fi
    if [ $n -gt 150 ]; then echo "the agent does not end" >&2; return 1; fi
    sleep 0.1
  done
  return 0
}
`

/** inittab is replaced, not written in place: init may read it at any moment. */
const INITTAB = `
without() {
  new=$(mktemp /etc/.inittab.XXXXXX)
  chmod 644 "$new"
  grep -v '${PLACES.start}$' /etc/inittab >"$new" || true
}
put_inittab() { mv -f "$new" /etc/inittab; kill -HUP 1; }
`

/** Puts the agent under the machine's supervisor and starts it, or starts it anew when it runs. */
export async function startAgent(machine: Machine, kind: SupervisorKind): Promise<void> {
  const step = 'start the agent'
  if (kind === 'systemd') {
    await machine.put(step, PLACES.unit, SYSTEMD_UNIT, 0o644)
    await machine.run(step, `set -e; systemctl daemon-reload; systemctl enable ${UNIT}; systemctl restart ${UNIT}`, {
      timeoutMs: 60_000,
    })
    return
  }
  await machine.run(
    step,
    `set -e\n${AGENT_PROCESSES}\n${INITTAB}\nwithout\necho "$1" >>"$new"\nput_inittab\nstop_agents`,
    { args: [INITTAB_LINES[kind]], timeoutMs: 60_000 },
  )
}

/** Takes it out of the supervisor's hands, and ends it. What was never there is no error. */
export async function stopAgent(machine: Machine): Promise<void> {
  await machine.run(
    'stop the agent',
    `set -e
${AGENT_PROCESSES}
${INITTAB}
if [ -f ${PLACES.unit} ]; then
  systemctl disable --now ${UNIT} || true
  rm -f ${PLACES.unit}
  systemctl daemon-reload || true
fi
if grep -q '${PLACES.start}$' /etc/inittab 2>/dev/null; then
  without
  put_inittab
fi
stop_agents`,
    { timeoutMs: 60_000 },
  )
}

/** The last lines that the agent wrote, without what looks like a token. */
export async function agentLog(machine: Machine): Promise<string> {
  const { stdout } = await machine.try(
    'read the log',
    `if [ -f ${PLACES.unit} ]; then journalctl -q --no-pager -o cat -n 12 -u ${UNIT}; else tail -n 12 ${PLACES.log}; fi 2>/dev/null | tail -c 3000`,
  )
  return stdout.trim().replace(/\b([a-z0-9]{6})\.[a-z0-9]{16}\b/g, '$1.…')
}

import type { Clock } from '../../../kernel/feature.ts'
import type { Machine } from './machine.ts'
import { PLACES } from './places.ts'

export type SupervisorKind = 'systemd' | 'busybox-init' | 'sysvinit'

/** What a look at the machine found; nothing is changed by looking. */
export type Facts = {
  /** The SSH user is root, or may become root without a password. */
  root: boolean
  user: string
  system: string
  machine: string
  hostName: string
  /** Address at which SSH reached the machine; '' when it does not say. */
  address: string
  /** Milliseconds by which its clock is ahead of ours, give or take `uncertaintyMs`. */
  clockSkewMs: number
  uncertaintyMs: number
  /** Names of programs that are there. */
  programs: ReadonlySet<string>
  cniPlugins: ReadonlySet<string>
  /** 'yes', or why not; looked at as root only. */
  kernel: ReadonlyMap<string, string>
  containerd: string
  cri: string
  portInUse: boolean
  /** Free KiB below /opt and /var. */
  free: { opt: number; var: number }
  pid1: string
  supervisor: SupervisorKind | undefined
  /** SHA-256 of the files in PLACES that exist. */
  files: ReadonlyMap<string, string>
  nodeJson: string | undefined
  journalJson: string | undefined
  bundle: 'verified' | 'broken' | 'absent'
  stateFolder: boolean
  /** The agent's process. */
  running: boolean
  supervised: boolean
}

export type FactsQuestion = {
  port: number
  containerdSocket: string
  cniBinFolder: string
  stateFolder: string
  bundle: string
}

const PROGRAMS = ['containerd', 'ctr', 'runc', 'nft', 'ip', 'unshare', 'tar', 'sha256sum', 'base64', 'mktemp']
export const CNI_PLUGINS: readonly string[] = ['ptp', 'host-local', 'loopback']

/** Each line is `key value`. Kernel features are tried in namespaces that end with the try. */
const SCRIPT = `
port=$1 socket=$2 cni=$3 state=$4 bundle=$5
say() { printf '%s %s\\n' "$1" "$2"; }
say system "$(uname -s)"
say machine "$(uname -m)"
say hostname "$(uname -n)"
for p in ${PROGRAMS.join(' ')}; do command -v "$p" >/dev/null 2>&1 && say program "$p"; done
for p in ${CNI_PLUGINS.join(' ')}; do [ -x "$cni/$p" ] && say cni "$p"; done
hex=$(printf %04X "$port")
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eq "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:[0-9A-F]+ 0A " && say port used
for d in opt var; do
  say "free.$d" "$(df -Pk "/$d" 2>/dev/null | tail -n 1 | { read -r _ _ _ free _ && echo "$free"; })"
done
exe=$(readlink /proc/1/exe 2>/dev/null) comm=$(cat /proc/1/comm 2>/dev/null)
say pid1 "$comm"
if [ -d /run/systemd/system ]; then say supervisor systemd
elif [ -f /etc/inittab ]; then
  case "$exe" in */busybox*) say supervisor busybox-init;; */init) [ "$comm" = init ] && say supervisor sysvinit;; esac
fi
if [ "$(id -u)" = 0 ]; then
  try() { n=$1; shift; if why=$("$@" 2>&1 </dev/null); then say "kernel.$n" yes; else say "kernel.$n" "no: $(echo "$why" | head -n 1)"; fi; }
  if why=$(unshare -n true 2>&1); then
    say kernel.netns yes
    try veth unshare -n ip link add rampart0 type veth peer name rampart1
    try vxlan unshare -n ip link add rampart0 type vxlan id 1 dstport 4789
    try nf_tables unshare -n nft 'add table ip rampart; add chain ip rampart c { type filter hook forward priority 0; }; add rule ip rampart c ct state established accept'
  else say kernel.netns "no: $why"; fi
  try overlay unshare -m sh -c 'mount -t tmpfs rampart /tmp && cd /tmp && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w rampart m'
  if [ ! -S "$socket" ]; then say containerd "no socket $socket"
  elif why=$(ctr --connect-timeout 5s -a "$socket" version 2>&1 >/dev/null); then
    say containerd yes
    ctr --connect-timeout 5s -a "$socket" plugins ls 2>/dev/null | grep -Eq '^io\\.containerd\\.grpc\\.v1 +cri .* ok *$' && say cri yes
  else say containerd "$(echo "$why" | tail -n 1)"; fi
  for f in ${[PLACES.config, PLACES.ca, PLACES.start, PLACES.journal, PLACES.token, PLACES.unit].join(' ')}; do
    [ -f "$f" ] && say "file:$f" "$(sha256sum <"$f" | cut -d' ' -f1)"
  done
  for f in ${PLACES.config} ${PLACES.journal}; do
    [ -f "$f" ] && say "content:$f" "$(head -c 16384 "$f" | base64 | tr -d '\\n')"
  done
  if [ -d "${PLACES.bundles}/$bundle" ]; then
    cd "${PLACES.bundles}/$bundle" && sum=$(sha256sum <SHA256SUMS) && [ "\${sum%% *}" = "$bundle" ] && sha256sum -c SHA256SUMS >/dev/null 2>&1 && say bundle verified || say bundle broken
  fi
  [ -d "$state" ] && say state yes
  for p in /proc/[0-9]*; do
    case "$(readlink "$p/exe" 2>/dev/null)" in ${PLACES.bundles}/*/bin/node*) tr '\\0' ' ' <"$p/cmdline" | grep -q 'src/node/main.ts ${PLACES.config}' && say running "\${p#/proc/}";; esac
  done
  [ -f ${PLACES.unit} ] && say supervised yes
  grep -q ' *[^#].*${PLACES.start}' /etc/inittab 2>/dev/null && say supervised yes
fi
say end yes
`

/** Takes the first look; sets `machine.sudo`. */
export async function lookAt(machine: Machine, question: FactsQuestion, clock: Clock): Promise<Facts> {
  const step = 'look at the machine'
  const before = clock.now()
  const first = await machine.run(
    step,
    'echo "$(date +%s)"; id -u; id -un; sudo -n true 2>/dev/null && echo sudo || echo none; echo "$SSH_CONNECTION"',
    { asUser: true },
  )
  const after = clock.now()
  const [seconds = '', uid = '', user = '', sudo = '', connection = ''] = first.split('\n')
  const root = uid === '0' || sudo === 'sudo'
  machine.sudo = uid !== '0' && sudo === 'sudo'
  const text = await machine.run(step, SCRIPT, {
    args: [
      String(question.port),
      question.containerdSocket,
      question.cniBinFolder,
      question.stateFolder,
      question.bundle,
    ],
    timeoutMs: 60_000,
  })
  const lines = text.split('\n').map((line): [string, string] => {
    const space = line.indexOf(' ')
    return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1).trim()]
  })
  const facts = factsFrom(lines)
  // `date` gives whole seconds: half a second is the mean of what it leaves out.
  const skew = Number(seconds) * 1000 + 500 - (before + after) / 2
  return {
    ...facts,
    root,
    user,
    address: connection.split(' ')[2] ?? '',
    clockSkewMs: Number.isFinite(skew) ? skew : Number.POSITIVE_INFINITY,
    uncertaintyMs: 500 + (after - before) / 2,
  }
}

/** Throws an Error when the script did not come to its end. */
export function factsFrom(
  lines: readonly (readonly [string, string])[],
): Omit<Facts, 'root' | 'user' | 'address' | 'clockSkewMs' | 'uncertaintyMs'> {
  const one = (key: string): string | undefined => lines.find(([k]) => k === key)?.[1]
  const all = (key: string): Set<string> => new Set(lines.filter(([k]) => k === key).map(([, value]) => value))
  const below = (prefix: string): Map<string, string> =>
    new Map(lines.filter(([k]) => k.startsWith(prefix)).map(([k, value]) => [k.slice(prefix.length), value]))
  const content = (path: string): string | undefined => {
    const text = one(`content:${path}`)
    return text === undefined ? undefined : Buffer.from(text, 'base64').toString('utf8')
  }
  if (one('end') !== 'yes') throw new Error('the machine did not tell everything that was asked')
  const bundle = one('bundle')
  return {
    system: one('system') ?? '',
    machine: one('machine') ?? '',
    hostName: one('hostname') ?? '',
    programs: all('program'),
    cniPlugins: all('cni'),
    kernel: below('kernel.'),
    containerd: one('containerd') ?? 'not looked at',
    cri: one('cri') ?? 'no',
    portInUse: one('port') === 'used',
    free: { opt: Number(one('free.opt') ?? 0), var: Number(one('free.var') ?? 0) },
    pid1: one('pid1') ?? '',
    supervisor: one('supervisor') as SupervisorKind | undefined,
    files: below('file:'),
    nodeJson: content(PLACES.config),
    journalJson: content(PLACES.journal),
    bundle: bundle === 'verified' || bundle === 'broken' ? bundle : 'absent',
    stateFolder: one('state') === 'yes',
    running: one('running') !== undefined,
    supervised: one('supervised') === 'yes',
  }
}

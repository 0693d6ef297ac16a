# Shared by ./rampart and the tests: sets RAMPART_NODE_BIN to a Node that runs the program, installing if need be.
# POSIX sh; progress goes to stderr.

rampart_say() { printf '%s\n' "rampart: $*" >&2; }

# The packages that package-lock.json names, in node_modules; $2 is "production" or "development".
rampart_prepare() {
  root=$1
  kind=$2
  # A contributor's folder stays one: installing for production alone would take the tools away.
  [ ! -e "$root/node_modules/.rampart-development" ] || kind=development
  stamp=$(cksum <"$root/package-lock.json" | tr ' ' -)
  have=$(cat "$root/node_modules/.rampart-$kind" 2>/dev/null || true)
  if [ "$have" != "$stamp" ]; then rampart_install "$root" "$kind" "$stamp"; fi
  rampart_find_node "$root"
}

rampart_install() {
  root=$1
  kind=$2
  stamp=$3
  command -v npm >/dev/null 2>&1 || {
    rampart_say "npm is missing: install Node.js with npm (Debian: apt-get install npm), then run this again"
    exit 3
  }
  omit=''
  [ "$kind" = development ] || omit='--omit=dev'
  rampart_say "installing the program's packages (once) ..."
  (
    cd "$root"
    # Two commands started at once on a fresh clone must not install over each other.
    if command -v flock >/dev/null 2>&1; then
      exec 9>"$root/.install.lock"
      flock 9
      if [ "$(cat "node_modules/.rampart-$kind" 2>/dev/null || true)" = "$stamp" ]; then exit 0; fi
    fi
    # Not "npm ci": it refuses a lock file from which a mirror lacked packages of other platforms.
    # What npm has in its cache needs no network; the rest does.
    set -- --no-save $omit --ignore-scripts --no-audit --no-fund --loglevel=error --no-update-notifier
    npm install --offline "$@" >/dev/null 2>&1 || npm install "$@" >&2 || exit 3
    printf '%s' "$stamp" >"node_modules/.rampart-$kind"
  ) || {
    rampart_say "the packages could not be installed in $root"
    exit 3
  }
}

rampart_find_node() {
  root=$1
  for candidate in "${RAMPART_NODE:-}" "$root"/node_modules/node-linux-*/bin/node "$(command -v node 2>/dev/null || true)"; do
    [ -n "$candidate" ] && [ -x "$candidate" ] || continue
    major=$("$candidate" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
    if [ "$major" -ge 24 ]; then
      RAMPART_NODE_BIN=$candidate
      export RAMPART_NODE_BIN
      return 0
    fi
  done
  rampart_say "Node.js 24 or newer is needed and was not found; set RAMPART_NODE to its path"
  exit 3
}

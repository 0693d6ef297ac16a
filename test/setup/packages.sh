# Programs that the end-to-end suites drive: etcd 3.4, and kubectl 1.20, 1.32 and 1.36, unpacked into the user's cache
# folder, where every checkout finds them again (nothing of it is installed). Sourced by test/run.sh; needs apt-get, as
# root or not; sets RAMPART_TEST_BIN.
# A program that cannot be had is named; the suite that needs it says that it skipped. With CI=true that is an error.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/rampart-test
RAMPART_TEST_BIN=$cache/bin
export RAMPART_TEST_BIN
mkdir -p "$RAMPART_TEST_BIN"

# An apt of its own beside the machine's: same mirror and keyring, other suites, nothing in /var touched.
private_apt() {
  suite=$1
  shift
  dir=$cache/apt-$suite
  mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/etc/preferences.d" "$dir/etc/sources.list.d" "$dir/etc/apt.conf.d"
  mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null |
    sed -n 's#^URIs: *\([^ ]*/debian\)/*\( .*\)\{0,1\}$#\1#p; s#^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*/debian\)/* .*#\2#p' | head -n 1)
  [ -n "$mirror" ] || { echo "no Debian mirror in the machine's apt sources" >&2; return 1; }
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  # Signatures are checked; how old a release is, is not: a mirror may be a snapshot, and these programs only test ours.
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$dir/etc/sources.list"
  apt-get -q -o Dir::State="$dir/state" -o Dir::State::status=/dev/null -o Dir::Cache="$dir/cache" -o Dir::Etc="$dir/etc" \
    -o Dir::Etc::trusted=/dev/null -o Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d \
    -o Dir::Etc::sourcelist="$dir/etc/sources.list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 \
    -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o Acquire::Languages=none -o Debug::NoLocking=1 "$@"
}

# unpack SUITE PACKAGE PATH-IN-PACKAGE NAME
unpack() {
  suite=$1 package=$2 path=$3 name=$4
  [ -x "$RAMPART_TEST_BIN/$name" ] && return 0
  work=$cache/work-$name-$$
  rm -rf "$work"
  mkdir -p "$work"
  if [ ! -e "$cache/apt-$suite/updated" ]; then
    private_apt "$suite" update >"$work/log" 2>&1 && : >"$cache/apt-$suite/updated" || { sed 's/^/  /' "$work/log" >&2; rm -rf "$work"; return 1; }
  fi
  if (cd "$work" && private_apt "$suite" download "$package" >log 2>&1 && dpkg -x "$package"_*.deb tree && mv "tree$path" "$RAMPART_TEST_BIN/$name.new" && mv "$RAMPART_TEST_BIN/$name.new" "$RAMPART_TEST_BIN/$name"); then
    rm -rf "$work"
    return 0
  fi
  sed 's/^/  /' "$work/log" >&2
  rm -rf "$work"
  return 1
}

# Two test runs side by side do not fill the cache over each other.
exec 8>"$cache/lock"
! command -v flock >/dev/null 2>&1 || flock 8

missing=''
need() {
  unpack "$@" || missing="$missing $4"
}
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
[ "$codename" = bookworm ] || codename=bookworm
need "$codename" etcd-server /usr/bin/etcd etcd
need "$codename" etcd-client /usr/bin/etcdctl etcdctl
need "$codename" kubernetes-client /usr/bin/kubectl kubectl-1.20
need trixie kubectl /usr/bin/kubectl kubectl-1.32
need sid kubectl /usr/bin/kubectl kubectl-1.36
if [ -n "$missing" ]; then
  echo "not to be had here:$missing (the suites that need them say what they skip)" >&2
  [ "${CI:-}" != true ] || exit 1
fi
exec 8>&-
PATH=$RAMPART_TEST_BIN:$PATH
export PATH

# What machines need is installed as `rampart up` does it, where that is possible: their suites need root anyway.
if [ "$(id -u)" = 0 ]; then
  node "$root/test/setup/lab-packages.ts" || [ "${CI:-}" != true ] || exit 1
fi

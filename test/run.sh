#!/bin/sh
# npm test: sets up what the tests need, checks types and style, and runs every suite. POSIX sh.
#   sh test/run.sh            everything
#   sh test/run.sh unit       type and style checks, unit tests
#   sh test/run.sh FILE ...   these test files only
set -eu
root=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)
cd "$root"
. "$root/src/launcher.sh"
rampart_prepare "$root" development
node() { "$RAMPART_NODE_BIN" --disable-warning=ExperimentalWarning "$@"; }
PATH=$(dirname "$RAMPART_NODE_BIN"):$root/node_modules/.bin:$PATH
export PATH

what=${1:-all}
case $what in
  all | unit) ;;
  *) exec "$RAMPART_NODE_BIN" --disable-warning=ExperimentalWarning --test --test-isolation=none "$@" ;;
esac

echo '# types'
tsc -p .
echo '# style'
biome check --error-on-warnings .
echo '# unit tests'
unit=$(find src -name '*.test.ts' ! -name '*.slow.test.ts' | sort)
# shellcheck disable=SC2086
node --test --test-isolation=none --test-force-exit --test-timeout=120000 --test-reporter=./test/setup/summary.ts $unit
[ "$what" = all ] || exit 0

. "$root/test/setup/packages.sh"
echo '# slow and end-to-end tests'
suites=$(find src -name '*.slow.test.ts' | sort; find test -name '*.test.ts' | sort)
# shellcheck disable=SC2086
node --test --test-concurrency=2 --test-force-exit --test-timeout=300000 --test-reporter=./test/setup/summary.ts $suites

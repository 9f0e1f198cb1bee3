#!/usr/bin/env bash
# test_run.sh — Single parts of a result are measured anew: what else is in it stays, and what they were measured with is told.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

command -v jq >/dev/null || { echo "jq is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "$1"; failed=1; }
refused() { # a word of the reason, arguments
  local why=$1
  shift
  perf/run.sh "$@" >/dev/null 2>"$dir/err" && fail "not refused: $*"
  grep -qF -- "$why" "$dir/err" || fail "$*: $(cat "$dir/err")"
}
refused "is none" --only decode --json "$dir/none.json"
cp perf/testdata/run.json "$dir/run.json"
refused "no part nothing" --only decode,nothing --json "$dir/run.json"
refused "takes --only limits, scaling, batches" --only limits,sessions --beside --json "$dir/run.json"
refused "takes --only limits, scaling, batches" --beside --json "$dir/run.json"
cmp -s perf/testdata/run.json "$dir/run.json" || fail "what was refused changed the result"

perf/run.sh --quick --only sessions --json "$dir/run.json" >"$dir/out" 2>"$dir/err" || fail "$(cat "$dir/err")"
is() { jq -e --slurpfile was perf/testdata/run.json "$1" "$dir/run.json" >/dev/null || fail "not so: $1"; }
is '.sessions.sessions | map(.sessions) == [1, 1000] and all(.cpu_ns_per_record.median > 0)'
is '.measured_again | keys == ["sessions"]'
is '.measured_again.sessions | (.when > "2026") and .quick and (.version | startswith("weir ")) and (.bare_loop_ns | length == 2 and all(. > 0))'
# shellcheck disable=SC2016
is 'del(.sessions, .measured_again, .settings.skipped) == ($was[0] | del(.sessions, .settings.skipped))'
# shellcheck disable=SC2016
is '.settings.skipped == $was[0].settings.skipped'
exit $failed

#!/usr/bin/env bash
# test_queryable.sh — The way from the wire to the answer of a query is measured: all rows are counted, and answers have ages.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
perf/queryable.sh --records 40000 --rate 200 --seconds 4 --json "$dir/found" 2>"$dir/log"
status=$?
[ $status = 3 ] && { cat "$dir/log"; exit 77; }
failed=0
is() { jq -e "$1" "$dir/found" >/dev/null || { echo "not so: $1"; failed=1; }; }
[ $status = 0 ] || { cat "$dir/log"; failed=1; }
is '.flows >= 40000 and .acknowledged == .flows and .stored == .acknowledged'
is '.nothing_lost'
is '.flows_per_second > 0 and .seconds > 0 and .seconds < 100'
is '.paced.flows_per_second > 0 and .paced.answers > 0 and .paced.age_ms.p50 > 0'
[ $failed = 0 ] || jq -c . "$dir/found"
exit $failed

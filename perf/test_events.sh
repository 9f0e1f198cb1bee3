#!/usr/bin/env bash
# test_events.sh — The way from stream to stream is measured: each flow is an event or dropped by a rule, and all ways have figures.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
perf/events.sh --records 200000 --rounds 1 --json "$dir/found" 2>"$dir/log"
status=$?
[ $status = 3 ] && { cat "$dir/log"; exit 77; }
failed=0
is() { jq -e "$1" "$dir/found" >/dev/null || { echo "not so: $1"; failed=1; }; }
[ $status = 0 ] || { cat "$dir/log"; failed=1; }
is 'length == 3'
is 'all(.[]; .nothing_lost and .flows >= 200000 and .events + .dropped == .flows)'
is 'all(.[]; .flows_per_second.median > 0 and .cpu_ns_per_flow.median > 0 and .server_cpu_ns_per_flow.median > 0)'
# Rules and data sets say more of a flow, and lz4 makes it less.
is '(map({key: .name, value: .octets_per_event}) | from_entries) | .["fifty rules, two databases"] > .["without rules"] and .["fifty rules, two databases, lz4"] < .["without rules"]'
[ $failed = 0 ] || jq -c . "$dir/found"
exit $failed

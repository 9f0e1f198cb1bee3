#!/usr/bin/env bash
# test_report.sh — The report is made of any run, of one in which much is missing too; the committed one is of the committed run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

command -v jq >/dev/null || { echo "jq is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "$1"; failed=1; }
render() { perf/report.sh "$1" "$2" 2>"$dir/err" || fail "$3: $(cat "$dir/err")"; }
has() { grep -qF -- "$2" "$dir/$1/PERFORMANCE.md" || fail "$1: lacks '$2'"; }

render perf/testdata/run.json "$dir/small" small
has small "Test CPU, 4 CPUs"
has small "2.5 million records/s of NetFlow v9"
has small "none lost at 123,456 datagrams/s, which is 2.57 million records/s"
has small "| NetFlow v9 | 2.5 (2 to 3) |"
has small "at 21,000 flows/s the newest row is 250 ms old (p99 600)"
has small "| nfcapd | 0.5 (0.4 to 0.6) | 1 |"
has small "| weir | 0.3 | 0.6 |"
has small "goflow2"
has small "| 100 | 10,000 | 1 |"
has small "| 10,000 | 3,000,000 | 2 |"  # an exporter of so many costs half as much again
has small "| replay of NetFlow v9, no kernel | 0.04 | 0.5 (loopback) | 0.08 | 0.1 |"
has small "| kernel sockets, loopback | 0.3 | 0.5 (loopback) | 0.6 | 0.5: missed |"
has small "| NetFlow v9 | 1 | 20 | 18 | 19 |"
has small "**options data, percent of all records**"
has small "| 27 | 1.5 (1 to 2) | 150 | 500 |"
has small '| `--framing single` | 0.1 (0.09 to 0.11) | 70 % |'
has small "| v9 to JetStream | 1 (0.9 to 1.1) | 200 | 4 | 9 | 12 | 30 | 140 | 400 |"
has small "| AF_XDP: bare loop | 100 (90 to 110) | – | 180 % | – | 1500 (1400 to 1600) | 0 of 150,000 | 250,000 and more |"
has small "| AF_XDP: Weir, receiving only | 200 (190 to 210) | 50 % | 90 % | 80.4 | 600 (500 to 700) | 12 of 150,000 | – |"
has small "| kernel socket: Weir, decoding and encoding | – | – | – | – | 1000 | 0 of 150,000 | – |"
has small "| 1 | 20 (10 to 25) | 3 | – | 0 |"
has small "| 1000 | 2.5 | 0.6 | 13 | 0 |"
has small "Not measured here: goflow2 is asleep."
has small "| parse: message to fields | 100 | 0.16 | 10 | – | 0 |"
has small "| enriched: the same, with a country and an ASN database of half a million prefixes each | 800 (790 to 820) | 1.25 | 1.25 | 1700 | 0 |"
has small "JSON, without a mapping | 640 (600 to 700) | 1 | 1.56 | 1200 | 12.5 |"
has small "whole replays 3 x 2 s, scaling 3 x 0.5 s, collectors side by side 3 x 5 s."
has small "| weir | 0.3 | 0.6 | 0 of 100,000 | 90,000 and more | 291 | protobuf |"
has small "| nfcapd | 0.5 (0.4 to 0.6) | 1 | 10 of 100,000, and by its log more | below 80,000 | 10 | its own |"
has small "*Without loss* by halving, in runs of 3 s"
has small "Busy when it began: 0.03 of 4 CPUs."
has small "| 370 | 123,456 (120,000 to 130,000) |"
has small "; p99 9 ms; none lost at 1.25 million records/s, and at half of that p50 3 ms, p99 11 |"
has small "| without rules | 4,000,000 | 0.8 (0.7 to 0.9) | 1100 (1000 to 1200) | 900 | 1150 | every flow an event |"
has small "| every flow an event, or dropped by a rule: 1,000 |"
has small "| 1350 | NOT ALL OF THEM |"
grep -q "not quiet" "$dir/small/PERFORMANCE.md" && fail "small: says that the machine was not quiet"

# A busy machine is said to have been one.
jq '.machine.busy_before = 1.5' perf/testdata/run.json >"$dir/busy.json"
render "$dir/busy.json" "$dir/busy" busy
has busy "The machine was not quiet: 1.5 of its 4 CPUs were busy"
# Of older runs only the load average is known, of the minute before.
jq 'del(.machine.busy_before) | .machine.load_before = 9' perf/testdata/run.json >"$dir/load.json"
render "$dir/load.json" "$dir/load" load
has load "Load average when it began: 9, on 4 CPUs: **where that was not what had just ended"

# A run from before the sender's time was taken by the clock has no rate without loss that could be believed.
jq '.peers.peers |= map(del(.lossless, .complaints) + {datagrams_per_second_lossless: 332496, bound_by_sender: true}) | del(.settings.parts)' perf/testdata/run.json >"$dir/before.json"
render "$dir/before.json" "$dir/before" before
has before "| weir | 0.3 | 0.6 | 0 of 100,000 | 291 | protobuf |"
has before "Nobody looked into their logs in this run."
has before "whole replays 3 x 2 s, collectors side by side 3 x 5 s, other parts less."
sed -n '/^### Beside other collectors/,/^### Ports/p' "$dir/before/PERFORMANCE.md" | grep -qE '332,496|without loss' && fail "before: says a rate without loss"

# Parts that were measured by themselves say with what, where they stand; the others do not.
jq '.measured_again = {event_streams: {when: "2026-02-02T00:00:00Z", version: "weir 1", cpu: "Test CPU", busy_before: 0.01, bare_loop_ns: [54, 55.5], quick: false},
  lossless_limit: {when: "2026-02-02T00:00:00Z", version: "weir 1", cpu: "Test CPU", busy_before: 0.01, bare_loop_ns: [54, 55.5], quick: true}}' perf/testdata/run.json >"$dir/again.json"
render "$dir/again.json" "$dir/again" again
has again "*Measured anew, by itself: 2026-02-02T00:00:00Z, weir 1; busy before: 0.01 CPUs; the bare loop over v5 took 54 to 55.5 ns then, 50 in the run above.*"
has again "*Measured anew, by itself (rates without loss): 2026-02-02T00:00:00Z, weir 1, \`--quick\`; busy"
[ "$(grep -c 'Measured anew' "$dir/again/PERFORMANCE.md")" = 3 ] || fail "again: not told in three places: streams, replay, headline"

# What another run has stands behind what this one has, and nothing of it in its place.
jq '.beside = {lossless_limit: {how: {when: "2026-03-03T00:00:00Z", version: "weir 2", cpu: "Test CPU", busy_before: 0.02, bare_loop_ns: [61, 62], quick: false}, rows: [{name: "sflow", frames_per_second: 407501}]}}
  | .beside.scaling = {how: .beside.lossless_limit.how, rows: [.scaling[0] | .name = "templates that are others" | .x = "77"]}
  | .beside.batches = {how: .beside.scaling.how, rows: [{options: "--batch-bytes 5", records_per_second: 1980000, least: 1900000, most: 2100000, of_bare_percent: 22}]}' perf/testdata/run.json >"$dir/beside.json"
render "$dir/beside.json" "$dir/beside" beside
has beside "*In another run (2026-03-03T00:00:00Z, weir 2; busy before: 0.02 CPUs; the bare loop over v5 took 61 to 62 ns), to be held against each other only:*"
has beside "| sFlow | 407,501 |"
has beside "| 77 | "
has beside "| \`--batch-bytes 5\` | 1.98 (1.9 to 2.1) | 22 % |"
[ "$(grep -c 'In another run' "$dir/beside/PERFORMANCE.md")" = 3 ] || fail "beside: not told in three places: replay, scaling, acknowledged"

# Nothing but the machine.
jq '{machine, settings}' perf/testdata/run.json >"$dir/bare.json"
render "$dir/bare.json" "$dir/bare" bare
has bare "Not measured in this run."

for of in small busy bare; do
  grep -nE '^@|null|undefined' "$dir/$of/PERFORMANCE.md" | grep -v '/dev/null' && fail "$of: something was not filled in"
  for chart in encoded exporters peers; do
    svg=$dir/$of/performance/$chart.svg
    head -1 "$svg" | grep -q '^<svg ' && tail -1 "$svg" | grep -q '^</svg>$' || fail "$of: $chart.svg is no chart"
  done
done
[ "$(grep -c '<rect' "$dir/small/performance/peers.svg")" = 2 ] || fail "small: a bar for each collector"

# What is committed was made by this program, of this template and that run.
render perf/results/run.json "$dir/committed" committed
diff -r "$dir/committed/PERFORMANCE.md" docs/PERFORMANCE.md >/dev/null || fail "docs/PERFORMANCE.md is not what perf/report.sh makes: words belong in perf/PERFORMANCE.md.in"
diff -r "$dir/committed/performance" docs/performance >/dev/null || fail "docs/performance: perf/report.sh makes others"

# README claims no more than that run bears: each figure, as it stands there, against the measured one.
readme=$(tr '\n' ' ' <README.md)
claims() { # what, million a second by the run, a pattern whose first group is the claim
  local measured claimed
  measured=$(jq -r "$2" perf/results/run.json)
  claimed=$(sed -nE "s/.*$3.*/\1/p" <<<"$readme")
  [ -n "$claimed" ] || { fail "README.md says nothing of $1"; return; }
  awk -v c="$claimed" -v m="$measured" 'BEGIN { exit !(c <= m * 1.005) }' || fail "README.md says $claimed million of $1, the run $measured"
}
rate() { echo "1e3 / .decode_encode_ns_per_record[\"$1\"].median"; }
claims "NetFlow v5" "$(rate fused/netflow_v5)" 'encodes ([0-9.]+) million NetFlow v5'
claims "NetFlow v9" "$(rate fused/netflow_v9)" 'v5 records a second, ([0-9.]+) million of v9'
claims "IPFIX" "$(rate fused/ipfix)" 'of v9, ([0-9.]+) million of IPFIX'
claims "sFlow" "$(rate decode_encode/sflow_raw_header)" 'IPFIX and ([0-9.]+) million samples of sFlow'
claims "NetFlow v5 by records" "$(rate decode_encode/netflow_v5)" 'looks at records, ([0-9.]+), [0-9.]+ and'
claims "NetFlow v9 by records" "$(rate decode_encode/netflow_v9)" 'looks at records, [0-9.]+, ([0-9.]+) and'
claims "IPFIX by records" "$(rate decode_encode/ipfix)" 'looks at records, [0-9.]+, [0-9.]+ and ([0-9.]+) million'
claims "JetStream's" ".wire_to_acknowledged[0].acknowledged_per_second.median / 1e6" 'what sends got ([0-9.]+) million records'
claims "flows asked for" ".wire_to_queryable.flows_per_second / 1e6" 'questions too, ([0-9.]+) million flows'
claims "events" '[.events[] | select(.stage == "enriched") | 1e3 / .ns_per_flow.median] | min' 'One core makes ([0-9.]+) million flows'

exit $failed

#!/usr/bin/env bash
# run.sh — How much, on how many cores, with how much loss: every figure of one machine in one run.
#
# usage: perf/run.sh [--quick] [--json FILE]
#   --quick      fewer and shorter runs, some eight minutes
#   --json FILE  the whole result (default build/perf/run.json)
#
# Takes programs from build/ (scripts/build.sh build). Needs jq; nats-server for the way to an acknowledgement; peers as
# perf/peers.sh says. What is missing is named and left out. Nothing else should run on the machine meanwhile.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

quick=false json=build/perf/run.json
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true; shift ;;
    --json) json=$2; shift 2 ;;
    *) sed -n '2,9p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
rounds=5 seconds=10 halvings=8
if $quick; then rounds=3 seconds=3 halvings=5; fi
for need in jq build/weir build/perf/bench_decode; do
  command -v "$need" >/dev/null || { echo "run.sh: $need is not there (scripts/build.sh build)" >&2; exit 1; }
done

dir=$(mktemp -d)
nats=
cleanup() {
  [ -n "$nats" ] && kill "$nats" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
say() { echo "== $1" >&2; }
median='def median: sort | .[(length - 1) / 2 | floor]; def spread: {median: median, least: min, most: max, runs: .};'

say "decoder and encoder on one core, datagrams in memory"
build/perf/bench_decode --benchmark_filter='^(decode_encode|bare_loop)' --benchmark_repetitions=$rounds \
  --benchmark_min_time=0.2 --benchmark_format=json >"$dir/bench.json" 2>/dev/null
jq "$median"' [.benchmarks[] | select(.run_type == "iteration")] | group_by(.run_name)
  | map({key: .[0].run_name, value: (map(1e9 / .items_per_second) | spread)}) | from_entries' "$dir/bench.json" >"$dir/decode"

say "captures for the replay"
for protocol in v5 v9 ipfix; do
  build/weir generate --pcap "$dir/$protocol.pcap" --protocol $protocol --count 20000 --exporters 100 >/dev/null 2>&1
done

# replay NAME ARGUMENT…: one line of JSON a run.
replay() {
  local name=$1
  shift
  build/weir replay "$@" -q --json 2>/dev/null | jq -c --arg name "$name" '{name: $name, lossless: .is_lossless,
    played_per_second: .played.records_per_second, frames_per_second: .played.frames_per_second,
    acknowledged_per_second: .publishers[0].records_per_second, delivery_ns: .publishers[0].delivery_ns,
    cpu_ns_per_record, memory_mib: (.memory_octets / 1048576), stages, lost: .frames_lost}'
}

say "wire to encoded: the whole appliance, as much as it takes"
for _ in $(seq $rounds); do
  for protocol in v5 v9 ipfix; do replay "$protocol" "$dir/$protocol.pcap" --seconds $seconds --rounds 1000000 --stages; done
done >"$dir/encoded"

say "without loss: the highest rate, by halving"
# Prints the rate that was played where nothing was lost and the player kept up.
lossless() { # capture, datagrams a second
  build/weir replay "$1" --rate "$2pps" --seconds $seconds --rounds 1000000 -q --json 2>/dev/null |
    jq -e --argjson asked "$2" 'select(.is_lossless) | .played.frames_per_second | select(. >= 0.98 * $asked) | round'
}
for protocol in v5 v9 ipfix; do
  low=10000 high=1600000 best=null
  for _ in $(seq $halvings); do
    middle=$(((low + high) / 2))
    if played=$(lossless "$dir/$protocol.pcap" $middle); then low=$middle best=$played; else high=$middle; fi
  done
  jq -nc --arg name $protocol --argjson pps "$best" '{name: $name, frames_per_second: $pps}'
done >"$dir/limit"

say "scaling: exporters, queues, workers"
for exporters in 1 10 100; do
  replay "v9, $((exporters * 100)) exporters" "$dir/v9.pcap" --seconds $seconds --rounds 1000000 --exporters $exporters
done >"$dir/scaling"
for queues in 1 2; do
  replay "v9, $queues queues" "$dir/v9.pcap" --seconds $seconds --rounds 1000000 --queues $queues
done >>"$dir/scaling"

: >"$dir/acknowledged"
if command -v nats-server >/dev/null; then
  say "wire to acknowledged by JetStream on this machine"
  port=$((20000 + RANDOM % 10000))
  nats-server -a 127.0.0.1 -p $port -js -sd "$dir/store" >"$dir/nats.log" 2>&1 &
  nats=$!
  sleep 1
  for _ in $(seq $rounds); do
    replay "v9 to JetStream" "$dir/v9.pcap" --publish "nats://127.0.0.1:$port" --seconds $seconds --rounds 1000000
  done >"$dir/acknowledged"
  kill "$nats" && wait "$nats" 2>/dev/null
  nats=
else
  echo "skipped: nats-server is not installed" >&2
fi

say "collectors side by side"
perf/peers.sh --rounds $rounds --seconds $seconds --json "$dir/peers" >/dev/null || echo null >"$dir/peers"

mkdir -p "$(dirname "$json")"
jq -n --slurpfile decode "$dir/decode" --slurpfile encoded "$dir/encoded" --slurpfile limit "$dir/limit" \
  --slurpfile scaling "$dir/scaling" --slurpfile acknowledged "$dir/acknowledged" --slurpfile peers "$dir/peers" \
  --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" --argjson cpus "$(nproc)" \
  --arg kernel "$(uname -r)" --arg compiler "$(c++ --version | head -1)" --arg version "$(build/weir version)" \
  --arg when "$(date -u +%FT%TZ)" "$median"'
  def by_name: group_by(.name) | map({name: .[0].name, lossless: (map(.lossless) | all),
    records_per_second: (map(.played_per_second) | spread), acknowledged_per_second: (map(.acknowledged_per_second) | spread),
    cpu_ns_per_record: (map(.cpu_ns_per_record) | spread), delivery_ns: (sort_by(.delivery_ns.p99) | .[(length - 1) / 2 | floor].delivery_ns),
    stages: .[0].stages, memory_mib: (map(.memory_mib) | max)});
  {machine: {cpu: $cpu, cpus: $cpus, kernel: $kernel, compiler: $compiler, version: $version, when: $when},
   decode_encode_ns_per_record: $decode[0], wire_to_encoded: ($encoded | by_name), lossless_limit: $limit,
   scaling: ($scaling | by_name), wire_to_acknowledged: ($acknowledged | by_name), peers: $peers[0]}' >"$json"

jq -r 'def m: . / 1e6 * 100 | round / 100; def r: . * 100 | round / 100;
  "\(.machine.cpu), \(.machine.cpus) CPUs, \(.machine.version)", "",
  "decode and encode, ns a record", (.decode_encode_ns_per_record | to_entries[] | "  \(.key)  \(.value.median | r)"), "",
  "(a) wire to encoded, M records/s on one core", (.wire_to_encoded[] | "  \(.name)  \(.records_per_second.median | m)  lossless \(.lossless)  CPU \(.cpu_ns_per_record.median | r) ns"), "",
  "    without loss, datagrams/s", (.lossless_limit[] | "  \(.name)  \(.frames_per_second)"), "",
  "    scaling, M records/s", (.scaling[] | "  \(.name)  \(.records_per_second.median | m)"), "",
  "(b) wire to acknowledged, M records/s", (.wire_to_acknowledged[] | "  \(.name)  \(.acknowledged_per_second.median | m)  lossless \(.lossless)  p99 \(.delivery_ns.p99 / 1e6 | r) ms"), "",
  "collectors over the same kernel socket, CPU µs a record", (.peers.peers[]? | "  \(.peer)  \(.cpu_us_per_record | r)  lost \(.lost)/\(.datagrams)  (\(.does))"), "",
  "not measured: (c) wire to queryable, for there is no store yet"' "$json"
echo "all of it: $json" >&2

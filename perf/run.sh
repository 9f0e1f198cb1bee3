#!/usr/bin/env bash
# run.sh — How much, on how many cores, with how much loss: every figure of one machine in one run.
#
# usage: perf/run.sh [--quick] [--json FILE] [--report]
#   --quick      fewer and shorter runs: less than ten minutes on two cores; without it, some fifty
#   --json FILE  the whole result (default build/perf/run.json)
#   --only PARTS of the result in FILE these parts anew, with commas: what they were measured with is told beside them
#                (decode, events, streams, replay, limits, scaling, acknowledged, batches, queryable, peers, ports, sessions)
#   --beside     with --only limits, scaling, batches or some of them: what is there stays, and the page shows these beside it
#   --report     write docs/PERFORMANCE.md of it (perf/report.sh)
#
# Takes programs from build/ (scripts/build.sh build). Needs jq; nats-server for the way to an acknowledgement, weir-store
# and weir-api for the way to an answer, peers as perf/peers.sh says. What is missing is named and left out. Nothing else
# should run on the machine meanwhile: how busy it is at the beginning is part of the result.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

parts="decode events streams replay limits scaling acknowledged batches queryable peers ports sessions"
quick=false report=false beside=false json=build/perf/run.json only=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true; shift ;;
    --report) report=true; shift ;;
    --json) json=${2:?a file}; shift 2 ;;
    --only) only=${2:?parts}; shift 2 ;;
    --beside) beside=true; shift ;;
    *) sed -n '2,15p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
event_protocols="netflow_v9|ipfix|mixed_10_exporters" event_s=0.2 stream_records=3000000 stream_rounds=3
rounds=5 seconds=10 halvings=8 limit_rounds=3 limit_s=6 limit_more=5 deliver_halvings=6 bench_s=0.5 scaling_s=4 deliver_s=2 peer_rounds=5 peer_s=5 peer_halvings=6 flows=5000000 batch_options=5 minutes=50 ports="--rounds 5 --seconds 0.5 --halvings 6" sessions=""
if $quick; then event_protocols=mixed_10_exporters event_s=0.05 stream_records=300000 stream_rounds=1 rounds=3 seconds=2 halvings=5 limit_rounds=1 limit_s=2 deliver_halvings=4 bench_s=0.05 scaling_s=0.3 deliver_s=1 peer_rounds=3 peer_s=2 peer_halvings=2 flows=1000000 batch_options=2 minutes=10 ports="--rounds 3 --seconds 0.1 --halvings 0" sessions="--sessions 1,1000 --rounds 1 --seconds 2"; fi
for need in jq build/weir build/weirctl build/perf/bench_decode; do
  command -v "$need" >/dev/null || { echo "run.sh: $need is not there (scripts/build.sh build)" >&2; exit 1; }
done
if [ -n "$only" ]; then
  [ -s "$json" ] || { echo "run.sh: --only wants a result to put the parts into: $json is none" >&2; exit 1; }
  for part in ${only//,/ }; do
    [[ " $parts " = *" $part "* ]] || { echo "run.sh: there is no part $part, of $parts" >&2; exit 1; }
  done
  parts=${only//,/ } minutes="of $minutes"
fi
if $beside && [[ ! ,$only =~ ^(,(limits|scaling|batches))+$ ]]; then
  echo "run.sh: --beside takes --only limits, scaling, batches or some of them" >&2
  exit 1
fi
load_before=$(cut -d' ' -f1 /proc/loadavg)
# CPUs that others use, by three seconds of /proc/stat: all but idle and waiting for a disk.
cpu_ticks() { awk '/^cpu / { for (i = 2; i <= 9; ++i) all += $i; print all - $5 - $6, all }' /proc/stat; }
before=$(cpu_ticks)
sleep 3
busy_before=$(printf '%s %s\n' "$before" "$(cpu_ticks)" | awk -v cpus="$(nproc)" '{ printf "%.2f", ($3 - $1) / ($4 - $2) * cpus }')
begin=$SECONDS

dir=$(mktemp -d)
found=$dir/found
mkdir "$found"
nats=
cleanup() {
  [ -n "$nats" ] && kill "$nats" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
echo "run.sh: some $minutes minutes" >&2
say() { echo "== $((SECONDS - begin)) s: $1" >&2; }
skip() { echo "skipped: $1" >&2; printf '%s\n' "$1" >>"$dir/skipped"; }
: >"$dir/skipped"
# shellcheck disable=SC2034  # for the parts
for_ever="--seconds $seconds --rounds 1000000"
. perf/measure.sh
# How fast this machine is just now, by what nothing of Weir's is in.
bare_loop_ns() {
  build/perf/bench_decode --benchmark_filter='^bare_loop/netflow_v5$' --benchmark_repetitions=3 --benchmark_min_time=0.2 --benchmark_format=json 2>/dev/null |
    jq '[.benchmarks[] | select(.run_type == "iteration") | 1e9 / .items_per_second] | sort | .[1]'
}
bare_ns=$(bare_loop_ns)
for part in $parts; do "measure_$part"; done

# What took part, by the words that it has for itself.
version_of() { "$@" 2>&1 | grep -m1 -oE '[0-9]+\.[0-9]+(\.[0-9]+)?[^ ,)]*' || echo ""; }
jq -nc --arg nats "$(version_of nats-server --version)" --arg nfdump "$(version_of nfdump -V)" --arg pmacct "$(version_of nfacctd -V)" \
  --arg goflow2 "$(version_of grep -aoE 'netsampler/goflow2(/v[0-9]+)?[[:space:]]+v[0-9.]+' "$(command -v goflow2 || echo /dev/null)")" --arg dpdk "$(pkg-config --modversion libdpdk 2>/dev/null)" '{"nats-server": $nats, nfdump: $nfdump, pmacct: $pmacct, goflow2: $goflow2, DPDK: $dpdk} | with_entries(select(.value != ""))' >"$dir/programs"

mkdir -p "$(dirname "$json")"
# Each key of what was found, and what it was found with.
for key in "$found"/*; do jq -c --arg key "${key##*/}" '{key: $key, value: .}' "$key"; done >"$dir/all" || exit 1
jq -n --slurpfile found "$dir/all" --slurpfile programs "$dir/programs" --argjson skipped "$(jq -Rnc '[inputs]' <"$dir/skipped")" \
  --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" --argjson cpus "$(nproc)" \
  --argjson memory_mib "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
  --arg kernel "$(uname -r)" --arg compiler "$(c++ --version | head -1)" --arg version "$(build/weir version | head -1)" \
  --arg when "$(date -u +%FT%TZ)" --argjson load_before "$load_before" --argjson busy_before "$busy_before" --argjson took $((SECONDS - begin)) \
  --argjson bare_ns "${bare_ns:-null}" --argjson bare_ns_after "$(bare_loop_ns || echo null)" \
  --argjson quick $quick --argjson rounds $rounds --argjson seconds $seconds --argjson halvings $halvings \
  --argjson limit_rounds "$limit_rounds" --argjson limit_s "$limit_s" --argjson scaling_s "$scaling_s" --argjson bench_s "$bench_s" --argjson deliver_s "$deliver_s" --argjson event_s "$event_s" '
  {machine: {cpu: $cpu, cpus: $cpus, memory_mib: $memory_mib, kernel: $kernel, compiler: $compiler, version: $version, programs: $programs[0],
     when: $when, load_before: $load_before, busy_before: $busy_before, bare_loop_ns: [$bare_ns, $bare_ns_after]},
   settings: {quick: $quick, rounds: $rounds, seconds: $seconds, halvings: $halvings, took_seconds: $took,
     parts: [{of: "rates without loss", rounds: $limit_rounds, seconds: $limit_s}, {of: "scaling", rounds: $rounds, seconds: $scaling_s}, {of: "decoder and encoder", rounds: $rounds, seconds: $bench_s},
       {of: "events", rounds: 3, seconds: $event_s}, {of: "`bench_deliver`", rounds: $rounds, seconds: $deliver_s}], skipped: $skipped}} + ($found | from_entries)' >"$dir/run.json" || exit 1
if [ -n "$only" ]; then
  # What is there stays; of what is new it is told when and on what.
  jq -s --argjson beside $beside '.[0] as $was | .[1] as $now | ($now | del(.machine, .settings) | with_entries(select(.value != null))) as $found
    | ($now.machine | {when, version, cpu, busy_before, bare_loop_ns, quick: $now.settings.quick}) as $how
    | if $beside then $was | .beside = ((.beside // {}) + ($found | map_values({how: $how, rows: .})))
      else $was + $found | .settings.skipped = ((.settings.skipped // []) + $now.settings.skipped | unique)
        | .measured_again = (($was.measured_again // {}) + ($found | map_values($how))) end' \
    "$json" "$dir/run.json" >"$dir/merged.json" || exit 1
  mv "$dir/merged.json" "$dir/run.json"
fi
cp "$dir/run.json" "$json" || exit 1

jq -r 'def m: . / 1e6 * 100 | round / 100; def r: . * 100 | round / 100;
  "\(.machine.cpu), \(.machine.cpus) CPUs, \(.machine.version); busy before: \(.machine.busy_before) CPUs", "",
  "decode and encode, ns a record", (.decode_encode_ns_per_record // {} | to_entries[] | "  \(.key)  \(.value.median | r)"), "",
  "from flows to events, ns a flow", (.events[]? | "  \(.stage) \(.of)  \(.ns_per_flow.median | r)"), "",
  "from stream to stream, M flows/s", (.event_streams[]? | "  \(.name)  \(.flows_per_second.median | m)  CPU \(.cpu_ns_per_flow.median | r) ns"), "",
  "(a) wire to encoded, M records/s on one core", (.wire_to_encoded[]? | "  \(.name)  \(.records_per_second.median | m)  lossless \(.lossless)  CPU \(.cpu_ns_per_record.median | r) ns"), "",
  "    without loss, datagrams/s", (.lossless_limit[]? | "  \(.name)  \(.frames_per_second)"), "",
  "    scaling, M records/s", (.scaling[]? | "  \(.name) \(.x)  \(.records_per_second.median | m)"), "",
  "(b) wire to acknowledged, M records/s", (.wire_to_acknowledged[]? | "  \(.name)  \(.acknowledged_per_second.median | m)  lossless \(.lossless)  p99 \(.delivery_ns.p99 / 1e6 | r) ms"),
  (.delivery_limit[]? | "  \(.name)  without loss \(.frames_per_second) datagrams/s"),
  (.batches[]? | "  \(.options)  \(.records_per_second | m)  \(.of_bare_percent) % of the bare publisher"), "",
  "(c) wire to queryable", (.wire_to_queryable | if . == null then "  not measured" else "  \(.flows_per_second | m) M flows/s; the newest row is \(.paced.age_ms.p50) ms old, \(.paced.age_ms.p99) ms in a hundredth" end), "",
  (.ports | select(. != null) | "ports, ns a datagram from a full queue", (.receivers[] | "  \(.kind) \(.who)  \(.full_ns.median)"), ""),
  (.sessions | select(. != null) | "IPFIX over TCP, M records a second of CPU", (.sessions[] | "  \(.sessions) sessions  \(1e9 / .cpu_ns_per_record.median | m)"), ""),
  ((.peers, .peers_veth) | select(. != null) | "collectors over \(.path), CPU µs a record", (.peers[] | "  \(.peer)  \(.cpu_us_per_record | r)  lost \(.lost)/\(.datagrams)  (\(.does))"))' "$json"
echo "all of it, in $((SECONDS - begin)) s: $json" >&2
if $report; then perf/report.sh "$json"; fi

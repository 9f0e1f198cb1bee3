#!/usr/bin/env bash
# run.sh — How much, on how many cores, with how much loss: every figure of one machine in one run.
#
# usage: perf/run.sh [--quick] [--json FILE] [--report]
#   --quick      fewer and shorter runs: less than ten minutes on two cores; without it, some fifty
#   --json FILE  the whole result (default build/perf/run.json)
#   --report     write docs/PERFORMANCE.md of it (perf/report.sh)
#
# Takes programs from build/ (scripts/build.sh build). Needs jq; nats-server for the way to an acknowledgement, weir-store
# and weir-api for the way to an answer, peers as perf/peers.sh says. What is missing is named and left out. Nothing else
# should run on the machine meanwhile: how busy it is at the beginning is part of the result.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

quick=false report=false json=build/perf/run.json
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true; shift ;;
    --report) report=true; shift ;;
    --json) json=$2; shift 2 ;;
    *) sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
event_protocols="netflow_v9|ipfix|mixed_10_exporters" event_s=0.2 stream_records=3000000 stream_rounds=3
rounds=5 seconds=10 halvings=8 limit_rounds=3 limit_s=6 limit_more=5 deliver_halvings=6 bench_s=0.5 scaling_s=4 deliver_s=2 peer_rounds=5 peer_s=5 peer_halvings=6 flows=5000000 batch_options=5 minutes=50 ports="--rounds 5 --seconds 0.5 --halvings 6" sessions=""
if $quick; then event_protocols=mixed_10_exporters event_s=0.05 stream_records=1000000 stream_rounds=1 rounds=3 seconds=2 halvings=5 limit_rounds=1 limit_s=2 deliver_halvings=4 bench_s=0.05 scaling_s=0.3 deliver_s=1 peer_rounds=3 peer_s=2 peer_halvings=2 flows=1000000 batch_options=2 minutes=10 ports="--rounds 3 --seconds 0.1 --halvings 0" sessions="--sessions 1,1000 --rounds 1 --seconds 2"; fi
for need in jq build/weir build/weirctl build/perf/bench_decode; do
  command -v "$need" >/dev/null || { echo "run.sh: $need is not there (scripts/build.sh build)" >&2; exit 1; }
done
load_before=$(cut -d' ' -f1 /proc/loadavg)
# CPUs that others use, by three seconds of /proc/stat: all but idle and waiting for a disk.
cpu_ticks() { awk '/^cpu / { for (i = 2; i <= 9; ++i) all += $i; print all - $5 - $6, all }' /proc/stat; }
before=$(cpu_ticks)
sleep 3
busy_before=$(printf '%s %s\n' "$before" "$(cpu_ticks)" | awk -v cpus="$(nproc)" '{ printf "%.2f", ($3 - $1) / ($4 - $2) * cpus }')
begin=$SECONDS

dir=$(mktemp -d)
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
median='def median: sort | .[(length - 1) / 2 | floor]; def spread: {median: median, least: min, most: max, runs: .};'

say "decoder and encoder on one core, datagrams in memory"
timeout 600 build/perf/bench_decode --benchmark_filter='^((decode_encode|decode_encode_portable|fused|bare_loop)/|fused_portable/(netflow_v5|netflow_v9|ipfix)$)' \
  --benchmark_repetitions=$rounds --benchmark_min_time=$bench_s --benchmark_format=json >"$dir/bench.json" 2>/dev/null
jq "$median"' [.benchmarks[] | select(.run_type == "iteration")] | group_by(.run_name)
  | map({key: .[0].run_name, value: (map(1e9 / .items_per_second) | spread)}) | from_entries' "$dir/bench.json" >"$dir/decode"

echo '[]' >"$dir/events"
if [ -x build/perf/bench_transform ]; then
  say "from flows to events, on one core"
  timeout 600 build/perf/bench_transform --benchmark_filter="^(parse|rules|event|transform|enriched|decision|plain_consumer)/($event_protocols)\$" \
    --benchmark_repetitions=3 --benchmark_min_time=$event_s --benchmark_format=json >"$dir/events.json" 2>/dev/null
  jq "$median"' [.benchmarks[] | select(.run_type == "iteration")] | group_by(.run_name)
    | map((.[0].run_name | split("/")) as $name | {stage: $name[0], of: $name[1], ns_per_flow: (map(1e9 / .items_per_second) | spread),
        octets_per_flow: .[0].octets_per_flow, allocations_per_flow: (map(.allocations_per_flow) | max)})' "$dir/events.json" >"$dir/events" || echo '[]' >"$dir/events"
else
  skip "build/perf/bench_transform is not built"
fi

say "from a stream of flows to a stream of events"
timeout 900 perf/events.sh --records $stream_records --rounds $stream_rounds --json "$dir/streams" >/dev/null 2>"$dir/streams.log" || {
  skip "events from stream to stream: $(tail -1 "$dir/streams.log" | sed 's/^skipped: //')"
  echo null >"$dir/streams"
}

say "captures for the replay"
make_capture() { # name, arguments of weir generate
  local name=$1
  shift
  build/weir generate --pcap "$dir/$name.pcap" --count 20000 --start 1767225600 --json "$@" >"$dir/$name.made" 2>/dev/null
}
for protocol in v5 v9 ipfix sflow; do make_capture $protocol --protocol $protocol --exporters 100; done
make_capture variable --protocol ipfix --with variable --exporters 100
make_capture one --protocol v9
for refresh in 1 10; do make_capture churn$refresh --protocol v9 --template-refresh $refresh --exporters 100; done
for refresh in 1 10; do make_capture changes$refresh --protocol v9 --template-refresh $refresh --template-changes --exporters 100; done
for refresh in 1 4 20; do make_capture options$refresh --protocol v9 --template-refresh $refresh --with interfaces,samplers --exporters 100; done
for flows_each in 1 5; do make_capture flows$flows_each --protocol v9 --flows $flows_each --exporters 100; done
make_capture all --protocol ipfix --with all --exporters 100
# Of all records, in percent.
options_share() { jq -r '.options_records / (.records + .options_records) * 100 | round' "$dir/$1.made"; }

# replay NAME X ARGUMENT…: one line of JSON a run; X is what NAME is scaled by. A run that gave none is told, so that medians of fewer are not taken for whole.
replay() {
  local name=$1 x=$2 line
  shift 2
  line=$(timeout 120 build/weir replay "$@" -q --json 2>/dev/null | jq -c --arg name "$name" --arg x "$x" '{name: $name, x: $x, lossless: .is_lossless,
    played_per_second: .played.records_per_second, frames_per_second: .played.frames_per_second,
    acknowledged_per_second: .publishers[0].records_per_second, delivery_ns: .publishers[0].delivery_ns,
    octets_per_record: (if .publishers[0].acknowledged > 0 then .publishers[0].octets / .publishers[0].acknowledged else null end),
    wire_octets_per_record: (if .played.records > 0 then .played.octets / .played.records else null end), cycles_per_record: .cores[0].cycles_per_record,
    cpu_ns_per_record, memory_mib: (.memory_octets / 1048576), stages, lost: .frames_lost}')
  if [ -n "$line" ]; then printf '%s\n' "$line"; else skip "a run of $name${x:+, $x}: weir replay gave no result"; fi
}
for_ever="--seconds $seconds --rounds 1000000"

say "wire to encoded: the whole appliance, as much as it takes"
stages=--stages  # once
for _ in $(seq $rounds); do
  # shellcheck disable=SC2086
  for protocol in v5 v9 ipfix variable sflow; do replay "$protocol" "" "$dir/$protocol.pcap" $for_ever $stages; done
  stages=
done >"$dir/encoded"

say "without loss: the highest rate, by halving"
# Prints what a run at a rate said where nothing was lost and the player kept up.
lossless() { # datagrams a second, seconds, capture, arguments of weir replay
  local rate=$1 seconds=$2
  shift 2
  timeout 120 build/weir replay "$@" --rate "${rate}pps" --seconds "$seconds" --rounds 1000000 -q --json 2>/dev/null |
    jq -ce --argjson asked "$rate" 'select(.is_lossless and .played.frames_per_second >= 0.98 * $asked)'
}
# Prints the highest rate between two that was played without loss, or null.
search() { # low, high, halvings, seconds, capture, arguments of weir replay
  local low=$1 high=$2 halvings=$3 seconds=$4 best=null middle played
  shift 4
  for _ in $(seq "$halvings"); do
    middle=$(((low + high) / 2))
    if played=$(lossless $middle "$seconds" "$@"); then low=$middle best=$(jq '.played.frames_per_second | round' <<<"$played"); else high=$middle; fi
  done
  echo "$best"
}
# The first search is over all rates, later ones are around what it found, in turn.
: >"$dir/limit"
for _ in $(seq $limit_rounds); do
  for protocol in v5 v9 ipfix variable sflow; do
    found=$(jq -s --arg name $protocol 'map(select(.name == $name and .pps != null).pps)[0] // empty' "$dir/limit" 2>/dev/null)
    if [ -z "$found" ]; then best=$(search 10000 1600000 $halvings $limit_s "$dir/$protocol.pcap")
    else best=$(search $((found / 2)) $((found * 3 / 2)) $limit_more $limit_s "$dir/$protocol.pcap"); fi
    jq -nc --arg name $protocol --argjson pps "$best" '{name: $name, pps: $pps}' >>"$dir/limit"
  done
done

say "scaling: cores, exporters, sizes of datagrams and records, templates and options in between"
# All of them in turn, so that what else the machine does meets none of them alone.
scaled="--seconds $scaling_s --rounds 1000000"
# shellcheck disable=SC2086
for _ in $(seq $rounds); do
  replay exporters 1 "$dir/one.pcap" $scaled
  replay exporters 10 "$dir/one.pcap" $scaled --exporters 10
  for times in 1 10 100; do replay exporters $((times * 100)) "$dir/v9.pcap" $scaled --exporters $times; done
  for queues in $(seq "$(nproc)"); do replay queues "$queues" "$dir/v9.pcap" $scaled --queues "$queues"; done
  for flows_each in 1 5; do replay "records a datagram" $flows_each "$dir/flows$flows_each.pcap" $scaled; done
  replay "records a datagram" "$(jq '.records / 20000 | round' "$dir/v9.made")" "$dir/v9.pcap" $scaled
  replay "what IPFIX records say" "plain flows" "$dir/ipfix.pcap" $scaled
  replay "what IPFIX records say" "three strings" "$dir/variable.pcap" $scaled
  replay "what IPFIX records say" "all that weir generate knows" "$dir/all.pcap" $scaled
  for refresh in 1 10; do replay "datagrams between templates" $refresh "$dir/churn$refresh.pcap" $scaled; done
  for refresh in 1 10; do replay "datagrams between templates that are others each time" $refresh "$dir/changes$refresh.pcap" $scaled; done
  replay "datagrams between templates" 200 "$dir/v9.pcap" $scaled
  replay "options data, percent of all records" 0 "$dir/v9.pcap" $scaled
  for refresh in 20 4 1; do replay "options data, percent of all records" "$(options_share options$refresh)" "$dir/options$refresh.pcap" $scaled; done
done >"$dir/scaling"

: >"$dir/acknowledged"
: >"$dir/batches"
: >"$dir/delivery"
echo null >"$dir/unhurried"
if command -v nats-server >/dev/null; then
  begin_nats() {
    rm -rf "$dir/store"
    port=$((20000 + RANDOM % 10000))
    nats-server -a 127.0.0.1 -p $port -js -sd "$dir/store" >"$dir/nats.log" 2>&1 &
    nats=$!
    sleep 1
  }
  end_nats() {
    kill "$nats" && wait "$nats" 2>/dev/null
    nats=
  }
  say "wire to acknowledged by JetStream on this machine"
  for _ in $(seq $rounds); do
    begin_nats
    # shellcheck disable=SC2086
    replay "v9 to JetStream" "" "$dir/v9.pcap" --publish "nats://127.0.0.1:$port" $for_ever
    end_nats
  done >"$dir/acknowledged"
  # Each search into an empty stream: out of a full one the server removes for each message that comes.
  for _ in $(seq $limit_rounds); do
    begin_nats
    best=$(search 5000 205000 $deliver_halvings $limit_s "$dir/v9.pcap" --publish "nats://127.0.0.1:$port")
    jq -nc --argjson pps "$best" '{name: "v9 to JetStream", pps: $pps}' >>"$dir/delivery"
    end_nats
  done
  # How long a record is on its way where there is no queue: at half of that rate.
  unhurried=$(jq -s 'map(.pps | select(. != null)) | sort | if length == 0 then empty else .[(length - 1) / 2 | floor] / 2 | floor end' "$dir/delivery")
  if [ -n "$unhurried" ]; then
    begin_nats
    lossless "$unhurried" "$seconds" "$dir/v9.pcap" --publish "nats://127.0.0.1:$port" |
      jq '{frames_per_second: .played.frames_per_second, records_per_second: .played.records_per_second, delivery_ns: .publishers[0].delivery_ns, cpu_ns_per_record}' >"$dir/unhurried"
    [ -s "$dir/unhurried" ] || { skip "delivery at half of the rate without loss: something was lost"; echo null >"$dir/unhurried"; }
    end_nats
  fi
  # Beside a bare publisher in the same run; nothing may be lost, or it fails.
  for options in "--batch-bytes 65536" "--batch-bytes 65536 --compression lz4" "--batch-bytes 65536 --compression zstd" "--batch-bytes 262144" "--framing single"; do
    [ "$((batch_options--))" -gt 0 ] || break
    [ -x build/perf/bench_deliver ] || { skip "build/perf/bench_deliver is not built"; break; }
    # shellcheck disable=SC2086
    timeout 300 build/perf/bench_deliver $options --seconds $deliver_s --rounds "$rounds" 2>"$dir/deliver.log" |
      sed -n 's/^median: \([0-9.]*\) M records.* (\([0-9.]*\) to \([0-9.]*\)), \([0-9]*\) %.*/\1 \2 \3 \4/p' |
      jq -Rc --arg options "$options" 'split(" ") | map(tonumber) | {options: $options, records_per_second: (.[0] * 1e6), least: (.[1] * 1e6), most: (.[2] * 1e6), of_bare_percent: .[3]}' |
      grep . || skip "bench_deliver $options: $(tail -1 "$dir/deliver.log")"
  done >"$dir/batches"
else
  skip "nats-server is not installed"
fi

say "wire to the answer of a query"
perf/queryable.sh --records $flows --seconds 5 --json "$dir/queryable" 2>"$dir/queryable.log" || {
  skip "$(tail -1 "$dir/queryable.log" | sed 's/^skipped: //')"
  echo null >"$dir/queryable"
}

say "collectors side by side, over loopback"
perf/peers.sh --rounds $peer_rounds --seconds $peer_s --limit $peer_halvings --json "$dir/peers" >/dev/null || echo null >"$dir/peers"
say "collectors side by side, over a veth pair: af_packet and AF_XDP too"
perf/peers.sh --veth --rounds $peer_rounds --seconds $peer_s --limit $peer_halvings --json "$dir/peers_veth" >/dev/null || {
  skip "the veth pair (needs root and network namespaces)"
  echo null >"$dir/peers_veth"
}

say "ports beside bare loops, over veth pairs"
# shellcheck disable=SC2086
timeout 300 build/perf/bench_ports $ports --json >"$dir/ports" 2>"$dir/ports.log" || {
  skip "ports beside bare loops: $(tail -1 "$dir/ports.log")"
  echo null >"$dir/ports"
}

say "IPFIX over TCP, by sessions"
# shellcheck disable=SC2086
timeout 300 perf/sessions.sh $sessions --json "$dir/sessions" >/dev/null 2>"$dir/sessions.log" || {
  skip "IPFIX over TCP: $(tail -1 "$dir/sessions.log" | sed 's/^skipped: //')"
  echo null >"$dir/sessions"
}

# What took part, by the words that it has for itself.
version_of() { "$@" 2>&1 | grep -m1 -oE '[0-9]+\.[0-9]+(\.[0-9]+)?[^ ,)]*' || echo ""; }
jq -nc --arg nats "$(version_of nats-server --version)" --arg nfdump "$(version_of nfdump -V)" --arg pmacct "$(version_of nfacctd -V)" \
  --arg goflow2 "$(version_of grep -aoE 'netsampler/goflow2(/v[0-9]+)?[[:space:]]+v[0-9.]+' "$(command -v goflow2 || echo /dev/null)")" --arg dpdk "$(pkg-config --modversion libdpdk 2>/dev/null)" '{"nats-server": $nats, nfdump: $nfdump, pmacct: $pmacct, goflow2: $goflow2, DPDK: $dpdk} | with_entries(select(.value != ""))' >"$dir/programs"

mkdir -p "$(dirname "$json")"
jq -n --slurpfile decode "$dir/decode" --slurpfile events "$dir/events" --slurpfile streams "$dir/streams" --slurpfile encoded "$dir/encoded" --slurpfile limit "$dir/limit" --slurpfile delivery "$dir/delivery" --slurpfile unhurried "$dir/unhurried" \
  --slurpfile scaling "$dir/scaling" --slurpfile acknowledged "$dir/acknowledged" --slurpfile batches "$dir/batches" \
  --slurpfile queryable "$dir/queryable" --slurpfile peers "$dir/peers" --slurpfile peers_veth "$dir/peers_veth" --slurpfile ports "$dir/ports" --slurpfile sessions "$dir/sessions" \
  --slurpfile programs "$dir/programs" --argjson skipped "$(jq -Rnc '[inputs]' <"$dir/skipped")" \
  --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" --argjson cpus "$(nproc)" \
  --argjson memory_mib "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
  --arg kernel "$(uname -r)" --arg compiler "$(c++ --version | head -1)" --arg version "$(build/weir version | head -1)" \
  --arg when "$(date -u +%FT%TZ)" --argjson load_before "$load_before" --argjson busy_before "$busy_before" --argjson took $((SECONDS - begin)) \
  --argjson quick $quick --argjson rounds $rounds --argjson seconds $seconds --argjson halvings $halvings \
  --argjson limit_rounds "$limit_rounds" --argjson limit_s "$limit_s" --argjson scaling_s "$scaling_s" --argjson bench_s "$bench_s" --argjson deliver_s "$deliver_s" --argjson event_s "$event_s" "$median"'
  def limits: map(select(.pps != null)) as $found | group_by(.name) | map(.[0].name as $name | ($found | map(select(.name == $name).pps)) as $pps
    | {name: $name, frames_per_second: null} + if ($pps | length) == 0 then {} else ($pps | spread | {frames_per_second: .median, least, most, runs}) end);
  def by_name: group_by([.name, .x]) | map({name: .[0].name, x: .[0].x, lossless: (map(.lossless) | all),
    records_per_second: (map(.played_per_second) | spread), acknowledged_per_second: (map(.acknowledged_per_second) | spread),
    frames_per_second: (map(.frames_per_second) | median), octets_per_record: .[0].octets_per_record,
    wire_octets_per_record: .[0].wire_octets_per_record, cycles_per_record: (map(.cycles_per_record) | spread),
    cpu_ns_per_record: (map(.cpu_ns_per_record) | spread), delivery_ns: (sort_by(.delivery_ns.p99) | .[(length - 1) / 2 | floor].delivery_ns),
    stages: .[0].stages, memory_mib: (map(.memory_mib) | max)});
  {machine: {cpu: $cpu, cpus: $cpus, memory_mib: $memory_mib, kernel: $kernel, compiler: $compiler, version: $version, programs: $programs[0],
     when: $when, load_before: $load_before, busy_before: $busy_before},
   settings: {quick: $quick, rounds: $rounds, seconds: $seconds, halvings: $halvings, took_seconds: $took,
     parts: [{of: "rates without loss", rounds: $limit_rounds, seconds: $limit_s}, {of: "scaling", rounds: $rounds, seconds: $scaling_s}, {of: "decoder and encoder", rounds: $rounds, seconds: $bench_s},
       {of: "events", rounds: 3, seconds: $event_s}, {of: "`bench_deliver`", rounds: $rounds, seconds: $deliver_s}], skipped: $skipped},
   decode_encode_ns_per_record: $decode[0], events: $events[0], event_streams: $streams[0], wire_to_encoded: ($encoded | by_name), lossless_limit: ($limit | limits), delivery_limit: ($delivery | limits), delivery_unhurried: $unhurried[0],
   scaling: ($scaling | by_name), wire_to_acknowledged: ($acknowledged | by_name), batches: $batches,
   wire_to_queryable: $queryable[0], peers: $peers[0], peers_veth: $peers_veth[0], ports: $ports[0], sessions: $sessions[0]}' >"$json" || exit 1

jq -r 'def m: . / 1e6 * 100 | round / 100; def r: . * 100 | round / 100;
  "\(.machine.cpu), \(.machine.cpus) CPUs, \(.machine.version); busy before: \(.machine.busy_before) CPUs", "",
  "decode and encode, ns a record", (.decode_encode_ns_per_record | to_entries[] | "  \(.key)  \(.value.median | r)"), "",
  "from flows to events, ns a flow", (.events[] | "  \(.stage) \(.of)  \(.ns_per_flow.median | r)"), "",
  "(a) wire to encoded, M records/s on one core", (.wire_to_encoded[] | "  \(.name)  \(.records_per_second.median | m)  lossless \(.lossless)  CPU \(.cpu_ns_per_record.median | r) ns"), "",
  "    without loss, datagrams/s", (.lossless_limit[] | "  \(.name)  \(.frames_per_second)"), "",
  "    scaling, M records/s", (.scaling[] | "  \(.name) \(.x)  \(.records_per_second.median | m)"), "",
  "(b) wire to acknowledged, M records/s", (.wire_to_acknowledged[] | "  \(.name)  \(.acknowledged_per_second.median | m)  lossless \(.lossless)  p99 \(.delivery_ns.p99 / 1e6 | r) ms"),
  (.batches[] | "  \(.options)  \(.records_per_second | m)  \(.of_bare_percent) % of the bare publisher"), "",
  "(c) wire to queryable", (.wire_to_queryable | if . == null then "  not measured" else "  \(.flows_per_second | m) M flows/s; the newest row is \(.paced.age_ms.p50) ms old, \(.paced.age_ms.p99) ms in a hundredth" end), "",
  (.ports | select(. != null) | "ports, ns a datagram from a full queue", (.receivers[] | "  \(.kind) \(.who)  \(.full_ns.median)"), ""),
  (.sessions | select(. != null) | "IPFIX over TCP, M records a second of CPU", (.sessions[] | "  \(.sessions) sessions  \(1e9 / .cpu_ns_per_record.median | m)"), ""),
  ((.peers, .peers_veth) | select(. != null) | "collectors over \(.path), CPU µs a record", (.peers[] | "  \(.peer)  \(.cpu_us_per_record | r)  lost \(.lost)/\(.datagrams)  (\(.does))"))' "$json"
echo "all of it, in $((SECONDS - begin)) s: $json" >&2
if $report; then perf/report.sh "$json"; fi

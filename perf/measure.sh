# shellcheck shell=bash disable=SC2154
# measure.sh — The parts of perf/run.sh, which sources this. Each measures and writes what it found as JSON to "$found"/KEY, for
# each of its keys.
#
# Of run.sh: $dir, $found, say, skip, and how often and how long.

median='def median: sort | .[(length - 1) / 2 | floor]; def spread: {median: median, least: min, most: max, runs: .};'
not_measured() { local key; for key in "$@"; do echo null >"$found/$key"; done; }

# Captures are made when they are first asked for.
capture() { # name: prints the file
  local file=$dir/$1.pcap
  local -a what=()
  if [ ! -e "$file" ]; then
    case $1 in
      v5 | v9 | ipfix | sflow) what=(--protocol "$1") ;;
      one) what=(--protocol v9) ;;
      variable | all) what=(--protocol ipfix --with "$1") ;;
      churn*) what=(--protocol v9 --template-refresh "${1#churn}") ;;
      changes*) what=(--protocol v9 --template-refresh "${1#changes}" --template-changes) ;;
      options*) what=(--protocol v9 --template-refresh "${1#options}" --with "interfaces,samplers") ;;
      flows*) what=(--protocol v9 --flows "${1#flows}") ;;
    esac
    [ "$1" = one ] || what+=(--exporters 100)
    build/weir generate --pcap "$file" --count 20000 --start 1767225600 --json "${what[@]}" >"$dir/$1.made" 2>/dev/null
  fi
  echo "$file"
}
# Of a capture that was made: options records of all records, in percent; records a datagram.
options_share() { jq -r '.options_records / (.records + .options_records) * 100 | round' "$dir/$1.made"; }
records_each() { jq '.records / 20000 | round' "$dir/$1.made"; }

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
# Lines of replay, by name and x.
by_name="$median"'
  group_by([.name, .x]) | map({name: .[0].name, x: .[0].x, lossless: (map(.lossless) | all),
    records_per_second: (map(.played_per_second) | spread), acknowledged_per_second: (map(.acknowledged_per_second) | spread),
    frames_per_second: (map(.frames_per_second) | median), octets_per_record: .[0].octets_per_record,
    wire_octets_per_record: .[0].wire_octets_per_record, cycles_per_record: (map(.cycles_per_record) | spread),
    cpu_ns_per_record: (map(.cpu_ns_per_record) | spread), delivery_ns: (sort_by(.delivery_ns.p99) | .[(length - 1) / 2 | floor].delivery_ns),
    stages: .[0].stages, memory_mib: (map(.memory_mib) | max)})'

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
# Lines {name, pps}, null where a search found none.
limits="$median"'
  map(select(.pps != null)) as $found | group_by(.name) | map(.[0].name as $name | ($found | map(select(.name == $name).pps)) as $pps
    | {name: $name, frames_per_second: null} + if ($pps | length) == 0 then {} else ($pps | spread | {frames_per_second: .median, least, most, runs}) end)'

port=
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

measure_decode() {
  say "decoder and encoder on one core, datagrams in memory"
  timeout 600 build/perf/bench_decode --benchmark_filter='^((decode_encode|decode_encode_portable|fused|bare_loop)/|fused_portable/(netflow_v5|netflow_v9|ipfix)$)' \
    --benchmark_repetitions="$rounds" --benchmark_min_time="$bench_s" --benchmark_format=json >"$dir/bench.json" 2>/dev/null
  jq "$median"' [.benchmarks[] | select(.run_type == "iteration")] | group_by(.run_name)
    | map({key: .[0].run_name, value: (map(1e9 / .items_per_second) | spread)}) | from_entries' "$dir/bench.json" >"$found/decode_encode_ns_per_record"
}

measure_events() {
  say "from flows to events, on one core"
  echo '[]' >"$found/events"
  [ -x build/perf/bench_transform ] || { skip "build/perf/bench_transform is not built"; return; }
  timeout 600 build/perf/bench_transform --benchmark_filter="^(parse|rules|event|transform|enriched|decision|plain_consumer)/($event_protocols)\$" \
    --benchmark_repetitions=3 --benchmark_min_time="$event_s" --benchmark_format=json >"$dir/events.json" 2>/dev/null
  jq "$median"' [.benchmarks[] | select(.run_type == "iteration")] | group_by(.run_name)
    | map((.[0].run_name | split("/")) as $name | {stage: $name[0], of: $name[1], ns_per_flow: (map(1e9 / .items_per_second) | spread),
        octets_per_flow: .[0].octets_per_flow, allocations_per_flow: (map(.allocations_per_flow) | max)})' "$dir/events.json" >"$found/events" || echo '[]' >"$found/events"
}

measure_streams() {
  say "from a stream of flows to a stream of events"
  timeout 900 perf/events.sh --records "$stream_records" --rounds "$stream_rounds" --json "$found/event_streams" >/dev/null 2>"$dir/streams.log" || {
    skip "events from stream to stream: $(tail -1 "$dir/streams.log" | sed 's/^skipped: //')"
    not_measured event_streams
  }
}

measure_replay() {
  say "wire to encoded: the whole appliance, as much as it takes"
  local stages=--stages protocol  # once
  for _ in $(seq "$rounds"); do
    # shellcheck disable=SC2086
    for protocol in v5 v9 ipfix variable sflow; do replay "$protocol" "" "$(capture $protocol)" $for_ever $stages; done
    stages=
  done | jq -s "$by_name" >"$found/wire_to_encoded"
}

measure_limits() {
  say "without loss: the highest rate, by halving"
  local protocol before best
  : >"$dir/limit"
  # The first search is over all rates, later ones are around what it found, in turn.
  for _ in $(seq "$limit_rounds"); do
    for protocol in v5 v9 ipfix variable sflow; do
      before=$(jq -s --arg name $protocol 'map(select(.name == $name and .pps != null).pps)[0] // empty' "$dir/limit")
      if [ -z "$before" ]; then best=$(search 10000 1600000 "$halvings" "$limit_s" "$(capture $protocol)")
      else best=$(search $((before / 2)) $((before * 3 / 2)) "$limit_more" "$limit_s" "$(capture $protocol)"); fi
      jq -nc --arg name $protocol --argjson pps "$best" '{name: $name, pps: $pps}' >>"$dir/limit"
    done
  done
  jq -s "$limits" "$dir/limit" >"$found/lossless_limit"
}

measure_scaling() {
  say "scaling: cores, exporters, sizes of datagrams and records, templates and options in between"
  # All of them in turn, so that what else the machine does meets none of them alone.
  local scaled="--seconds $scaling_s --rounds 1000000" name times queues flows_each refresh
  for name in one v9 flows1 flows5 ipfix variable all churn1 churn10 changes1 changes10 options1 options4 options20; do capture $name >/dev/null; done
  # shellcheck disable=SC2086
  for _ in $(seq "$rounds"); do
    replay exporters 1 "$(capture one)" $scaled
    replay exporters 10 "$(capture one)" $scaled --exporters 10
    for times in 1 10 100; do replay exporters $((times * 100)) "$(capture v9)" $scaled --exporters $times; done
    for queues in $(seq "$(nproc)"); do replay queues "$queues" "$(capture v9)" $scaled --queues "$queues"; done
    for flows_each in 1 5; do replay "records a datagram" $flows_each "$(capture flows$flows_each)" $scaled; done
    replay "records a datagram" "$(records_each v9)" "$(capture v9)" $scaled
    replay "what IPFIX records say" "plain flows" "$(capture ipfix)" $scaled
    replay "what IPFIX records say" "three strings" "$(capture variable)" $scaled
    replay "what IPFIX records say" "all that weir generate knows" "$(capture all)" $scaled
    for refresh in 1 10; do replay "datagrams between templates" $refresh "$(capture churn$refresh)" $scaled; done
    for refresh in 1 10; do replay "datagrams between templates that are others each time" $refresh "$(capture changes$refresh)" $scaled; done
    replay "datagrams between templates" 200 "$(capture v9)" $scaled
    replay "options data, percent of all records" 0 "$(capture v9)" $scaled
    for refresh in 20 4 1; do replay "options data, percent of all records" "$(options_share options$refresh)" "$(capture options$refresh)" $scaled; done
  done | jq -s "$by_name" >"$found/scaling"
}

measure_acknowledged() {
  not_measured wire_to_acknowledged delivery_limit delivery_unhurried
  command -v nats-server >/dev/null || { skip "nats-server is not installed"; return; }
  say "wire to acknowledged by JetStream on this machine"
  local v9 best pps
  v9=$(capture v9)
  # Each time into an empty stream: out of a full one the server removes for each message that comes.
  for _ in $(seq "$rounds"); do
    begin_nats
    # shellcheck disable=SC2086
    replay "v9 to JetStream" "" "$v9" --publish "nats://127.0.0.1:$port" $for_ever
    end_nats
  done >"$dir/acknowledged"
  jq -s "$by_name" "$dir/acknowledged" >"$found/wire_to_acknowledged"
  : >"$dir/delivery"
  for _ in $(seq "$limit_rounds"); do
    begin_nats
    best=$(search 5000 205000 "$deliver_halvings" "$limit_s" "$v9" --publish "nats://127.0.0.1:$port")
    jq -nc --argjson pps "$best" '{name: "v9 to JetStream", pps: $pps}' >>"$dir/delivery"
    end_nats
  done
  jq -s "$limits" "$dir/delivery" >"$found/delivery_limit"
  # How long a record is on its way where there is no queue: at half of that rate.
  pps=$(jq '.[0].frames_per_second // empty | . / 2 | floor' "$found/delivery_limit")
  [ -n "$pps" ] || return
  begin_nats
  lossless "$pps" "$seconds" "$v9" --publish "nats://127.0.0.1:$port" |
    jq '{frames_per_second: .played.frames_per_second, records_per_second: .played.records_per_second, delivery_ns: .publishers[0].delivery_ns, cpu_ns_per_record}' >"$dir/unhurried"
  end_nats
  if [ -s "$dir/unhurried" ]; then mv "$dir/unhurried" "$found/delivery_unhurried"; else skip "delivery at half of the rate without loss: something was lost"; fi
}

measure_batches() {
  not_measured batches
  command -v nats-server >/dev/null || { skip "nats-server is not installed"; return; }
  [ -x build/perf/bench_deliver ] || { skip "build/perf/bench_deliver is not built"; return; }
  say "how batches are made, beside a bare publisher"
  local options left=$batch_options
  # Nothing may be lost, or it fails.
  for options in "--batch-bytes 65536" "--batch-bytes 65536 --compression lz4" "--batch-bytes 65536 --compression zstd" "--batch-bytes 262144" "--framing single"; do
    [ "$((left--))" -gt 0 ] || break
    # shellcheck disable=SC2086
    timeout 300 build/perf/bench_deliver $options --seconds "$deliver_s" --rounds "$rounds" 2>"$dir/deliver.log" |
      sed -n 's/^median: \([0-9.]*\) M records.* (\([0-9.]*\) to \([0-9.]*\)), \([0-9]*\) %.*/\1 \2 \3 \4/p' |
      jq -Rc --arg options "$options" 'split(" ") | map(tonumber) | {options: $options, records_per_second: (.[0] * 1e6), least: (.[1] * 1e6), most: (.[2] * 1e6), of_bare_percent: .[3]}' |
      grep . || skip "bench_deliver $options: $(tail -1 "$dir/deliver.log")"
  done | jq -s . >"$found/batches"
}

measure_queryable() {
  say "wire to the answer of a query"
  perf/queryable.sh --records "$flows" --seconds 5 --json "$found/wire_to_queryable" 2>"$dir/queryable.log" || {
    skip "$(tail -1 "$dir/queryable.log" | sed 's/^skipped: //')"
    not_measured wire_to_queryable
  }
}

measure_peers() {
  say "collectors side by side, over loopback"
  perf/peers.sh --rounds "$peer_rounds" --seconds "$peer_s" --limit "$peer_halvings" --json "$found/peers" >/dev/null || not_measured peers
  say "collectors side by side, over a veth pair: af_packet and AF_XDP too"
  perf/peers.sh --veth --rounds "$peer_rounds" --seconds "$peer_s" --limit "$peer_halvings" --json "$found/peers_veth" >/dev/null || {
    skip "the veth pair (needs root and network namespaces)"
    not_measured peers_veth
  }
}

measure_ports() {
  say "ports beside bare loops, over veth pairs"
  # shellcheck disable=SC2086
  timeout 300 build/perf/bench_ports $ports --json >"$found/ports" 2>"$dir/ports.log" || {
    skip "ports beside bare loops: $(tail -1 "$dir/ports.log")"
    not_measured ports
  }
}

measure_sessions() {
  say "IPFIX over TCP, by sessions"
  # shellcheck disable=SC2086
  timeout 300 perf/sessions.sh $sessions --json "$found/sessions" >/dev/null 2>"$dir/sessions.log" || {
    skip "IPFIX over TCP: $(tail -1 "$dir/sessions.log" | sed 's/^skipped: //')"
    not_measured sessions
  }
}

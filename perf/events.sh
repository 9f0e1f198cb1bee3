#!/usr/bin/env bash
# events.sh — From stream to stream: flows that lie in JetStream become events in JetStream, by one weir-etl, all on this machine.
#
# usage: perf/events.sh [--records N] [--rounds N] [--json FILE]
#   --records N   at least so many flows of NetFlow v9 each time (default 3000000)
#   --rounds N    each way so often, in turn (default 3)
#
# Each time a nats-server of its own, with files in a folder of its own: weir replay fills the stream, and then weir-etl is begun.
# Octets are as they were sent, headers too. Seconds count from when it has its first flows until all of their events are acknowledged; CPU is of these seconds. It asks twenty
# times in four seconds, so a run of four is known to a twentieth. Ways: without rules; with the fifty rules and two databases of
# bench_transform; these with events that are compressed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

records=3000000 rounds=3 json=/dev/stdout
while [ $# -gt 0 ]; do
  case $1 in
    --records) records=${2:?a number}; shift 2 ;;
    --rounds) rounds=${2:?a number}; shift 2 ;;
    --json) json=${2:?a file}; shift 2 ;;
    *) sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
for need in jq curl nats-server build/weir build/weir-etl build/perf/bench_transform; do
  command -v "$need" >/dev/null || { echo "skipped: $need is not there" >&2; exit 3; }
done

dir=$(mktemp -d)
running=()
stop() {
  for p in "${running[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done
  for p in "${running[@]:-}"; do [ -n "$p" ] && wait "$p" 2>/dev/null; done
  running=()
}
trap 'stop; rm -rf "$dir"' EXIT
fail() { echo "events.sh: $1" >&2; exit 1; }

build/perf/bench_transform --write "$dir" || fail "bench_transform --write"
build/weir generate --pcap "$dir/v9.pcap" --protocol v9 --count 20000 --exporters 100 --json >"$dir/made" 2>/dev/null
again=$(((records + $(jq .records "$dir/made") - 1) / $(jq .records "$dir/made")))

ask() { curl -s -m 10 --unix-socket "$dir/etl.sock" "http://x$1"; }
# CPU of a process in milliseconds, its threads' and the kernel's for it.
cpu_ms() { sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$(getconf CLK_TCK)" '{ print int(($12 + $13) * 1000 / hz) }'; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

one() { # name, lines of configuration, compression of events
  local port url etl nats begin end cpu server expected books turn because
  rm -rf "$dir/nats"
  port=$((20000 + RANDOM % 10000)) url=nats://127.0.0.1:$port
  nats-server -a 127.0.0.1 -p $port -js -sd "$dir/nats" >"$dir/nats.log" 2>&1 &
  nats=$!
  running+=("$nats")
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  printf 'nats_url: %s\nlisteners: [{protocol: any, listen_addr: "0.0.0.0:2055"}]\npublishers: [{kind: jetstream}]\ndrop_policy: block\nlog: {level: warning}\n' \
    "$url" >"$dir/weir.yaml"
  timeout 300 build/weir replay "$dir/v9.pcap" --config "$dir/weir.yaml" --rounds "$again" -q --json >"$dir/played" 2>"$dir/replay.log" ||
    fail "the player: $(tail -1 "$dir/replay.log")"
  expected=$(jq '.publishers[0].acknowledged' "$dir/played")
  [ "${expected:-0}" -ge "$records" ] || fail "only ${expected:-0} of $records flows are in the stream"
  sync "$dir/nats"

  printf 'nats_url: %s\nsource: {stream_name: events}\nnames: {stream_name: ""}\nevents: {compression: %s, stream: {name: events_ocsf, max_bytes: %sMiB}}\ncontrol_socket: {path: %s/etl.sock}\nlog: {level: warning}\n%s' \
    "$url" "$3" $((records / 250 + 256)) "$dir" "$2" >"$dir/etl.yaml"  # four kilobytes an event: a server refuses a stream that its disk has no room for
  build/weir-etl run -c "$dir/etl.yaml" >"$dir/etl.log" 2>&1 &
  etl=$!
  running+=("$etl")
  begin=
  for turn in $(seq 1500); do
    sleep 0.2
    kill -0 $etl 2>/dev/null || fail "weir-etl: $(tail -1 "$dir/etl.log")"
    if [ $((turn % 50)) = 0 ]; then
      because=$(ask /v1/status | jq -r .because)
      [ -z "$because" ] || fail "weir-etl: $because"
    fi
    books=$(ask /v1/ledger | jq -c 'select(.records != null)')
    [ -n "$books" ] || continue
    if [ -z "$begin" ] && [ "$(jq '.records.in // 0' <<<"$books")" -gt 0 ]; then
      begin=$(now_ms) cpu=$(cpu_ms $etl) server=$(cpu_ms $nats)
      first=$(jq '.records.events + .records.dropped' <<<"$books")
    fi
    [ "$(jq '.records.events + .records.dropped' <<<"$books")" -ge "$expected" ] && break
  done
  end=$(now_ms)
  [ -n "$begin" ] || fail "weir-etl got nothing: $(tail -1 "$dir/etl.log")"
  jq -c --arg name "$1" --argjson all "$expected" --argjson first "$first" --argjson seconds "$(awk -v b="$begin" -v e="$end" 'BEGIN { print (e - b) / 1000 }')" \
    --argjson cpu $(($(cpu_ms $etl) - cpu)) --argjson server $(($(cpu_ms $nats) - server)) \
    --argjson octets "$(ask /metrics | awk '/^weir_etl_publisher_octets_total/ { sum += $NF } END { print sum + 0 }')" \
    '(.records.events + .records.dropped - $first) as $flows
    | {name: $name, flows: $all, events: .records.events, dropped: .records.dropped, seconds: $seconds, flows_per_second: ($flows / $seconds),
       cpu_ns_per_flow: ($cpu * 1e6 / $flows), server_cpu_ns_per_flow: ($server * 1e6 / $flows), octets_per_event: ($octets / .records.events),
       nothing_lost: (.balanced and .records.in == $all and .records.events + .records.dropped == $all)}' <<<"$books" >>"$dir/runs" || fail "no figures of weir-etl"
  stop
}

whole=$(printf 'rules: %s/rules.yaml\nenrichment: {databases: [%s/country.mmdb, %s/asn.mmdb]}\n' "$dir" "$dir" "$dir")
for _ in $(seq "$rounds"); do
  one "without rules" "" none
  one "fifty rules, two databases" "$whole" none
  one "fifty rules, two databases, lz4" "$whole" lz4
done
jq -s 'def spread: sort | {median: .[(length - 1) / 2 | floor], least: .[0], most: .[-1], runs: .};
  group_by(.name) | map({name: .[0].name, flows: .[0].flows, events: .[0].events, dropped: .[0].dropped, nothing_lost: (map(.nothing_lost) | all),
    flows_per_second: (map(.flows_per_second) | spread), cpu_ns_per_flow: (map(.cpu_ns_per_flow) | spread),
    server_cpu_ns_per_flow: (map(.server_cpu_ns_per_flow) | spread), octets_per_event: .[0].octets_per_event})' "$dir/runs" >"$json"

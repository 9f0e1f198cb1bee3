#!/usr/bin/env bash
# queryable.sh — From the wire to the answer of a query: weir replay → JetStream → weir-store → weir-api, all on this machine.
#
# usage: perf/queryable.sh [--records N] [--rate PPS] [--seconds N] [--json FILE]
#   --records N   how many flows are played as fast as they are taken, until a query counts them all (default 2000000)
#   --rate PPS    then datagrams a second of 21 flows, while a query asks for the newest (default 2000)
#   --seconds N   for so long (default 5)
#
# Nothing is dropped on the way (drop_policy: block): the player waits for the stream. Seconds count from when the first row was
# received from the wire. Age is the time when an answer has come, less the time when the newest row in it was received.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

records=2000000 rate=2000 seconds=5 json=/dev/stdout
while [ $# -gt 0 ]; do
  case $1 in
    --records) records=${2:?a number}; shift 2 ;;
    --rate) rate=${2:?a number}; shift 2 ;;
    --seconds) seconds=${2:?a number}; shift 2 ;;
    --json) json=${2:?a file}; shift 2 ;;
    *) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
for need in jq curl nats-server build/weir build/weir-store build/weir-api; do
  command -v "$need" >/dev/null || { echo "skipped: $need is not there" >&2; exit 3; }
done

dir=$(mktemp -d)
running=()
cleanup() {
  for p in "${running[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done
  for p in "${running[@]:-}"; do [ -n "$p" ] && wait "$p" 2>/dev/null; done
  rm -rf "$dir"
}
trap cleanup EXIT

fail() { echo "queryable.sh: $1" >&2; exit 1; }
port=$((20000 + RANDOM % 10000))
url=nats://127.0.0.1:$port
nats-server -a 127.0.0.1 -p $port -js -sd "$dir/nats" >"$dir/nats.log" 2>&1 &
running+=($!)
mkdir "$dir/db"
printf 'nats_url: %s\nsource: {stream_name: events}\ndatabase: {path: %s/db/flows.duckdb}\ncontrol_socket: {path: %s/store.sock}\nlog: {level: warning}\n' \
  "$url" "$dir" "$dir" >"$dir/store.yaml"
printf 'nats_url: %s\nlisteners: [{protocol: any, listen_addr: "0.0.0.0:2055"}]\npublishers: [{kind: jetstream}]\ndrop_policy: block\nlog: {level: warning}\n' \
  "$url" >"$dir/weir.yaml"
printf 'listen: {unix: %s/api.sock}\nstore: {socket: %s/store.sock}\nlog: {level: warning}\n' "$dir" "$dir" >"$dir/api.yaml"
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
build/weir-store run -c "$dir/store.yaml" >"$dir/store.log" 2>&1 &
running+=($!)
build/weir-api run -c "$dir/api.yaml" >"$dir/api.log" 2>&1 &
running+=($!)

# Of the rows: [how many, when the newest and the first were received in microseconds].
ask() {
  curl -s -m 60 --unix-socket "$dir/api.sock" http://x/api/sql \
    --json '{"sql": "SELECT count(*) AS n, epoch_us(max(received_time)) AS newest, epoch_us(min(received_time)) AS first FROM flows"}' | jq -c '.rows[0] // empty' 2>/dev/null
}
now_us() { echo $(($(date +%s%N) / 1000)); }
for _ in $(seq 100); do [ -n "$(ask)" ] && break; sleep 0.1; done
if [ -z "$(ask)" ]; then
  tail -3 "$dir/store.log" "$dir/api.log" >&2
  fail "no answer from weir-api"
fi
build/weir generate --pcap "$dir/v9.pcap" --protocol v9 --count 20000 --exporters 100 --json >"$dir/made" 2>/dev/null
rounds=$(((records + $(jq .records "$dir/made") - 1) / $(jq .records "$dir/made")))

# As much as it takes, until the last one is there.
timeout 120 build/weir replay "$dir/v9.pcap" --config "$dir/weir.yaml" --rounds "$rounds" -q --json >"$dir/played" 2>"$dir/replay.log" ||
  fail "the player: $(tail -1 "$dir/replay.log")"
expected=$(jq '.publishers[0].acknowledged' "$dir/played")
until_counted() { # at least
  local give_up=$((SECONDS + 60))
  while [ $SECONDS -lt $give_up ]; do
    answer=$(ask)
    answered=$(now_us)
    counted=$(jq '.[0]' <<<"$answer")
    [ "${counted:-0}" -ge "$1" ] && return
    sleep 0.02
  done
  fail "${counted:-0} of $1 rows counted after a minute"
}
until_counted "$expected"
elapsed=$((answered - $(jq '.[2] // 0' <<<"$answer")))

# At a rate: how old the newest row of an answer is.
timeout 120 build/weir replay "$dir/v9.pcap" --config "$dir/weir.yaml" --rate "${rate}pps" --rounds 1000000 --seconds "$seconds" -q --json >"$dir/paced" 2>"$dir/replay.log" &
player=$!
sleep 1.5
: >"$dir/ages"
while kill -0 "$player" 2>/dev/null; do
  answer=$(ask)
  printf '{"now": %s, "answer": %s}\n' "$(now_us)" "${answer:-null}" >>"$dir/ages"
  sleep 0.02
done
wait "$player" || fail "the player: $(tail -1 "$dir/replay.log")"
first=$counted
until_counted $((expected + $(jq '.publishers[0].acknowledged' "$dir/paced")))
total=$counted

jq -n --slurpfile made "$dir/made" --slurpfile played "$dir/played" --slurpfile paced "$dir/paced" --slurpfile ages "$dir/ages" \
  --argjson elapsed "$elapsed" --argjson counted "${first:-0}" --argjson total "${total:-0}" '
  ($ages | map(select(.answer[1] != null) | (.now - .answer[1]) / 1000) | .[:(length * 0.9 | floor)] | sort) as $age
  | {flows: $played[0].played.records, acknowledged: $played[0].publishers[0].acknowledged, stored: $counted, seconds: ($elapsed / 1e6), flows_per_second: ($counted / $elapsed * 1e6),
     nothing_lost: ($total == $played[0].publishers[0].acknowledged + $paced[0].publishers[0].acknowledged),
     paced: {flows_per_second: $paced[0].played.records_per_second, answers: ($age | length),
       age_ms: (if ($age | length) == 0 then null else {p50: $age[(($age | length) - 1) / 2 | floor], p99: $age[(($age | length) - 1) * 0.99 | floor], max: $age[-1]} end)}}' >"$json"

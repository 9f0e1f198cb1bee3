#!/usr/bin/env bash
# sessions.sh — IPFIX over TCP: how many records a core takes by how many sessions, and what a session holds of memory.
#
# usage: perf/sessions.sh [--sessions N,N,…] [--seconds N] [--rounds N] [--json FILE]
#   --sessions   so many, of which each is an exporter (default 1,100,1000)
#   --seconds N  of each run (default 4)
#   --rounds N   of all in turn (default 3); medians are printed
#   --json FILE  every run, for the record
#
# `weir generate --tcp` sends over loopback as fast as it is read, with as many templates as exporters do; Weir takes it by one thread, decodes,
# encodes and throws away. CPU is that thread's alone, so that its inverse is what a core takes, whatever the sender
# can. Memory is the process's with all sessions open and used, less what it was after one session, for each: with what is known of its exporter. Needs jq;
# Weir is taken from build/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

sessions=1,100,1000 seconds=4 rounds=3 json=
while [ $# -gt 0 ]; do
  case $1 in
    --sessions) sessions=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --json) json=$2; shift 2 ;;
    *) sed -n '4,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
for need in jq build/weir build/weirctl; do
  command -v "$need" >/dev/null || { echo "sessions.sh: $need is not there" >&2; exit 1; }
done
ulimit -n 4096 2>/dev/null || { echo "skipped: 4096 file descriptors are needed for 1000 sessions" >&2; exit 3; }

dir=$(mktemp -d)
pid='' sender=''
cleanup() {
  [ -n "$sender" ] && kill "$sender" 2>/dev/null
  [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
port=29957
printf 'ports: [{kind: socket, address: 127.0.0.1}]\nlisteners: [{name: ipfix, protocol: ipfix, port: %s, tcp: true}]\npublishers: [{kind: discard}]\ncontrol_socket: {path: %s}\nstate_dir: ""\nlog: {level: warning}\nlimits: {tcp_sessions: 2048}\n' \
  $port "$dir/weir.sock" >"$dir/weir.yaml"
ask() { build/weirctl --socket "$dir/weir.sock" --json "$1" 2>/dev/null; }
decoded() { ask ledger | jq .records.decoded; }
memory_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; }
receiver_ns() { cut -d' ' -f1 "$(grep -l '^weir-rx-0$' "/proc/$pid/task/"*/comm | sed 's,/comm$,/schedstat,')"; }

bring_up() {
  build/weir run -c "$dir/weir.yaml" >"$dir/log" 2>&1 &
  pid=$!
  for _ in $(seq 100); do
    build/weirctl --socket "$dir/weir.sock" ready >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  echo "sessions.sh: weir is not ready:" >&2
  tail -3 "$dir/log" >&2
  exit 1
}
take_down() { kill -TERM "$pid"; wait "$pid" 2>/dev/null; pid=; }
generate() { build/weir generate --tcp --to "127.0.0.1:$port" --protocol ipfix --rate 0 --json "$@" 2>"$dir/sender.log"; }

run_one() { # sessions
  local cpu records none open
  bring_up
  # What one session brings into memory, buffers and batches, is no session's.
  generate --exporters 1 --duration 1 >/dev/null
  sleep 0.3
  none=$(memory_kib) cpu=$(receiver_ns) records=$(decoded)
  generate --exporters "$1" --duration "$seconds" >"$dir/sent" &
  sender=$!
  sleep "$(jq -n "$seconds * 0.8")"
  open=$(memory_kib)
  wait $sender
  sender=
  sleep 0.5
  jq -c --argjson sessions "$1" --argjson before "$records" --argjson after "$(decoded)" --argjson cpu $(($(receiver_ns) - cpu)) --argjson kib $((open - none)) \
    '{sessions: $sessions, records: ($after - $before), lost: (.records - ($after - $before)), records_per_second: (.records / .elapsed_ns * 1e9),
      cpu_ns_per_record: ($cpu / ([$after - $before, 1] | max)), kib_per_session: ($kib / $sessions)}' "$dir/sent" >>"$dir/runs"
  take_down
}

: >"$dir/runs"
for _ in $(seq "$rounds"); do
  for n in ${sessions//,/ }; do run_one "$n"; done
done
jq -s --argjson seconds "$seconds" --argjson rounds "$rounds" '
  def median: sort | .[(length - 1) / 2 | floor];
  def spread: {median: median, least: min, most: max};
  {seconds: $seconds, rounds: $rounds, runs: ., sessions: (group_by(.sessions) | map({sessions: .[0].sessions, lost: (map(.lost) | add),
    records_per_second: (map(.records_per_second) | spread), cpu_ns_per_record: (map(.cpu_ns_per_record) | spread),
    kib_per_session: (map(.kib_per_session) | spread)}))}' "$dir/runs" >"$dir/result"
[ -z "$json" ] || cp "$dir/result" "$json"
printf '%10s %22s %26s %18s %8s\n' sessions "M records/s, sent" "M records/s a core's CPU" "KiB a session" lost
jq -r '.sessions[] | [.sessions, (.records_per_second.median / 1e4 | round / 100), (1e5 / .cpu_ns_per_record.median | round / 100), (if .sessions < 100 then "-" else .kib_per_session.median | round end), .lost] | @tsv' "$dir/result" |
  while IFS=$'\t' read -r n sent core kib lost; do printf '%10s %22s %26s %18s %8s\n' "$n" "$sent" "$core" "$kib" "$lost"; done

#!/usr/bin/env bash
# peers.sh — Collectors side by side: the same NetFlow v9 over the same kernel socket, one after the other.
#
# usage: perf/peers.sh [--rate PPS] [--seconds N] [--rounds N] [--json FILE]
#   --rate PPS    datagrams a second of 22 records (default 20000)
#   --seconds N   of each run (default 5)
#   --rounds N    runs of each, in turn (default 3); medians are printed
#   --json FILE   every run, for the record
#
# CPU is the whole process's, user and system, as the kernel counts it. Datagrams lost are those that the kernel dropped at
# the socket. A peer that is not installed is named and left out. Weir is taken from build/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

rate=20000 seconds=5 rounds=3 json=
while [ $# -gt 0 ]; do
  case $1 in
    --rate) rate=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --json) json=$2; shift 2 ;;
    *) sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
for need in jq build/weir; do
  command -v "$need" >/dev/null || { echo "peers.sh: $need is not there" >&2; exit 1; }
done

dir=$(mktemp -d)
pid=
cleanup() {
  [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
port=29955

# What each does with a record.
declare -A does=(
  [weir]="protobuf in batches, thrown away (kind: discard)"
  [weir-file]="protobuf in batches, to a file in memory"
  [nfcapd]="its own binary record, to a file in memory"
  [nfacctd]="aggregated in memory (plugin memory)"
  [goflow2]="protobuf, to /dev/null"
)

config_weir() { # publisher
  printf 'ports: [{kind: socket, address: 127.0.0.1}]\nlisteners: [{protocol: any, port: %s, buffer_size: 8388608}]\npublishers: [%s]\ncontrol_socket: {path: ""}\nstate_dir: ""\nlog: {level: warning}\n' \
    "$port" "$1" >"$dir/weir.yaml"
  exec build/weir run -c "$dir/weir.yaml"
}
start() {
  mkdir -p "$dir/out"
  case $1 in
    weir) config_weir '{kind: discard}' ;;
    weir-file) config_weir "{kind: file, format: flow_batch, path: $dir/out/flows}" ;;
    nfcapd) exec nfcapd -w "$dir/out" -p "$port" -b 127.0.0.1 -B 8388608 -t 3600 ;;
    nfacctd)
      printf 'nfacctd_port: %s\nnfacctd_ip: 127.0.0.1\nnfacctd_pipe_size: 8388608\nplugins: memory\naggregate: src_host, dst_host, src_port, dst_port, proto\nimt_path: %s/imt\nplugin_buffer_size: 102400\nplugin_pipe_size: 10240000\nimt_mem_pools_number: 256\n' "$port" "$dir" >"$dir/nfacctd.conf"
      exec nfacctd -f "$dir/nfacctd.conf" ;;
    goflow2) exec goflow2 -listen "netflow://127.0.0.1:$port" -format bin -transport file -transport.file /dev/null ;;
  esac
}
binary() { case $1 in weir | weir-file) echo build/weir ;; *) echo "$1" ;; esac; }

# Of the process and those it made: ticks of user and system time.
ticks() {
  local p total=0 fields
  for p in "$pid" $(pgrep -P "$pid" 2>/dev/null); do
    fields=$(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null) || continue
    # shellcheck disable=SC2086
    set -- $fields
    total=$((total + ${12} + ${13}))
  done
  echo "$total"
}
drops() { awk -v p="$(printf ':%04X' "$port")" '$2 ~ p "$" { n += $NF } END { print n + 0 }' /proc/net/udp; }
memory_kib() {
  local p
  for p in "$pid" $(pgrep -P "$pid" 2>/dev/null); do sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$p/status" 2>/dev/null; done | awk '{ n += $1 } END { print n + 0 }'
}

run_one() { # peer
  rm -rf "$dir/out"
  ( start "$1" ) >"$dir/log" 2>&1 &
  pid=$!

  for _ in $(seq 100); do
    grep -q "$(printf ':%04X' "$port")" /proc/net/udp && break
    kill -0 "$pid" 2>/dev/null || { echo "peers.sh: $1 ended at once:" >&2; tail -5 "$dir/log" >&2; pid=; return 1; }
    sleep 0.1
  done
  if ! grep -q "$(printf ':%04X' "$port")" /proc/net/udp; then
    echo "peers.sh: $1 does not listen" >&2
    kill -KILL "$pid"
    pid=
    return 1
  fi
  local before after lost_before lost
  before=$(ticks) lost_before=$(drops)
  build/weir generate --to "127.0.0.1:$port" --protocol v9 --rate "$rate" --duration "$seconds" --json >"$dir/sent" 2>/dev/null
  sleep 1.5
  after=$(ticks) lost=$(($(drops) - lost_before))
  jq -c --arg peer "$1" --arg does "${does[$1]}" --argjson ticks $((after - before)) --argjson hz "$(getconf CLK_TCK)" \
    --argjson lost "$lost" --argjson kib "$(memory_kib)" \
    '{peer: $peer, does: $does, datagrams, records, lost: $lost, cpu_s: ($ticks / $hz),
      cpu_us_per_record: ($ticks / $hz * 1e6 / ([.records * (1 - $lost / .datagrams), 1] | max)), memory_mib: ($kib / 1024)}' \
    "$dir/sent" >>"$dir/runs"
  kill -TERM "$pid" 2>/dev/null
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  pid=
}

peers=()
for peer in weir weir-file nfcapd nfacctd goflow2; do
  if command -v "$(binary "$peer")" >/dev/null; then peers+=("$peer"); else echo "skipped: $peer is not installed" >&2; fi
done
: >"$dir/runs"
for round in $(seq "$rounds"); do
  for peer in "${peers[@]}"; do run_one "$peer" || true; done
  [ "$round" = "$rounds" ] || sleep 1
done

jq -s 'def median: sort | .[(length - 1) / 2 | floor];
  {rate: '"$rate"', seconds: '"$seconds"', rounds: '"$rounds"', runs: .,
   peers: (group_by(.peer) | map({peer: .[0].peer, does: .[0].does,
     cpu_us_per_record: (map(.cpu_us_per_record) | median), lost: (map(.lost) | median),
     datagrams: (map(.datagrams) | median), memory_mib: (map(.memory_mib) | median)}) | sort_by(.cpu_us_per_record))}' \
  "$dir/runs" >"$dir/result"
[ -z "$json" ] || cp "$dir/result" "$json"
printf '%-10s %14s %10s %12s   %s\n' peer "CPU µs/record" "lost" "memory MiB" "what it does with a record"
jq -r '.peers[] | [.peer, (.cpu_us_per_record * 1000 | round / 1000), "\(.lost)/\(.datagrams)", (.memory_mib | round), .does] | @tsv' "$dir/result" |
  while IFS=$'\t' read -r peer cpu lost memory what; do
    printf '%-10s %14s %10s %12s   %s\n' "$peer" "$cpu" "$lost" "$memory" "$what"
  done

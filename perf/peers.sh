#!/usr/bin/env bash
# peers.sh — Collectors side by side: the same NetFlow v9 by the same path, one after the other.
#
# usage: perf/peers.sh [--veth] [--rate PPS] [--seconds N] [--rounds N] [--limit N] [--json FILE]
#   --veth        over a pair of interfaces between two network namespaces of its own (needs root), where Weir can also
#                 receive by af_packet and AF_XDP; else over loopback to a kernel socket
#   --rate PPS    datagrams a second of 21 records (default 20000)
#   --seconds N   of each run (default 5)
#   --rounds N    runs of each, in turn (default 3); medians are printed
#   --limit N     also the highest rate without loss, by halving N times (default 0: not), each for half of --seconds
#   --json FILE   every run, for the record
#
# CPU is the whole process's, user and system, as the kernel counts it. Datagrams lost are those that were sent and that
# the collector did not take from its socket (or its device). What it drops inside is its own to say: nfacctd does, in its
# log. A peer that is not installed is named and left out. Weir is taken from build/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

usage() { sed -n '2,15p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
arguments=("$@")
veth=false rate=20000 seconds=5 rounds=3 limit=0 json=
while [ $# -gt 0 ]; do
  [ "$1" = --veth ] || [ $# -gt 1 ] || usage
  case $1 in
    --veth) veth=true; shift ;;
    --rate) rate=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --limit) limit=$2; shift 2 ;;
    --json) json=$2; shift 2 ;;
    *) usage ;;
  esac
done
for need in jq build/weir build/weirctl; do
  command -v "$need" >/dev/null || { echo "peers.sh: $need is not there" >&2; exit 1; }
done
if $veth && [ "${WEIR_PEERS_INSIDE:-}" != yes ]; then
  if ! unshare --net true 2>/dev/null; then
    echo "skipped: --veth needs root and network namespaces" >&2
    exit 3
  fi
  WEIR_PEERS_INSIDE=yes exec unshare --net -- "$0" "${arguments[@]}"
fi

dir=$(mktemp -d)
pid='' keeper=''
cleanup() {
  [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
  [ -n "$keeper" ] && kill -KILL "$keeper" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
port=29955
host=127.0.0.1
sender() { "$@"; }

# The sender's end is in a namespace of its own, so that the kernel does not hand datagrams over by loopback.
if $veth; then
  host=192.0.2.2
  unshare --net -- sleep 100000 &
  keeper=$!
  sender() { nsenter -t "$keeper" -n -- "$@"; }
  for _ in $(seq 50); do
    [ "$(readlink "/proc/$keeper/ns/net")" != "$(readlink /proc/self/ns/net)" ] && break
    sleep 0.1
  done
  ip link set lo up
  ip link add collector numrxqueues 1 numtxqueues 1 type veth peer name exporter numrxqueues 1 numtxqueues 1
  ip link set exporter netns "$keeper"
  ip link set collector up
  sender ip link set exporter up
  sender ip addr add 192.0.2.1/24 dev exporter
  sender ip neigh replace "$host" lladdr "$(ip -j link show collector | jq -r '.[0].address')" dev exporter
fi

# What each does with a record.
declare -A does=(
  [weir]="protobuf in batches, thrown away (kind: discard)"
  [weir-file]="protobuf in batches, to a file in memory"
  [weir-af-packet]="the same as weir, by net_af_packet"
  [weir-af-xdp]="the same as weir, by net_af_xdp"
  [nfcapd]="its own binary record, to a file in memory"
  [nfacctd]="aggregated in memory (plugin memory)"
  [goflow2]="protobuf, to /dev/null"
)

socket_port="{kind: socket, address: $host}"
config_weir() { # port, publisher
  printf 'ports: [%s]\nlisteners: [{protocol: any, port: %s, buffer_size: 8388608}]\npublishers: [%s]\ncontrol_socket: {path: %s}\nstate_dir: ""\nlog: {level: warning}\n' \
    "$1" "$port" "$2" "$dir/weir.sock" >"$dir/weir.yaml"
  exec build/weir run -c "$dir/weir.yaml"
}
start() {
  mkdir -p "$dir/out"
  case $1 in
    weir) config_weir "$socket_port" '{kind: discard}' ;;
    weir-file) config_weir "$socket_port" "{kind: file, format: flow_batch, path: $dir/out/flows}" ;;
    weir-af-packet) config_weir '{name: p0, device: "net_af_packet0,iface=collector"}' '{kind: discard}' ;;
    weir-af-xdp) config_weir '{name: p0, device: "net_af_xdp0,iface=collector"}' '{kind: discard}' ;;
    nfcapd) exec nfcapd -w "$dir/out" -p "$port" -b "$host" -B 8388608 -t 3600 ;;
    nfacctd)
      printf 'nfacctd_port: %s\nnfacctd_ip: %s\nnfacctd_pipe_size: 8388608\nplugins: memory\naggregate: src_host, dst_host, src_port, dst_port, proto\nimt_path: %s/imt\nplugin_buffer_size: 102400\nplugin_pipe_size: 10240000\nimt_mem_pools_number: 0\n' \
        "$port" "$host" "$dir" >"$dir/nfacctd.conf"
      exec nfacctd -f "$dir/nfacctd.conf" ;;
    goflow2) exec goflow2 -listen "netflow://$host:$port" -format bin -transport file -transport.file /dev/null ;;
  esac
}
binary() { case $1 in weir*) echo build/weir ;; *) echo "$1" ;; esac; }

# Of the process and those it made, in ns: by thread to the nanosecond, which leaves out threads that have ended since;
# and what stat has for whole processes, in ticks of some 10 ms.
processes() { echo "$pid"; pgrep -P "$pid" 2>/dev/null; }
cpu_threads() { local p; for p in $(processes); do cat "/proc/$p"/task/*/schedstat 2>/dev/null; done | awk '{ n += $1 } END { printf "%.0f", n }'; }
cpu_processes() {
  local p
  for p in $(processes); do sed 's/.*) //' "/proc/$p/stat" 2>/dev/null; done |
    awk -v tick_ns=$((1000000000 / $(getconf CLK_TCK))) '{ n += $12 + $13 } END { printf "%.0f", n * tick_ns }'
}
has_socket() { grep -q "$(printf ':%04X ' "$port")" /proc/net/udp; }
drops() { awk -v p="$(printf ':%04X' "$port")" '$2 ~ p "$" { n += $NF } END { print n + 0 }' /proc/net/udp; }
taken() { build/weirctl --socket "$dir/weir.sock" ledger --json 2>/dev/null | jq '[.cores[].datagrams.received] | add // 0'; }
is_by_device() { case $1 in weir-af-*) true ;; *) false ;; esac; }
# Lines in which a collector says that it drops what it has taken.
complaints() { grep -cE 'Missing data detected|Unable to allocate' "$dir/log"; }
memory_kib() {
  local p
  for p in "$pid" $(pgrep -P "$pid" 2>/dev/null); do sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$p/status" 2>/dev/null; done | awk '{ n += $1 } END { print n + 0 }'
}

# Starts a collector and waits until it takes datagrams.
bring_up() { # peer
  rm -rf "$dir/out"
  if $veth; then
    # With an address the kernel would answer what Weir takes by af_packet with "port unreachable".
    if [ "$1" = weir-af-packet ]; then ip addr flush dev collector; else ip addr replace "$host/24" dev collector; fi
  fi
  ( start "$1" ) >"$dir/log" 2>&1 &
  pid=$!
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    case $1 in
      weir-af-*) [ -n "$(taken)" ] && { sleep 1; return 0; } ;;
      weir*) [ -n "$(taken)" ] && return 0 ;;  # its sockets are bound long before it has made its buffers
      *) has_socket && return 0 ;;
    esac
    sleep 0.1
  done
  echo "peers.sh: $1 does not listen:" >&2
  tail -5 "$dir/log" >&2
  take_down
  return 1
}
take_down() {
  kill -TERM "$pid" 2>/dev/null
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  pid=
}

# Sends for a while; `sent`, `per_second`, `lost`, `own` (complaints) and `cpu_ns` say what became of it.
measure() { # peer, rate, seconds, seconds to settle
  local threads processes before own_before
  threads=$(cpu_threads) processes=$(cpu_processes) own_before=$(complaints)
  if is_by_device "$1"; then before=$(taken); else before=$(drops); fi
  sender build/weir generate --to "$host:$port" --protocol v9 --rate "$2" --duration "$3" --json >"$dir/sent" 2>/dev/null
  sleep "$4"
  threads=$(($(cpu_threads) - threads)) processes=$(($(cpu_processes) - processes))
  cpu_ns=$threads
  # More than rounding: threads have ended.
  [ $((processes - threads)) -gt 40000000 ] && cpu_ns=$processes
  sent=$(jq .datagrams "$dir/sent")
  per_second=$(jq '.datagrams * 1e9 / .elapsed_ns | floor' "$dir/sent")
  own=$(($(complaints) - own_before))
  if is_by_device "$1"; then lost=$((sent - ($(taken) - before))); else lost=$(($(drops) - before)); fi
}

run_one() { # peer
  bring_up "$1" || return 1
  measure "$1" "$rate" "$seconds" 1.5
  jq -c --arg peer "$1" --arg does "${does[$1]}" --argjson ns "$cpu_ns" --argjson own "$own" \
    --argjson lost "$lost" --argjson kib "$(memory_kib)" \
    '{peer: $peer, does: $does, datagrams, records, lost: $lost, complaints: $own, cpu_s: ($ns / 1e9),
      cpu_us_per_record: ($ns / 1e3 / ([.records * (1 - $lost / .datagrams), 1] | max)), memory_mib: ($kib / 1024)}' \
    "$dir/sent" >>"$dir/runs"
  take_down
}

# The highest rate that was sent without loss: by the clock, which is less than what was asked where the sender could no more.
# `below`: the lowest that was sent with loss.
limit_of() { # peer
  local low=0 high=400000 best=null below=null middle settle=0.5
  is_by_device "$1" && settle=1.5  # until its counters have been looked at
  bring_up "$1" || return 1
  for _ in $(seq "$limit"); do
    middle=$(((low + high) / 2))
    measure "$1" "$middle" "$limit_seconds" "$settle"
    [ "$per_second" -gt "$middle" ] && per_second=$middle
    if [ "$lost" -gt 0 ] || [ "$own" -gt 0 ]; then
      high=$per_second below=$per_second
    else
      low=$middle
      { [ "$best" = null ] || [ "$per_second" -gt "$best" ]; } && best=$per_second
      # The sender could no more: what the collector can is not known.
      [ "$per_second" -lt $((middle * 95 / 100)) ] && break
    fi
  done
  take_down
  jq -nc --arg peer "$1" --argjson best "$best" --argjson below "$below" \
    '{peer: $peer, sent_per_second: $best, below: $below, bound_by_sender: ($below == null)}' >>"$dir/limits"
}

all=(weir weir-file nfcapd nfacctd goflow2)
$veth && all=(weir weir-af-packet weir-af-xdp nfcapd nfacctd goflow2)
limit_seconds=$(((seconds + 1) / 2))
peers=() skipped=()
for peer in "${all[@]}"; do
  if command -v "$(binary "$peer")" >/dev/null; then
    peers+=("$peer")
  else
    skipped+=("$peer")
    echo "skipped: $peer is not installed" >&2
  fi
done
: >"$dir/runs"
: >"$dir/limits"
for round in $(seq "$rounds"); do
  for peer in "${peers[@]}"; do run_one "$peer" || true; done
  [ "$round" = "$rounds" ] || sleep 1
done
if [ "$limit" -gt 0 ]; then
  for peer in "${peers[@]}"; do limit_of "$peer" || true; done
fi

jq -s --slurpfile limits "$dir/limits" --argjson veth $veth \
  --argjson skipped "$(printf '%s\n' "${skipped[@]:-}" | jq -Rnc '[inputs | select(. != "")]')" '
  def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;
  {path: (if $veth then "veth" else "loopback" end), rate: '"$rate"', seconds: '"$seconds"', limit_seconds: '"$limit_seconds"', rounds: '"$rounds"', skipped: $skipped, runs: .,
   peers: (group_by(.peer) | map({peer: .[0].peer, does: .[0].does,
     cpu_us_per_record: (map(.cpu_us_per_record) | median), least: (map(.cpu_us_per_record) | min), most: (map(.cpu_us_per_record) | max), lost: (map(.lost) | median), complaints: (map(.complaints) | max),
     datagrams: (map(.datagrams) | median), memory_mib: (map(.memory_mib) | median)}
     + ((.[0].peer) as $p | ($limits | map(select(.peer == $p)) | .[0] | if . == null then {} else {lossless: del(.peer)} end)))
     | sort_by(.cpu_us_per_record))}' \
  "$dir/runs" >"$dir/result"
[ -z "$json" ] || cp "$dir/result" "$json"
printf '%-15s %14s %16s %12s %18s   %s\n' peer "CPU µs/record" "lost" "memory MiB" "lossless pps" "what it does with a record"
jq -r '.peers[] | [.peer, (.cpu_us_per_record * 1000 | round / 1000), "\(.lost)/\(.datagrams)\(if .complaints > 0 then "*" else "" end)", (.memory_mib | round),
  (.lossless | if . == null then "-" elif .sent_per_second == null then "<\(.below)" else "\(.sent_per_second)\(if .bound_by_sender then "+" else "" end)" end), .does] | @tsv' "$dir/result" |
  while IFS=$'\t' read -r peer cpu lost memory lossless what; do
    printf '%-15s %14s %16s %12s %18s   %s\n' "$peer" "$cpu" "$lost" "$memory" "$lossless" "$what"
  done
jq -r '.peers[] | select(.complaints > 0) | "* \(.peer) said in its log that it dropped more"' "$dir/result"

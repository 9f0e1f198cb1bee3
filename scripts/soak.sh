#!/usr/bin/env bash
# soak.sh — A million hostile datagrams from ten thousand exporters through `weir run`: its memory stays
# flat, and an exporter that behaves loses nothing.
#
# usage: scripts/soak.sh [--datagrams N] [--rate N] [--build DIR]
#
# In a network namespace of its own; as a user that may make one (root, or where user namespaces are
# allowed). What is sent: tests/soak/hostile_traffic.h. The last line says whether all held; status 1
# if not. Left in DIR/soak/: configuration, log, ledger, and memory each second.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

datagrams=1000000 rate=20000 build=build
while [ $# -gt 0 ]; do
  case $1 in
    --datagrams) datagrams=$2; shift 2 ;;
    --rate) rate=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    *) sed -n '4,10s/^# *//p' "$0" >&2; exit 2 ;;
  esac
done

if [ -z "${WEIR_SOAK_INSIDE:-}" ]; then
  scripts/build.sh "$build" -- weir weirctl tests/soak/soak_sender >/dev/null || exit 1
  export WEIR_SOAK_INSIDE=1
  private=(unshare --net)
  [ "$(id -u)" -ne 0 ] && private=(unshare --net --map-root-user)
  exec "${private[@]}" "$0" --datagrams "$datagrams" --rate "$rate" --build "$build"
fi
ip link set lo up && ip route add local 198.18.0.0/15 dev lo || exit 1

out=$build/soak
rm -rf "$out" && mkdir -p "$out" || exit 1
port=2055 good=198.19.255.254
# Bounds below what ten thousand exporters would take; what else there is in memory is measured.
cat >"$out/weir.yaml" <<YAML
ports:
  - {name: kernel, kind: socket, address: 127.0.0.1}
listeners:
  - {name: netflow, protocol: any, port: $port, buffer_size: 8MiB}
publishers:
  - {kind: stdout}
buffer_bytes: 8MiB
limits:
  exporters_per_core: 4096
  template_octets_total: 64MiB
  pending_octets_per_exporter: 256KiB
  pending_octets_total: 16MiB
  names_per_exporter: 256
  name_octets_per_exporter: 64KiB
  name_octets_total: 8MiB
state_dir: ""
control_socket: {path: $out/control.sock}
metrics_addr: ""
log: {level: error}
YAML

mkfifo "$out/flows"
# Counts the good exporter's records and adds up their bytes, which count on from 1.
awk -v good="\"$good\"" 'index($0, good) && match($0, /"bytes":[0-9]+/) {
    ++records; bytes += substr($0, RSTART + 8, RLENGTH - 8) }
  END { printf "%.0f %.0f %.0f\n", NR, records, bytes }' "$out/flows" >"$out/delivered" &
reader=$!
"$build/weir" run -c "$out/weir.yaml" >"$out/flows" 2>"$out/log" &
weir=$!
trap 'kill $weir $reader 2>/dev/null' EXIT
ctl() { "$build/weirctl" --socket "$out/control.sock" "$@"; }
for _ in $(seq 100); do ctl ready >/dev/null 2>&1 && break; sleep 0.1; done
ctl ready >/dev/null || { cat "$out/log" >&2; exit 1; }

rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$weir/status" 2>/dev/null; }
"$build/tests/soak/soak_sender" $port "$datagrams" "$rate" >"$out/sent" &
sender=$!
while kill -0 $sender 2>/dev/null; do rss_kib; sleep 1; done >"$out/rss_kib"
wait $sender || { echo "soak: the sender failed" >&2; exit 1; }
sleep 2
ctl --json ledger >"$out/ledger.json"
rss_kib >>"$out/rss_kib"
kill -TERM $weir
wait $weir
status=$?
wait $reader

eval "$(tr ' ' '\n' <"$out/sent")"
read -r lines records bytes <"$out/delivered"
half=$(($(wc -l <"$out/rss_kib") / 2))
first=$(head -n $half "$out/rss_kib" | sort -n | tail -1)
second=$(tail -n +$((half + 1)) "$out/rss_kib" | sort -n | tail -1)
echo "sent: $hostile_datagrams hostile datagrams ($hostile_octets octets) from $sources addresses in $seconds s, $good_records good records"
echo "delivered: $lines records, of them $records of the exporter that behaves, with $bytes bytes of $good_bytes"
echo "memory (KiB): at the beginning $(head -1 "$out/rss_kib"), most in the first half $first, most in the second $second"

verdict=ok
expect() { if ! eval "$1"; then echo "does not hold: $2"; verdict=failed; fi; }
expect '[ "$status" -eq 0 ]' "weir ended with status 0 (was $status)"
expect '[ "$records" = "$good_records" ] && [ "$bytes" = "$good_bytes" ]' "each record of the exporter that behaves is delivered, once"
expect 'grep -q "\"balanced\": *true" "$out/ledger.json"' "the ledger balances ($out/ledger.json)"
expect '[ $((second - first)) -le 4096 ]' "memory does not grow in the second half"
echo "soak: $verdict"
[ $verdict = ok ]

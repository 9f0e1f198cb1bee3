#!/usr/bin/env bash
# quickstart.sh — See Weir at work: build it, feed it real exports, read the flows back from JetStream.
#
# usage: scripts/quickstart.sh [--exit]
#   --exit   end after the summary; status 0 only if everything that was sent was acknowledged
#
# Needs root (or sudo), Debian's packages (installed when absent) and nothing else: no NIC, no
# hugepages, no broker. Everything it makes lies in a temporary folder and in network namespaces of
# its own, and is gone when it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "quickstart: be root, or install sudo" >&2; exit 1; }
  exec sudo -- "$PWD/scripts/quickstart.sh" "$@"
fi

exit_after_summary=false
case "${1:-}" in
  '') ;;
  --exit) exit_after_summary=true ;;
  *) echo "usage: $0 [--exit]" >&2; exit 2 ;;
esac

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() { echo "quickstart: $*" >&2; exit 1; }

id=$$
dir=$(mktemp -d /tmp/weir-quickstart.XXXXXX)
# Two hosts that talk to each other, one of which is the exporter, and its cable to the collector.
router=wqr$id host=wqh$id cable=wqc$id
pids=()

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM  # a second Ctrl-C must not leave namespaces and processes behind
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -TERM "${pids[i]}" 2>/dev/null || continue
    for _ in $(seq 150); do kill -0 "${pids[i]}" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "${pids[i]}" 2>/dev/null || true
  done
  ip netns del "$router" 2>/dev/null || true
  ip netns del "$host" 2>/dev/null || true
  ip link del "$cable" 2>/dev/null || true
  rm -rf "$dir"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

free_port() { # tcp|udp first-choice
  local port=$2
  while [ -n "$(ss -Hln "--$1" "sport = :$port")" ]; do port=$((port + 1)); done
  echo "$port"
}

# Documentation networks that this machine does not use itself (RFC 5737): one for the cable, one for
# the network whose traffic the router sees.
networks=()
routes=$(ip -4 route show table all)
for network in 192.0.2 198.51.100 203.0.113; do
  [[ $routes == *"$network."* ]] || networks+=("$network")
done
[ ${#networks[@]} -ge 2 ] || die "this machine uses the documentation networks itself"
cable_net=${networks[0]} lan_net=${networks[1]}
collector=$cable_net.2

say "Building"
scripts/install_packages.sh build quickstart
programs=(weir weirctl)
# Flows are stored where DuckDB's library can be had; without, all the rest is shown.
has_store=false
if scripts/fetch_duckdb.sh; then
  has_store=true
  programs+=(weir-store weir-api)
fi
scripts/build.sh build -- "${programs[@]}" | tail -1
weir=$PWD/build/weir weirctl=$PWD/build/weirctl

nats_port=$(free_port tcp 14222)
flow_port=$(free_port udp 2055)
ipfix_port=$(free_port udp 4739)
sflow_port=$(free_port udp 6343)
export NATS_URL=nats://127.0.0.1:$nats_port

say "Starting a private NATS server with JetStream (127.0.0.1:$nats_port)"
nats-server -js -sd "$dir/jetstream" -a 127.0.0.1 -p "$nats_port" -l "$dir/nats.log" &
pids+=($!)

# The cable: its far end is the router's, its near end is the port that weir takes with DPDK.
ip netns add "$router"
ip netns add "$host"
ip link add "$cable" mtu 1500 type veth peer name up0 netns "$router"
ip link set "$cable" up
ip -n "$router" addr add "$cable_net.1/24" dev up0
ip -n "$router" link set up0 up
ip -n "$router" link set lo up
# Nobody answers ARP for the collector's address on this cable: weir takes the frames as they are.
ip -n "$router" neigh add "$collector" lladdr "$(cat "/sys/class/net/$cable/address")" dev up0 nud permanent
ip netns exec "$router" sysctl -qw net.ipv6.conf.up0.disable_ipv6=1 2>/dev/null || true
# The network whose traffic the router sees.
ip -n "$router" link add lan0 type veth peer name lan0 netns "$host"
for side in "$router 1" "$host 2"; do
  # shellcheck disable=SC2086
  set -- $side
  ip -n "$1" addr add "$lan_net.$2/24" dev lan0
  ip -n "$1" addr add "2001:db8::$2/64" dev lan0 nodad
  ip -n "$1" link set lan0 up
done

cat >"$dir/weir.yaml" <<YAML
ports:
  - {name: cable, device: "net_af_packet0,iface=$cable"}
  - {name: host, kind: socket, address: "::"}
listeners:
  - {name: netflow, port: $flow_port, subject: flows.raw.netflow, buffer_size: 8MiB}
  - {name: ipfix, port: $ipfix_port, subject: flows.raw.netflow, buffer_size: 8MiB}
  - {name: sflow, port: $sflow_port, subject: flows.raw.sflow, buffer_size: 8MiB}
stream_max_bytes: 256MiB
state_dir: $dir/state
control_socket: {path: $dir/control.sock}
log: {level: warning}
YAML

say "Starting weir: DPDK port net_af_packet on $cable, kernel socket on UDP $flow_port"
"$weir" run -c "$dir/weir.yaml" 2>"$dir/weir.log" &
weir_pid=$!
pids+=("$weir_pid")
ctl() { "$weirctl" --socket "$dir/control.sock" "$@"; }
for _ in $(seq 300); do
  ctl ready >/dev/null 2>&1 && break
  kill -0 "$weir_pid" 2>/dev/null || { cat "$dir/weir.log" >&2; die "weir ended"; }
  sleep 0.1
done
ctl ready >/dev/null || { cat "$dir/weir.log" >&2; die "weir did not get ready"; }

sent=0
say "A real exporter: softflowd over traffic made just now"
ip netns exec "$router" tcpdump -Z root -U -i lan0 -w "$dir/traffic.pcap" 2>"$dir/tcpdump.log" &
tcpdump_pid=$!
for _ in $(seq 100); do grep -q 'listening on' "$dir/tcpdump.log" && break; sleep 0.1; done
in_router() { ip netns exec "$router" "$@"; }
ip netns exec "$host" sh -c 'for i in 1 2 3; do timeout 10 nc -l -p 8080 >/dev/null; done' &
listener_pid=$!
in_router ping -q -c 3 -i 0.1 "$lan_net.2" >/dev/null || true
in_router ping -q -c 3 -i 0.1 2001:db8::2 >/dev/null || true
for _ in 1 2 3; do
  sleep 0.2
  head -c 300000 /dev/zero | in_router timeout 10 nc -N -w 2 "$lan_net.2" 8080 || true
done
echo question | in_router nc -u -w 1 -q 0 "$lan_net.2" 53 || true
wait "$listener_pid" 2>/dev/null || true
sleep 0.5
kill "$tcpdump_pid"
wait "$tcpdump_pid" 2>/dev/null || true

for version in 5 9 10; do
  # softflowd hangs on longer paths, so it is given short ones.
  (cd "$dir" && in_router softflowd -r traffic.pcap -d -6 -v "$version" -n "$collector:$flow_port" \
    -p softflowd.pid -c none >softflowd.log 2>&1) || true
  exported=$(sed -nE 's/^Flows exported: [0-9]+ \(([0-9]+) records\) in ([0-9]+) packets \(0 failures\).*/\1 \2/p' \
    "$dir/softflowd.log")
  [ -n "$exported" ] || { cat "$dir/softflowd.log" >&2; die "softflowd did not say what it exported"; }
  records=${exported% *}
  case $version in 10) name=IPFIX ;; *) name="NetFlow v$version" ;; esac
  echo "softflowd sent $records records as $name in ${exported#* } datagrams"
  sent=$((sent + records))
done

say "And weir's own generator, as another exporter"
ip -n "$router" addr add "$cable_net.3/24" dev up0
ip -n "$router" route replace "$collector/32" dev up0 src "$cable_net.3"
for protocol in v5 v9 ipfix; do
  in_router "$weir" generate --protocol "$protocol" --to "$collector:$flow_port" --count 200 --flows 20 \
    --rate 2000 --seed 7 --json >"$dir/generated.json" 2>"$dir/generate.log" ||
    { cat "$dir/generate.log" >&2; die "weir generate failed"; }
  records=$(jq .records "$dir/generated.json")
  echo "weir generate sent $records records as $protocol in $(jq .datagrams "$dir/generated.json") datagrams"
  sent=$((sent + records))
done

# Nothing is said to be lost before it had the time to arrive.
acknowledged=0
for _ in $(seq 100); do
  acknowledged=$(ctl --json ledger | jq '.publishers[0].records.acknowledged')
  [ "$acknowledged" -ge "$sent" ] && break
  sleep 0.2
done

say "What arrived, read back from JetStream"
"$weir" read --stream events --all --count 20 --format table 2>/dev/null || true
"$weir" read --stream events --all --format json >"$dir/flows.jsonl" 2>"$dir/read.log" ||
  cat "$dir/read.log" >&2
stored=$(wc -l <"$dir/flows.jsonl")
echo
jq -r .type "$dir/flows.jsonl" | sort | uniq -c | while read -r count type; do
  echo "$count flows from $type"
done

ctl --json ledger >"$dir/ledger.json"
field() { jq "$1" "$dir/ledger.json"; }
received=$(field .datagrams.received)
rejected=$(field '[.datagrams.rejected[]] | add')
decoded=$(field .records.decoded)
published=$(field .records.encoded)
acknowledged=$(field '.publishers[0].records.acknowledged')
undelivered=$(field '.publishers[0].records | .failed + .dropped + .in_flight + .waiting')
lost=$((sent - acknowledged))

say "The books"
printf '%-44s %8s\n' \
  "records sent by the exporters" "$sent" \
  "datagrams received" "$received" \
  "datagrams rejected" "$rejected" \
  "records decoded" "$decoded" \
  "records published" "$published" \
  "records acknowledged by JetStream" "$acknowledged" \
  "records read back from the stream" "$stored" \
  "records not delivered" "$undelivered" \
  "records lost between exporter and stream" "$lost"

status=0
if [ "$sent" -eq 0 ] || [ "$lost" -ne 0 ] || [ "$stored" -ne "$sent" ] || [ "$(field .balanced)" != true ]; then
  status=1
  echo
  if [ "$lost" -lt 0 ]; then echo "MORE ARRIVED THAN WAS SENT"; else echo "NOT EVERYTHING ARRIVED"; fi
  cat "$dir/weir.log" >&2
  ctl ledger || true
fi
if $has_store; then
  say "Stored and asked: weir-store consumes the stream, weir-api answers"
  cat >"$dir/weir-store.yaml" <<YAML
source: {stream_name: events}
database: {path: $dir/store/flows.duckdb, memory_limit: 512MiB}
control_socket: {path: $dir/store.sock}
log: {level: warning}
YAML
  cat >"$dir/weir-api.yaml" <<YAML
listen: {unix: $dir/api.sock}
store: {socket: $dir/store.sock}
log: {level: warning}
YAML
  mkdir "$dir/store"
  build/weir-store run -c "$dir/weir-store.yaml" 2>"$dir/store.log" &
  pids+=($!)
  build/weir-api run -c "$dir/weir-api.yaml" 2>"$dir/api.log" &
  pids+=($!)
  ask() { "$weirctl" query --api "$dir/api.sock" "$@"; }
  rows=0
  for _ in $(seq 150); do
    rows=$(ask --format ndjson 'in:flows time:last_7d stats:"count(*) as flows"' 2>/dev/null | jq .flows) || rows=0
    [ "${rows:-0}" -ge "$stored" ] && break
    sleep 0.2
  done
  echo; echo "The top talkers"
  ask 'in:flows time:last_1h stats:"sum(bytes_total) as bytes by src_endpoint_ip" sort:bytes:desc limit:5' || status=1
  echo; echo "The busiest ports"
  ask 'in:flows time:last_1h stats:"sum(bytes_total) as bytes, count(*) as flows by dst_endpoint_port" sort:bytes:desc limit:5' || status=1
  echo; echo "Traffic of the last minutes"
  ask 'in:flows time:last_5m bucket:10s agg:sum value_field:bytes_total' || status=1
  printf '\n%-44s %8s\n' "flows stored and asked for" "${rows:-0}"
  if [ "${rows:-0}" -ne "$stored" ]; then
    status=1
    echo "NOT EVERYTHING WAS STORED"
    cat "$dir/store.log" "$dir/api.log" >&2
  fi
else
  echo
  echo "weir-store and weir-api were left out: DuckDB's library could not be fetched (see above)."
fi
$exit_after_summary && exit $status

say "Still running; Ctrl-C ends it"
cat <<TEXT
Send your own flows to UDP port $flow_port of this machine (NetFlow, IPFIX), for example:
  build/weir generate --to 127.0.0.1:$flow_port --protocol v5 --count 5 --flows 3
Look at them as they arrive:
  NATS_URL=$NATS_URL build/weir read --stream events --new --format table
Look into the collector:
  build/weirctl --socket $dir/control.sock status
TEXT
$has_store && cat <<TEXT
Ask for any flow:
  build/weirctl query --api $dir/api.sock 'in:flows time:last_1h proto:tcp sort:bytes_total:desc limit:10'
TEXT
wait "$weir_pid" || true

#!/usr/bin/env bash
# test_package.sh — Build the Debian packages from a clean clone, and install, use, upgrade, remove and purge them in a
# clean Debian whose systemd runs them: debootstrap, in namespaces of its own.
#
# usage: scripts/test_package.sh [--keep] [--packages DIR]
#   --keep      leave the folder of work
#   --packages  do not build: DIR has packages and those of a higher version, as --keep left them
# Where DuckDB's library cannot be fetched there is no package weir-store, and the rest is tested.
# Needs root, debhelper, debootstrap, iproute2 and Debian's mirror; takes some minutes. Says what it found as TAP, and
# with status 0 that all was well. Nothing of it touches this machine's network, services or packages.
# shellcheck disable=SC2317,SC2015,SC2119,SC2120  # functions are called by check; A && B || die is meant
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source-path=SCRIPTDIR source=../tests/deploy/tap.sh
. tests/deploy/tap.sh

keep=false packages=''
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=true; shift ;;
    --packages) packages=${2:?}; shift 2 ;;
    *) sed -n '5,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
die() { echo "test_package: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || die "be root"
for program in dh debootstrap dpkg-buildpackage unshare nsenter; do
  command -v "$program" >/dev/null || die "$program is not installed (debhelper, debootstrap, dpkg-dev, util-linux)"
done

work=$(mktemp -d /tmp/weir-package.XXXXXX)
debian=$work/debian
container=''
clean_up() {
  [ -z "$container" ] || { kill -KILL "$container" 2>/dev/null; wait "$container" 2>/dev/null; }
  # Its processes end with its first, and then its cgroups can go.
  if [ -n "${group:-}" ]; then
    for _ in $(seq 50); do
      find "$work/cgroup/$group" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$work/cgroup/$group" ] || break
      sleep 0.1
    done
  fi
  umount "$work/cgroup" 2>/dev/null
  if $keep; then echo "# left in $work"; else rm -rf --one-file-system "$work"; fi
}
trap clean_up EXIT

# ── Build: the version of the changelog, and one above it.

build_packages() {
  echo "# building"
  # dh gives compilers a home of their own; objects may come from the cache all the same, which paths in them would hinder.
  if command -v ccache >/dev/null; then
    CCACHE_DIR=$(ccache -k cache_dir)
    export CCACHE_DIR CCACHE_BASEDIR=$work/source CCACHE_NOHASHDIR=1
  fi
  git clone -q . "$work/source" || die "no clone"
  local version changelog=$work/source/debian/changelog
  version=$(dpkg-parsechangelog -l "$changelog" -S Version)
  build() {
    (cd "$work/source" && DEB_BUILD_OPTIONS="parallel=2 noautodbgsym reproducible=-fixfilepath" \
      dpkg-buildpackage -b -us -uc "$@" >>"$work/build.log" 2>&1)
  }
  rules_say() { make -C "$work/source" -n -f debian/rules binary; }
  check "without DuckDB's library there would be no weir-store, and it says so" says "weir-store is left out" rules_say
  if scripts/fetch_duckdb.sh; then
    cp -a build-duckdb "$work/source"
    check "and with it there is" not says -Nweir-store rules_say
  fi
  check "dpkg-buildpackage -b from a clean clone" build
  check "the clone's tree is as clean as it was" test -z "$(git -C "$work/source" status --porcelain)"
  {
    printf 'weir (%s+1) unstable; urgency=medium\n\n  * Another version.\n\n -- Weir <weir@localhost>  %s\n\n' "$version" "$(date -R)"
    cat "$changelog"
  } >"$work/changelog"
  cp "$work/changelog" "$changelog"
  check "and a version above" build -nc
}
if [ -z "$packages" ]; then build_packages; packages=$work; fi
mapfile -t built < <(ls "$packages"/weir_*.deb)
old=${built[0]:-} new=${built[1]:-}
[ -f "$old" ] && [ -f "$new" ] || { tail -30 "$work/build.log"; die "no packages"; }
if dpkg --compare-versions "$(dpkg-deb -f "$old" Version)" gt "$(dpkg-deb -f "$new" Version)"; then old=${built[1]} new=${built[0]}; fi
old_packages=("$old") new_packages=("$new")
has_store=false
store_of() { echo "$(dirname "$1")/weir-store_${1##*/weir_}"; }
if [ -f "$(store_of "$old")" ]; then
  has_store=true
  old_packages+=("$(store_of "$old")") new_packages+=("$(store_of "$new")")
else
  skip "weir-store's package" "DuckDB's library could not be fetched"
fi
if command -v lintian >/dev/null; then
  check "lintian finds no error" lintian --fail-on error --tag-display-limit 0 --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "${old_packages[@]}"
else
  skip "lintian finds no error" "lintian is not installed"
fi

# ── A clean Debian.

echo "# debootstrap"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,procps,jq bookworm "$debian" >"$work/debootstrap.log" 2>&1 ||
  { tail "$work/debootstrap.log"; die "debootstrap failed"; }
cp /etc/resolv.conf "$debian/etc/resolv.conf"
mkdir "$debian/root/old" "$debian/root/new"
cp "${old_packages[@]}" "$debian/root/old"
cp "${new_packages[@]}" "$debian/root/new"
mount --bind "$debian" "$debian" && umount "$debian" || die "this machine lets nobody mount"
in_root() { chroot "$debian" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
in_root apt-get update -qq
drivers=(librte-net-af-packet23 librte-net-af-xdp23 librte-net-pcap23 librte-net-tap23)
# As the container sees them.
packages_of() { (cd "$debian" && printf '/%s\n' "root/$1"/*.deb); }
# shellcheck disable=SC2046
check "apt installs it with what it needs" in_root apt-get install -y -qq --no-install-recommends $(packages_of old) "${drivers[@]}"
check "weir --version" says "weir 0." in_root weir --version
check "weirctl --version" says "weirctl 0." in_root weirctl --version
check "weir check of the file that comes" in_root weir check -c /etc/weir/weir.yaml
check "the service has a user of its own" says weir in_root getent passwd weir
check "who may not log in" says nologin in_root getent passwd weir
check "manual pages" test -s "$debian/usr/share/man/man1/weir.1.gz" -a -s "$debian/usr/share/man/man5/weir.yaml.5.gz"
check "helpers" test -x "$debian/usr/lib/weir/hugepages/reserve.sh" -a -x "$debian/usr/lib/weir/nic/bind.sh"
check "not enabled by itself" not test -e "$debian/etc/systemd/system/multi-user.target.wants/weir.service"
if $has_store; then
  in_root apt-get install -y -qq --no-install-recommends nats-server >/dev/null
  in_root systemctl mask nats-server.service 2>/dev/null  # one with JetStream is run below
  check "weir-store --version" says "weir-store 0." in_root weir-store --version
  check "weir-store check-config of the file that comes" in_root weir-store check-config -c /etc/weir/weir-store.yaml
  check "its manual pages" test -s "$debian/usr/share/man/man1/weir-store.1.gz" -a -s "$debian/usr/share/man/man5/weir-store.yaml.5.gz"
  check "its library is the one that was checked" test "$(sha256sum <"$debian/usr/lib/weir/libduckdb.so")" = "$(sha256sum <build-duckdb/libduckdb.so)"
  check "it is not enabled by itself" not test -e "$debian/etc/systemd/system/multi-user.target.wants/weir-store.service"
fi

# ── Its systemd, in namespaces of its own: mounts, processes, network, cgroup (of version 2, for the devices' filter).

mkdir "$work/cgroup"
mount -t cgroup2 none "$work/cgroup" && group=weir-package-$$ && mkdir "$work/cgroup/$group" || die "no cgroup2"
touch "$work/console"
cat >"$work/boot.sh" <<'SH'
set -e
echo $$ >"$2/cgroup.procs"
exec unshare --fork --pid --kill-child --mount --uts --ipc --net --cgroup sh -ec '
  mount --bind "$0" "$0"; cd "$0"
  mount -t proc proc proc
  mount -t sysfs sys sys
  mount -t tmpfs none run; mount -t tmpfs none tmp; mount -t tmpfs -o mode=755 none dev
  for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
  touch dev/console; mount --bind "$1" dev/console
  mkdir dev/shm dev/pts dev/net; ln -s /proc/self/fd dev/fd; ln -s pts/ptmx dev/ptmx
  if [ -c /dev/net/tun ]; then touch dev/net/tun; mount --bind /dev/net/tun dev/net/tun; fi
  mount -t cgroup2 cgroup sys/fs/cgroup
  mkdir -p host; pivot_root . host; cd /; umount -l host; rmdir host
  exec env -i container=weir PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb /lib/systemd/systemd --log-target=console' "$1" "$3"
SH
unshare --mount sh "$work/boot.sh" "$debian" "$work/cgroup/$group" "$work/console" >"$work/boot.log" 2>&1 </dev/null &
container=$!
init=''
inside() { nsenter -t "$init" -m -u -i -n -p -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
booted() {
  for _ in $(seq 150); do
    init=$(pgrep -P "$container" -x systemd || pgrep -P "$(pgrep -P "$container" | head -1)" -x systemd || true)
    [ -z "$init" ] || case "$(inside systemctl is-system-running 2>/dev/null)" in running | degraded) return 0 ;; esac
    sleep 0.2
  done
  cat "$work/boot.log" "$work/console"
  return 1
}
booted >"$work/booted.log" 2>&1 || { cat "$work/booted.log"; die "systemd does not run here in namespaces"; }
inside ip link set lo up

# By hand: a kernel socket on loopback, JSON lines on standard output.
by_hand() {
  inside weir run --listen netflow://127.0.0.1:2055 --format json >"$work/flows" 2>"$work/weir.log" &
  local pid=$!
  for _ in $(seq 50); do inside ss -Hln --udp "sport = :2055" | grep -q . && break; sleep 0.1; done
  inside weir generate --to 127.0.0.1:2055 --protocol v5 --count 5 --flows 3 >/dev/null 2>&1
  for _ in $(seq 50); do [ "$(grep -c NETFLOW_V5 "$work/flows")" -lt 15 ] || break; sleep 0.1; done
  inside pkill -x weir
  wait "$pid"
  [ "$(grep -c NETFLOW_V5 "$work/flows")" -eq 15 ] || { cat "$work/flows" "$work/weir.log"; return 1; }
}
check "flows on standard output" by_hand

config=$debian/etc/weir/weir.yaml
flows=$debian/var/log/weir/flows.jsonl
drop_ins=$debian/etc/systemd/system/weir.service.d
journal() { inside journalctl --no-pager -q -u weir.service -n "${1:-20}"; }
main_pid() { inside systemctl show -p MainPID --value weir.service; }
status_of() { inside sed -n "s/^$1:[[:space:]]*//p" "/proc/$(main_pid)/status"; }
start() { inside systemctl restart weir.service || { journal; return 1; }; }
status_is() { [ "$(status_of "$1")" = "$2" ] || { echo "$1 is $(status_of "$1")"; return 1; }; }
generate() { inside weir generate --protocol v5 --to "$1" --count 5 --flows 3 --rate 0 >/dev/null 2>&1; }
count_flows() { grep -c NETFLOW_V5 "$flows" 2>/dev/null || true; }
# receives TO…: fifteen flows more.
receives() {
  local before
  before=$(count_flows)
  "$@" || { echo "nothing sent"; return 1; }
  for _ in $(seq 50); do [ "$(count_flows)" -lt $((before + 15)) ] || return 0; sleep 0.1; done
  echo "$(($(count_flows) - before)) of 15 flows"
  inside weirctl status
  journal
  return 1
}

check "not started by itself" fails_saying inactive inside systemctl is-active weir.service
# The operator's edit of the configuration file.
write_config() { # ports listeners eal
  cat >"$config" <<YAML
# the operator's own
ports: [$1]
listeners: [${2:-{name: netflow, port: 2055\}}]
publishers: [{kind: file, path: /var/log/weir/flows.jsonl}]
exporter_info: {publish: false}
eal: {${3:-memory_mb: 128}}
YAML
}
write_config '{name: kernel, kind: socket, address: "127.0.0.1"}'
check "systemctl start, which waits for READY=1" start
check "its state is as it says" says "Status: " inside systemctl status --no-pager weir.service
runs_as_weir() { [[ $(status_of Uid) == "$(in_root id -u weir)"[[:space:]]* ]] || { status_of Uid; return 1; }; }
check "as its own user" runs_as_weir
check "with no capability" status_is CapEff 0000000000000000
check "nor a way to one" status_is CapBnd 0000000000000000
check "with a filter of system calls" status_is Seccomp 2
check "and no new privileges" status_is NoNewPrivs 1
check "flows in /var/log/weir" receives generate 127.0.0.1:2055
# What it tells is up to 250 ms old, and older where the machine is busy.
soon() { for _ in $(seq 50); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; "$@"; }
check "weirctl" soon inside weirctl ready
check "weirctl for nobody" fails_saying permission inside setpriv --reuid 65534 --regid 65534 --clear-groups weirctl ready
check "weirctl for the group weir" inside setpriv --reuid 65534 --regid "$(in_root id -g weir)" --clear-groups weirctl ready
writes() { inside touch "/proc/$(main_pid)/root$1"; }
check "what it sees of /etc cannot be written" fails_saying "Read-only" writes /etc/weir/x
check "nor of /usr" fails_saying "Read-only" writes /usr/x
check "its own folder can" writes /var/lib/weir/x
check "systemctl reload reads the configuration anew" inside systemctl reload weir.service
check "flows after it" receives generate 127.0.0.1:2055

# The watchdog: a process that stands still is ended and started again.
mkdir -p "$drop_ins"
printf '[Service]\nWatchdogSec=2\nRestartSec=100ms\nTimeoutAbortSec=1\n' >"$drop_ins/watchdog.conf"
inside systemctl daemon-reload
check "with a short watchdog" start
before=$(main_pid)
sleep 5
check "who works is left alone" test "$(main_pid)" = "$before"
inside sh -c "kill -STOP $before"
stood_up() {
  for _ in $(seq 100); do
    case "$(main_pid)" in "$before" | 0) sleep 0.2 ;; *) inside weirctl ready >/dev/null 2>&1 && return 0; sleep 0.1 ;; esac
  done
  journal
  return 1
}
check "who stands still is started again" stood_up
check "by the watchdog, once" test "$(inside systemctl show -p NRestarts --value weir.service)" = 1
check "flows after it" receives generate 127.0.0.1:2055
rm "$drop_ins/watchdog.conf"
inside systemctl daemon-reload

# ── What each kind of device needs: without its drop-in refused by name, with it flows arrive.

# A cable: a0 is the collector's, b0 the exporter's, in a network namespace of its own.
inside ip netns add exporter
inside ip link add a0 numrxqueues 1 numtxqueues 1 type veth peer name b0 numrxqueues 1 numtxqueues 1 netns exporter
inside ip link set a0 up
inside ip -n exporter addr add 192.0.2.1/24 dev b0
inside ip -n exporter link set b0 up
inside ip -n exporter neigh add 192.0.2.2 lladdr "$(inside cat /sys/class/net/a0/address 2>/dev/null || inside ip -j link show a0 | jq -r '.[0].address')" dev b0 nud permanent
over_cable() { inside ip netns exec exporter weir generate --protocol v5 --to 192.0.2.2:2055 --count 5 --flows 3 --rate 0 >/dev/null 2>&1; }
use() { # [DROP-IN]
  rm -f "$drop_ins"/*.conf
  [ $# -eq 0 ] || install -m 644 "$debian/usr/lib/weir/systemd/$1.conf" -t "$drop_ins"
  # LimitMEMLOCK cannot be raised above what this machine itself may.
  if [[ "${1:-}" == af-* ]] && [ "$(ulimit -Hl)" != unlimited ]; then
    printf '[Service]\nCapabilityBoundingSet=CAP_IPC_LOCK\nAmbientCapabilities=CAP_IPC_LOCK\n' >"$drop_ins/memlock.conf"
  fi
  inside systemctl daemon-reload
  inside systemctl stop weir.service
  inside systemctl reset-failed weir.service 2>/dev/null
  inside journalctl -q --rotate
  inside journalctl -q --vacuum-time=1s 2>/dev/null
}
refused() { # TEXT
  inside timeout 20 systemctl start weir.service >/dev/null 2>&1
  inside systemctl stop weir.service
  says "$1" journal 30
}
# device NAME DROP-IN WANTED-RIGHT DEVICE SENDER…
device() {
  local name=$1 drop_in=$2 right=$3 text=$4
  shift 4
  write_config "{name: p0, device: \"$text\"}"
  use
  check "$name without its drop-in: refused by name" refused "$right"
  use "$drop_in"
  check "$name with $drop_in.conf: starts" start
  check "$name with $drop_in.conf: flows arrive" receives "$@"
}
device net_af_packet af-packet CAP_NET_RAW "net_af_packet0,iface=a0" over_cable
device "net_pcap, live" pcap CAP_NET_RAW "net_pcap0,rx_iface_in=a0" over_cable
if [ -c /dev/net/tun ]; then
  tap_flows() {
    inside ip addr replace 198.51.100.1/24 dev exc0 && inside ip link set exc0 up &&
      inside ip neigh replace 198.51.100.2 lladdr 02:00:00:00:00:02 dev exc0 nud permanent && generate 198.51.100.2:2055
  }
  device net_tap tap CAP_NET_ADMIN "net_tap0,iface=exc0" tap_flows
fi
device net_af_xdp af-xdp CAP_NET_RAW "net_af_xdp0,iface=a0" over_cable
inside ip link set dev a0 xdp off 2>/dev/null

inside weir generate --pcap /var/lib/weir/flows.pcap --protocol v5 --count 5 --flows 3 2>/dev/null
use
write_config '{name: p0, device: "net_pcap0,rx_pcap=/var/lib/weir/flows.pcap"}'
check "net_pcap of a file needs none: starts" receives start
pages=/sys/devices/system/node/node0/hugepages/hugepages-2048kB
if [ -w $pages/nr_hugepages ] && [ "$(cat $pages/nr_hugepages)" -eq 0 ] && scripts/hugepages/reserve.sh --count 96 --node 0; then
  write_config '{name: p0, device: "net_pcap0,rx_pcap=/var/lib/weir/flows.pcap"}' '' 'hugepages: true, memory_mb: 128'
  check "nor do hugepages: starts, flows arrive" receives start
  check "they are in use" test "$(cat $pages/free_hugepages)" -lt 96
  inside systemctl stop weir.service
  scripts/hugepages/release.sh --node 0
else
  skip "nor do hugepages" "this machine has none to spare"
fi

# ── Flows by way of a stream into the store, and asked for.

store_pid() { inside systemctl show -p MainPID --value weir-store.service; }
stored() { inside weirctl query --format ndjson 'in:flows time:last_1h stats:"count(*) as flows"' | jq .flows; }
store_has() { for _ in $(seq 100); do [ "$(stored 2>/dev/null)" != "$1" ] || return 0; sleep 0.2; done; stored; inside journalctl --no-pager -q -u weir-store -u weir-api -n 20; return 1; }
start_unit() { inside systemctl start "$1.service" || { inside systemctl status --no-pager -l "$1.service"; return 1; }; }
if $has_store; then
  # The bus as Debian's package runs it, but for JetStream.
  mkdir -p "$debian/var/tmp/jetstream"
  check "a NATS server" inside systemd-run --quiet --unit nats nats-server -js -sd /var/tmp/jetstream -a 127.0.0.1
  cat >"$config" <<'YAML'
ports: [{name: kernel, kind: socket, address: "127.0.0.1"}]
listeners: [{name: netflow, port: 2055}]
stream_max_bytes: 64MiB
eal: {memory_mb: 128}
YAML
  use
  check "weir, that publishes to it" start
  check "weir-store is not started by itself" fails_saying inactive inside systemctl is-active weir-store.service
  check "systemctl start weir-store, which waits for READY=1" start_unit weir-store
  check "and weir-api" start_unit weir-api
  check "flows" generate 127.0.0.1:2055
  check "are stored and answered" store_has 15
  check "as its own user" says "$(in_root id -u weir)" inside stat -c %u "/proc/$(store_pid)"
  check "its state is nobody else's to read" test "$(stat -c %a "$debian/var/lib/weir-store")" = 750
  check "its database is there" test -s "$debian/var/lib/weir-store/flows.duckdb"
  check "systemctl reload weir-store" inside systemctl reload weir-store.service
  kill_store() { inside sh -c "kill -KILL $(store_pid)"; }
  check "killed, it comes back by itself" kill_store
  check "with what it had" store_has 15
fi

# ── Another version.

# On a device that needs a right: who asks whether the configuration is good has it as well.
write_config '{name: p0, device: "net_af_packet0,iface=a0"}'
use af-packet
check "back on net_af_packet" start
kept=$(sha256sum <"$config")
before=$(main_pid)
# What a shell would take for something else.
echo 'NATS_URL=nats://a:b&c(d@192.0.2.9:4222' >"$debian/etc/default/weir"
check "weir-api beside it" start_unit weir-api
api_pid() { inside systemctl show -p MainPID --value weir-api.service; }
api_before=$(api_pid)
store_before=$($has_store && store_pid)
# shellcheck disable=SC2046
upgrade() { inside dpkg -i $(packages_of new); }
check "upgrade over a running service" upgrade
check "weir-api's new version runs" test "$(api_pid)" != "$api_before" -a "$(api_pid)" != 0
check "the new version is there" says "$(dpkg-deb -f "$new" Version)" inside dpkg-query -W weir
check "the operator's configuration is as it was" test "$(sha256sum <"$config")" = "$kept"
check "the new version runs" test "$(main_pid)" != "$before" -a "$(main_pid)" != 0
check "flows after it" receives over_cable
if $has_store; then
  check "weir-store's new version runs" test "$(store_pid)" != "$store_before" -a "$(store_pid)" != 0
  check "and has what the version before had stored" store_has 15
  echo "nonsense: true" >>"$debian/etc/weir/weir-store.yaml"
  store_before=$(store_pid)
fi
echo "nonsense: true" >>"$config"
before=$(main_pid)
upgrade >"$work/upgrade.log" 2>&1
check "upgrade with a configuration that is refused" says "weir: this version refuses" cat "$work/upgrade.log"
check "the running one goes on" test "$(main_pid)" = "$before"
if $has_store; then
  check "weir-store's too" says "weir-store: this version refuses" cat "$work/upgrade.log"
  check "its running one goes on" test "$(store_pid)" = "$store_before"
  sed -i /nonsense/d "$debian/etc/weir/weir-store.yaml"
fi
check "and receives" receives over_cable
check "a restart with it is refused" not inside timeout 20 systemctl restart weir.service
sed -i /nonsense/d "$config"
check "until it is mended" start

# ── Away with it.

if $has_store; then
  check "remove the store" inside dpkg -r weir-store
  check "it does not run" fails_saying "" inside pgrep -x weir-store
  check "what it stored stays" test -s "$debian/var/lib/weir-store/flows.duckdb"
  check "and its configuration" test -s "$debian/etc/weir/weir-store.yaml"
  check "weir-api says that there is no store" fails_saying "" stored
  upgrade >/dev/null 2>&1
  check "installed again" start_unit weir-store
  check "it has what it had" store_has 15
  check "remove all" inside dpkg -r weir-store weir
else
  check "remove" inside dpkg -r weir
fi
check "nothing runs" fails_saying "" inside pgrep -x 'weir|weir-api|weir-etl|weir-store'
check "the configuration stays" test "$(sha256sum <"$config")" = "$kept"
check "what was received stays" test -s "$flows"
check "so does what survives a restart" test -d "$debian/var/lib/weir"
check "installed again, it finds both" upgrade
check "configuration" test "$(sha256sum <"$config")" = "$kept"
# shellcheck disable=SC2046
check "purge" inside dpkg -P $($has_store && echo weir-store) weir
check "leaves no configuration" not test -e "$debian/etc/weir"
check "nor state" not test -e "$debian/var/lib/weir"
check "nor what was stored" not test -e "$debian/var/lib/weir-store"
check "nor flows" not test -e "$debian/var/log/weir"
# The drop-ins and the environment are the operator's own.
rm -rf "$drop_ins" "$debian/etc/default/weir"
left() { find "$debian"/{etc,usr,lib,var/lib,var/log} -path "$debian/var/lib/dpkg" -prune -o -name '*weir*' -print | grep -v '/share/doc\|deb-systemd-helper'; }
check "nor anything else" test -z "$(left)"
done_testing
exit "$tap_failed"

#!/bin/bash
# vf_guest.sh — The first process of the emulated machine of scripts/test_vf.sh: what Weir and its NIC helpers do on a Debian with two
# SR-IOV NICs, eth0 for exporters and eth1 for the collector. Says its results as TAP on the console, then switches off.
# shellcheck disable=SC2317  # functions are called by check
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/net; mount -t tmpfs shm /dev/shm; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
exec >/dev/ttyS0 2>&1
# shellcheck source-path=SCRIPTDIR source=tap.sh
. /tap.sh
/lib/systemd/systemd-udevd --daemon
ip link set lo up
modprobe -a igb tun
udevadm settle
cd /usr/lib/weir || exit 1

driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
has_driver() { for _ in $(seq 50); do [ "$(driver "$1")" = "$2" ] && return 0; sleep 0.1; done; echo "it has $(driver "$1")"; return 1; }
address() { basename "$(readlink -f "/sys/class/net/$1/device")"; }
until_true() { for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done; return 1; }
# What is done to the machine from outside: a command for QEMU's monitor.
ask_host() { echo "# host: $*" >/dev/ttyS0; }
exporter=$(address eth0) nic=$(address eth1)
# What the helpers may change: drivers, interfaces and their addresses, VFs, hugepages, rules, mounts.
state() {
  for device in /sys/bus/pci/devices/*; do echo "${device##*/} $(driver "${device##*/}") $(cat "$device/driver_override")"; done
  for nic_of in eth0 eth1; do echo "$nic_of $(cat /sys/class/net/$nic_of/address) $(cat /sys/class/net/$nic_of/device/sriov_numvfs)"; done
  ip -o link | sed 's/.*: \([a-z0-9]*\): .*/\1/' | sort
  grep -h . /sys/kernel/mm/hugepages/*/nr_hugepages
  find /etc/udev/rules.d /etc/sysctl.d 2>/dev/null | sort
  mount | grep hugetlbfs
}
state >/tmp/before

# ── A virtual function, as the service has it: the user weir, no capability, no new privileges.

ip link set eth0 up
ip addr add 192.0.2.1/24 dev eth0
ip route add default via 192.0.2.9 dev eth0
ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:10 dev eth0 nud permanent
check "the default route's NIC is refused" fails_saying "over which the default route goes" nic/bind.sh eth0
check "and stays with the kernel" test "$(driver "$exporter")" = igb

ip link set eth1 up
# It is on the wire of its virtual functions, and would answer ARP for their addresses, too (docs/PORTS.md).
echo 1 >/proc/sys/net/ipv4/conf/eth1/arp_ignore
check "a virtual function is made and bound" says "bound to vfio-pci" nic/vfs.sh --count 1 --mac 02:00:00:00:00:10 --spoofchk on --trust off --bind eth1
vf=$(basename "$(readlink /sys/class/net/eth1/device/virtfn0)")
udevadm settle
check "it has the driver" has_driver "$vf" vfio-pci
check "and the MAC address" says "vf 0     link/ether 02:00:00:00:00:10" ip link show eth1
check "udev gives it to the group weir" test "$(stat -c %G:%a "/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$vf/iommu_group")")")" = weir:660
check "hugepages" hugepages/reserve.sh --count 96
check "are shown" says "2M       96" hugepages/show.sh

mkdir -p /run/weir /var/lib/weir /var/log/weir
chown weir:weir /run/weir /var/lib/weir /var/log/weir
ulimit -l unlimited
# configure PORT [KEY…]: ports: [PORT], and lines of the configuration behind it.
configure() {
  local port=$1
  shift
  {
    printf '%s\n' "ports: [$port]" "listeners: [{name: netflow, port: 2055}]" \
      "publishers: [{kind: file, path: /var/log/weir/flows.jsonl}]" "exporter_info: {publish: false}" 'state_dir: ""' \
      "eal: {hugepages: true, memory_mb: 128}" "$@"
  } >/tmp/weir.yaml
  rm -f /var/log/weir/flows.jsonl
}
run_weir() { "$@" weir run -c /tmp/weir.yaml 2>/tmp/weir.log & pid=$!; }
ready() { until_true weirctl ready || { cat /tmp/weir.log; return 1; }; }
records() { wc -l </var/log/weir/flows.jsonl; }
has_records() { [ "$(records)" -ge "$1" ]; }
arrived() { until_true has_records "$1" && [ "$(records)" -eq "$1" ] || { records; weirctl status; weirctl ledger; return 1; }; }
stop_weir() { kill -TERM $pid; wait $pid; status=$?; }
ended() { [ "$status" -eq 0 ] || { echo "status $status"; cat /tmp/weir.log; return 1; }; }
without_capability() { ! grep -L '^CapEff:.*[[:space:]]0*$' /proc/$pid/task/*/status | grep .; }
is_weir() { for of in Uid Gid; do ! grep -H "^$of:" /proc/$pid/task/*/status | grep -v "$(printf '\t%s\t%s\t%s\t%s$' "$1" "$1" "$1" "$1")" || return 1; done; }
port_says() { weirctl --json ports | jq -e ".ports[0] | $1"; }

configure "{name: vf0, device: \"$vf\", queues: 1, promiscuous: false}"
as_weir=(setpriv --reuid weir --regid weir --clear-groups --bounding-set -all --no-new-privs)
check "weir check" "${as_weir[@]}" weir check -c /tmp/weir.yaml
run_weir "${as_weir[@]}"
check "ready, on the virtual function" ready
check "without a capability" without_capability
sleep 2
check "an exporter on the other NIC sends" weir generate --to 192.0.2.2:2055 --protocol v5 --count 200 --flows 20 --rate 100
check "4000 records of 200 datagrams arrive" arrived 4000
stop_weir
check "it ends with status 0" ended

# ── The same function as root starts it, and gives its rights up; with interrupts, and an interface of the kernel's.

ip netns add exporters
ip link set eth0 netns exporters
there() { ip netns exec exporters "$@"; }
there ip link set lo up
there ip link set eth0 up
there ip addr add 192.0.2.1/24 dev eth0
there ip addr add 2001:db8::1/64 dev eth0 nodad
# The thread that receives, by its name.
receiver() { grep -l "^$1$" /proc/$pid/task/*/comm | sed 's,/comm,,'; }
turns() { cut -d' ' -f3 "$(receiver "$1")/schedstat"; }
turns_when_idle() { local before; before=$(turns rte-worker-1); sleep 5; echo $(($(turns rte-worker-1) - before)); }
answers() { there ping -n -c 10 -i 0.2 -W 5 "$1"; }

weir_id=$(id -u weir)
configure "{name: vf0, device: \"$vf\", promiscuous: false, exception: {interface: weir0, addresses: [192.0.2.2/24]}}" \
  "idle: interrupt" "user: weir"
run_weir
check "root starts it with user: weir" ready
check "every thread is weir's" is_weir "$weir_id"
check "and has no capability" without_capability
check "the virtual function has interrupts" port_says '.note | contains("interrupts on receiving, which are")'
sleep 2
idle_turns=$(turns_when_idle)
echo "# in 5 s of nothing the receiving thread ran $idle_turns times"
check "it sleeps while nothing comes" test "$idle_turns" -lt 500
there ip neigh flush dev eth0
check "ARP and ping are answered over the virtual function" answers 192.0.2.2
# Not here: this NIC, as it is emulated, gives a virtual function no frames to groups though it is asked for all of them (VMOLR.MPME), so that
# neighbour discovery asks in vain. The physical function below has them.
check "one datagram wakes it" there weir generate --to 192.0.2.2:2055 --protocol v5 --count 1 --flows 20
check "and is taken" arrived 20
check "the port counts what came since it was started" port_says ".packets < 100"
there weir generate --to 192.0.2.2:2055 --protocol v5 --count 600 --flows 20 --rate 100 >/tmp/sent 2>&1 &
sending=$!
there ip neigh flush dev eth0
check "ping is answered while export arrives" answers 192.0.2.2
wait $sending; sent=$?
was_sent() { cat /tmp/sent; [ "$sent" -eq 0 ]; }
check "export was sent" was_sent
check "and all of it arrives" arrived 12020
stop_weir
check "it ends with status 0" ended
check "the interface went with it" fails_saying "does not exist" ip link show weir0

check "the function is given back" nic/unbind.sh "$vf"
check "and is gone" nic/vfs.sh --count 0 --force eth1

# ── The NIC as a whole: several queues, and a cable that is drawn.

ip link set eth1 down
check "a NIC as a whole, at each boot too" nic/bind.sh --persistent eth1
check "has the driver" has_driver "$nic" vfio-pci
there ip link set eth0 mtu 9000
configure "{name: pf0, device: \"$nic\", queues: 2, mtu: 9000, promiscuous: false, exception: {interface: weir0, addresses: [192.0.2.2/24, \"2001:db8::2/64\"]}}" \
  "idle: interrupt" "user: weir"
run_weir
check "ready, on two queues of the physical function" ready
check "every thread is weir's" is_weir "$weir_id"
check "its link is up" until_true port_says .link_up
echo "# its note: $(weirctl --json ports | jq -r '.ports[0].note')"
check "it has interrupts" port_says '.note | contains("interrupts on receiving, which are")'
there ip neigh flush dev eth0
check "ARP and ping are answered over the physical function" answers 192.0.2.2
check "and neighbour discovery and ping" answers 2001:db8::2
check "and ping in frames of 8042 octets" there ping -n -c 5 -i 0.2 -W 5 -M 'do' -s 8000 192.0.2.2
# Each exporter has an address of its own.
from_many() {
  local of
  for of in $(seq 101 116); do
    there ip addr replace "192.0.2.$of/32" dev eth0
    there ip route replace 192.0.2.2/32 dev eth0 src "192.0.2.$of"
    there weir generate --to 192.0.2.2:2055 --protocol v5 --count 25 --flows 20 --rate 200 || return 1
  done
  there ip route del 192.0.2.2/32
}
check "sixteen exporters send" from_many
check "8000 records of 400 datagrams arrive" arrived 8000
weirctl --json cores | jq -r '.cores[] | "# \(.serves): \(.datagrams) datagrams of \(.exporters) exporters"'
check "both queues received some of them" eval 'weirctl --json cores | jq -e "[.cores[] | select(.datagrams >= 25)] | length == 2"'
check "and each exporter is one core's" eval 'weirctl --json cores | jq -e "[.cores[].exporters] | add == 16"'
ask_host set_link nic1 off
check "the cable is drawn, and the port says so" until_true port_says '.link_up | not'
check "the appliance is not ready" fails_saying pf0 weirctl ready
ask_host set_link nic1 on
check "it is put back, and the port says so" until_true port_says .link_up
check "and ready" ready
check "an exporter sends again" there weir generate --to 192.0.2.2:2055 --protocol v5 --count 100 --flows 20 --rate 100
check "and is received" arrived 10000
check "ping is answered again" answers 192.0.2.2
stop_weir
check "it ends with status 0" ended

there ip link set eth0 netns 1
ip netns del exporters
# As at a boot: the kernel's driver takes it, then udev sees it come.
echo >"/sys/bus/pci/devices/$nic/driver_override"
echo "$nic" >/sys/bus/pci/drivers/vfio-pci/unbind
echo "$nic" >/sys/bus/pci/drivers_probe
check "the kernel's driver took it" has_driver "$nic" igb
udevadm control --reload
udevadm trigger --action=add --sysname-match="$nic"
check "the rule takes it from there" has_driver "$nic" vfio-pci
check "given back" nic/unbind.sh "$nic"
check "the kernel has it" has_driver "$nic" igb
check "and no rule is left" test -z "$(find /etc/udev/rules.d -name "*weir*")"
check "hugepages are given back" hugepages/release.sh
check "none is left" says "2M        0" hugepages/show.sh
udevadm settle
state >/tmp/after
check "everything is as it was" diff /tmp/before /tmp/after
done_testing
echo o >/proc/sysrq-trigger
sleep 60

#!/usr/bin/env bash
# test_vf.sh — In an emulated machine with two SR-IOV NICs: make a virtual function, bind it to vfio-pci, and receive on
# it as the package's user, without a capability; and what else the NIC and hugepage helpers do to a real kernel.
#
# usage: scripts/test_vf.sh --package FILE
#   --package  Weir's Debian package, as dpkg-buildpackage or test_package.sh --keep makes it
# Needs root, debootstrap and Debian's mirror, from which come a kernel and, from backports, a QEMU that knows such a NIC
# (8.0 or newer); no KVM. Says what it found as TAP.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

package=''
while [ $# -gt 0 ]; do
  case "$1" in
    --package) package=${2:?}; shift 2 ;;
    *) package=''; break ;;
  esac
done
[ -f "$package" ] || { sed -n '5,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "test_vf: be root" >&2; exit 1; }

work=$(mktemp -d /tmp/weir-vf.XXXXXX)
host=$work/host guest=$work/guest
trap 'umount "$host/guest" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
die() { echo "test_vf: $*" >&2; tail -5 "$work/log" >&2; exit 1; }
in_root() { chroot "$1" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"; }
install_in() { in_root "$1" apt-get install -y -qq --no-install-recommends "${@:2}" >>"$work/log" 2>&1; }

echo "# debootstrap"
debootstrap --variant=minbase bookworm "$guest" >"$work/log" 2>&1 || die "debootstrap failed"
cp /etc/resolv.conf "$guest/etc/resolv.conf"
cp -a "$guest" "$host"
sed 's/bookworm main/bookworm-backports main/' "$host/etc/apt/sources.list" >"$host/etc/apt/sources.list.d/backports.list"

echo "# QEMU and a kernel"
in_root "$host" apt-get update -qq
install_in "$host" cpio kmod || die "no cpio"
install_in "$host" -t bookworm-backports qemu-system-x86 seabios || die "no QEMU"
kernel=$(in_root "$host" apt-cache search --names-only '^linux-image-6\.1\.0-[0-9]+-amd64$' | cut -d' ' -f1 | sort -V | tail -1)
(in_root "$host" sh -c "cd /tmp && apt-get download -qq $kernel && dpkg-deb -x $kernel*.deb /kernel") >>"$work/log" 2>&1 || die "no kernel"
release=${kernel#linux-image-}

echo "# the guest"
cp "$package" "$guest/weir.deb"
in_root "$guest" apt-get update -qq
install_in "$guest" /weir.deb systemd-standalone-sysusers kmod iproute2 udev librte-net-e1000-23 || die "the package could not be installed"
rm -rf "$guest"/weir.deb "$guest"/var/cache/apt "$guest"/var/lib/apt "$guest"/usr/share/{doc,man,locale}
modules=lib/modules/$release
mkdir -p "$guest/$modules"
cp "$host/kernel/$modules"/modules.{order,builtin,builtin.modinfo} "$guest/$modules/"
for part in drivers/net/ethernet/intel/igb drivers/vfio drivers/i2c drivers/dca virt/lib drivers/iommu drivers/ptp drivers/pps; do
  [ -d "$host/kernel/$modules/kernel/$part" ] || continue
  mkdir -p "$guest/$modules/kernel/${part%/*}"
  cp -r "$host/kernel/$modules/kernel/$part" "$guest/$modules/kernel/$part"
done
in_root "$guest" depmod "$release"
cp tests/deploy/tap.sh "$guest/tap.sh"
cat >"$guest/init" <<'GUEST'
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
exec >/dev/ttyS0 2>&1
. /tap.sh
/lib/systemd/systemd-udevd --daemon
ip link set lo up
modprobe igb
udevadm settle
cd /usr/lib/weir
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
has_driver() { for _ in $(seq 50); do [ "$(driver "$1")" = "$2" ] && return 0; sleep 0.1; done; echo "it has $(driver "$1")"; return 1; }
address() { basename "$(readlink -f "/sys/class/net/$1/device")"; }
exporter=$(address eth0) nic=$(address eth1)

ip link set eth0 up
ip addr add 192.0.2.1/24 dev eth0
ip route add default via 192.0.2.9 dev eth0
ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:10 dev eth0 nud permanent
check "the default route's NIC is refused" fails_saying "over which the default route goes" nic/bind.sh eth0
check "and stays with the kernel" test "$(driver "$exporter")" = igb

ip link set eth1 up
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
cat >/tmp/weir.yaml <<YAML
ports: [{name: vf0, device: "$vf", queues: 1, promiscuous: false}]
listeners: [{name: netflow, port: 2055}]
publishers: [{kind: file, path: /var/log/weir/flows.jsonl}]
exporter_info: {publish: false}
eal: {hugepages: true, memory_mb: 128}
YAML
# As the service has it: LimitMEMLOCK, User, CapabilityBoundingSet, NoNewPrivileges.
ulimit -l unlimited
as_weir=(setpriv --reuid weir --regid weir --clear-groups --bounding-set -all --no-new-privs)
check "weir check" "${as_weir[@]}" weir check -c /tmp/weir.yaml
"${as_weir[@]}" weir run -c /tmp/weir.yaml 2>/tmp/weir.log &
pid=$!
ready() { for _ in $(seq 120); do weirctl ready >/dev/null 2>&1 && return 0; sleep 0.5; done; cat /tmp/weir.log; return 1; }
check "ready, on the virtual function" ready
check "without a capability" grep -q '^CapEff:.*[[:space:]]0*$' "/proc/$pid/status"
sleep 2
check "an exporter on the other NIC sends" weir generate --to 192.0.2.2:2055 --protocol v5 --count 200 --flows 20 --rate 100
arrived() { for _ in $(seq 100); do [ "$(wc -l </var/log/weir/flows.jsonl)" -lt 4000 ] || return 0; sleep 0.1; done; weirctl status; weirctl ledger; return 1; }
check "4000 records of 200 datagrams arrive" arrived
kill -TERM $pid
ended() { [ "$status" -eq 0 ] || { echo "status $status"; cat /tmp/weir.log; return 1; }; }
wait $pid; status=$?
check "it ends with status 0" ended

check "the function is given back" nic/unbind.sh "$vf"
check "and is gone" nic/vfs.sh --count 0 --force eth1
ip link set eth1 down
check "a NIC as a whole, at each boot too" nic/bind.sh --persistent eth1
check "has the driver" has_driver "$nic" vfio-pci
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
check "and no rule is left" test -z "$(ls /etc/udev/rules.d | grep weir)"
check "hugepages are given back" hugepages/release.sh
check "none is left" says "2M        0" hugepages/show.sh
done_testing
echo o >/proc/sysrq-trigger
sleep 60
GUEST
chmod +x "$guest/init"
mkdir -p "$host/guest" "$host/vm"
mount --bind "$guest" "$host/guest"
in_root "$host" sh -c 'cd /guest && find . | cpio -o -H newc --quiet >/vm/initrd'
umount "$host/guest"

echo "# the machine"
# Two NICs on one hub. Its memory lies below 4 GiB: with more, these NICs received nothing.
timeout 600 chroot "$host" qemu-system-x86_64 -accel tcg,thread=multi -M q35 -cpu max -smp 2 -m 2048 -no-reboot \
  -display none -monitor none -vga none -serial file:/vm/serial -device intel-iommu,intremap=on,caching-mode=on \
  -netdev hubport,id=h0,hubid=0 -netdev hubport,id=h1,hubid=0 \
  -device pcie-root-port,id=rp0,slot=1,chassis=1 -device pcie-root-port,id=rp1,slot=2,chassis=2 \
  -device igb,bus=rp0,netdev=h0 -device igb,bus=rp1,netdev=h1 -kernel "/kernel/boot/vmlinuz-$release" -initrd /vm/initrd \
  -append "console=ttyS0 intel_iommu=on iommu=nopt net.ifnames=0 panic=-1 quiet" >"$work/log" 2>&1
tr -d '\r' <"$host/vm/serial" | grep -E '^(ok|not ok|# |1\.\.)'
if ! grep -q '^1\.\.' "$host/vm/serial"; then
  tail -30 "$host/vm/serial"
  die "the machine did not come to its end"
fi
! grep -q '^not ok' "$host/vm/serial"

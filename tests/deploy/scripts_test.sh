#!/usr/bin/env bash
# scripts_test.sh — The helpers for hugepages and NICs on a made-up sysfs, whose "kernel" binds drivers.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source-path=SCRIPTDIR
. tests/deploy/tap.sh

root=$(mktemp -d)
kernel=''
clean_up() { [ -z "$kernel" ] || kill "$kernel" 2>/dev/null; rm -rf "$root"; }
trap clean_up EXIT
export WEIR_SYSFS=$root/sys WEIR_ETC=$root/etc
pci=$WEIR_SYSFS/bus/pci

node_pages() { echo "$WEIR_SYSFS/devices/system/node/node$1/hugepages/hugepages-$2kB"; }
for node in 0 1; do
  for kb in 2048 1048576; do
    pages=$(node_pages $node $kb)
    mkdir -p "$pages"
    echo 0 >"$pages/nr_hugepages"; echo 0 >"$pages/free_hugepages"
  done
done

# device ADDRESS DRIVER [INTERFACE [BELOW]]: BELOW is a folder between the PCI device and its interface.
device() {
  local path=$WEIR_SYSFS/devices/pci0000:00/$1
  mkdir -p "$path" "$pci/devices" "$pci/drivers/$2" "$WEIR_SYSFS/class/net" "$WEIR_SYSFS/kernel/iommu_groups/${1:5:2}/devices"
  ln -s "$path" "$pci/devices/$1"
  ln -s "$pci/drivers/$2" "$path/driver"
  ln -s "$WEIR_SYSFS/kernel/iommu_groups/${1:5:2}" "$path/iommu_group"
  ln -s "$path" "$WEIR_SYSFS/kernel/iommu_groups/${1:5:2}/devices/$1"
  echo 0x020000 >"$path/class"; echo 0x8086 >"$path/vendor"; echo 0x1572 >"$path/device"; echo 0 >"$path/numa_node"
  [ $# -ge 3 ] || return 0
  mkdir -p "$path/${4:-}/net/$3"
  ln -s "$path/${4:-}" "$path/${4:-}/net/$3/device"
  ln -s "$path/${4:-}/net/$3" "$WEIR_SYSFS/class/net/$3"
}
device 0000:01:00.0 ixgbe eth1
device 0000:02:00.0 ixgbe eth2
device 0000:03:00.0 virtio-pci eth3 virtio0
device 0000:04:00.0 ixgbe eth4
device 0000:04:00.1 ixgbe eth5
rm "$pci/devices/0000:04:00.0/iommu_group"
echo 8 >"$pci/devices/0000:02:00.0/sriov_totalvfs"; echo 0 >"$pci/devices/0000:02:00.0/sriov_numvfs"
mkdir -p "$pci/drivers/vfio-pci" "$WEIR_SYSFS/class/net/bond0"
ln -s ../eth1 "$WEIR_SYSFS/class/net/bond0/lower_eth1"
driver_of() { basename "$(readlink "$pci/devices/$1/driver" 2>/dev/null)"; }

# The kernel's part: who is named in drivers_probe gets the driver of its driver_override.
mkfifo "$pci/drivers_probe"
while true; do
  while IFS= read -r -d '' -n 12 address; do
    device=$pci/devices/$address
    driver=$(cat "$device/driver_override" 2>/dev/null)
    rm -f "$device/driver"
    ln -s "$pci/drivers/${driver:-ixgbe}" "$device/driver"
  done <"$pci/drivers_probe"
done &
kernel=$!

# ip says that the default route goes over $ROUTED, that $ADDRESSED has an address; and writes down the rest.
mkdir "$root/bin"
cat >"$root/bin/ip" <<'SH'
#!/bin/sh
case "$*" in
  *route*) [ -z "$ROUTED" ] || echo "default via 192.0.2.1 dev $ROUTED proto static" ;;
  *"addr show dev $ADDRESSED scope global") echo "2: $ADDRESSED inet 192.0.2.7/24" ;;
  *"addr show"*) ;;
  *) echo "$*" >>"$IP_LOG" ;;
esac
SH
printf '#!/bin/sh\n' >"$root/bin/modprobe"
chmod +x "$root/bin/ip" "$root/bin/modprobe"
export PATH=$root/bin:$PATH ROUTED='' ADDRESSED=none IP_LOG=$root/log
touch "$IP_LOG"

h=scripts/hugepages
check "hugepages: reserves on each node" $h/reserve.sh --count 64
check "hugepages: node 0 has them" file_is "$(node_pages 0 2048)/nr_hugepages" 64
check "hugepages: node 1 has them" file_is "$(node_pages 1 2048)/nr_hugepages" 64
check "hugepages: 1 GiB pages on one node" $h/reserve.sh --size 1G --count 3 --node 1
check "hugepages: that node only" file_is "$(node_pages 0 1048576)/nr_hugepages" 0
check "hugepages: which has them" file_is "$(node_pages 1 1048576)/nr_hugepages" 3
check "hugepages: show adds them up" says "1         1024M        3        0       3072" $h/show.sh
check "hugepages: a dry run says what it would do" says "would write 7 to $(node_pages 0 2048)/nr_hugepages" $h/reserve.sh --count 7 --fewer --dry-run
check "hugepages: and what it would keep" says "would keep in $WEIR_ETC/tmpfiles.d/weir-hugepages.conf" $h/reserve.sh --count 7 --dry-run --persistent
check "hugepages: and does nothing" file_is "$(node_pages 0 2048)/nr_hugepages" 64
check "hugepages: what others reserved stays" says "node 0: has 64 pages of 2M" $h/reserve.sh --count 7
check "hugepages: and is there" file_is "$(node_pages 0 2048)/nr_hugepages" 64
check "hugepages: unless fewer are asked for" $h/reserve.sh --count 60 --node 0 --fewer
check "hugepages: which are there then" file_is "$(node_pages 0 2048)/nr_hugepages" 60
check "hugepages: nor keeps anything" not test -e "$WEIR_ETC/tmpfiles.d"
check "hugepages: persistently" $h/reserve.sh --count 32 --node 0 --persistent --fewer
check "hugepages: persistently, more" $h/reserve.sh --count 48 --persistent --fewer
check "hugepages: 1 GiB pages need the command line" says "hugepagesz=1G hugepages=0:2,1:2" $h/reserve.sh --size 1G --count 2 --persistent
kept=$WEIR_ETC/tmpfiles.d/weir-hugepages.conf
line='w /sys/devices/system/node/node%s/hugepages/hugepages-%skB/nr_hugepages - - - - %s\n'
# shellcheck disable=SC2059
check "hugepages: the last word on each is kept" file_is "$kept" "$(printf "$line" 0 2048 48 1 2048 48 0 1048576 2 1 1048576 2)"
check "hugepages: released on one node" $h/release.sh --node 0 --persistent
check "hugepages: which has none" file_is "$(node_pages 0 2048)/nr_hugepages" 0
check "hugepages: nor at the next boot" not grep -q node0.*2048 "$kept"
check "hugepages: the others stay" grep -q 'node1.*2048.*48$' "$kept"
check "hugepages: no such node" fails_saying "no NUMA node 7" $h/reserve.sh --node 7
check "hugepages: not a number" fails_saying "a whole number" $h/reserve.sh --count lots
check "hugepages: not a size" fails_saying "2M or 1G" $h/reserve.sh --size 4M

n=scripts/nic
check "nic: show tells who has what" says "0000:03:00.0   8086:1572  virtio-pci       eth3" $n/show.sh
check "nic: a dry run says what it would do" says "would write '0000:01:00.0' to $pci/devices/0000:01:00.0/driver/unbind" $n/bind.sh --dry-run eth1
check "nic: and does nothing" test "$(driver_of 0000:01:00.0)" = ixgbe
ROUTED=eth1 check "nic: the default route's device is refused" fails_saying "over which the default route goes" $n/bind.sh eth1
ROUTED=eth1 check "nic: by address too" fails_saying "over which the default route goes" $n/bind.sh 01:00.0
ROUTED=bond0 check "nic: below a bond too" fails_saying "over which the default route goes" $n/bind.sh 0000:01:00.0
ROUTED=eth3 check "nic: virtio too" fails_saying "over which the default route goes" $n/bind.sh 0000:03:00.0
ROUTED=eth1 check "nic: among others it saves them all" fails_saying "over which the default route goes" $n/bind.sh eth2 eth1
check "nic: none of them was touched" test "$(driver_of 0000:02:00.0)$(driver_of 0000:01:00.0)" = ixgbeixgbe
ADDRESSED=eth1 check "nic: an address is in the way" fails_saying "has an address" $n/bind.sh eth1
check "nic: no IOMMU" fails_saying "in no IOMMU group" $n/bind.sh 0000:04:00.0
check "nic: no such device" fails_saying "no such PCI device" $n/bind.sh 0000:99:00.0
check "nic: no such interface" fails_saying "neither a PCI address nor an interface" $n/bind.sh eth9
check "nic: no path" fails_saying "a PCI address" $n/bind.sh ../../etc
check "nic: not any driver" fails_saying "vfio-pci, uio_pci_generic or igb_uio" $n/bind.sh --driver nvme eth1
check "nic: bound" says "0000:01:00.0: bound to vfio-pci" $n/bind.sh --persistent eth1
check "nic: it has the driver" test "$(driver_of 0000:01:00.0)" = vfio-pci
check "nic: at each boot" grep -q 'KERNEL=="0000:01:00.0", ATTR{driver_override}="vfio-pci"' "$WEIR_ETC/udev/rules.d/90-weir-0000:01:00.0.rules"
check "nic: bound twice is bound" says "has vfio-pci already" $n/bind.sh 0000:01:00.0
ROUTED=eth2 check "nic: --force" says "0000:02:00.0: bound to vfio-pci" $n/bind.sh --force eth2
check "nic: given back" $n/unbind.sh 0000:01:00.0 0000:02:00.0
sleep 0.2
check "nic: the kernel has them" test "$(driver_of 0000:01:00.0)$(driver_of 0000:02:00.0)" = ixgbeixgbe
check "nic: nothing is kept" not test -e "$WEIR_ETC/udev/rules.d/90-weir-0000:01:00.0.rules"
mkdir -p "$WEIR_ETC/udev/rules.d"
touch "$WEIR_ETC/udev/rules.d/90-weir-0000:01:00.0.rules"
check "nic: what the kernel has is left alone" says "has the kernel's driver ixgbe" $n/unbind.sh eth1
check "nic: but will not be bound at the next boot" not test -e "$WEIR_ETC/udev/rules.d/90-weir-0000:01:00.0.rules"
ln -s "$pci/devices/0000:04:00.1" "$pci/devices/0000:01:00.0/iommu_group/devices/0000:04:00.1"
check "nic: others of its IOMMU group are named" says "0000:04:00.1 is in the same IOMMU group" $n/bind.sh 0000:01:00.0

vf=$pci/devices/0000:02:00.0
check "vfs: more than it can have" fails_saying "9 VFs asked, it can have 8" $n/vfs.sh --count 9 eth2
check "vfs: no SR-IOV" fails_saying "no SR-IOV" $n/vfs.sh --count 1 eth5
check "vfs: a VLAN that is none" fails_saying "0 to 4094" $n/vfs.sh --count 1 --vlan 4095 eth2
check "vfs: a MAC of a group" fails_saying "a group address" $n/vfs.sh --count 1 --mac 01:00:00:00:00:01 eth2
check "vfs: a dry run" says "would run: ip link set dev eth2 vf 1 mac 02:00:00:00:01:00 vlan 30" $n/vfs.sh --count 2 --dry-run --vlan 30 --mac 02:00:00:00:00:ff eth2
check "vfs: does nothing" file_is "$vf/sriov_numvfs" 0
check "vfs: made" $n/vfs.sh --count 2 --vlan 30 --spoofchk on --trust off --mac 02:00:00:00:00:10 eth2
check "vfs: so many" file_is "$vf/sriov_numvfs" 2
mkdir -p "$pci/proc/sys/net/ipv4/conf/eth2"
echo 0 >"$pci/proc/sys/net/ipv4/conf/eth2/arp_ignore"
check "vfs: the NIC would answer for them" says "sysctl net.ipv4.conf.eth2.arp_ignore=1" env WEIR_PROC="$pci/proc" $n/vfs.sh --count 2 eth2
echo 1 >"$pci/proc/sys/net/ipv4/conf/eth2/arp_ignore"
check "vfs: unless it was told" not says "note:" env WEIR_PROC="$pci/proc" $n/vfs.sh --count 2 eth2
check "vfs: the first is told what it may" grep -qx 'link set dev eth2 vf 0 mac 02:00:00:00:00:10 vlan 30 spoofchk on trust off' "$IP_LOG"
check "vfs: the second has the next MAC" grep -qx 'link set dev eth2 vf 1 mac 02:00:00:00:00:11 vlan 30 spoofchk on trust off' "$IP_LOG"
check "vfs: another number is refused" fails_saying "say --force" $n/vfs.sh --count 4 eth2
check "vfs: unless forced" $n/vfs.sh --count 4 --force eth2
check "vfs: so many now" file_is "$vf/sriov_numvfs" 4
check "vfs: and gone" $n/vfs.sh --count 0 --force 0000:02:00.0
check "vfs: none left" file_is "$vf/sriov_numvfs" 0

if command -v shellcheck >/dev/null; then
  check "shellcheck has nothing to say" shellcheck -x --exclude=SC2015,SC2016,SC2317 scripts/hugepages/*.sh scripts/nic/*.sh scripts/make_man.sh scripts/test_package.sh scripts/test_image.sh scripts/test_vf.sh deploy/docker/build_root.sh deploy/completion/weir.bash perf/*.sh tests/deploy/*.sh
else
  skip "shellcheck has nothing to say" "shellcheck is not installed"
fi
done_testing

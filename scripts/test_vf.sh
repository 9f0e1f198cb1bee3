#!/usr/bin/env bash
# test_vf.sh — In an emulated machine with two SR-IOV NICs: receive on a virtual function and on several queues of a
# physical one, with interrupts, an exception path and a link that comes and goes; and what the NIC and hugepage helpers
# do to a real kernel. What runs inside is tests/deploy/vf_guest.sh.
#
# usage: scripts/test_vf.sh [--package FILE] [--work DIR]
#   --package  Weir's Debian package, as dpkg-buildpackage or test_package.sh --keep makes it; without, it is built from what is committed
#   --work     keep what was fetched there, for the next time
# Needs root, debootstrap and Debian's mirror, from which come a kernel and, from backports, a QEMU that knows such a NIC
# (8.0 or newer); no KVM. To build: debhelper, git, and what Weir is built with. Says what it found as TAP.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

package='' kept=''
while [ $# -gt 0 ]; do
  case "$1" in
    --package) package=${2:?}; shift 2 ;;
    --work) kept=${2:?}; shift 2 ;;
    *) sed -n '6,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
[ -z "$package" ] || [ -f "$package" ] || { echo "test_vf: there is no $package" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "test_vf: be root" >&2; exit 1; }

work=${kept:-$(mktemp -d /tmp/weir-vf.XXXXXX)}
mkdir -p "$work"
base=$work/base host=$work/host guest=$work/guest machine=''
clean_up() {
  [ -z "$machine" ] || kill "$machine" 2>/dev/null
  umount "$host/guest" 2>/dev/null
  [ -n "$kept" ] || rm -rf --one-file-system "$work"
}
trap clean_up EXIT
die() { echo "test_vf: $*" >&2; tail -5 "$work/log" >&2; exit 1; }
in_root() { chroot "$1" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"; }
install_in() { in_root "$1" apt-get install -y -qq --no-install-recommends "${@:2}" >>"$work/log" 2>&1; }

# What the machine is to have, where nobody brought it.
build_package() {
  command -v dh git >/dev/null || die "no debhelper or git to build the package with: or --package"
  rm -rf "$work/source" "$work"/*.deb
  git clone -q . "$work/source" || die "no clone"
  if command -v ccache >/dev/null; then CCACHE_DIR=$(ccache -k cache_dir); export CCACHE_DIR; fi  # dh gives compilers a home of their own
  (cd "$work/source" && DEB_BUILD_OPTIONS="parallel=$(nproc) noautodbgsym" dpkg-buildpackage -b -us -uc >"$work/log" 2>&1) || die "the package could not be built"
  package=$(find "$work" -maxdepth 1 -name 'weir_*.deb')
}
if [ -z "$package" ]; then echo "# the package"; build_package; fi

kernel_of() { find "$host/kernel/boot" -name 'vmlinuz-*' -printf '%f\n' 2>/dev/null | head -1; }
if [ -z "$(kernel_of)" ]; then
  echo "# debootstrap"
  rm -rf --one-file-system "$base" "$host"
  debootstrap --variant=minbase bookworm "$base" >"$work/log" 2>&1 || die "debootstrap failed"
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  cp -a "$base" "$host"
  sed 's/bookworm main/bookworm-backports main/' "$host/etc/apt/sources.list" >"$host/etc/apt/sources.list.d/backports.list"
  in_root "$base" apt-get update -qq
  install_in "$base" systemd-standalone-sysusers kmod iproute2 iputils-ping jq udev librte-net-e1000-23 || die "the guest could not be made"

  echo "# QEMU and a kernel"
  in_root "$host" apt-get update -qq
  install_in "$host" cpio kmod || die "no cpio"
  install_in "$host" -t bookworm-backports qemu-system-x86 seabios || die "no QEMU"
  kernel=$(in_root "$host" apt-cache search --names-only '^linux-image-6\.1\.0-[0-9]+-amd64$' | cut -d' ' -f1 | sort -V | tail -1)
  (in_root "$host" sh -c "cd /tmp && apt-get download -qq $kernel && dpkg-deb -x $kernel*.deb /kernel") >>"$work/log" 2>&1 || die "no kernel"
fi
release=$(kernel_of)
release=${release#vmlinuz-}

echo "# the guest"
rm -rf --one-file-system "$guest"
cp -a "$base" "$guest"
cp "$package" "$guest/weir.deb"
install_in "$guest" /weir.deb || die "the package could not be installed"
rm -rf "$guest"/weir.deb "$guest"/var/cache/apt "$guest"/var/lib/apt "$guest"/usr/share/{doc,man,locale}
modules=lib/modules/$release
mkdir -p "$guest/$modules"
cp "$host/kernel/$modules"/modules.{order,builtin,builtin.modinfo} "$guest/$modules/"
for part in drivers/net/ethernet/intel/igb drivers/net/tun.ko drivers/vfio drivers/i2c drivers/dca virt/lib drivers/iommu drivers/ptp drivers/pps; do
  [ -e "$host/kernel/$modules/kernel/$part" ] || continue
  mkdir -p "$guest/$modules/kernel/${part%/*}"
  cp -r "$host/kernel/$modules/kernel/$part" "$guest/$modules/kernel/$part"
done
in_root "$guest" depmod "$release"
cp tests/deploy/tap.sh "$guest/tap.sh"
cp tests/deploy/vf_guest.sh "$guest/init"
chmod +x "$guest/init"
mkdir -p "$host/guest" "$host/vm"
mount --bind "$guest" "$host/guest"
in_root "$host" sh -c 'cd /guest && find . | cpio -o -H newc --quiet >/vm/initrd'
umount "$host/guest"

echo "# the machine"
# Two NICs on one hub. Its memory lies below 4 GiB: with more, these NICs received nothing. The kernel is not to look whether its timer
# ticks, which on a busy host it may not do in time. What the guest wants of the machine around it, the cable of a NIC drawn and put back,
# it says on its console: `# host: COMMAND` of QEMU's monitor.
rm -f "$host"/vm/{serial,monitor.in,monitor.out}
mkfifo "$host"/vm/monitor.{in,out}
: >"$host/vm/serial"
timeout 600 chroot "$host" qemu-system-x86_64 -accel tcg,thread=multi -M q35 -cpu max -smp 2 -m 2048 -no-reboot \
  -display none -vga none -serial file:/vm/serial -chardev pipe,id=monitor,path=/vm/monitor -mon monitor -device intel-iommu,intremap=on,caching-mode=on \
  -netdev hubport,id=h0,hubid=0 -netdev hubport,id=h1,hubid=0 \
  -device pcie-root-port,id=rp0,slot=1,chassis=1 -device pcie-root-port,id=rp1,slot=2,chassis=2 \
  -device igb,bus=rp0,netdev=h0 -device igb,id=nic1,bus=rp1,netdev=h1 -kernel "/kernel/boot/vmlinuz-$release" -initrd /vm/initrd \
  -append "console=ttyS0 no_timer_check intel_iommu=on iommu=nopt net.ifnames=0 panic=-1 quiet" >"$work/log" 2>&1 &
machine=$!
exec 3<>"$host/vm/monitor.in" 4<>"$host/vm/monitor.out"
done_commands=0
while kill -0 "$machine" 2>/dev/null; do
  mapfile -t commands < <(tr -d '\r' <"$host/vm/serial" | sed -n 's/^# host: //p')
  for command in "${commands[@]:$done_commands}"; do printf '%s\n' "$command" >&3; done
  done_commands=${#commands[@]}
  sleep 0.2
done
machine=''
tr -d '\r' <"$host/vm/serial" | grep -E '^(ok|not ok|# |1\.\.)'
if ! grep -q '^1\.\.' "$host/vm/serial"; then
  tail -30 "$host/vm/serial"
  die "the machine did not come to its end"
fi
! grep -q '^not ok' "$host/vm/serial"

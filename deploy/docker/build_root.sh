#!/usr/bin/env bash
# build_root.sh — Make the root of Weir's image from Debian's packages: debootstrap, Weir's package, no more.
#
# usage: build_root.sh [--package FILE] DIR
#   --package  Weir's Debian package; built from this checkout where it is not given
#   DIR        is made; must not be there
# Needs root, debootstrap, Debian's mirror (and debhelper, to build the package).
set -euo pipefail
source=$(readlink -f "$(dirname "$0")/../..")

package='' dir=''
while [ $# -gt 0 ]; do
  case "$1" in
    --package) package=$(readlink -f "${2:?}"); shift 2 ;;
    -*) sed -n '4,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) dir=$1; shift ;;
  esac
done
[ -n "$dir" ] || { sed -n '4,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "build_root: be root" >&2; exit 1; }
[ ! -e "$dir" ] || { echo "build_root: $dir is there already" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$package" ]; then
  git clone -q "$source" "$work/source"
  (cd "$work/source" && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage -b -us -uc >"$work/build.log" 2>&1) ||
    { tail -30 "$work/build.log" >&2; exit 1; }
  package=$(echo "$work"/weir_*.deb)
fi

# What a container does not use: translations, documents, manual pages.
mkdir -p "$dir/etc/dpkg/dpkg.cfg.d"
cat >"$dir/etc/dpkg/dpkg.cfg.d/image" <<'CFG'
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
CFG
debootstrap --variant=minbase bookworm "$dir" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log" >&2; exit 1; }
in_root() { chroot "$dir" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
cp /etc/resolv.conf "$dir/etc/resolv.conf"
cp "$package" "$dir/weir.deb"
# The same number in every image, so that volumes keep their owner.
in_root groupadd --gid 10001 weir
in_root useradd --uid 10001 --gid 10001 --home-dir /var/lib/weir --no-create-home --shell /usr/sbin/nologin weir
in_root apt-get update -qq
# Drivers for interfaces of the pod and for VFs; NICs as a whole are for machines, not containers.
in_root apt-get install -y -qq --no-install-recommends /weir.deb systemd-standalone-sysusers ca-certificates \
  librte-net-af-packet23 librte-net-af-xdp23 librte-net-e1000-23 librte-net-i40e23 librte-net-iavf23 librte-net-ice23 \
  librte-net-ixgbe23 librte-net-pcap23 librte-net-virtio23 librte-net-vmxnet3-23 >"$work/apt.log" 2>&1 || { tail "$work/apt.log" >&2; exit 1; }
in_root apt-get clean
rm -rf "$dir/weir.deb" "$dir"/var/lib/apt/lists/* "$dir"/var/log/*.log "$dir"/var/log/apt "$dir"/var/cache/debconf/*-old \
  "$dir/etc/resolv.conf" "$dir"/usr/share/locale/* "$dir"/usr/share/man/*
# Nobody in a container becomes somebody else.
find "$dir" -xdev -type f -perm /6000 -exec chmod ug-s {} +
install -d -o 10001 -g 10001 -m 755 "$dir/run/weir" "$dir/var/lib/weir" "$dir/var/log/weir"
echo "$dir: $(du -sm "$dir" | cut -f1) MiB"

# common.sh — What the NIC helpers share: where a device is in sysfs, who uses it.
# shellcheck shell=bash
sys=${WEIR_SYSFS:-/sys}
devices=$sys/bus/pci/devices
dry_run=false

die() { echo "${0##*/}: $*" >&2; exit 1; }

# The text behind "usage:" of the script that runs, up to its first line of code.
usage() { awk 'NR > 1 && !/^#/ { exit } /^# usage:/ { on = 1 } on { sub(/^# ?/, ""); print }' "$0" >&2; exit 2; }

# write VALUE FILE: or say so.
write() {
  if $dry_run; then echo "would write '$1' to $2"; else printf '%s' "$1" >"$2"; fi
}

run() {
  if $dry_run; then echo "would run: $*"; else "$@"; fi
}

# The PCI address of a device, given as address (with or without domain) or as interface.
address_of() {
  local name=$1 link
  case "$name" in *[!0-9A-Za-z.:_-]* | '' | .*) die "$name: a PCI address (0000:01:00.0) or an interface" ;; esac
  if [[ $name =~ ^([0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$ ]]; then
    [[ $name =~ ^[0-9a-fA-F]{4,8}:.*: ]] || name=0000:$name
    name=${name,,}
    [ -e "$devices/$name" ] || die "$name: no such PCI device"
    echo "$name"
    return
  fi
  [ -e "$sys/class/net/$name" ] || die "$name: neither a PCI address nor an interface"
  # The device of an interface may lie below the one on PCI (virtio).
  link=$(readlink -f "$sys/class/net/$name/device" 2>/dev/null || true)
  while [ -n "$link" ] && [ ! -e "$devices/${link##*/}" ]; do link=${link%/*}; done
  [ -n "$link" ] || die "$name: not an interface of a PCI device"
  echo "${link##*/}"
}

driver_of() {
  local link
  link=$(readlink "$devices/$1/driver" 2>/dev/null || true)
  echo "${link##*/}"
}

# Whether the device has the driver within a second.
wait_for_driver() {
  local i
  for ((i = 0; i < 20; i++)); do
    [ "$(driver_of "$1")" != "$2" ] || return 0
    sleep 0.05
  done
  return 1
}

interfaces_of() {
  local device path
  device=$(readlink -f "$devices/$1")
  for path in "$sys"/class/net/*; do
    case "$(readlink -f "$path/device" 2>/dev/null)" in "$device" | "$device"/*) echo "${path##*/}" ;; esac
  done
}

# The interfaces that carry a default route, and what lies below them: members of bonds and bridges, and what
# VLANs are made of.
routed_interfaces() {
  local todo name lower
  todo=$( { ip -4 route show table all default; ip -6 route show table all default; } 2>/dev/null |
    grep -o 'dev [^ ]*' | cut -d' ' -f2 | sort -u)
  while [ -n "$todo" ]; do
    name=${todo%%$'\n'*}
    if [ "$name" = "$todo" ]; then todo=''; else todo=${todo#*$'\n'}; fi
    echo "$name"
    for lower in "$sys/class/net/$name"/lower_*; do
      [ -e "$lower" ] || continue
      todo=${lower##*/lower_}${todo:+$'\n'$todo}
    done
  done
}

# Dies where a device carries the way to the world, which its own VFs may not be taken away from either.
refuse_routed() {
  local address=$1 name
  for name in $(interfaces_of "$address"); do
    ! routed_interfaces | grep -qxF "$name" ||
      die "$address is $name, over which the default route goes: with --force this machine may be out of reach"
  done
}

#!/usr/bin/env bash
# unbind.sh — Give a NIC or a virtual function back to the kernel's driver.
#
# usage: unbind.sh [--dry-run] ADDRESS …
#   ADDRESS    a PCI address (0000:01:00.0)
#   --dry-run  say what would be done, do nothing
# What bind.sh --persistent wrote goes as well.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$(readlink -f "$0")")/common.sh"

names=()
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry_run=true; shift ;;
    -*) usage ;;
    *) names+=("$1"); shift ;;
  esac
done
[ ${#names[@]} -gt 0 ] || usage

addresses=()
for name in "${names[@]}"; do addresses+=("$(address_of "$name")"); done
for address in "${addresses[@]}"; do
  device=$devices/$address
  rule=${WEIR_ETC:-/etc}/udev/rules.d/90-weir-$address.rules
  [ ! -e "$rule" ] || run rm -f "$rule"
  case "$(driver_of "$address")" in
    vfio-pci | uio_pci_generic | igb_uio) write "$address" "$device/driver/unbind" ;;
    '') ;;
    *) echo "$address: has the kernel's driver $(driver_of "$address")"; continue ;;
  esac
  # An empty line, not an empty write, which sysfs would not see.
  write $'\n' "$device/driver_override"
  write "$address" "$sys/bus/pci/drivers_probe"
  $dry_run && continue
  now=$(driver_of "$address")
  echo "$address: ${now:-no driver of the kernel wants it}"
done

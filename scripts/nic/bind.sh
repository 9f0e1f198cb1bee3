#!/usr/bin/env bash
# bind.sh — Give a NIC or a virtual function to DPDK: take it from the kernel's driver, bind it to vfio-pci.
#
# usage: bind.sh [--driver DRIVER] [--force] [--persistent] [--dry-run] DEVICE …
#   DEVICE        a PCI address (0000:01:00.0) or an interface (eth1)
#   --driver      vfio-pci (default), or uio_pci_generic, igb_uio
#   --force       even the NIC over which the default route goes, or one whose interface has an address
#   --persistent  at each boot too: a udev rule in /etc/udev/rules.d
#   --dry-run     say what would be done, do nothing
# unbind.sh gives it back, show.sh shows who has what. Without an IOMMU vfio-pci refuses: turn it on in the
# firmware, and intel_iommu=on (Intel) in the kernel's command line.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$(readlink -f "$0")")/common.sh"

driver=vfio-pci force=false persistent=false names=()
while [ $# -gt 0 ]; do
  case "$1" in
    --driver) [ $# -ge 2 ] || usage; driver=$2; shift 2 ;;
    --force) force=true; shift ;;
    --persistent) persistent=true; shift ;;
    --dry-run) dry_run=true; shift ;;
    -*) usage ;;
    *) names+=("$1"); shift ;;
  esac
done
[ ${#names[@]} -gt 0 ] || usage
case "$driver" in vfio-pci | uio_pci_generic | igb_uio) ;; *) die "--driver $driver: vfio-pci, uio_pci_generic or igb_uio" ;; esac

# Everything is looked at before anything is done.
addresses=()
for name in "${names[@]}"; do
  address=$(address_of "$name")
  if ! $force; then
    refuse_routed "$address"
    for interface in $(interfaces_of "$address"); do
      [ -z "$(ip -o addr show dev "$interface" scope global 2>/dev/null)" ] ||
        die "$address is $interface, which has an address: take it away, or say --force"
    done
  fi
  if [ "$driver" = vfio-pci ] && [ ! -e "$devices/$address/iommu_group" ]; then
    [ "$(cat "$sys/module/vfio/parameters/enable_unsafe_noiommu_mode" 2>/dev/null)" = Y ] ||
      die "$address is in no IOMMU group: turn the IOMMU on (firmware; intel_iommu=on)"
  fi
  addresses+=("$address")
done

[ -e "$sys/bus/pci/drivers/$driver" ] || run modprobe "$driver"
for address in "${addresses[@]}"; do
  device=$devices/$address
  if [ "$(driver_of "$address")" = "$driver" ]; then
    echo "$address: has $driver already"
  else
    write "$driver" "$device/driver_override"
    [ -z "$(driver_of "$address")" ] || write "$address" "$device/driver/unbind"
    write "$address" "$sys/bus/pci/drivers_probe"
    if ! $dry_run && ! wait_for_driver "$address" "$driver"; then
      die "$address: $driver did not take it (dmesg says why)"
    fi
    $dry_run || echo "$address: bound to $driver"
  fi
  # Other devices of a group that the kernel keeps make VFIO refuse the whole group.
  for other in "$device"/iommu_group/devices/*; do
    other=${other##*/}
    if [ "$other" = "$address" ] || [ ! -e "$devices/$other" ]; then continue; fi
    case "$(driver_of "$other")" in
      '' | vfio-pci | pcieport | pci-stub) ;;
      *) echo "$address: $other is in the same IOMMU group and has the driver $(driver_of "$other"): bind it too" >&2 ;;
    esac
  done
  if $persistent; then
    rule=${WEIR_ETC:-/etc}/udev/rules.d/90-weir-$address.rules
    if $dry_run; then
      echo "would write $rule"
    else
      mkdir -p "${rule%/*}"
      # The override is written before the kernel's driver is told of the device, or takes it from there.
      cat >"$rule" <<RULE
ACTION=="add", SUBSYSTEM=="pci", KERNEL=="$address", ATTR{driver_override}="$driver", RUN+="/bin/sh -c 'modprobe $driver; [ ! -e /sys/bus/pci/devices/$address/driver ] || echo $address > /sys/bus/pci/devices/$address/driver/unbind; echo $address > /sys/bus/pci/drivers_probe'"
RULE
    fi
  fi
done

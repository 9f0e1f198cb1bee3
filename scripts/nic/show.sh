#!/usr/bin/env bash
# show.sh — The network devices on PCI: address, driver, interface, NUMA node, IOMMU group, VFs.
#
# usage: show.sh
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$(readlink -f "$0")")/common.sh"
[ $# -eq 0 ] || usage

read_or() { cat "$1" 2>/dev/null || echo "$2"; }

format='%-14s %-10s %-16s %-16s %5s %6s %8s\n'
# shellcheck disable=SC2059
printf "$format" address id driver interface node group VFs
routed=$(routed_interfaces)
for device in "$devices"/*; do
  [ -e "$device/class" ] || continue
  case "$(cat "$device/class")" in 0x02*) ;; *) continue ;; esac
  address=${device##*/}
  names=$(interfaces_of "$address" | paste -sd,)
  for name in $(interfaces_of "$address"); do
    if grep -qxF "$name" <<<"$routed"; then names+=' *'; break; fi
  done
  vendor=$(read_or "$device/vendor" 0x????) id=$(read_or "$device/device" 0x????) driver=$(driver_of "$address")
  group=$(readlink "$device/iommu_group" 2>/dev/null || echo -)
  vfs=-
  [ ! -e "$device/sriov_totalvfs" ] || vfs=$(read_or "$device/sriov_numvfs" 0)/$(cat "$device/sriov_totalvfs")
  # shellcheck disable=SC2059
  printf "$format" "$address" "${vendor#0x}:${id#0x}" "${driver:--}" "${names:--}" "$(read_or "$device/numa_node" -)" \
    "${group##*/}" "$vfs"
done
[ -z "$routed" ] || echo "* carries the default route"

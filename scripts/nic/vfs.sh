#!/usr/bin/env bash
# vfs.sh — Make the SR-IOV virtual functions of a NIC, and say what each may do.
#
# usage: vfs.sh --count N [--vlan N] [--spoofchk on|off] [--trust on|off] [--mac MAC] [--bind] [--force] [--dry-run] DEVICE
#   DEVICE      the physical function: an interface (eth1) or a PCI address
#   --count     how many VFs; 0 takes them all away
#   --vlan      VLAN whose frames the VFs get, untagged (1 to 4094; 0: none)
#   --spoofchk  on (as it comes): the VF sends only from its own MAC. Weir sends nothing: leave it on
#   --trust     on: the VF may be promiscuous and change its MAC; off as it comes
#   --mac       of the first VF (02:…); each further VF has the next one. Some NICs give VFs no frames
#               before they have one
#   --bind      bind the VFs to vfio-pci (bind.sh)
#   --force     though the NIC has VFs already: a change of their number takes away all
#   --dry-run   say what would be done, do nothing
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"

count='' vlan='' spoofchk='' trust='' mac='' bind=false force=false name=''
while [ $# -gt 0 ]; do
  case "$1" in
    --count | --vlan | --spoofchk | --trust | --mac)
      [ $# -ge 2 ] || usage
      declare "${1#--}=$2"; shift 2 ;;
    --bind) bind=true; shift ;;
    --force) force=true; shift ;;
    --dry-run) dry_run=true; shift ;;
    -*) usage ;;
    *) [ -z "$name" ] || usage; name=$1; shift ;;
  esac
done
if [ -z "$name" ] || [ -z "$count" ]; then usage; fi
is_number() { [[ $1 =~ ^[0-9]{1,5}$ ]]; }
is_number "$count" || die "--count $count: a whole number"
if [ -n "$vlan" ]; then { is_number "$vlan" && [ "$vlan" -le 4094 ]; } || die "--vlan $vlan: 0 to 4094"; fi
for value in "$spoofchk" "$trust"; do
  case "$value" in '' | on | off) ;; *) die "$value: on or off" ;; esac
done
if [ -n "$mac" ]; then
  [[ $mac =~ ^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$ ]] || die "--mac $mac: six octets, such as 02:00:00:00:00:10"
  (( (0x${mac%%:*} & 1) == 0 )) || die "--mac $mac: a group address"
fi

address=$(address_of "$name")
device=$devices/$address
[ -e "$device/sriov_totalvfs" ] || die "$address: no SR-IOV (turn it on in the firmware of machine and NIC)"
total=$(cat "$device/sriov_totalvfs") now=$(cat "$device/sriov_numvfs")
[ "$count" -le "$total" ] || die "$address: $count VFs asked, it can have $total"
interface=$(interfaces_of "$address" | head -1)
[ -n "$interface" ] || die "$address: the kernel's driver must have the physical function (unbind.sh $address)"

if [ "$now" -ne "$count" ]; then
  if [ "$now" -ne 0 ]; then
    $force || die "$address has $now VFs, which all go when their number changes: say --force"
    write 0 "$device/sriov_numvfs"
  fi
  [ "$count" -eq 0 ] || write "$count" "$device/sriov_numvfs"
fi

# The NUMBERth MAC address from the first on.
nth_mac() {
  local value
  value=$(( 0x${mac//:/} + $1 ))
  printf '%012x' "$value" | sed 's/../&:/g; s/:$//'
}

vfs=()
for ((i = 0; i < count; i++)); do
  of_vf=()
  [ -z "$mac" ] || of_vf+=(mac "$(nth_mac "$i")")
  [ -z "$vlan" ] || of_vf+=(vlan "$vlan")
  [ -z "$spoofchk" ] || of_vf+=(spoofchk "$spoofchk")
  [ -z "$trust" ] || of_vf+=(trust "$trust")
  [ ${#of_vf[@]} -eq 0 ] || run ip link set dev "$interface" vf "$i" "${of_vf[@]}"
  link=$(readlink "$device/virtfn$i" 2>/dev/null || true)
  if [ -n "$link" ]; then
    vfs+=("${link##*/}")
    $dry_run || echo "VF $i: ${link##*/}"
  fi
done
[ "$count" -eq 0 ] || run ip link set dev "$interface" up
# Linux answers ARP for any of its addresses on any interface.
answers=${WEIR_PROC:-/proc}/sys/net/ipv4/conf/$interface/arp_ignore
if [ "$count" -gt 0 ] && [ "$(cat "$answers" 2>/dev/null)" = 0 ]; then
  echo "note: $interface answers ARP for every address of this host, those of the VFs' interfaces too: sysctl net.ipv4.conf.$interface.arp_ignore=1"
fi
if $bind && [ ${#vfs[@]} -gt 0 ]; then
  flags=()
  ! $dry_run || flags+=(--dry-run)
  "$here/bind.sh" "${flags[@]}" "${vfs[@]}"
fi

#!/usr/bin/env bash
# reserve.sh — Reserve hugepages for DPDK, now, on one NUMA node or on all.
#
# usage: scripts/hugepages/reserve.sh [--size 2M|1G] [--count N] [--node N] [--dry-run]
#   --size     2M (default) or 1G; 1G pages are best reserved at boot (hugepagesz=1G hugepages=N)
#   --count    pages on each node (default 512 of 2M, 1 of 1G)
#   --node     only this NUMA node (default: all)
#   --dry-run  say what would be written, write nothing
# Fails when the kernel could not find as many; release.sh gives them back.
set -euo pipefail
sys=${WEIR_SYSFS:-/sys}

size=2M count='' node='' dry_run=false
while [ $# -gt 0 ]; do
  case "$1" in
    --size) size=${2:?}; shift 2 ;;
    --count) count=${2:?}; shift 2 ;;
    --node) node=${2:?}; shift 2 ;;
    --dry-run) dry_run=true; shift ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
case "$size" in
  2M) kb=2048; count=${count:-512} ;;
  1G) kb=1048576; count=${count:-1} ;;
  *) echo "--size $size: 2M or 1G" >&2; exit 2 ;;
esac
case "$count" in ''|*[!0-9]*) echo "--count $count: a whole number" >&2; exit 2 ;; esac

status=0 found=false
for pages in "$sys"/devices/system/node/node*/hugepages/hugepages-"$kb"kB; do
  [ -d "$pages" ] || continue
  of_node=${pages#*/node/node}
  [ -z "$node" ] || [ "${of_node%%/*}" = "$node" ] || continue
  found=true
  if $dry_run; then
    echo "would write $count to $pages/nr_hugepages"
    continue
  fi
  echo "$count" >"$pages/nr_hugepages"
  got=$(cat "$pages/nr_hugepages")
  if [ "$got" -lt "$count" ]; then
    echo "$pages: wanted $count pages of $size, got $got: memory is too fragmented; reserve them at boot" >&2
    status=1
  fi
done
$found || { echo "no NUMA node ${node:+$node }with pages of $size" >&2; exit 1; }
exit $status

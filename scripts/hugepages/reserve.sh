#!/usr/bin/env bash
# reserve.sh — Reserve hugepages for DPDK, now and if asked at each boot, on one NUMA node or on all.
#
# usage: reserve.sh [--size 2M|1G] [--count N] [--node N] [--persistent] [--fewer] [--dry-run]
#   --size        2M (default) or 1G
#   --count       pages on each node (default 512 of 2M, 1 of 1G)
#   --node        only this NUMA node (default: all)
#   --persistent  at each boot too, by a line in /etc/tmpfiles.d/weir-hugepages.conf; with --count 0 the
#                 line goes. 1G pages are found surely only by the kernel's command line, which is printed
#   --fewer       take pages away where there are more: others may have reserved them
#   --dry-run     say what would be written, write nothing
# Fails when the kernel could not find as many; release.sh gives them back, show.sh shows them.
set -euo pipefail
sys=${WEIR_SYSFS:-/sys} etc=${WEIR_ETC:-/etc}
usage() { sed -n '4,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }

size=2M count='' node='' dry_run=false persistent=false fewer=false
while [ $# -gt 0 ]; do
  case "$1" in
    --size | --count | --node)
      [ $# -ge 2 ] || usage
      declare "${1#--}=$2"; shift 2 ;;
    --persistent) persistent=true; shift ;;
    --fewer) fewer=true; shift ;;
    --dry-run) dry_run=true; shift ;;
    *) usage ;;
  esac
done
case "$size" in
  2M) kb=2048; count=${count:-512} ;;
  1G) kb=1048576; count=${count:-1} ;;
  *) echo "--size $size: 2M or 1G" >&2; exit 2 ;;
esac
case "$count" in ''|*[!0-9]*) echo "--count $count: a whole number" >&2; exit 2 ;; esac
case "$node" in *[!0-9]*) echo "--node $node: a number" >&2; exit 2 ;; esac

kept=$etc/tmpfiles.d/weir-hugepages.conf
# Writes the line for the file of a node's pages anew, or takes it away where count is 0.
keep() {
  local file=$1 others=''
  [ ! -f "$kept" ] || others=$(grep -vF "w $file " "$kept" || true)
  if $dry_run; then
    if [ "$count" -gt 0 ]; then echo "would keep in $kept: w $file - - - - $count"
    else echo "would take out of $kept: w $file"; fi
    return
  fi
  mkdir -p "$etc/tmpfiles.d"
  {
    [ -z "$others" ] || printf '%s\n' "$others"
    [ "$count" -eq 0 ] || echo "w $file - - - - $count"
  } >"$kept.new"
  if [ -s "$kept.new" ]; then mv "$kept.new" "$kept"; else rm -f "$kept.new" "$kept"; fi
}

status=0 nodes=()
for pages in "$sys"/devices/system/node/node*/hugepages/hugepages-"$kb"kB; do
  [ -d "$pages" ] || continue
  of_node=${pages#*/node/node} of_node=${of_node%%/*}
  [ -z "$node" ] || [ "$of_node" = "$node" ] || continue
  nodes+=("$of_node")
  if $persistent; then keep "/sys${pages#"$sys"}/nr_hugepages"; fi
  there=$(cat "$pages/nr_hugepages")
  if [ "$there" -gt "$count" ] && ! $fewer; then
    echo "node $of_node: has $there pages of $size, which may be others': they stay (--fewer takes them away)"
    continue
  fi
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
[ ${#nodes[@]} -gt 0 ] || { echo "no NUMA node ${node:+$node }with pages of $size" >&2; exit 1; }
if $persistent && [ "$size" = 1G ] && [ "$count" -gt 0 ]; then
  spread=$(printf "%s:$count," "${nodes[@]}")
  echo "for the kernel's command line, where boot finds no free GiB later: hugepagesz=1G hugepages=${spread%,}"
fi
exit $status

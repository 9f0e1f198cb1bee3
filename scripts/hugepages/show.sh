#!/usr/bin/env bash
# show.sh — The hugepages of this machine, by NUMA node and size.
#
# usage: scripts/hugepages/show.sh
set -euo pipefail
sys=${WEIR_SYSFS:-/sys}

printf '%-6s %8s %8s %8s %10s\n' node size pages free MiB
for pages in "$sys"/devices/system/node/node*/hugepages/hugepages-*kB; do
  [ -d "$pages" ] || { echo "this kernel has no hugepages"; exit 0; }
  node=${pages#*/node/node}; node=${node%%/*}
  kb=${pages##*hugepages-}; kb=${kb%kB}
  count=$(cat "$pages/nr_hugepages")
  printf '%-6s %8s %8s %8s %10s\n' "$node" "$((kb / 1024))M" "$count" "$(cat "$pages/free_hugepages")" \
    "$((count * kb / 1024))"
done

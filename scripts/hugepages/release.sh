#!/usr/bin/env bash
# release.sh — Give reserved hugepages back to the kernel.
#
# usage: scripts/hugepages/release.sh [--size 2M|1G] [--node N] [--dry-run]
# Pages that a process still uses stay until it ends.
set -euo pipefail

arguments=(--count 0)
while [ $# -gt 0 ]; do
  case "$1" in
    --size | --node) arguments+=("$1" "${2:?}"); shift 2 ;;
    --dry-run) arguments+=("$1"); shift ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
exec "$(dirname "$0")/reserve.sh" "${arguments[@]}"

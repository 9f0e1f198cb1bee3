#!/usr/bin/env bash
# release.sh — Give reserved hugepages back to the kernel.
#
# usage: release.sh [--size 2M|1G] [--node N] [--persistent] [--dry-run]
#   --persistent  at the next boot too: what reserve.sh --persistent wrote goes
# Pages that a process still uses stay until it ends.
set -euo pipefail
usage() { sed -n '4,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }

arguments=(--count 0 --fewer)
while [ $# -gt 0 ]; do
  case "$1" in
    --size | --node)
      [ $# -ge 2 ] || usage
      arguments+=("$1" "$2"); shift 2 ;;
    --persistent | --dry-run) arguments+=("$1"); shift ;;
    *) usage ;;
  esac
done
exec "$(dirname "$0")/reserve.sh" "${arguments[@]}"

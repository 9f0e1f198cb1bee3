#!/usr/bin/env bash
# give_back.sh — Under sudo, give folders that root has built in to whom the checkout belongs to, who may
# want to build there without it. Otherwise nothing.
#
# usage: scripts/give_back.sh DIR …
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] && [ -n "${SUDO_UID:-}" ] && [ "$(stat -c %u .)" = "$SUDO_UID" ] || exit 0
for dir in "$@"; do
  [ ! -d "$dir" ] || chown -R --no-dereference "$SUDO_UID:${SUDO_GID:-}" "$dir"
done

#!/usr/bin/env bash
# build.sh — Configure (once) and compile into a folder.
#
# usage: scripts/build.sh DIR [meson option …] [-- ninja target …]
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$1
shift
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
[ $# -gt 0 ] && shift
trap 'scripts/give_back.sh "$dir"' EXIT

# Objects are shared between checkouts and build folders that compile the same thing.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$PWD}" CCACHE_NOHASHDIR=1
# What the last configuring did not find may be there now.
lacks_duckdb=$dir/without-duckdb
if [ -f "$lacks_duckdb" ] && scripts/fetch_duckdb.sh; then
  meson setup --reconfigure --clearcache "$dir" >/dev/null
  rm -f "$lacks_duckdb"
fi
if [ ! -f "$dir/build.ninja" ]; then
  mkdir -p "$dir"
  # Without it everything but the store is built.
  if [[ " ${options[*]} " != *" -Dduckdb=disabled "* ]] && ! scripts/fetch_duckdb.sh; then touch "$lacks_duckdb"; fi
  log=$(mktemp)
  meson setup "$dir" "${options[@]}" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
fi
ninja -C "$dir" "$@"

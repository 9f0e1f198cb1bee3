#!/usr/bin/env bash
# fetch_duckdb.sh — DuckDB's library and its C header, which Debian has not: from npm, at one version, by checksum.
#
# usage: scripts/fetch_duckdb.sh [DIR]
#
# Leaves DIR/libduckdb.so, DIR/duckdb.h and DIR/LICENSE (MIT); DIR is build-duckdb unless it is given. Does nothing
# where they are there already. Where they cannot be had it says why and ends with status 1: everything but
# weir-store builds without.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/npm_package.sh

# The library and the source that its header comes from, of one release.
library_package=@duckdb/node-bindings-linux-x64@1.4.4-r.4
library_sha256=732fac4dc6b8f198870b9c4bb6ddf13544466daca00ad28ba2f1d80de5d7aa4b
source_package=duckdb@1.4.4
source_sha256=5bb967dcbcd517670ba5f169f238fb9d6787e53752c60ebe24386169d76941ed

dir=${1:-build-duckdb}
# Of which packages what lies there was made.
stamp="$library_sha256 $source_sha256"
[ -f "$dir/libduckdb.so" ] && [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ] && exit 0

[ "$(uname -m)" = x86_64 ] || { echo "duckdb: there is a library for x86_64 only" >&2; exit 1; }
npm_is_there duckdb

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
library=$(npm_package duckdb "$library_package" "$library_sha256" "$work")
source=$(npm_package duckdb "$source_package" "$source_sha256" "$work")
tar -xzf "$library" -C "$work" --strip-components=1 package/libduckdb.so package/LICENSE
tar -xzf "$source" -C "$work" --strip-components=5 package/src/duckdb/src/include/duckdb.h
mv "$work/include/duckdb.h" "$work" 2>/dev/null || true

mkdir -p "$dir"
install -m 644 "$work/duckdb.h" "$work/LICENSE" "$dir"
# The library is whole before it has its name.
install -m 755 "$work/libduckdb.so" "$dir/libduckdb.so.new"
mv "$dir/libduckdb.so.new" "$dir/libduckdb.so"
echo "$stamp" >"$dir/stamp"

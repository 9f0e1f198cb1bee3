#!/usr/bin/env bash
# fetch_zen_engine.sh — The reference engine of decision files, for the tests alone: from npm, at one version, by checksum.
#
# usage: scripts/fetch_zen_engine.sh DIR
#
# Leaves DIR/node_modules/@gorules/zen-engine (MIT) and its addon. Does nothing where they are there already. Where they cannot be
# had, or there is no Node to run them, it says why and ends with status 1; the test that asks the engine says that it was skipped.
set -euo pipefail
# shellcheck source=scripts/npm_package.sh
. "$(dirname "$0")/npm_package.sh"

# What has JavaScript, and what it loads, of one release.
package=@gorules/zen-engine@0.54.0
package_sha256=693c02c02ed92f966e2bc56da587321cff9b16668a24190d3d0992f3f7a8e26b
addon=@gorules/zen-engine-linux-x64-gnu@0.54.0
addon_sha256=0d5ba3b6b47ee59ba678d9db56911d01144eb332ca425cf7f52f9ea1864f92ec

modules=$1/node_modules/@gorules
stamp="$package_sha256 $addon_sha256"
[ "$(cat "$modules/stamp" 2>/dev/null)" = "$stamp" ] && exit 0

[ "$(uname -m)" = x86_64 ] || { echo "zen-engine: there is an addon for x86_64 only" >&2; exit 1; }
npm_is_there zen-engine

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unpack() { # package sha256 folder
  local archive
  archive=$(npm_package zen-engine "$1" "$2" "$work")
  mkdir -p "$work/$3"
  tar -xzf "$archive" -C "$work/$3" --strip-components=1
}
unpack $package $package_sha256 modules/zen-engine
unpack $addon $addon_sha256 modules/zen-engine-linux-x64-gnu

mkdir -p "$modules"
rm -rf "$modules/zen-engine" "$modules/zen-engine-linux-x64-gnu"
mv "$work"/modules/* "$modules"
echo "$stamp" >"$modules/stamp"

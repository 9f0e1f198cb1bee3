#!/usr/bin/env bash
# fetch_zen_engine.sh — The reference engine of decision files, for the tests alone: from npm, at one version, by checksum.
#
# usage: scripts/fetch_zen_engine.sh DIR
#
# Leaves DIR/node_modules/@gorules/zen-engine (MIT) and its addon. Does nothing where they are there already. Where they cannot be
# had, or there is no Node to run them, it says why and ends with status 1; the test that asks the engine says that it was skipped.
set -euo pipefail

# What has JavaScript, and what it loads, of one release.
package=@gorules/zen-engine@0.54.0
package_sha256=693c02c02ed92f966e2bc56da587321cff9b16668a24190d3d0992f3f7a8e26b
addon=@gorules/zen-engine-linux-x64-gnu@0.54.0
addon_sha256=0d5ba3b6b47ee59ba678d9db56911d01144eb332ca425cf7f52f9ea1864f92ec

modules=$1/node_modules/@gorules
stamp="$package_sha256 $addon_sha256"
[ "$(cat "$modules/stamp" 2>/dev/null)" = "$stamp" ] && exit 0

[ "$(uname -m)" = x86_64 ] || { echo "zen-engine: there is an addon for x86_64 only" >&2; exit 1; }
# Debian's npm brings Node.
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends npm; } >/dev/null 2>&1; then
    echo "zen-engine: npm is not installed, and could not be" >&2
    exit 1
  fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch() { # package sha256 folder
  local name
  name=$(cd "$work" && timeout 300 npm pack --silent "$1" 2>"$work/npm.log" | tail -1) || true
  if [ -z "$name" ] || [ ! -f "$work/$name" ]; then
    echo "zen-engine: $1 cannot be fetched: $(tail -1 "$work/npm.log")" >&2
    exit 1
  fi
  if ! echo "$2  $work/$name" | sha256sum --check --status; then
    echo "zen-engine: $1 is not what it was: its SHA-256 is $(sha256sum "$work/$name" | cut -d' ' -f1), $2 was expected" >&2
    exit 1
  fi
  mkdir -p "$work/$3"
  tar -xzf "$work/$name" -C "$work/$3" --strip-components=1
}
fetch $package $package_sha256 modules/zen-engine
fetch $addon $addon_sha256 modules/zen-engine-linux-x64-gnu

mkdir -p "$modules"
rm -rf "$modules/zen-engine" "$modules/zen-engine-linux-x64-gnu"
mv "$work"/modules/* "$modules"
echo "$stamp" >"$modules/stamp"

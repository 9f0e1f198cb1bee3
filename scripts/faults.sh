#!/usr/bin/env bash
# faults.sh — Let brokers, disks, networks, certificates and the collector fail, and write what became of the
# records into docs/DELIVERY.md.
#
# usage: scripts/faults.sh [FILTER]
#   FILTER   of the tests, such as Faults.BrokerStopped: then the table goes to standard output only
#
# Takes some four minutes. Two of the faults need root.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh build test
scripts/build.sh build -- weir weirctl tests/faults/test_faults >&2

table=$(mktemp)
trap 'rm -f "$table"' EXIT
export WEIR_BUILD_ROOT=$PWD/build WEIR_SOURCE_ROOT=$PWD WEIR_FAULTS=full WEIR_FAULTS_TABLE=$table
build/tests/faults/test_faults --gtest_filter="${1:-*}" >&2
cat "$table"
[ $# -eq 0 ] || exit 0

# Between the two marks of the document.
awk -v table="$table" '
  /<!-- faults: end -->/   { inside = 0 }
  !inside                  { print }
  /<!-- faults: begin -->/ { inside = 1; while ((getline line < table) > 0) print line }
' docs/DELIVERY.md >docs/DELIVERY.md.new
mv docs/DELIVERY.md.new docs/DELIVERY.md

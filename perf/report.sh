#!/usr/bin/env bash
# report.sh — docs/PERFORMANCE.md and its charts, of perf/PERFORMANCE.md.in and what perf/run.sh measured.
#
# usage: perf/report.sh [JSON [FOLDER]]
#   JSON    of perf/run.sh (default perf/results/run.json, which is what the committed document was made of)
#   FOLDER  where PERFORMANCE.md and performance/*.svg go (default docs)
#
# A line `@name@` of the template becomes a section of perf/report.jq. Nothing is written where one cannot be made.
set -euo pipefail
cd "$(dirname "$0")/.."

json=${1:-perf/results/run.json} folder=${2:-docs}
command -v jq >/dev/null || { echo "report.sh: jq is not there" >&2; exit 1; }
made=$(mktemp -d)
trap 'rm -rf "$made" "$made.json"' EXIT
# In one order, whichever they were written in.
jq -S . "$json" >"$made.json"
section() { jq -r --arg section "$1" -f perf/report.jq "$made.json"; }

while IFS= read -r line; do
  if [[ $line =~ ^@([a-z]+)@$ ]]; then section "${BASH_REMATCH[1]}"; else printf '%s\n' "$line"; fi
done <perf/PERFORMANCE.md.in >"$made/PERFORMANCE.md"
mkdir "$made/performance"
for chart in encoded exporters peers; do section "chart-$chart" >"$made/performance/$chart.svg"; done

mkdir -p "$folder"
cp -r "$made/." "$folder/"
# The next report is of the same figures until there are others.
if [ "$folder" = docs ] && [ "$json" != perf/results/run.json ]; then
  mkdir -p perf/results
  cp "$made.json" perf/results/run.json
fi

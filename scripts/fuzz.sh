#!/usr/bin/env bash
# fuzz.sh — Build and run the libFuzzer targets, each for a while; a finding ends it with status 1.
#
# usage: scripts/fuzz.sh [--seconds N] [target …]
# What it learns stays in build-fuzz/corpus/TARGET; findings are left in build-fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
if [ "${1:-}" = --seconds ]; then seconds=$2; shift 2; fi

CXX=clang++ scripts/build.sh build-fuzz --buildtype=debugoptimized -Dfuzz=true -Dtests=true -Dperf=false -Dwerror=false \
  -Db_sanitize=address,undefined -Db_lundef=false -- fuzzers
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for program in build-fuzz/tests/fuzz/*_fuzz; do targets+=("$(basename "$program")"); done
fi
for target in "${targets[@]}"; do
  corpus=build-fuzz/corpus/$target
  mkdir -p "$corpus"
  echo "== $target: $seconds s"
  "build-fuzz/tests/fuzz/$target" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
    -timeout=10 -rss_limit_mb=2048 -artifact_prefix=build-fuzz/ "$corpus"
done

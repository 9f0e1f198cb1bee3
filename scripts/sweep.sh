#!/usr/bin/env bash
# sweep.sh — Each octet of every capture's datagrams changed to each of the 255 other values, under ASan
# and UBSan.
#
# usage: scripts/sweep.sh [--build DIR] [--values N]
#   --build DIR   build-fuzz; another one, as `build`, without sanitizers but three times as fast
#   --values N    so many of the 255 only; those that differ in one bit, or in all, come first
#
# Values that were done are not done again as long as DIR/sweep.tsv is there: interrupt it and call it
# again. The test of the same name changes each octet once.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=build-fuzz values=255
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift 2 ;;
    --values) values=$2; shift 2 ;;
    *) sed -n '5,10s/^# *//p' "$0" >&2; exit 2 ;;
  esac
done

# As scripts/fuzz.sh makes it: clang's code with its checks takes half the time of what the tests are built with.
sanitized=()
if [ "$build" = build-fuzz ]; then
  export CXX=clang++ ASAN_OPTIONS=detect_leaks=0
  sanitized=(--buildtype=debugoptimized -Dfuzz=true -Dtests=true -Dperf=false -Dwerror=false
    -Db_sanitize=address,undefined -Db_lundef=false)
fi
scripts/build.sh "$build" "${sanitized[@]}" -- tests/decode/test_sweep >/dev/null || exit 1
export WEIR_SOURCE_ROOT=$PWD UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
done_file=$build/sweep.tsv
touch "$done_file"
for value in $(printf "%s\n" 1 2 4 8 16 32 64 128 255 $(seq 255) | awk "!seen[\$0]++" | head -n "$values"); do
  grep -q "^$value	" "$done_file" && continue
  begin=$SECONDS
  if ! log=$(WEIR_SWEEP_XOR=$value "$build/tests/decode/test_sweep" --gtest_filter=Sweep.OfEveryCapture 2>&1); then
    printf '%s\n' "$log" | tail -60 >&2
    echo "sweep: a finding with octets XORed with $value"
    exit 1
  fi
  changes=$(sed -n 's/.* \([0-9]*\) changes.*/\1/p' <<<"$log")
  [ -n "$changes" ] || { echo "sweep: no captures in ../shared/captures" >&2; exit 1; }
  printf '%s\t%s\t%s\n' "$value" "$changes" $((SECONDS - begin)) >>"$done_file"
done
awk '{ ++values; changes += $2; seconds += $3 }
  END { printf "sweep: %d of 255 values, %.0f changed datagrams, %d seconds, no finding\n", values, changes, seconds }' "$done_file"

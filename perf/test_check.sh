#!/usr/bin/env bash
# test_check.sh — check.sh fails on what is slower, and on what could not be measured: a guard that cannot fail is none.
# Benchmark and valgrind are replaced by programs that say what a case wants; the baselines are made here.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

command -v jq >/dev/null || { echo "jq is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
mkdir -p "$dir/perf" "$dir/build/perf" "$dir/bin"
cp "$root/perf/check.sh" "$dir/perf/"

# A pass of 100 records; RATIO times as long as the bare loop.
cat >"$dir/build/perf/bench_decode" <<'STUB'
#!/usr/bin/env bash
case $1 in
  --passes) echo 100 ;;
  *)
    [ "${BENCH_FAILS:-}" ] && { echo "no such benchmark" >&2; exit 1; }
    # Slow the first time only.
    [ "${UNLUCKY:-}" ] && [ ! -e "$UNLUCKY" ] && { touch "$UNLUCKY"; RATIO=1.2; }
    [ "${ONLY_BARE:-}" ] && { echo '{"benchmarks": [{"run_type": "iteration", "run_name": "bare_loop/netflow_v5", "items_per_second": 1}]}'; exit 0; }
    for name in decode_encode fused; do for p in netflow_v5 netflow_v9 ipfix ipfix_varlen sflow_raw_header; do
      [ "$name/$p" = "${LEFT_OUT:-}" ] || echo "$name/$p ${RATIO:-1}"
    done; done | { cat; echo "bare_loop/netflow_v5 1"; } | jq -Rn '{benchmarks: [inputs | split(" ")
      | {run_type: "iteration", run_name: .[0], items_per_second: (1e9 / (.[1] | tonumber))}]}' ;;
esac
STUB
printf '#!/bin/sh\necho 100\n' >"$dir/build/perf/bench_transform"
cat >"$dir/bin/valgrind" <<'STUB'
#!/usr/bin/env bash
for a in "$@"; do case $a in --callgrind-out-file=*) out=${a#*=} ;; esac; done
way=${*: -2:1} protocol=${*: -1:1}
[ "$way" = --passes ] && way=enriched
[ "$way/$protocol" = "${LEFT_OUT:-}" ] && { echo "it fell over" >&2; exit 1; }
echo "summary: ${COUNT:-100000}" >"$out"
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
STUB
chmod +x "$dir"/build/perf/bench_* "$dir/bin/valgrind"

# expect STATUS WORDS ARGUMENT…, with what the case sets in the environment.
expect() {
  local status=$1 words=$2 said got
  shift 2
  said=$(PATH="$dir/bin:$PATH" "$dir/perf/check.sh" "$@" 2>&1)
  got=$?
  [ "$got" = "$status" ] || { echo "$*: status $got, not $status: $said"; failed=1; }
  grep -qF -- "$words" <<<"$said" || { echo "$*: does not say '$words': $said"; failed=1; }
}
expect 0 "no baseline" --instructions
expect 0 "recorded" --instructions --record
expect 0 "same    records/netflow_v5  1000, was 1000" --instructions
COUNT=100900 expect 0 "same " --instructions
COUNT=102000 expect 1 "SLOWER  fused/ipfix  1020, was 1000 (2 %)" --instructions
LEFT_OUT=fused/netflow_v5 expect 1 "fused/netflow_v5: it fell over" --instructions
LEFT_OUT=fused/netflow_v5 expect 1 "not everything was counted" --instructions
LEFT_OUT=enriched/ipfix expect 1 "enriched/ipfix: it fell over" --instructions
LEFT_OUT=enriched/ipfix expect 1 "not everything was counted" --instructions
COUNT=102000 expect 1 "SLOWER  enriched/ipfix  1020, was 1000 (2 %)" --instructions

expect 0 "recorded" --ratios --record
expect 0 "same    fused/netflow_v9  1, was 1" --ratios
RATIO=1.2 expect 1 "SLOWER  decode_encode/ipfix  1.2, was 1 (20 %)" --ratios
UNLUCKY=$dir/unlucky expect 0 "same    decode_encode/ipfix  1, was 1" --ratios
ONLY_BARE=1 expect 1 "no ratios" --ratios
LEFT_OUT=fused/netflow_v9 expect 1 "MISSING fused/netflow_v9" --ratios
BENCH_FAILS=1 expect 1 "no such benchmark" --ratios
expect 2 "usage" --nonsense
exit $failed

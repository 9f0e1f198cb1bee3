#!/usr/bin/env bash
# fuzz.sh — Build and run the libFuzzer targets; a finding ends it with status 1.
#
# usage: scripts/fuzz.sh [--seconds N | --runs N] [--jobs N] [--forget] [target …]
#   --seconds N   each target for so long (60)
#   --runs N      each target until it has run so often, over all times this was called: interrupt it
#                 and call it again, and it goes on
#   --jobs N      so many targets at a time (1)
#   --forget      count from zero
#
# In build-fuzz/: corpus/TARGET what was learned, seeds/TARGET what it began with (made of the lab's
# exporters, and of ../shared/captures where they are), logs/TARGET.log, findings/, and
# runs/TARGET.tsv, a line for each run: commit, executions, seconds, edges, features, inputs, findings.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

mode=seconds amount=60 jobs=1 forget=false
while [ $# -gt 0 ]; do
  case $1 in
    --seconds | --runs) mode=${1#--} amount=$2; shift 2 ;;
    --jobs) jobs=$2; shift 2 ;;
    --forget) forget=true; shift ;;
    -*) sed -n '4,9s/^# *//p' "$0" >&2; exit 2 ;;
    *) break ;;
  esac
done
targets=("$@")
[ ${#targets[@]} -eq 0 ] && targets=(netflow_fixed netflow_v9 ipfix sflow_v5 sequence plan fused frame framer fragments state payload_names srql rules lists)

out=build-fuzz
CXX=clang++ scripts/build.sh $out --buildtype=debugoptimized -Dfuzz=true -Dtests=true -Dperf=false -Dwerror=false \
  -Db_sanitize=address,undefined -Db_lundef=false -- fuzzers || exit 1
mkdir -p $out/runs $out/logs $out/findings
WEIR_SOURCE_ROOT=$PWD $out/tests/fuzz/make_corpora $out/seeds || exit 1

commit=$(git describe --always --dirty=+ 2>/dev/null || echo unknown)
chunk=5000000  # executions between two lines of runs/TARGET.tsv
# Little is freed, and what is freed late is memory that the caches do not have.
export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8:malloc_context_size=1 UBSAN_OPTIONS=print_stacktrace=1

# Long enough for what a target can tell apart; each octet more costs executions.
longest_input() {
  case $1 in
    netflow_fixed) echo 256 ;;
    netflow_v9 | ipfix) echo 320 ;;
    sflow_v5) echo 400 ;;
    sequence) echo 512 ;;
    *) echo 1024 ;;
  esac
}

executions_of() { awk '{ n += $2 } END { printf "%.0f\n", n }' "$out/runs/$1.tsv" 2>/dev/null || echo 0; }

# One run of libFuzzer, and its line.
run_once() {
  local target=$1 limit=$2 log=$out/logs/$1.last status began=$SECONDS
  mkdir -p "$out/corpus/$target" "$out/seeds/$target"
  local dictionary=tests/fuzz/$target.dict options=()
  [ -f "$dictionary" ] && options+=("-dict=$dictionary")
  # A template and its records are long before they say anything: inputs that grow slowly have no record for hours.
  case $target in fused | plan) options+=(-len_control=0) ;; esac
  "$out/tests/fuzz/${target}_fuzz" "$limit" -max_len="$(longest_input "$target")" -timeout=10 -rss_limit_mb=2048 \
    -entropic=0 -reduce_inputs=0 -print_final_stats=1 -artifact_prefix="$out/findings/$target-" "${options[@]}" \
    "$out/corpus/$target" "$out/seeds/$target" >"$log" 2>&1
  status=$?
  grep -vE '(NEW|REDUCE|RELOAD) ' "$log" >>"$out/logs/$target.log"
  local findings=0
  grep -qE 'SUMMARY:|does not hold|Assertion' "$log" && findings=1
  awk -v commit="$commit" -v findings=$findings -v seconds=$((SECONDS - began)) '
    /cov: / { for (i = 1; i < NF; ++i) { if ($i == "cov:") edges = $(i + 1); if ($i == "ft:") features = $(i + 1)
                                         if ($i == "corp:") { inputs = $(i + 1); sub("/.*", "", inputs) } }
              n = $1; sub("#", "", n) }
    /number_of_executed_units/ { n = $2 }
    END { printf "%s\t%.0f\t%d\t%d\t%d\t%d\t%d\n", commit, n, seconds, edges, features, inputs, findings }' \
    "$log" >>"$out/runs/$target.tsv"
  [ $findings -eq 1 ] && tail -60 "$log" >&2
  [ $findings -eq 0 ] && return $status
  return 1
}

# Until each target has run so often, one chunk after the other of each, so that all come equally far.
is_due() { [ "$mode" = seconds ] || [ "$(executions_of "$1")" -lt "$amount" ]; }

run_target() {
  local target=$1 left
  if [ "$mode" = seconds ]; then
    run_once "$target" "-max_total_time=$amount"
    return
  fi
  left=$((amount - $(executions_of "$target")))
  run_once "$target" "-runs=$((left < chunk ? left : chunk))"
}

summary() {
  printf '%-14s %12s %8s %9s %7s %9s %7s %9s  %s\n' target executions seconds exec/s edges features inputs findings commits
  for target in "${targets[@]}"; do
    [ -f "$out/runs/$target.tsv" ] || continue
    awk -F '\t' -v target="$target" '
      { n += $2; seconds += $3; edges = $4; features = $5; inputs = $6; findings += $7
        if (commits == "") commits = $1; last = $1 }
      END { if (last != commits) commits = commits ".." last
            printf "%-14s %12.0f %8d %9.0f %7d %9d %7d %9d  %s\n", target, n, seconds, seconds ? n / seconds : 0, edges,
                   features, inputs, findings, commits }' "$out/runs/$target.tsv"
  done
}

if $forget; then
  for target in "${targets[@]}"; do rm -f "$out/runs/$target.tsv"; done
fi
failed=0
# libFuzzer ends at SIGINT with its statistics, which become a line.
stop() {
  trap '' INT TERM
  for job in $(jobs -p); do pkill -INT -P "$job"; done
  wait
  summary
  exit 130
}
trap stop INT TERM
while [ $failed -eq 0 ]; do
  due=()
  for target in "${targets[@]}"; do is_due "$target" && due+=("$target"); done
  [ ${#due[@]} -eq 0 ] && break
  for target in "${due[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || failed=1; done
    run_target "$target" &
  done
  while [ -n "$(jobs -p)" ]; do wait -n || failed=1; done
  [ "$mode" = seconds ] && break
done
summary
exit $failed

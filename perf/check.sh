#!/usr/bin/env bash
# check.sh — Has it become slower? Compares with perf/baselines/, and fails where it has.
#
# usage: perf/check.sh [--instructions | --ratios] [--record]
#   --instructions  only: instructions a record, counted by callgrind, of decoding and of making events; at most 1 % more. For each
#                   compiler version, portable kernels (valgrind knows neither AVX-512 nor SHA). Whatever else the machine does, the
#                   count is the same.
#   --ratios        only: time a record beside the bare loop in the same run; at most 10 % more. For each CPU model. On a
#                   machine that does nothing else.
#   --record        write what was found as the baseline
#
# Takes build/perf/bench_decode and, for --instructions, bench_transform. Status: 0 as good as before, or no baseline yet, which is said; 1 slower, or not all of it could be
# measured; 2 wrong usage.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

instructions=true ratios=true record=false
for argument in "$@"; do
  case $argument in
    --instructions) ratios=false ;;
    --ratios) instructions=false ;;
    --record) record=true ;;
    *) sed -n '2,15p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
  esac
done
bench=build/perf/bench_decode
bench_transform=build/perf/bench_transform
benches=("$bench")
if $instructions; then benches+=("$bench_transform"); fi
for need in jq "${benches[@]}"; do
  command -v "$need" >/dev/null || { echo "check.sh: $need is not there" >&2; exit 1; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
worst=0

# compare FILE FOUND PERCENT: {name: number} against the same of the baseline.
compare() {
  local file=$1 found=$2 percent=$3
  if $record; then
    mkdir -p "$(dirname "$file")"
    jq -S . "$found" >"$file"
    echo "recorded: $file"
  fi
  if [ ! -f "$file" ]; then
    echo "no baseline: $file (--record makes it)"
    jq -r 'to_entries[] | "  \(.key)  \(.value)"' "$found"
    return
  fi
  jq -r --slurpfile before "$file" --argjson percent "$percent" '
    to_entries[] | .key as $k | $before[0][$k] as $was
    | if $was == null then "new     \($k)  \(.value)"
      else ((.value / $was - 1) * 100) as $change
        | (if $change > $percent then "SLOWER" elif $change < -$percent then "better" else "same  " end)
          + "  \($k)  \(.value), was \($was) (\($change * 100 | round / 100) %)" end' "$found" | tee "$dir/lines"
  jq -r --slurpfile found "$found" 'keys - ($found[0] | keys) | .[] | "MISSING \(.)"' "$file" | tee "$dir/missing"
  if grep -q '^SLOWER' "$dir/lines" || [ -s "$dir/missing" ]; then worst=1; fi
}

if $instructions; then
  if ! command -v valgrind >/dev/null; then
    echo "check.sh: valgrind is not installed" >&2
    exit 1
  fi
  # count NAME FUNCTION PROGRAM…: {NAME: instructions in FUNCTION for each record that PROGRAM says it had}.
  count() {
    local name=$1 function=$2 records count
    shift 2
    records=$(valgrind --tool=callgrind --callgrind-out-file="$dir/out" --toggle-collect="$function" "$@" 2>"$dir/log") ||
      { echo "check.sh: $name: $(tail -1 "$dir/log")" >&2; return; }
    count=$(sed -n 's/^\(summary\|totals\): *\([0-9]*\).*/\2/p' "$dir/out" | tail -1)
    if [ "${count:-0}" -eq 0 ]; then
      echo "check.sh: $name: nothing was counted" >&2
      return
    fi
    jq -nc --arg name "$name" --argjson count "$count" --argjson records "$records" \
      '{($name): ($count / $records * 100 | round / 100)}'
  }
  echo "== instructions a record"
  for protocol in netflow_v5 netflow_v9 ipfix ipfix_varlen sflow_raw_header; do
    for way in records fused; do count $way/$protocol '*Line::decode_encode*' "$bench" --passes $way $protocol; done
    count enriched/$protocol '*transform_all*' "$bench_transform" --passes $protocol
  done | jq -s add >"$dir/instructions"
  if [ "$(jq 'length' "$dir/instructions")" -ne 15 ]; then
    echo "check.sh: not everything was counted" >&2
    exit 1
  fi
  compare "perf/baselines/instructions-$(c++ -dumpfullversion).json" "$dir/instructions" 1
fi

# measure_ratios REPETITIONS OUT
measure_ratios() {
  "$bench" --benchmark_filter='^(bare_loop|decode_encode|fused)/(netflow_v5|netflow_v9|netflow_v9_options_mix|ipfix|ipfix_20_fields|ipfix_varlen|sflow_raw_header|mixed_10_exporters)$|^fused_portable/(netflow_v5|netflow_v9|ipfix)$' \
    --benchmark_repetitions="$1" --benchmark_enable_random_interleaving=true --benchmark_min_time=0.03 \
    --benchmark_format=json >"$dir/bench" 2>"$dir/log" || { echo "check.sh: $bench: $(tail -1 "$dir/log")" >&2; exit 1; }
  jq 'def lower_quartile: sort | .[length / 4 | floor];
    [.benchmarks[] | select(.run_type == "iteration")] | group_by(.run_name)
    | map({key: .[0].run_name, value: (map(1e9 / .items_per_second) | lower_quartile)}) | from_entries
    | .["bare_loop/netflow_v5"] as $bare | del(.["bare_loop/netflow_v5"]) | map_values(. / $bare * 1000 | round / 1000)' \
    "$dir/bench" >"$2" && [ "$(jq length "$2")" -gt 0 ] || { echo "check.sh: $bench: no ratios" >&2; exit 1; }
}

if $ratios; then
  echo "== time a record, of the bare loop's"
  cpu=$(awk -F': ' '/^(vendor_id|cpu family|model)[ \t]*:/ { print $2 } /^$/ { exit }' /proc/cpuinfo | paste -sd-)
  baseline=perf/baselines/ratios-$cpu.json
  # What else happens on a machine only adds: of five runs in turn the lower quartiles differed by 3 %, the medians by 4.
  measure_ratios "$(if $record; then echo 45; else echo 15; fi)" "$dir/ratios"
  # And what is slower once may have been unlucky: twice more, the least counts.
  for _ in 1 2; do
    if $record || [ ! -f "$baseline" ]; then break; fi
    jq -e --slurpfile before "$baseline" 'any(to_entries[]; .value > ($before[0][.key] // infinite) * 1.1)' "$dir/ratios" >/dev/null || break
    measure_ratios 15 "$dir/again"
    jq -s '(.[0] | keys) as $names | . as $all | $names | map({key: ., value: ([$all[][.]] | min)}) | from_entries' \
      "$dir/ratios" "$dir/again" >"$dir/least" && mv "$dir/least" "$dir/ratios"
  done
  compare "$baseline" "$dir/ratios" 10
  if [ ! -f "$baseline" ]; then
    echo "check.sh: TIME WAS COMPARED WITH NOTHING: nobody has recorded ratios of this CPU, $cpu." >&2
    echo "  On a machine that does nothing else: perf/check.sh --ratios --record" >&2
  fi
fi
exit $worst

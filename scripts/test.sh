#!/usr/bin/env bash
# test.sh — Build and run every test. Last line: "N passed, N failed".
#
# usage: scripts/test.sh [--quick | --full]
#   --quick   the release build's tests only: no sanitizers, no fuzzing
#   --full    under sanitizers also what takes minutes there: whole programs, brokers, corpora (half an hour more)
#
# Installs what it needs. Results are also in build*/meson-logs/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

quick=false full=false
case ${1:-} in
  "") ;;
  --quick) quick=true ;;
  --full) full=true ;;
  *) sed -n '4,7s/^# *//p' "$0" >&2; exit 2 ;;
esac

passed=0 failed=0
skipped=() failed_cases=()
results=$(mktemp -d)
trap 'rm -rf "$results"; scripts/give_back.sh build build-asan build-fuzz' EXIT

fail_hard() {
  echo "$1" >&2
  echo "$passed passed, $((failed + 1)) failed"
  exit 1
}

# "kind<tab>Suite.Case: why" for each case of a JUnit file: passed, failed or skipped. A case that failed at two places
# is one. Of a program that died the last lines are its reason.
cases_of() {
  sed 's/></>\n</g' "$1" | awk '
    function said(line) {
      if (!match(line, / message="[^"]*"/)) return ""
      return substr(line, RSTART + 10, RLENGTH - 11)
    }
    function tell() { if (kind != "") print kind "\t" name ": " why; kind = why = "" }
    /^ *<testcase / { tell()
                      kind = "passed"
                      match($0, / name="[^"]*"/); name = substr($0, RSTART + 7, RLENGTH - 8)
                      if (match($0, / classname="[^"]*"/)) name = substr($0, RSTART + 12, RLENGTH - 13) "." name }
    /^ *<(failure|error)/ { why = why (kind == "failed" ? "&#10;" : "") said($0); kind = "failed" }
    /^ *<skipped/ { kind = "skipped"; why = said($0) }
    /^ *<system-out>/ { first = NR; sub(/.*<system-out>/, "") ; split("", lines) }
    first            { last = /<\/system-out>/; sub(/<\/system-out>.*/, ""); lines[NR] = $0; delete lines[NR - 12] }
    first && last    { if (kind == "failed" && why == "") {
                         for (i = NR - 11; i <= NR; ++i) if (i in lines) why = why "&#10;" lines[i]
                       }
                       first = last = 0 }
    END              { tell() }'
}

# Such a line for people: the lines of its reason below one another, no more than thirty.
readable() {
  sed -e 's/&#10;/\n/g' -e 's/&#9;/\t/g' -e 's/&quot;/"/g' -e 's/&lt;/</g' -e 's/&gt;/>/g' -e 's/&amp;/\&/g' |
    sed -e '2,$s/^/    /' -e '30q'
}

# Runs tests of one build folder, builds what they need before, and adds up their cases: meson's JUnit file has
# one for each GoogleTest case and each TAP line; a program that died counts as one failure.
run_suite() {
  local dir=$1 title=$2
  shift 2
  echo "== $title"
  rm -f "$dir/meson-logs/testlog.junit.xml"
  meson test -C "$dir" --print-errorlogs --num-processes 2 "$@" >"$results/log" 2>&1
  local status=$?
  grep -E '^ *[0-9]+/[0-9]+ ' "$results/log" || true
  local junit=$dir/meson-logs/testlog.junit.xml
  if [ ! -f "$junit" ]; then
    cat "$results/log"
    fail_hard "$title: no result file"
  fi
  local failures=0 kind line
  while IFS=$'\t' read -r kind line; do
    case $kind in
      passed) passed=$((passed + 1)) ;;
      failed) failures=$((failures + 1)); failed_cases+=("$title: $(readable <<<"$line")") ;;
      skipped) skipped+=("$title: $(readable <<<"$line")") ;;
    esac
  done < <(cases_of "$junit")
  if [ "$status" -ne 0 ] && [ "$failures" -eq 0 ]; then
    failures=1
    failed_cases+=("$title: the run itself: see above")
  fi
  if [ "$failures" -gt 0 ]; then tail -200 "$results/log"; fi
  failed=$((failed + failures))
}

scripts/install_packages.sh build quickstart test || fail_hard "the packages could not be installed"

# Without it everything else is built and tested.
if ! scripts/fetch_duckdb.sh; then
  [ "${CI:-}" != true ] || fail_hard "DuckDB's library could not be fetched"
  skipped+=("store and query: DuckDB's library could not be fetched")
fi
scripts/build.sh build || fail_hard "the release build failed"
scripts/fetch_promtool.sh build/tools || true  # its test says that it was skipped
scripts/fetch_zen_engine.sh build/tools || true  # likewise
run_suite build "release"

if ! $quick; then
  # -O1 compiles in half the time of -O2 and checks the same.
  # What is not run is not built either.
  targets=(build.ninja) suites=(--no-suite long)
  if $full; then targets=() suites=(); fi
  scripts/build.sh build-asan --buildtype=debug -Doptimization=1 -Ddebug=false -Dwerror=false -Db_sanitize=address,undefined \
    -Db_lundef=false -Dperf=false -- "${targets[@]}" || fail_hard "the sanitizer build failed"
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$PWD}" CCACHE_NOHASHDIR=1  # as build.sh has it
  run_suite build-asan "sanitizers" "${suites[@]}"
  echo "== fuzzing"
  if scripts/fuzz.sh --seconds 15 --jobs 2 >"$results/fuzz" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    failed_cases+=("fuzzing: see above")
    tail -60 "$results/fuzz"
  fi
fi

if [ ${#skipped[@]} -gt 0 ]; then
  echo "${#skipped[@]} skipped:"
  printf '  %s\n' "${skipped[@]}"
fi
if [ ${#failed_cases[@]} -gt 0 ]; then
  echo "${#failed_cases[@]} failed:"
  printf '  %s\n' "${failed_cases[@]}"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

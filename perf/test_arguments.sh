#!/usr/bin/env bash
# test_arguments.sh — Benchmarks say what they take, and refuse what they do not know: a measurement that was asked for otherwise is none.
#
# usage: test_arguments.sh PROGRAM…
set -uo pipefail
failed=0
fail() { echo "$1"; failed=1; }

# Each must end by itself at once: a benchmark that begins takes minutes.
for program in "$@"; do
  name=$(basename "$program")
  out=$(timeout 10 "$program" --help 2>&1) || fail "$name --help ended with status $?"
  case $out in *[Uu]sage:*) ;; *) fail "$name --help does not print its usage: $out" ;; esac
  for words in "--nonsense" "--rows 5" "nonsense nonsense nonsense nonsense"; do
    # shellcheck disable=SC2086 # several words
    out=$(timeout 10 "$program" $words 2>&1)
    status=$?
    if [ "$status" -eq 0 ] || [ "$status" -eq 124 ]; then fail "$name $words: status $status"; fi
  done
done
exit "$failed"

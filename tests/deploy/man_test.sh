#!/usr/bin/env bash
# man_test.sh — The manual pages have every command, option and key that the programs have, and troff takes them.
#
# usage: man_test.sh BUILD
set -uo pipefail
build=$(readlink -f "$1")
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source-path=SCRIPTDIR
. tests/deploy/tap.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
scripts/make_man.sh weir "$build/weir" >"$dir/weir.1"
scripts/make_man.sh weirctl "$build/weirctl" >"$dir/weirctl.1"
scripts/make_man.sh weir-etl "$build/weir-etl" >"$dir/weir-etl.1"
scripts/make_man.sh weir-api "$build/weir-api" >"$dir/weir-api.1"
scripts/make_man.sh weir-api.yaml "$build/weir-api" >"$dir/weir-api.yaml.5"
scripts/make_man.sh weir.yaml "$build/weir" >"$dir/weir.yaml.5"
scripts/make_man.sh weir-etl.yaml "$build/weir-etl" >"$dir/weir-etl.yaml.5"

# section PAGE COMMAND: what the page says of it.
section() { awk -v command="$2" '$1 == ".SS" || $1 == ".SH" { on = $1 == ".SS" && $2 == command } on' "$1"; }
has_section() { [ -n "$(section "$1" "$2")" ]; }
# has PAGE TEXT, where - is written \-
has() { grep -qF -- "${2//-/\\-}" "$1"; }
has_options() { # PAGE COMMAND OPTION…
  local text option
  text=$(section "$1" "$2")
  shift 2
  for option in "$@"; do
    grep -qE "^\\\\fB([^ ]*,)?${option//-/\\\\-}( |\\\\fR|,|=)" <<<"$text" || { echo "$option is not there"; return 1; }
  done
}

for program in weir weirctl weir-etl weir-api; do
  mapfile -t commands < <("$build/$program" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
  check "$program: it has commands" test ${#commands[@]} -ge 2
  for command in "${commands[@]}"; do
    check "$program $command: is in the page" has_section "$dir/$program.1" "$command"
    mapfile -t options < <("$build/$program" "$command" --help | grep -oE '^  (-[a-zA-Z],)?--[a-z-]+' | grep -oE -- '--[a-z-]+')
    check "$program $command: ${#options[@]} options are in the page" has_options "$dir/$program.1" "$command" "${options[@]}"
  done
done
has_keys() { # PAGE AT_LEAST COMMAND…
  local page=$1 least=$2 keys missing=()
  mapfile -t keys < <("${@:3}" --keys | sed -n 's/^| `\([^`]*\)`.*/\1/p')
  check "$page: there are keys" test ${#keys[@]} -ge "$least"
  for key in "${keys[@]}"; do has "$dir/$page.5" "\\fB$key\\fR" || missing+=("$key"); done
  check "$page: ${#keys[@]} keys are in the page" test "${missing[*]}" = ""
}
has_keys weir.yaml 50 "$build/weir" check
has_keys weir-etl.yaml 40 "$build/weir-etl" check-config
has_keys weir-api.yaml 18 "$build/weir-api" check
for page in weir.1 weirctl.1 weir-etl.1 weir-api.1 weir.yaml.5 weir-etl.yaml.5 weir-api.yaml.5; do
  if command -v man >/dev/null; then
    check "$page: troff has nothing to say" test -z "$(LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 "$dir/$page" 2>&1 >/dev/null)"
  else
    skip "$page: troff has nothing to say" "man is not installed"
  fi
done
done_testing

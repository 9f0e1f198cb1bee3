# tap.sh — For tests in bash that tell their results as TAP: `check NAME COMMAND…`, `done_testing` at the end.
# shellcheck shell=bash
# shellcheck disable=SC2034  # tap_failed is for who sources this
tap_number=0 tap_failed=0

# The command's output is shown where it fails.
check() {
  local name=$1 output
  shift
  tap_number=$((tap_number + 1))
  if output=$("$@" 2>&1); then
    echo "ok $tap_number - $name"
  else
    tap_failed=1
    echo "not ok $tap_number - $name"
    printf '# %s\n' "$*" "${output//$'\n'/$'\n# '}"
  fi
}

skip() { tap_number=$((tap_number + 1)); echo "ok $tap_number - $1 # SKIP $2"; }

not() { ! "$@"; }

# says TEXT COMMAND…: its output, errors included, has the text, whatever its status.
says() {
  local text=$1 output
  shift
  output=$("$@" 2>&1) || true
  [[ $output == *"$text"* ]] || { printf '%s\n' "wanted: $text" "$output"; return 1; }
}

# fails_saying TEXT COMMAND…
fails_saying() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then echo "it did not fail: $output"; return 1; fi
  [[ $output == *"$text"* ]] || { printf '%s\n' "wanted: $text" "$output"; return 1; }
}

file_is() { [ "$(cat "$1")" = "$2" ] || { echo "$1: $(cat "$1")"; return 1; }; }

done_testing() { echo "1..$tap_number"; }

#!/usr/bin/env bash
# completion_test.sh — What bash offers for weir and weirctl, TAP.
#
# usage: completion_test.sh BUILD_DIR
set -uo pipefail
PATH=$1:$PATH
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source-path=SCRIPTDIR
. tests/deploy/tap.sh
# shellcheck source-path=SCRIPTDIR
. deploy/completion/weir.bash

# offers LINE WORD: it is among what is offered for the last word of the line.
offers() {
  local line=$1
  read -ra COMP_WORDS <<<"$line"
  [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _weir
  printf '%s\n' "${COMPREPLY[@]}"
  # No pipe: grep ends at the first match, and what still writes to it would be what failed.
  grep -qxF -- "$2" <<<"$(printf '%s\n' "${COMPREPLY[@]}")"
}

commands=$(_weir_help commands weirctl)
check 'the help lists commands' test "$(wc -l <<<"$commands")" -ge 10
for command in $commands; do
  check "weirctl offers $command" offers 'weirctl ' "$command"
done
check 'a word that was begun is completed' offers 'weirctl led' ledger
check 'and nothing else is offered' not offers 'weirctl led' status
check 'commands of weir' offers 'weir de' decode
check 'options of the program' offers 'weirctl --' --json
check 'options of a command' offers 'weirctl top --' --interval
check 'options before a command stand behind it too' offers 'weirctl top --' --socket
check 'conditions of live flows' offers 'weirctl tail --' --src-port
check 'types of flows' offers 'weirctl tail --type netflow' netflow_v9
check 'log levels' offers 'weirctl log-level w' warning
check 'files of a configuration' offers 'weir run -c conf/w' conf/weir.yaml
check 'what a capture may be only of' offers 'weirctl capture --only r' rejected
check 'files that a capture goes to' offers 'weirctl capture -w conf/w' conf/weir.yaml
check 'formats of answers' offers 'weirctl query --format c' csv
check 'options of weirctl query' offers 'weirctl query --' --chart
check 'options of weir-api' offers 'weir-api run --' --config
check 'options of weir run' offers 'weir run --' --listen
done_testing
exit $tap_failed

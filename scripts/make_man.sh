#!/usr/bin/env bash
# make_man.sh — Write a manual page of what a program says of itself, so that it cannot say anything else.
#
# usage: scripts/make_man.sh weir|weirctl|weir-etl|weir-store|weir-api|weir.yaml|weir-etl.yaml|weir-store.yaml|weir-api.yaml PROGRAM >PAGE
#   the programs    from PROGRAM --help and PROGRAM COMMAND --help
#   weir.yaml       from PROGRAM check --keys (PROGRAM is weir)
#   weir-etl.yaml   from PROGRAM check-config --keys (PROGRAM is weir-etl); weir-store.yaml likewise
#   weir-api.yaml   from PROGRAM check --keys (PROGRAM is weir-api)
set -euo pipefail
[ $# -eq 2 ] || { sed -n '4,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
page=$1 program=$2
version=$("$program" --version); version=${version#* }; version=${version%% *}

# Octets that troff takes for its own become the ones that they look like.
escape='function escape(text) {
  gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); sub(/^[.\x27]/, "\\\\\\&&", text); return text }'

# What --help prints: a sentence or two, the usage, options and arguments, and a footer that stays as it is.
help_to_troff() {
  awk "$escape"'
    function end_block() { if (verbatim) print ".fi"; verbatim = 0 }
    /^Usage:/                  { part = "usage"; sub(/^Usage: */, ""); print ".PP\n\\fB" escape($0) "\\fR"; next }
    /^(Options|Positionals):$/ { part = "options"; next }
    /^Subcommands:$/           { part = "commands"; next }
    /^$/                       { if (part == "options" || part == "commands") part = "after"; next }
    part == "commands"         { next }
    part == "options" && /^  [^ ]/ {
      line = substr($0, 3); text = ""
      if (length(line) > 28 && substr(line, 27, 2) == "  ") at = 29; else at = match(line, /  +/) ? RSTART : 0
      if (at && match(line, /  +/)) { text = substr(line, RSTART + RLENGTH); line = substr(line, 1, RSTART - 1) }
      print ".TP\n\\fB" escape(line) "\\fR"; if (text != "") print escape(text); next }
    part == "options"          { sub(/^ +/, ""); print escape($0); next }
    part == ""                 { print escape($0); next }
                               { if (!verbatim) print ".PP\n.nf"; verbatim = 1; print escape($0) }
    END                        { end_block() }'
}

commands() { "$program" --help | awk '/^Subcommands:/ { on = 1; next } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }'; }

see_also() {
  echo '.SH SEE ALSO'
  echo "$1"
}

program_page() { # name one-line-purpose see-also
  printf '.TH %s 1 "" "Weir %s" "Weir"\n.SH NAME\n%s \\- %s\n' "${1^^}" "$version" "$1" "$2"
  printf '.SH SYNOPSIS\n\\fB%s\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n' "$1"
  "$program" --help | help_to_troff
  echo '.SH COMMANDS'
  local command
  for command in $(commands); do
    printf '.SS %s\n' "$command"
    "$program" "$command" --help | help_to_troff
  done
  echo '.SH FILES'
  if [ "$1" = weir-api ]; then
    printf '.TP\n.I /etc/weir/weir-api.yaml\nThe configuration of the service.\n'
    printf '.TP\n.I /etc/default/weir-api\nVariables of its environment (not there by itself).\n'
    printf '.TP\n.I /run/weir-api/api.sock\nWhere weirctl query asks.\n'
    see_also "$3"
    return
  fi
  if [[ $1 = weir-etl || $1 = weir-store ]]; then
    printf '.TP\n.I /etc/weir/%s.yaml\nThe configuration of the service.\n' "$1"
    printf '.TP\n.I /etc/default/%s\nVariables of its environment, such as NATS_URL (not there by itself).\n' "$1"
    printf '.TP\n.I /run/%s/control.sock\nThe control socket.\n' "$1"
    [ "$1" = weir-etl ] || printf '.TP\n.I /var/lib/weir-store\nThe database, and files of older rows.\n'
    see_also "$3"
    return
  fi
  printf '.TP\n.I /etc/weir/weir.yaml\nThe configuration of the service.\n'
  printf '.TP\n.I /etc/default/weir\nVariables of its environment, such as NATS_URL (not there by itself).\n'
  printf '.TP\n.I /run/weir/control.sock\nThe control socket.\n'
  printf '.TP\n.I /var/lib/weir\nWhat survives a restart.\n'
  see_also "$3"
}

keys_page() { # name purpose program command… [example-of-a-list example-key]
  printf '.TH %s 5 "" "Weir %s" "Weir"\n.SH NAME\n%s \\- %s\n' "${1^^}" "$version" "${1//-/\\-}" "$2"
  printf '.SH DESCRIPTION\nYAML, so JSON too.\n.B %s %s \\-c FILE\n' "${3//-/\\-}" "${4//-/\\-}"
  cat <<'TROFF'
says whether a file is right, what this machine lacks, and where each value comes from.
A variable in the environment wins over the file.
TROFF
  [ $# -lt 6 ] || printf '.PP\n.I %s[].%s\nis the key\n.I %s\nof each object in the list\n.IR %s .\n' "$5" "$6" "$6" "$5"
  echo '.SH KEYS'
  "$program" "$4" --keys | awk "$escape"'
    /^\| `/ {
      gsub(/\\\|/, "\x01"); n = split($0, cell, / *\| */)
      for (i = 1; i <= n; i++) { gsub("\x01", "|", cell[i]); gsub(/`/, "", cell[i]) }
      print ".TP\n\\fB" escape(cell[2]) "\\fR"; print escape(cell[6])
      print ".br\nAllowed: " escape(cell[3]) (cell[4] == "" ? "" : ". Default: \\fI" escape(cell[4]) "\\fR") \
            (cell[5] == "" ? "" : ". Environment: " escape(cell[5])) "." }'
  see_also "\\fB${3//-/\\-}\\fR(1)"
}

case "$page" in
  weir) program_page weir 'take NetFlow, IPFIX and sFlow, and hand every flow on, counted' '\fBweirctl\fR(1), \fBweir.yaml\fR(5)' ;;
  weirctl) program_page weirctl 'ask a running weir what goes on' '\fBweir\fR(1), \fBweir.yaml\fR(5)' ;;
  weir-etl) program_page weir-etl 'make events of flows by rules' '\fBweir\fR(1), \fBweirctl\fR(1), \fBweir\-etl.yaml\fR(5)' ;;
  weir-api) program_page weir-api 'answer questions about flows' '\fBweirctl\fR(1), \fBweir\-api.yaml\fR(5)' ;;
  weir.yaml) keys_page weir.yaml 'configuration of the flow collector weir' weir check listeners port ;;
  weir-store) program_page weir-store 'store flows, and answer questions about them' '\fBweir\fR(1), \fBweirctl\fR(1), \fBweir\-store.yaml\fR(5)' ;;
  weir-store.yaml) keys_page weir-store.yaml 'configuration of weir\-store' weir-store check-config source.subjects framing ;;
  weir-etl.yaml) keys_page weir-etl.yaml 'configuration of weir\-etl' weir-etl check-config source.subjects framing ;;
  weir-api.yaml) keys_page weir-api.yaml 'configuration of weir\-api' weir-api check ;;
  *) sed -n '4,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

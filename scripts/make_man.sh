#!/usr/bin/env bash
# make_man.sh — Write a manual page of what a program says of itself, so that it cannot say anything else.
#
# usage: scripts/make_man.sh weir|weirctl|weir-etl|weir.yaml PROGRAM >PAGE
#   the programs    from PROGRAM --help and PROGRAM COMMAND --help
#   weir.yaml       from PROGRAM check --keys (PROGRAM is weir)
set -euo pipefail
[ $# -eq 2 ] || { sed -n '4,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
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
  [ "$1" = weir-etl ] && { see_also "$3"; return; }  # it reads what it is given
  echo '.SH FILES'
  printf '.TP\n.I /etc/weir/weir.yaml\nThe configuration of the service.\n'
  printf '.TP\n.I /etc/default/weir\nVariables of its environment, such as NATS_URL (not there by itself).\n'
  printf '.TP\n.I /run/weir/control.sock\nThe control socket.\n'
  printf '.TP\n.I /var/lib/weir\nWhat survives a restart.\n'
  see_also "$3"
}

keys_page() {
  printf '.TH WEIR.YAML 5 "" "Weir %s" "Weir"\n' "$version"
  cat <<'TROFF'
.SH NAME
weir.yaml \- configuration of the flow collector weir
.SH DESCRIPTION
YAML, so JSON too.
.B weir check \-c FILE
says whether a file is right, what this machine lacks, and where each value comes from.
A variable in the environment wins over the file.
.PP
.I listeners[].port
is the key
.I port
of each object in the list
.IR listeners .
.SH KEYS
TROFF
  "$program" check --keys | awk "$escape"'
    /^\| `/ {
      gsub(/\\\|/, "\x01"); n = split($0, cell, / *\| */)
      for (i = 1; i <= n; i++) { gsub("\x01", "|", cell[i]); gsub(/`/, "", cell[i]) }
      print ".TP\n\\fB" escape(cell[2]) "\\fR"; print escape(cell[6])
      print ".br\nAllowed: " escape(cell[3]) (cell[4] == "" ? "" : ". Default: \\fI" escape(cell[4]) "\\fR") \
            (cell[5] == "" ? "" : ". Environment: " escape(cell[5])) "." }'
  see_also '\fBweir\fR(1)'
}

case "$page" in
  weir) program_page weir 'take NetFlow, IPFIX and sFlow, and hand every flow on, counted' '\fBweirctl\fR(1), \fBweir.yaml\fR(5)' ;;
  weirctl) program_page weirctl 'ask a running weir what goes on' '\fBweir\fR(1), \fBweir.yaml\fR(5)' ;;
  weir-etl) program_page weir-etl 'say what rules do with flows' '\fBweir\fR(1)' ;;
  weir.yaml) keys_page ;;
  *) sed -n '4,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

# Completion of weir and weirctl for bash. Commands and options are those that --help prints, so that nothing here
# has to be written again.

# What the help of "$@" lists: options, or with `commands` the subcommands.
_weir_help() {
  local what=$1
  shift
  "$@" --help 2>/dev/null | awk -v what="$what" '
    /^[A-Z][a-z]+:$/ { section = $1; next }
    /^$/             { section = ""; next }
    what == "commands" && section == "Subcommands:" && /^  [a-z]/ { print $1 }
    what == "options" && section == "Options:" && /^  -/ {
      n = split($1, names, ",")
      for (i = 1; i <= n; ++i) if (names[i] ~ /^--/) print names[i]
    }'
}

# Addresses of exporters, as the appliance that "$@" asks knows them.
_weir_exporters() { "$@" --json exporters 2>/dev/null | sed -n 's/^ *"address": "\(.*\)",\{0,1\}$/\1/p'; }

_weir_listeners() { "$@" --json listeners 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",\{0,1\}$/\1/p'; }
# Reasons of what lies in quarantine just now.
_weir_reasons() { "$@" --json quarantine 2>/dev/null | sed -n 's/^ *"reason": "\(.*\)",\{0,1\}$/\1/p'; }

_weir() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands command='' socket=() word i
  COMPREPLY=()
  commands=$(_weir_help commands "$program")
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    [ "$word" = --socket ] && socket=(--socket "${COMP_WORDS[i + 1]}")
    if [ -z "$command" ] && grep -qxF -- "$word" <<<"$commands"; then command=$word; fi
  done

  case $previous in
    -c | --config | --environment | --pcap | --socket | --raw | -w | --write | --api | --ca | --cert | --key)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    --format)
      if [[ $program == *weirctl ]]; then
        mapfile -t COMPREPLY < <(compgen -W "table json ndjson csv parquet" -- "$current")
        return
      fi ;;
    --chart)
      mapfile -t COMPREPLY < <(compgen -W "auto on off" -- "$current")
      return ;;
    --type)
      mapfile -t COMPREPLY < <(compgen -W 'netflow_v1 netflow_v5 netflow_v7 netflow_v9 ipfix sflow_5' -- "$current")
      return ;;
    --only)
      mapfile -t COMPREPLY < <(compgen -W 'all rejected templates' -- "$current")
      return ;;
    --exporter)
      mapfile -t COMPREPLY < <(compgen -W "$(_weir_exporters "$program" "${socket[@]}")" -- "$current")
      return ;;
    --listener)
      mapfile -t COMPREPLY < <(compgen -W "$(_weir_listeners "$program" "${socket[@]}")" -- "$current")
      return ;;
    --reason)
      mapfile -t COMPREPLY < <(compgen -W "$(_weir_reasons "$program" "${socket[@]}")" -- "$current" | sort -u)
      return ;;
  esac
  local words=''
  if [ -z "$command" ]; then
    words=$commands
  elif [[ $current != -* ]]; then
    case $program/$command in
      *weirctl/exporters) words=$(_weir_exporters "$program" "${socket[@]}") ;;
      *weirctl/log-level) words='trace debug info warning error' ;;
      *weir/decode | *weir/check | *weir/run)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return ;;
    esac
  fi
  if [[ $current == -* || -z $words ]]; then
    words+=" $(_weir_help options "$program" ${command:+"$command"})"
    # What goes before a command goes behind it too.
    [ -n "$command" ] && words+=" $(_weir_help options "$program")"
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current" | sort -u)
}
complete -o filenames -F _weir weir weirctl weir-etl weir-api weir-store

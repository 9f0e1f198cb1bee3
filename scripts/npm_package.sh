# shellcheck shell=bash
# npm_package.sh — To be sourced: packages from npm at one version, by checksum.
#
# npm_is_there WHO              installs Debian's npm, which brings Node, where it is not; ends with status 1 where it cannot be
# npm_package WHO PACKAGE SHA256 FOLDER
#                               prints the archive's path, in FOLDER; ends with status 1, saying why, where it cannot be had or is another
npm_is_there() {
  command -v npm >/dev/null && command -v node >/dev/null && return
  if [ "$(id -u)" -ne 0 ] || ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends npm; } >/dev/null 2>&1; then
    echo "$1: npm is not installed, and could not be" >&2
    exit 1
  fi
}

npm_package() {
  local who=$1 package=$2 sha256=$3 folder=$4 name
  name=$(cd "$folder" && timeout 300 npm pack --silent "$package" 2>"$folder/npm.log" | tail -1) || true
  if [ -z "$name" ] || [ ! -f "$folder/$name" ]; then
    echo "$who: $package cannot be fetched: $(tail -1 "$folder/npm.log")" >&2
    exit 1
  fi
  if ! echo "$sha256  $folder/$name" | sha256sum --check --status; then
    echo "$who: $package is not what it was: its SHA-256 is $(sha256sum "$folder/$name" | cut -d' ' -f1), $sha256 was expected" >&2
    exit 1
  fi
  echo "$folder/$name"
}

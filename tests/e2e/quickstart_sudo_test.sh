#!/usr/bin/env bash
# Who is not root may call the quickstart from any folder: what it gives to sudo is there.
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
nobody=()
[ "$(id -u)" -eq 0 ] && nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if ! "${nobody[@]}" test -x "$root/scripts/quickstart.sh"; then
  echo "who is not root cannot read this checkout"
  exit 77
fi
# It starts nothing.
cat >"$folder/sudo" <<'SUDO'
#!/bin/sh
[ "$1" = -- ] && shift
[ -x "$1" ] && [ "$2" = --exit ] && echo "can start $1"
SUDO
chmod -R a+rx "$folder"
for call in "$root: scripts/quickstart.sh" "$root/scripts: ./quickstart.sh" "/: ${root#/}/scripts/quickstart.sh"; do
  cd "${call%%: *}" || exit 1
  "${nobody[@]}" env PATH="$folder:$PATH" "${call#*: }" --exit || { echo "in ${call%%: *}: ${call#*: } failed"; exit 1; }
done

#!/usr/bin/env bash
# unit_test.sh — The systemd unit and its drop-ins: systemd understands them, and what they leave open is bounded.
#
# usage: unit_test.sh BUILD
set -uo pipefail
build=$(readlink -f "$1")
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source-path=SCRIPTDIR
. tests/deploy/tap.sh

if ! command -v systemd-analyze >/dev/null; then
  skip "the unit is verified" "systemd is not installed"
  done_testing
  exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed "s#/usr/bin/weir#$build/weir#" deploy/systemd/weir.service >"$dir/weir.service"

# verify warns, with status 0, of keys that it does not know: it must have nothing to say.
verifies() {
  local said status=0
  said=$(systemd-analyze verify --man=no "$dir/weir.service" 2>&1) || status=$?
  [ "$status" -eq 0 ] && ! grep -q "$dir" <<<"$said" || { echo "$said"; return 1; }
}
# exposure AT_MOST: in tenths, of 100.
exposure() { systemd-analyze security --offline=true --no-pager --threshold="$1" "$dir/weir.service" | tail -1; }

# Of the other programs, which need no device: no drop-ins.
other_verifies() { # SERVICE
  local said
  sed "s#/usr/bin/$1#$build/$1#; s#/usr/bin/weirctl#$build/weirctl#" "deploy/systemd/$1.service" >"$dir/$1.service"
  said=$(systemd-analyze verify --man=no "$dir/$1.service" 2>&1) && ! grep -q "$dir" <<<"$said" || { echo "$said"; return 1; }
}
services="weir-etl weir-api"
[ ! -x "$build/weir-store" ] || services="$services weir-store"  # it is built where DuckDB's library is
for service in $services; do
  check "$service.service: verified" other_verifies "$service"
  check "$service.service: exposure of at most 1.8" systemd-analyze security --offline=true --no-pager --threshold=18 "$dir/$service.service"
done
check "weir.service: verified" verifies
check "weir.service: exposure of at most 2.0" exposure 20
for drop_in in "af-packet 25" "pcap 25" "replicate 25" "tap 25" "af-xdp 33" "physical-addresses 35"; do
  name=${drop_in% *} most=${drop_in#* }
  mkdir "$dir/weir.service.d"
  cp "deploy/systemd/$name.conf" "$dir/weir.service.d"
  check "$name.conf: verified" verifies
  check "$name.conf: exposure of at most ${most%?}.${most#?}" exposure "$most"
  rm -r "$dir/weir.service.d"
done
sed -i 's/^ProtectHome=/ProtectHomes=/' "$dir/weir.service"
check "a key that systemd does not know would be noticed" not verifies
shipped=$(grep -c '' <(ls deploy/systemd/*.conf))
check "every drop-in was looked at" test "$shipped" -eq 6
done_testing

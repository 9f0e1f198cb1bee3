#!/usr/bin/env bash
# fetch_promtool.sh — Prometheus' checker of rules, without Prometheus: its package starts a server, so the tool is
# only taken out of it.
#
# usage: scripts/fetch_promtool.sh DIR
#
# Leaves DIR/promtool, unless one is installed or there already. Where the package cannot be had it says so and
# ends with status 1; the test that wants it skips itself then.
set -euo pipefail

dir=$1
command -v promtool >/dev/null && exit 0
[ -x "$dir/promtool" ] && exit 0
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt fetches as a user of its own, who must be able to write there.
chmod 755 "$work"
if ! (cd "$work" && apt-get download -o APT::Sandbox::User=root -qq prometheus >/dev/null 2>&1); then
  echo "promtool: the package prometheus cannot be fetched" >&2
  exit 1
fi
dpkg-deb -x "$work"/prometheus_*.deb "$work/root"
install -m 755 "$work/root/usr/bin/promtool" "$dir/promtool"

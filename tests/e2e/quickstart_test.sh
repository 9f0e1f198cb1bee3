#!/usr/bin/env bash
# The README's first command, as a test: status 0 promises that everything sent was acknowledged.
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
  echo "quickstart needs root for its network namespaces"
  exit 77
fi
exec scripts/quickstart.sh --exit

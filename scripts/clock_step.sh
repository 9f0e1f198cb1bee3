#!/usr/bin/env bash
# clock_step.sh — Set this machine's clock ahead and back under a collector at work: records have the time as it stands, and
# nothing that waits or ages is lost by it.
#
# usage: scripts/clock_step.sh [SECONDS]
#   SECONDS   by how much, more than 4; default 5
#
# Needs root. Whatever else runs here sees the step for a second or two: nothing that compares files by their times should.
# A process of its own puts the clock back should the test be killed.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh build -- weir weirctl tests/clock/test_clock_step >&2
export WEIR_BUILD_ROOT=$PWD/build WEIR_SOURCE_ROOT=$PWD WEIR_CLOCK_STEP="${1:-5}"
build/tests/clock/test_clock_step

#!/usr/bin/env bash
# test_image.sh — Build the container image's root, run it as deploy/compose.yaml's collector does, and send it flows.
#
# usage: scripts/test_image.sh [--package FILE] [--chroot]
#   --package  as of deploy/docker/build_root.sh
#   --chroot   without podman, in a chroot: what is done by itself where podman is not or cannot run
# Needs root, debootstrap, Debian's mirror; podman. Its network is one of its own. Says what it found as TAP.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# Everything happens where no other network, mount or cgroup is.
if [ -z "${WEIR_IMAGE_TEST:-}" ]; then
  [ "$(id -u)" -eq 0 ] || { echo "test_image: be root" >&2; exit 1; }
  work=$(mktemp -d /tmp/weir-image.XXXXXX)
  trap 'rm -rf --one-file-system "$work"' EXIT
  package=() chroot=''
  while [ $# -gt 0 ]; do
    case "$1" in
      --package) package=(--package "${2:?}"); shift 2 ;;
      --chroot) chroot=yes; shift ;;
      *) sed -n '4,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
  done
  cp -r deploy/docker "$work/context"
  rm -rf "$work/context/root"
  deploy/docker/build_root.sh "${package[@]}" "$work/context/root" | sed 's/^/# /' || exit 1
  WEIR_IMAGE_TEST=$work WEIR_CHROOT=$chroot unshare --mount --net --pid --fork --mount-proc scripts/test_image.sh
  exit
fi

# shellcheck source-path=SCRIPTDIR source=../tests/deploy/tap.sh
. tests/deploy/tap.sh
work=$WEIR_IMAGE_TEST root=$WEIR_IMAGE_TEST/context/root
ip link set lo up
export XDG_RUNTIME_DIR=$work/run TMPDIR=$work/tmp
mkdir -p "$work/run" "$work/tmp"

# crun wants version 2 of cgroups and nothing beside it, and limits that are not above those of this machine.
mount -t tmpfs none /run
umount -R /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup
engine() {
  podman --root "$work/storage" --runroot "$work/runroot" --storage-driver vfs --cgroup-manager cgroupfs "$@"
}
run_options=(--cgroups=disabled --network host --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit "nproc=$(ulimit -Hu | sed s/unlimited/65536/)"
  --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /run/weir:mode=0777)
collector=(run --listen netflow://:2055 --listen sflow://:6343 --format json)

check "nothing in the image is setuid" test -z "$(find "$root" -xdev -type f -perm /6000)"
check "no packages' lists, no manual pages" test ! -e "$root/usr/share/man/man1/weir.1.gz"

use_chroot=${WEIR_CHROOT:-}
if [ -z "$use_chroot" ]; then
  if ! command -v podman >/dev/null; then
    use_chroot=yes
    skip "podman runs it" "podman is not installed; by chroot instead"
  elif ! engine run "${run_options[@]}" --rm --rootfs "$root" /bin/true >"$work/podman.log" 2>&1; then
    use_chroot=yes
    skip "podman runs it" "$(tail -1 "$work/podman.log" | cut -c1-120); by chroot instead"
  fi
fi

flows() { grep -c NETFLOW_V5 "$work/flows" 2>/dev/null; }
arrive() {
  for _ in $(seq 100); do refresh; [ "$(flows)" -lt 15 ] || return 0; sleep 0.1; done
  echo "$(flows) of 15 flows"; cat "$work/flows" "$work/log"
  return 1
}
bound() { for _ in $(seq 100); do ss -Hln --udp sport = :2055 | grep -q . && return 0; sleep 0.1; done; cat "$work/log"; return 1; }

if [ -z "$use_chroot" ]; then
  # docker build would say the same.
  check "the image is built of the Dockerfile" engine build --isolation chroot -t weir "$work/context"
  refresh() { engine logs collector >"$work/flows" 2>"$work/log"; }
  check "it runs, as the compose file's collector" engine run -d --name collector "${run_options[@]}" weir "${collector[@]}"
  check "it listens" bound
  check "as user 10001" says 10001 engine exec collector /usr/bin/id -u
  check "without a capability" says "CapEff:	0000000000000000" engine exec collector /bin/cat /proc/1/status
  check "flows are sent" engine run --rm "${run_options[@]}" weir generate --to 127.0.0.1:2055 --protocol v5 --count 5 --flows 3
  check "logs | grep -c NETFLOW_V5: 15" arrive
  check "it stops when it is told to" engine stop -t 20 collector
  check "with status 0" says 0 engine inspect --format '{{.State.ExitCode}}' collector
  engine rm -f collector >/dev/null 2>&1
else
  as_weir=(chroot "$root" setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set -all --no-new-privs)
  mount -t proc none "$root/proc"
  mount -t tmpfs none "$root/dev"
  for d in null zero urandom; do touch "$root/dev/$d"; mount --bind /dev/$d "$root/dev/$d"; done
  refresh() { :; }
  "${as_weir[@]}" /usr/bin/weir "${collector[@]}" >"$work/flows" 2>"$work/log" &
  pid=$!
  check "it listens" bound
  check "as user 10001" says 10001 sh -c "grep ^Uid /proc/$pid/status"
  check "without a capability" says "CapEff:	0000000000000000" cat "/proc/$pid/status"
  check "flows are sent" "${as_weir[@]}" /usr/bin/weir generate --to 127.0.0.1:2055 --protocol v5 --count 5 --flows 3
  check "logs | grep -c NETFLOW_V5: 15" arrive
  kill -TERM "$pid"
  stopped=1
  wait "$pid" && stopped=0
  check "it stops with status 0" test "$stopped" -eq 0
fi
done_testing
exit "$tap_failed"

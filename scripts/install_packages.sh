#!/usr/bin/env bash
# install_packages.sh — Install the Debian packages that a task needs; at once when they are there.
#
# usage: scripts/install_packages.sh build|quickstart|test …
set -euo pipefail

# What the sources need to be compiled.
build_packages=(
  build-essential meson ninja-build pkg-config ccache git ca-certificates
  libdpdk-dev libbpf-dev libpcap-dev libprotobuf-dev protobuf-compiler libnats-dev libyaml-cpp-dev
  libspdlog-dev libfmt-dev prometheus-cpp-dev libboost-dev libcurl4-openssl-dev librdkafka-dev nlohmann-json3-dev
  libcli11-dev libgtest-dev libgmock-dev libbenchmark-dev zlib1g-dev libssl-dev
  liblz4-dev libzstd-dev libmaxminddb-dev
)
# What patterns are compiled and scanned with, by the CPU; without it rules have none.
case "$(dpkg --print-architecture)" in
  amd64) build_packages+=(libhyperscan-dev) ;;
  arm64 | ppc64el) build_packages+=(libvectorscan-dev) ;;
esac
# A broker, a real exporter, and what makes traffic for it.
quickstart_packages=(nats-server softflowd tcpdump iproute2 netcat-openbsd iputils-ping jq curl)
# What the tests compare with, and the compiler of the fuzzers.
test_packages=(pmacct bind9-dnsutils openssh-client clang llvm libclang-rt-14-dev tshark nats-server iproute2 jq curl shellcheck systemd man-db libxml2-utils nfdump tmux)

wanted=()
for set_name in "$@"; do
  case "$set_name" in
    build) wanted+=("${build_packages[@]}") ;;
    quickstart) wanted+=("${quickstart_packages[@]}") ;;
    test) wanted+=("${test_packages[@]}") ;;
    *) echo "usage: $0 build|quickstart|test …" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "need root or sudo to install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
# A package list that is old or absent is the usual cause of a failure, so it is fetched first.
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

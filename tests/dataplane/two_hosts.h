// two_hosts.h — A wire between two network namespaces: the test's own, in which the collector runs, and another, which
// is an exporter's. Needs root, ip(8) and nsenter(1).
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "support.h"

namespace weir::dataplane::testing {

/// `port` is here and has no address; `exporter` is there, 192.0.2.1 and 2001:db8::1.
class TwoHosts {
 public:
  /// In a process of its own, with so many queues each way. False: the kernel does not do it.
  bool lay(unsigned queues = 1) {
    if (unshare(CLONE_NEWNET) != 0) return false;
    int ready[2];
    if (pipe(ready) != 0) return false;
    const pid_t us = getpid();
    keeper_ = fork();
    if (keeper_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // an alarm ends a test without destructors
      if (getppid() != us) _exit(1);
      const char done = unshare(CLONE_NEWNET) == 0 ? 1 : 0;
      [[maybe_unused]] const ssize_t n = write(ready[1], &done, 1);
      close(ready[1]);
      for (;;) pause();
    }
    char done = 0;
    const bool is_there = read(ready[0], &done, 1) == 1 && done == 1;
    close(ready[0]);
    close(ready[1]);
    const std::string pid = std::to_string(keeper_);
    return is_there &&
           here("ip link add port" + of(queues) + " type veth peer name exporter" + of(queues)) &&
           here("ip link set exporter netns " + pid) && here("ip link set port up") && there("ip link set lo up") &&
           there("ip link set exporter up") && there("ip addr add 192.0.2.1/24 dev exporter") &&
           there("ip addr add 2001:db8::1/64 dev exporter nodad") &&
           open_sender() && leave_checksums_to_nobody();
  }
  ~TwoHosts() {
    if (fd_ >= 0) close(fd_);
    if (keeper_ <= 0) return;
    kill(keeper_, SIGKILL);
    waitpid(keeper_, nullptr, 0);
  }

  static bool here(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }
  bool there(const std::string& command) const {
    return here("nsenter -t " + std::to_string(keeper_) + " -n " + command);
  }

  /// A socket of the other side's; -1: the kernel does not do it.
  int socket_there(int domain, int type, int protocol) const {
    const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const int away = open(("/proc/" + std::to_string(keeper_) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
    int fd = -1;
    if (home >= 0 && away >= 0 && setns(away, CLONE_NEWNET) == 0) {
      fd = socket(domain, type | SOCK_CLOEXEC, protocol);
      if (setns(home, CLONE_NEWNET) != 0) std::abort();
    }
    close(home);
    close(away);
    return fd;
  }

  /// To 2001:db8::2; send is to 192.0.2.2.
  bool send6(const lab::Octets& payload, uint16_t port) const {
    const int fd = socket_there(AF_INET6, SOCK_DGRAM, 0);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    inet_pton(AF_INET6, "2001:db8::2", &to.sin6_addr);
    const ssize_t sent = sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    close(fd);
    return sent == static_cast<ssize_t>(payload.size());
  }
  bool send(const lab::Octets& payload, uint16_t port = kNetflowPort) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
    return sendto(fd_, payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) ==
           static_cast<ssize_t>(payload.size());
  }

 private:
  static std::string of(unsigned queues) {
    const std::string n = std::to_string(queues);
    return " numrxqueues " + n + " numtxqueues " + n;
  }
  bool open_sender() {
    fd_ = socket_there(AF_INET, SOCK_DGRAM, 0);
    const int octets = 8 << 20;
    return fd_ >= 0 && setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets) == 0;
  }
  /// A wire of copper would not carry what the sender left for a NIC to do.
  bool leave_checksums_to_nobody() const {
    ethtool_value off{.cmd = ETHTOOL_STXCSUM, .data = 0};
    ifreq request{};
    std::strcpy(request.ifr_name, "exporter");
    request.ifr_data = reinterpret_cast<char*>(&off);
    return ioctl(fd_, SIOCETHTOOL, &request) == 0;
  }

  pid_t keeper_ = -1;
  int fd_ = -1;
};

/// Frames of the other side's as they are, from whomever, onto the wire.
class RawSender {
 public:
  explicit RawSender(const TwoHosts& hosts) : fd_(hosts.socket_there(AF_PACKET, SOCK_RAW, 0)) {
    to_.sll_family = AF_PACKET;
    to_.sll_halen = 6;
    ifreq request{};
    std::strcpy(request.ifr_name, "exporter");
    if (ioctl(fd_, SIOCGIFINDEX, &request) == 0) to_.sll_ifindex = request.ifr_ifindex;
  }
  ~RawSender() { close(fd_); }
  bool send(const lab::Octets& frame) const {
    return sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) ==
           static_cast<ssize_t>(frame.size());
  }

 private:
  int fd_;
  sockaddr_ll to_{};
};

/// A socket of the kernel's at that port, of IPv4 and IPv6; how many datagrams it has had.
class KernelSocket {
 public:
  explicit KernelSocket(uint16_t port) : fd_(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_port = htons(port);
    const int octets = 4 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  }
  ~KernelSocket() { close(fd_); }
  KernelSocket(const KernelSocket&) = delete;
  KernelSocket& operator=(const KernelSocket&) = delete;
  uint64_t received() {
    char octet;
    for (ssize_t octets; (octets = recv(fd_, &octet, 1, MSG_TRUNC)) >= 0; octets_ += static_cast<uint64_t>(octets)) ++received_;
    return received_;
  }
  /// Of payload, in what received() has counted.
  uint64_t octets() const { return octets_; }

 private:
  int fd_;
  uint64_t received_ = 0;
  uint64_t octets_ = 0;
};

/// Sends export datagrams from another thread, never more ahead of what the collector has taken than a veth holds
/// (256 frames, others' among them): what is missing afterwards was lost by us, however slow this machine is.
class ExportStream {
 public:
  static constexpr uint64_t kAheadMax = 64;

  ExportStream(const TwoHosts& hosts, DataPlane& plane) : hosts_(hosts), plane_(plane), thread_([this] { run(); }) {}
  ~ExportStream() { stop(); }
  /// How many datagrams it has sent.
  uint64_t stop() {
    is_stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return sent_;
  }
  uint64_t sent() const { return sent_; }

 private:
  void run() {
    const lab::Octets payload = v5_datagram(1);
    while (!is_stopping_) {
      if (sent_ - datagrams(plane_) < kAheadMax && hosts_.send(payload)) {
        ++sent_;
      } else {
        std::this_thread::yield();
      }
    }
  }

  const TwoHosts& hosts_;
  DataPlane& plane_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> sent_{0};
  std::thread thread_;
};

#define SKIP_WITHOUT_ROOT()   \
  if (!can_make_namespaces()) \
  GTEST_SKIP() << "needs root and ip(8): network namespaces, a veth pair, a TAP"

/// A v9 datagram of so many records that it comes in fragments, and decodes only if all of it is there.
inline lab::Octets long_export(size_t records) {
  return lab::NetflowV9Builder{}
      .unix_secs(1'700'000'000)
      .templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}}})
      .data(256, std::vector<lab::Record>(records, {lab::ipv4("192.0.2.1"), lab::ipv4("198.51.100.2"), lab::u32(1500)}))
      .build();
}

/// Receives at `port` by net_af_xdp.
inline DataPlaneConfig xdp_collector() {
  DataPlaneConfig config;
  config.eal.memory_mb = 256;
  config.eal.log = [](EalLogLevel, std::string_view) {};
  config.dpdk_ports.push_back({.name = "wire", .device = "net_af_xdp0,iface=port"});
  config.pipeline = netflow_pipeline();
  config.pipeline.batcher.buffers = 256;
  return config;
}

/// Null, and a failure, where it does not start.
inline std::unique_ptr<DataPlane> started(const DataPlaneConfig& config) {
  const RoleScope role(control_thread);
  Result<std::unique_ptr<DataPlane>> plane = DataPlane::create(config);
  EXPECT_TRUE(plane) << plane.error().message;
  if (!plane) return nullptr;
  const Result<void> started = (*plane)->start();
  EXPECT_TRUE(started) << started.error().message;
  return started ? std::move(*plane) : nullptr;
}

/// Of the first port.
inline PortStats stats(DataPlane& plane) {
  const RoleScope role(control_thread);
  return plane.port_stats().at(0);
}

}  // namespace weir::dataplane::testing

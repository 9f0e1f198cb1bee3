// tcp_port.h — A port of IPFIX over TCP on the loopback, and exporters that connect to it.
#pragma once

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "standing_clock.h"
#include "support.h"

namespace weir::dataplane::testing {

inline const lab::Template kTwoFields{.id = 256, .fields = {{8, 4}, {1, 4}}};
inline const lab::Template kThreeFields{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}};

inline lab::Octets definition(const lab::Template& t = kTwoFields) {
  return lab::IpfixBuilder{}.export_time(1'700'000'000).templates({t}).build();
}
inline lab::Octets data(size_t records, uint32_t sequence = 0) {
  return lab::IpfixBuilder{}
      .export_time(1'700'000'000)
      .sequence(sequence)
      .data(256, std::vector<lab::Record>(records, {lab::u32(1), lab::u32(100)}))
      .build();
}
inline lab::Octets joined(const std::vector<lab::Octets>& messages) {
  lab::Octets all;
  for (const lab::Octets& message : messages) lab::append(all, message);
  return all;
}

/// An exporter's connection from an address of the loopback's network.
class Connection {
 public:
  explicit Connection(uint16_t port, const std::string& from = "127.0.0.1") : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_open_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  Connection(Connection&& other) noexcept : fd_(std::exchange(other.fd_, -1)), is_open_(other.is_open_) {}
  ~Connection() { end(); }

  bool is_open() const { return is_open_; }
  bool send(std::span<const uint8_t> octets) const {
    for (size_t at = 0; at < octets.size();) {
      const ssize_t count = ::send(fd_, octets.data() + at, octets.size() - at, MSG_NOSIGNAL);
      if (count <= 0) return false;
      at += static_cast<size_t>(count);
    }
    return true;
  }
  /// True only if the kernel takes all of it at once, without somebody who reads.
  bool leave(std::span<const uint8_t> octets) const {
    return ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(octets.size());
  }
  void end() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  /// As much as the kernel takes at once.
  size_t send_some(std::span<const uint8_t> octets) const {
    const ssize_t count = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return count > 0 ? static_cast<size_t>(count) : 0;
  }
  /// What it sent lies where the collector reads, or was read.
  bool is_delivered() const {
    int left = 0;
    return ioctl(fd_, SIOCOUTQ, &left) == 0 && left == 0;
  }
  /// The collector has closed it, or does so before patience ends.
  bool is_closed() const { return is_closed_within(20'000); }
  bool is_closed_by_now() const { return is_closed_within(0); }

 private:
  bool is_closed_within(int ms) const {
    pollfd fd{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&fd, 1, ms) <= 0) return false;
    char octet;
    return recv(fd_, &octet, 1, MSG_DONTWAIT) <= 0;
  }

  int fd_;
  bool is_open_ = false;
};

class TcpPort : public ::testing::Test {
 protected:
  void make(uint16_t threads = 1) {
    lay(threads);
    begin();
  }
  /// The kernel takes connections and what they say; nobody reads yet.
  void lay(uint16_t threads = 1) {
    const RoleScope role(control_thread);
    config_.socket_threads = threads;
    config_.socket_ports = {{.name = "udp", .address = *IpAddress::parse("127.0.0.1"), .listener = {0}},
                            {.name = "tcp",
                             .address = *IpAddress::parse("127.0.0.1"),
                             .listener = {0},
                             .transport = Transport::tcp}};
    Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config_);
    ASSERT_TRUE(made) << made.error().message;
    plane_ = std::move(*made);
    for (size_t i : {0u, 1u}) config_.socket_ports[i].port = port_of(i);
  }
  void begin() {
    const RoleScope role(control_thread);
    const Result<void> started = plane_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  PortStats stats(size_t index = 1) {
    const RoleScope role(control_thread);
    return plane_->port_stats().at(index);
  }
  TcpStats tcp() { return *stats().tcp; }
  uint16_t port_of(size_t index) {
    const std::string device = stats(index).device;
    return static_cast<uint16_t>(std::stoul(device.substr(device.rfind(':') + 1)));
  }
  uint16_t tcp_port() const { return config_.socket_ports[1].port; }
  uint16_t udp_port() const { return config_.socket_ports[0].port; }
  bool wait(const std::function<bool()>& done) { return run_until(*plane_, collected_, done); }
  bool wait_for_messages(uint64_t count) {
    return wait([&] { return datagrams(*plane_) >= count; });
  }
  bool wait_for_delivery(const Connection& exporter) {
    return wait([&] { return exporter.is_delivered(); });
  }
  bool wait_for_end(TcpEnd how, uint64_t count = 1) {
    return wait([&] { return tcp().ended[how] >= count; });
  }
  uint64_t error(decode::DatagramError e) {
    return sum(*plane_, [e](Pipeline& p) { return p.decoder_counters().datagram_errors[e].value(); });
  }
  void stop_all() {
    stop(*plane_, collected_);
    expect_ledger(*plane_);
    for (size_t core = 0; core < plane_->cores().size(); ++core)
      EXPECT_THAT(plane_->pipeline(core).ledger().discrepancies(), ::testing::IsEmpty());
    EXPECT_EQ(tcp().sessions, 0u);
    EXPECT_EQ(tcp().opened, tcp().ended.total());
  }
  /// Time stands from here on, but for go_on.
  void make_beside_time() {
    clock_.emplace();
    config_.idle = IdlePolicy::poll;  // so that it looks at the time all the time
    make();
  }
  /// In steps that nobody takes for having been held up. The thread has looked at the sessions after each.
  void go_on(uint64_t ns) {
    const PipelineCounters& counters = plane_->pipeline(0).counters();
    const auto turns = [&] { return counters.bursts.value() + counters.empty_polls.value(); };
    for (uint64_t step_ns = 0; ns != 0; ns -= step_ns) {
      clock_->pass(step_ns = std::min(ns, kNsPerSec / 2));
      // One may be under way, and the next has the time of that one's end.
      const uint64_t before = turns();
      ASSERT_TRUE(wait([&] { return turns() >= before + 3; }));
    }
  }
  void change() {
    const RoleScope role(control_thread);
    const Result<void> changed = plane_->change(config_);
    ASSERT_TRUE(changed) << changed.error().message;
    ASSERT_TRUE(wait([&] {
      const RoleScope inner(control_thread);
      return plane_->settle_change();
    }));
  }

  static DataPlaneConfig base() {
    DataPlaneConfig config;
    config.pipeline = netflow_pipeline();
    config.pipeline.decoder.hash_seed = 0x1234'5678'9abc'def0;
    return config;
  }
  std::optional<StandingClock> clock_;  // the true one while there is none
  DataPlaneConfig config_ = base();
  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
};

}  // namespace weir::dataplane::testing

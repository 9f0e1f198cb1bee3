// The appliance's own address under load: neighbours and pings are answered while a hundred thousand datagrams of export a second arrive by the
// same device, and none of them is lost. Over a veth pair into another network namespace. Needs root.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "two_hosts.h"

namespace weir::dataplane::testing {
namespace {

constexpr uint64_t kRate = 100'000;  // datagrams a second, of 30 records
constexpr uint64_t kPacedRate = kRate + kRate / 10;
constexpr uint64_t kLeastNs = kNsPerSec;
constexpr size_t kTogether = 16;
constexpr int kTries = 10;  // others may want this machine's CPUs, too

/// Sends at a rate until it is told to stop.
class PacedStream {
 public:
  explicit PacedStream(const TwoHosts& hosts) : fd_(hosts.socket_there(AF_INET, SOCK_DGRAM, 0)), payload_(v5_datagram(30)) {
    const int octets = 8 << 20;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kNetflowPort);
    inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
    EXPECT_EQ(setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets), 0);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    for (size_t i = 0; i < kTogether; ++i) {
      parts_[i] = {.iov_base = payload_.data(), .iov_len = payload_.size()};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    thread_ = std::thread([this] { run(); });
  }
  ~PacedStream() {
    stop();
    close(fd_);
  }
  uint64_t stop() {
    is_stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return sent_;
  }
  /// Once stopped.
  uint64_t rate() const { return sent_ * kNsPerSec / elapsed_ns_; }

 private:
  void run() {
    const uint64_t begin_ns = steady_clock_ns();
    while (!is_stopping_ || elapsed_ns_ < kLeastNs) {
      elapsed_ns_ = steady_clock_ns() - begin_ns;
      const uint64_t due = elapsed_ns_ * kPacedRate / kNsPerSec;
      if (due < sent_ + kTogether) {
        usleep(50);
        continue;
      }
      const int sent = sendmmsg(fd_, messages_.data(), kTogether, 0);
      sent_ += static_cast<uint64_t>(std::max(sent, 0));
    }
  }

  const int fd_;
  lab::Octets payload_;
  std::array<iovec, kTogether> parts_{};
  std::array<mmsghdr, kTogether> messages_{};
  std::atomic<bool> is_stopping_{false};
  uint64_t sent_ = 0, elapsed_ns_ = 1;
  std::thread thread_;
};

/// What one try came to.
struct Try {
  uint64_t rate = 0, sent = 0, received = 0;
  bool are_answered = false;
  bool is_right() const { return rate >= kRate && sent == received && are_answered; }
};

Try answer_under_load(const TwoHosts& hosts, DataPlane& plane, Collected& collected) {
  // Addresses that the other side has yet to find, by ARP and by neighbour discovery.
  hosts.there("ip neigh flush to 192.0.2.3");
  hosts.there("ip -6 neigh flush to 2001:db8::3");
  Try made;
  const uint64_t before = datagrams(plane);
  PacedStream exports(hosts);
  std::atomic<bool> is_over{false};
  std::thread pings([&] {
    made.are_answered = hosts.there("ping -n -c10 -i0.05 -W1 192.0.2.3") && hosts.there("ping -n -c10 -i0.05 -W1 2001:db8::3");
    made.sent = exports.stop();
    is_over = true;
  });
  EXPECT_TRUE(run_until(plane, collected, [&] { return is_over.load(); }));
  pings.join();
  made.rate = exports.rate();
  const uint64_t give_up_ns = steady_clock_ns() + kNsPerSec;
  run_until(plane, collected, [&] { return datagrams(plane) - before == made.sent || steady_clock_ns() > give_up_ns; });
  made.received = datagrams(plane) - before;
  return made;
}

TEST(ExceptionLoad, AnswersWhileAHundredThousandDatagramsASecondArriveAndLosesNone) {
  SKIP_WITHOUT_ROOT();
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "three million records a second are too many with sanitizers";
#endif
  in_child([] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    DataPlaneConfig config = xdp_collector();
    config.pipeline.batcher.buffers = 1024;
    config.dpdk_ports[0].rx_descriptors = 2048;
    config.dpdk_ports[0].exception = {.interface = "weir0",
                                      .addresses = {{*IpAddress::parse("192.0.2.2"), 24},
                                                    {*IpAddress::parse("192.0.2.3"), 24},
                                                    {*IpAddress::parse("2001:db8::3"), 64}}};
    auto plane = started(config);
    ASSERT_NE(plane, nullptr);
    Collected collected;
    for (const char* command : {"ping -n -c1 -W1 192.0.2.2", "ping -n -c1 -W1 2001:db8::3"})
      ASSERT_TRUE(run_until(*plane, collected, [&] { return hosts.there(command); }));
    std::string said;  // what each try came to
    bool is_right = false;
    for (int i = 0; i < kTries && !is_right; ++i) {
      const Try made = answer_under_load(hosts, *plane, collected);
      said += fmt::format("{} a second: {} of {} arrived, pings {}\n", made.rate, made.received, made.sent,
                          made.are_answered ? "answered" : "not answered");
      is_right = made.is_right();
    }
    EXPECT_TRUE(is_right) << said;
    stop(*plane, collected);
    EXPECT_EQ(collected.records, datagrams(*plane) * 30);
    expect_ledger(*plane);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing

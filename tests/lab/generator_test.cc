// Exporters at work: what reaches a socket and a capture is what the report says.
#include "lab/generator.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "base/byte_order.h"
#include "base/clock.h"
#include "lab/capture_file.h"

namespace weir::lab {
namespace {

using testing::HasSubstr;

const std::atomic<bool> kNeverStop{false};
constexpr uint64_t kStart = 1'700'000'000 * kNsPerSec;

/// A UDP socket on a free port of 127.0.0.1 that remembers what came.
class Receiver {
 public:
  Receiver() : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    socklen_t length = sizeof any;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&any), &length);
    port_ = ntohs(any.sin_port);
    const int room = 8 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  ~Receiver() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  struct Got {
    size_t datagrams = 0;
    size_t octets = 0;
    std::set<uint32_t> sources;
  };
  Got drain() {
    Got got;
    uint8_t octets[65536];
    sockaddr_in from{};
    socklen_t length = sizeof from;
    for (;;) {
      const ssize_t n = recvfrom(fd_, octets, sizeof octets, MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 0) return got;
      ++got.datagrams;
      got.octets += static_cast<size_t>(n);
      got.sources.insert(ntohl(from.sin_addr.s_addr));
    }
  }

 private:
  int fd_;
  uint16_t port_ = 0;
};

GeneratorConfig config_of(ExportProtocol protocol, uint64_t count) {
  GeneratorConfig config;
  config.exporter.protocol = protocol;
  config.exporter.flows = 3;
  config.count = count;
  config.rate = 0;
  config.start_ns = kStart;
  return config;
}

TEST(Generator, SendsWhatItSays) {
  for (const auto protocol :
       {ExportProtocol::netflow_v5, ExportProtocol::netflow_v9, ExportProtocol::ipfix}) {
    Receiver receiver;
    uint32_t exporters = 1;
    auto destination = open_udp_destination(receiver.address(), exporters);
    ASSERT_TRUE(destination);
    const GeneratorReport report = generate(config_of(protocol, 100), **destination, kNeverStop);
    const auto got = receiver.drain();
    EXPECT_TRUE(report.complete()) << report.first_error;
    EXPECT_EQ(report.records, 300u);
    EXPECT_EQ(report.template_datagrams, protocol == ExportProtocol::netflow_v5 ? 0u : 1u);
    EXPECT_EQ(report.datagrams, 100 + report.template_datagrams);
    EXPECT_EQ(got.datagrams, report.datagrams);
    EXPECT_EQ(got.octets, report.octets);
  }
}

/// Sessions on a free port of 127.0.0.1, and what came by each.
class SessionReceiver {
 public:
  SessionReceiver() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    socklen_t length = sizeof any;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&any), &length);
    address_ = fmt::format("127.0.0.1:{}", ntohs(any.sin_port));
  }
  ~SessionReceiver() { close(fd_); }
  const std::string& address() const { return address_; }
  int fd() const { return fd_; }
  /// The next session, to its end; who it is from.
  std::string read_one(uint32_t& from_address) const {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const int session = accept(fd_, reinterpret_cast<sockaddr*>(&from), &length);
    from_address = ntohl(from.sin_addr.s_addr);
    std::string all;
    char octets[65536];
    for (ssize_t n; (n = read(session, octets, sizeof octets)) > 0;) all.append(octets, static_cast<size_t>(n));
    close(session);
    return all;
  }

 private:
  int fd_;
  std::string address_;
};

TEST(Generator, SendsMessagesBySessions) {
  const SessionReceiver receiver;
  auto destination = open_session_destination(receiver.address(), 3);
  ASSERT_TRUE(destination) << destination.error().message;
  GeneratorConfig config = config_of(ExportProtocol::ipfix, 90);
  config.exporters = 3;
  const GeneratorReport report = generate(config, **destination, kNeverStop);
  EXPECT_TRUE(report.complete()) << report.first_error;
  EXPECT_EQ(report.records, 270u);
  destination->reset();
  size_t octets = 0, messages = 0;
  std::set<uint32_t> sources;
  for (int i = 0; i < 3; ++i) {
    uint32_t from = 0;
    const std::string all = receiver.read_one(from);
    sources.insert(from);
    octets += all.size();
    for (size_t at = 0; at + 16 <= all.size(); ++messages) {
      const auto* const header = reinterpret_cast<const uint8_t*>(all.data() + at);
      ASSERT_EQ(load_be16(header), 10);
      ASSERT_GE(load_be16(header + 2), 16);
      at += load_be16(header + 2);
    }
  }
  EXPECT_EQ(octets, report.octets);
  EXPECT_EQ(messages, report.datagrams);
  EXPECT_EQ(sources, (std::set<uint32_t>{0x7f010001, 0x7f010002, 0x7f010003}));
}

TEST(Generator, CountsWhatASessionThatEndedDidNotTake) {
  auto receiver = std::make_unique<SessionReceiver>();
  auto destination = open_session_destination(receiver->address(), 1);
  ASSERT_TRUE(destination) << destination.error().message;
  close(accept(receiver->fd(), nullptr, nullptr));
  const GeneratorReport report = generate(config_of(ExportProtocol::ipfix, 1000), **destination, kNeverStop);
  EXPECT_GT(report.failed, 0u);
  EXPECT_THAT(report.first_error, HasSubstr("the session ended"));
  receiver.reset();
  EXPECT_FALSE(open_session_destination("127.0.0.1:1", 1));
}

TEST(Generator, GivesEachExporterAnAddressOnLoopback) {
  Receiver receiver;
  uint32_t exporters = 300;
  auto destination = open_udp_destination(receiver.address(), exporters);
  ASSERT_TRUE(destination);
  EXPECT_EQ(exporters, 300u);
  GeneratorConfig config = config_of(ExportProtocol::netflow_v5, 600);
  config.exporters = exporters;
  const GeneratorReport report = generate(config, **destination, kNeverStop);
  const auto got = receiver.drain();
  EXPECT_TRUE(report.complete()) << report.first_error;
  EXPECT_EQ(got.datagrams, 600u);
  EXPECT_EQ(got.sources.size(), 300u);
  EXPECT_EQ(*got.sources.begin(), 0x7f010001u);
  EXPECT_EQ(*got.sources.rbegin(), 0x7f010001u + 299);
}

TEST(Generator, HasOneExporterWhereAddressesCannotBeMadeUp) {
  uint32_t exporters = 5;
  // Nothing is sent: connecting a UDP socket to a documentation address only chooses a route.
  auto destination = open_udp_destination("[::1]:9", exporters);
  if (!destination) GTEST_SKIP() << "no IPv6 here: " << destination.error().message;
  EXPECT_EQ(exporters, 1u);
}

TEST(Generator, NoticesAClosedPort) {
  Receiver receiver;
  const std::string address = receiver.address();
  receiver.close();
  uint32_t exporters = 1;
  auto destination = open_udp_destination(address, exporters);
  ASSERT_TRUE(destination);
  const GeneratorReport report =
      generate(config_of(ExportProtocol::netflow_v5, 1), **destination, kNeverStop);
  EXPECT_FALSE(report.complete());
  EXPECT_EQ(report.refused, 1u);
  EXPECT_THAT(report.first_error, HasSubstr("nothing listens"));
}

TEST(Generator, RefusesWhatIsNoTarget) {
  for (const char* wrong : {"", "2055", ":2055", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                            "::1:2055", "[::1]", "no.such.name.invalid:2055"}) {
    uint32_t exporters = 1;
    EXPECT_FALSE(open_udp_destination(wrong, exporters)) << wrong;
  }
}

TEST(Generator, KeepsToItsRate) {
  // In a capture time is made up, so that the rate is exact and no test waits for it.
  const std::string path = testing::TempDir() + fmt::format("weir-rate-{}.pcap", getpid());
  GeneratorConfig config = config_of(ExportProtocol::netflow_v9, 0);
  config.rate = 1000;
  config.duration_ns = 2 * kNsPerSec;
  {
    auto destination = open_capture_destination(path, *SocketAddress::parse("198.51.100.1:2055"));
    ASSERT_TRUE(destination);
    const GeneratorReport report = generate(config, **destination, kNeverStop);
    EXPECT_TRUE(report.complete()) << report.first_error;
    EXPECT_EQ(report.datagrams, 2000u);
    EXPECT_EQ(report.template_datagrams, 10u);
    EXPECT_EQ(report.elapsed_ns, 2 * kNsPerSec);
  }
  auto reader = CaptureReader::open(path);
  ASSERT_TRUE(reader);
  CapturedFrame frame;
  for (uint64_t i = 0; *reader->next(frame); ++i) {
    EXPECT_EQ(frame.timestamp_ns, kStart + i * kNsPerMs);
    const auto view = packet::parse_frame(
        frame.octets, frame.link,
        {packet::ChecksumPolicy::Check::verify, packet::ChecksumPolicy::Check::verify});
    EXPECT_EQ(view.verdict, packet::FrameVerdict::udp);
    EXPECT_EQ(view.dst_port, 2055);
    EXPECT_EQ(view.src.to_string(), "192.0.2.1");
  }
  EXPECT_EQ(reader->frames_read(), 2000u);
  unlink(path.c_str());
}

/// Takes a while for each batch, so that no rate is reached.
class SlowDestination : public Destination {
 public:
  static constexpr uint64_t kNapNs = 2 * kNsPerMs;
  void send(std::span<const OutgoingDatagram> batch, GeneratorReport& report) override {
    std::this_thread::sleep_for(std::chrono::nanoseconds(kNapNs));
    report.datagrams += batch.size();
    ++batches;
  }
  void finish(GeneratorReport& /*report*/) override {}
  bool in_real_time() const noexcept override { return true; }
  uint64_t batches = 0;
};

TEST(Generator, EndsInTimeAndSaysHowLongWhereTheSenderIsSlowerThanTheRate) {
  GeneratorConfig config = config_of(ExportProtocol::netflow_v5, 0);
  config.rate = 400'000;  // 64 datagrams in 2 ms are less than a tenth of that
  config.duration_ns = 200 * kNsPerMs;  // longer than the tenth of a second that is made up for
  SlowDestination destination;
  const uint64_t before_ns = steady_clock_ns();
  const GeneratorReport report = generate(config, destination, kNeverStop);
  // Bounds that hold on a machine of any load: a batch takes its nap at least.
  EXPECT_LE(destination.batches, config.duration_ns / SlowDestination::kNapNs + 1);
  EXPECT_GE(report.elapsed_ns, config.duration_ns);
  EXPECT_GE(report.elapsed_ns, destination.batches * SlowDestination::kNapNs);
  EXPECT_LE(report.elapsed_ns, steady_clock_ns() - before_ns);
}

TEST(Generator, StopsWhenAsked) {
  Receiver receiver;
  uint32_t exporters = 1;
  auto destination = open_udp_destination(receiver.address(), exporters);
  ASSERT_TRUE(destination);
  GeneratorConfig config = config_of(ExportProtocol::netflow_v5, 0);  // no bound
  config.rate = 10;
  std::atomic<bool> stop{false};
  GeneratorReport report;
  std::thread running([&] { report = generate(config, **destination, stop); });
  stop.store(true);
  running.join();
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(receiver.drain().datagrams, report.datagrams);
}

TEST(Generator, GivesUpWhenNothingGetsThrough) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  auto destination =
      open_capture_destination("/dev/full", *SocketAddress::parse("[2001:db8::ff]:4739"));
  ASSERT_TRUE(destination);
  const GeneratorReport report =
      generate(config_of(ExportProtocol::ipfix, 1'000'000'000), **destination, kNeverStop);
  EXPECT_FALSE(report.complete());
  EXPECT_THAT(report.first_error, HasSubstr("No space left"));
}

}  // namespace
}  // namespace weir::lab

// IPFIX over TCP (RFC 7011 §10.4): sessions over loopback, beside datagrams to the same thread.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "stalled_thread.h"
#include "support.h"
#include "udp_sender.h"

namespace weir::dataplane::testing {
namespace {

using namespace lab;
using ::testing::IsEmpty;

const lab::Template kTwoFields{.id = 256, .fields = {{8, 4}, {1, 4}}};
const lab::Template kThreeFields{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}};

Octets definition(const lab::Template& t = kTwoFields) {
  return IpfixBuilder{}.export_time(1'700'000'000).templates({t}).build();
}
Octets data(size_t records, uint32_t sequence = 0) {
  return IpfixBuilder{}
      .export_time(1'700'000'000)
      .sequence(sequence)
      .data(256, std::vector<Record>(records, {u32(1), u32(100)}))
      .build();
}
Octets joined(const std::vector<Octets>& messages) {
  Octets all;
  for (const Octets& message : messages) append(all, message);
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
  /// The collector has closed it.
  bool is_closed(int within_ms) const {
    pollfd fd{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&fd, 1, within_ms) <= 0) return false;
    char octet;
    return recv(fd_, &octet, 1, MSG_DONTWAIT) <= 0;
  }

 private:
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
      EXPECT_THAT(plane_->pipeline(core).ledger().discrepancies(), IsEmpty());
    EXPECT_EQ(tcp().sessions, 0u);
    EXPECT_EQ(tcp().opened, tcp().ended.total());
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
  DataPlaneConfig config_ = base();
  std::unique_ptr<DataPlane> plane_;
  Collected collected_;
};

TEST_F(TcpPort, TakesMessagesHoweverTheyAreCut) {
  make();
  const std::vector<Octets> messages = {definition(), data(3), data(2, 3)};
  const Octets stream = joined(messages);
  uint64_t sent = 0;
  for (size_t cut = 1; cut < stream.size(); cut += 7) {
    const Connection exporter(tcp_port());
    ASSERT_TRUE(exporter.is_open());
    ASSERT_TRUE(exporter.send(std::span(stream).first(cut)));
    usleep(300);  // so that it is not one read; the framer's own tests have each octet
    ASSERT_TRUE(exporter.send(std::span(stream).subspan(cut)));
    ASSERT_TRUE(wait_for_messages(sent += messages.size())) << cut;
  }
  stop_all();
  EXPECT_EQ(collected_.records, sent / messages.size() * 5);
  EXPECT_EQ(stats().packets, sent);
  EXPECT_EQ(stats().driver, "tcp");
  EXPECT_EQ(sum(*plane_, [](Pipeline& p) { return p.decoder_counters().datagram_errors.total(); }), 0u);
}

TEST_F(TcpPort, TakesManyMessagesInOneReadAndTheLongest) {
  make();
  const Connection exporter(tcp_port());
  std::vector<Octets> messages = {definition()};
  for (uint32_t i = 0; i < 500; ++i) messages.push_back(data(4, i * 4));
  messages.push_back(data((65'535 - 20) / 8, 2000));
  ASSERT_GT(messages.back().size(), 65'500u);
  ASSERT_TRUE(exporter.send(joined(messages)));
  ASSERT_TRUE(wait_for_messages(messages.size()));
  stop_all();
  EXPECT_EQ(collected_.records, 2000u + (65'535 - 20) / 8);
  EXPECT_EQ(sum(*plane_, [](Pipeline& p) { return p.decoder_counters().sequence_lost.value(); }), 0u);
}

TEST_F(TcpPort, TellsSessionsOfOneAddressApart) {
  make();
  const Connection two(tcp_port()), three(tcp_port());
  ASSERT_TRUE(two.send(definition(kTwoFields)));
  ASSERT_TRUE(three.send(definition(kThreeFields)));
  ASSERT_TRUE(wait_for_messages(2));
  ASSERT_TRUE(two.send(data(5)));
  ASSERT_TRUE(three.send(IpfixBuilder{}.data(256, std::vector<Record>(7, {u32(1), u32(2), u32(3)})).build()));
  ASSERT_TRUE(wait_for_messages(4));
  EXPECT_EQ(tcp().sessions, 2u);
  stop_all();
  EXPECT_EQ(collected_.records, 12u);
}

TEST_F(TcpPort, ForgetsTemplatesWithTheSession) {
  make();
  {
    const Connection first(tcp_port());
    ASSERT_TRUE(first.send(joined({definition(), data(5)})));
    ASSERT_TRUE(wait_for_messages(2));
  }
  ASSERT_TRUE(wait_for_end(TcpEnd::by_exporter));
  const auto told = [&](decode::TemplateEvent e) {
    return sum(*plane_, [e](Pipeline& p) { return p.decoder_counters().template_events[e].value(); });
  };
  EXPECT_EQ(told(decode::TemplateEvent::withdrawn), 1u);
  EXPECT_EQ(told(decode::TemplateEvent::evicted), 0u);  // of which operators are warned
  const Connection second(tcp_port());
  ASSERT_TRUE(second.send(data(6)));
  ASSERT_TRUE(wait_for_messages(3));
  EXPECT_EQ(records_decoded(*plane_), 5u);
  ASSERT_TRUE(second.send(definition()));  // what waited is decoded
  ASSERT_TRUE(wait_for_messages(4));
  stop_all();
  EXPECT_EQ(collected_.records, 11u);
}

TEST_F(TcpPort, ResetsASessionThatMakesNoSenseAndNamesWhy) {
  make();
  const Octets http = {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '\r', '\n', '\r', '\n'};
  using decode::DatagramError;
  const struct {
    Octets octets;
    DatagramError error;
  } cases[] = {{IpfixBuilder{}.version(9).build(), DatagramError::unknown_version},
               {http, DatagramError::unknown_version},
               {IpfixBuilder{}.length(0).build(), DatagramError::bad_length},
               {IpfixBuilder{}.length(15).build(), DatagramError::bad_length}};
  uint64_t ended = 0;
  for (const auto& c : cases) {
    const uint64_t before = error(c.error);
    const Connection exporter(tcp_port());
    ASSERT_TRUE(exporter.send(joined({definition(), c.octets, data(9)})));
    ASSERT_TRUE(wait_for_end(TcpEnd::malformed, ++ended));
    EXPECT_TRUE(exporter.is_closed(2000));
    EXPECT_EQ(error(c.error), before + 1);
  }
  // A set that says it is longer than its message.
  const Connection exporter(tcp_port());
  ASSERT_TRUE(exporter.send(IpfixBuilder{}.set(256, zeros(8), 400).build()));
  ASSERT_TRUE(wait_for_end(TcpEnd::malformed, ++ended));
  stop_all();
  EXPECT_EQ(collected_.records, 0u);
}

TEST_F(TcpPort, CountsWhatASessionLeftUnfinished) {
  make();
  const Octets message = definition();
  for (const size_t octets : {size_t{1}, size_t{3}, size_t{10}, message.size() - 1}) {
    const Connection exporter(tcp_port());
    ASSERT_TRUE(exporter.send(std::span(message).first(octets)));
  }
  ASSERT_TRUE(wait_for_end(TcpEnd::by_exporter, 4));
  EXPECT_EQ(error(decode::DatagramError::truncated_message), 4u);
  stop_all();
}

TEST_F(TcpPort, EndsWhoIsTooSlow) {
  config_.tcp.message_ns = 500 * kNsPerMs;
  config_.tcp.idle_ns = 3 * kNsPerSec;
  make();
  const Octets message = data(30);
  const Connection idle(tcp_port());
  ASSERT_TRUE(idle.send(definition()));
  const Connection slow(tcp_port());
  bool is_ended = false;
  for (size_t i = 0; i < message.size() && !is_ended; ++i) {  // an octet now and then
    slow.send(std::span(message).subspan(i, 1));
    is_ended = slow.is_closed(20);
    collected_.take(*plane_);
  }
  EXPECT_TRUE(is_ended);
  EXPECT_EQ(tcp().ended[TcpEnd::message_late], 1u);
  EXPECT_EQ(error(decode::DatagramError::truncated_message), 1u);
  EXPECT_FALSE(idle.is_closed(0));
  ASSERT_TRUE(wait_for_end(TcpEnd::idle));
  EXPECT_TRUE(idle.is_closed(2000));
  stop_all();
}

// Whoever was held up was us.
TEST_F(TcpPort, IsNotLateWithWhatLiesInTheKernel) {
  config_.tcp.message_ns = 500 * kNsPerMs;
  config_.tcp.idle_ns = 600 * kNsPerMs;
  make();
  const Connection begun(tcp_port()), idle(tcp_port(), "127.0.0.2");
  const Octets message = data(30);
  ASSERT_TRUE(begun.send(joined({definition(), Octets(message.begin(), message.begin() + 40)})));
  ASSERT_TRUE(idle.send(definition()));
  ASSERT_TRUE(wait([&] { return stats().octets == 2 * definition().size() + 40; }));
  const std::vector<pid_t> threads = threads_named("weir-rx-");
  ASSERT_EQ(threads.size(), 1u);
  StalledThread stalled(threads.front());
  if (!stalled.stands()) GTEST_SKIP() << "needs ptrace";
  ASSERT_TRUE(begun.send(std::span(message).subspan(40)));
  ASSERT_TRUE(idle.send(data(3)));
  usleep(750'000);  // less than what counts as having been held up altogether
  stalled.resume();
  ASSERT_TRUE(wait_for_messages(4));
  EXPECT_EQ(tcp().ended.total(), 0u);
  stop_all();
  EXPECT_EQ(collected_.records, 33u);
}

TEST_F(TcpPort, KeepsThoseThatAreThereAndRefusesWhatIsBeyondTheBound) {
  config_.tcp.sessions_max = 4;
  config_.tcp.sessions_per_exporter_max = 2;
  make();
  std::vector<Connection> sessions;
  for (const char* address : {"127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"}) {
    sessions.emplace_back(tcp_port(), address);
    ASSERT_TRUE(sessions.back().send(definition()));
  }
  ASSERT_TRUE(wait_for_messages(4));
  const Connection third(tcp_port());
  EXPECT_TRUE(third.is_closed(2000));
  const Connection fifth(tcp_port(), "127.0.0.9");
  EXPECT_TRUE(fifth.is_closed(2000));
  for (int i = 0; i < 200; ++i) Connection(tcp_port(), "127.0.0.10");
  for (const Connection& session : sessions) ASSERT_TRUE(session.send(data(5)));
  ASSERT_TRUE(wait_for_messages(8));
  EXPECT_EQ(tcp().refused[TcpRefusal::sessions_per_exporter], 1u);
  ASSERT_TRUE(wait([&] { return tcp().refused[TcpRefusal::sessions_max] >= 201u; }));
  EXPECT_EQ(tcp().sessions, 4u);
  sessions.pop_back();
  ASSERT_TRUE(wait_for_end(TcpEnd::by_exporter));
  const Connection next(tcp_port(), "127.0.0.9");
  ASSERT_TRUE(next.send(definition()));
  ASSERT_TRUE(wait_for_messages(9));
  stop_all();
  EXPECT_EQ(collected_.records, 20u);
}

TEST_F(TcpPort, GivesThePlaceOfWhoNeverSaidAnythingToAnother) {
  config_.tcp.sessions_max = 2;
  config_.tcp.message_ns = 300 * kNsPerMs;
  make();
  const Connection speaks(tcp_port());
  ASSERT_TRUE(speaks.send(definition()));
  const Connection silent(tcp_port(), "127.0.0.2");
  ASSERT_TRUE(wait([&] { return tcp().sessions == 2; }));
  usleep(400'000);
  const Connection newcomer(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(newcomer.send(definition()));
  ASSERT_TRUE(wait_for_messages(2));
  EXPECT_EQ(tcp().ended[TcpEnd::displaced], 1u);
  EXPECT_TRUE(silent.is_closed(2000));
  EXPECT_FALSE(speaks.is_closed(0));
  stop_all();
}

// A header alone holds no place for the time that a session may be idle.
TEST_F(TcpPort, GivesThePlaceOfWhoSentEmptyMessages) {
  config_.tcp.sessions_max = 2;
  config_.tcp.message_ns = 300 * kNsPerMs;
  make();
  const Connection speaks(tcp_port());
  ASSERT_TRUE(speaks.send(definition()));
  const Connection empty(tcp_port(), "127.0.0.2");
  ASSERT_TRUE(empty.send(IpfixBuilder{}.build()));
  ASSERT_TRUE(wait_for_messages(2));
  usleep(400'000);
  const Connection newcomer(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(newcomer.send(definition()));
  ASSERT_TRUE(wait_for_messages(3));
  EXPECT_EQ(tcp().ended[TcpEnd::displaced], 1u);
  EXPECT_TRUE(empty.is_closed(2000));
  EXPECT_FALSE(speaks.is_closed(0));
  stop_all();
}

TEST_F(TcpPort, GivesANewcomerTheIdlestPlaceOfWhoHasMost) {
  config_.tcp.sessions_max = 5;
  config_.tcp.message_ns = 300 * kNsPerMs;
  make();
  std::vector<Connection> many;
  for (int i = 0; i < 4; ++i) {
    many.emplace_back(tcp_port(), "127.0.0.2");
    ASSERT_TRUE(many.back().send(definition()));
    ASSERT_TRUE(wait_for_messages(many.size()));
  }
  const Connection single(tcp_port());  // idle as well, and the only one of its exporter
  ASSERT_TRUE(single.send(definition()));
  ASSERT_TRUE(wait_for_messages(5));
  const Connection early(tcp_port(), "127.0.0.3");  // all are at work
  EXPECT_TRUE(early.is_closed(2000));
  usleep(400'000);
  ASSERT_TRUE(many[0].send(data(1)));  // not idle any more
  ASSERT_TRUE(wait_for_messages(6));
  const Connection first(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(first.send(definition()));
  ASSERT_TRUE(wait_for_messages(7));
  EXPECT_TRUE(many[1].is_closed(2000));
  const Connection second(tcp_port(), "127.0.0.3");  // has one, and the other three: two each
  ASSERT_TRUE(second.send(definition()));
  ASSERT_TRUE(wait_for_messages(8));
  EXPECT_TRUE(many[2].is_closed(2000));
  usleep(400'000);
  const Connection third(tcp_port(), "127.0.0.3");  // nobody has two more
  EXPECT_TRUE(third.is_closed(2000));
  EXPECT_FALSE(many[0].is_closed(0));
  EXPECT_FALSE(single.is_closed(0));
  EXPECT_EQ(tcp().ended[TcpEnd::displaced], 2u);
  EXPECT_EQ(tcp().refused[TcpRefusal::sessions_max], 2u);
  stop_all();
}

TEST_F(TcpPort, LetsInWhomTheAccessListAdmits) {
  config_.pipeline.decoder.access = {{}, {{*IpAddress::parse("127.0.0.2"), 128}}};
  make();
  const Connection denied(tcp_port(), "127.0.0.2");
  EXPECT_TRUE(denied.is_closed(2000));
  EXPECT_EQ(tcp().refused[TcpRefusal::not_allowed], 1u);
  const Connection open(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(open.send(definition()));
  ASSERT_TRUE(wait_for_messages(1));
  config_.pipeline.decoder.access = {{}, {{*IpAddress::parse("127.0.0.2"), 128}, {*IpAddress::parse("127.0.0.3"), 128}}};
  change();
  ASSERT_TRUE(open.send(data(3)));
  ASSERT_TRUE(wait_for_end(TcpEnd::not_allowed));
  EXPECT_TRUE(open.is_closed(2000));
  EXPECT_EQ(error(decode::DatagramError::exporter_not_allowed), 1u);
  stop_all();
}

TEST_F(TcpPort, TakesWhatIsCompleteWhenItStops) {
  make();
  const Connection exporter(tcp_port());
  std::vector<Octets> messages = {definition()};
  for (uint32_t i = 0; i < 1000; ++i) messages.push_back(data(4, i * 4));
  messages.push_back(data(10));
  Octets stream = joined(messages);
  stream.resize(stream.size() - 1);
  ASSERT_TRUE(exporter.send(stream));
  ASSERT_TRUE(wait([&] { return tcp().opened == 1; }));
  stop_all();
  EXPECT_EQ(collected_.records, 4000u);
  EXPECT_EQ(error(decode::DatagramError::truncated_message), 1u);
  EXPECT_EQ(tcp().ended[TcpEnd::stopped], 1u);
  EXPECT_TRUE(exporter.is_closed(2000));
}

TEST_F(TcpPort, ComesAndGoesWithAChange) {
  make();
  const Connection exporter(tcp_port());
  ASSERT_TRUE(exporter.send(joined({definition(), data(3)})));
  ASSERT_TRUE(wait_for_messages(2));
  const SocketPort port = config_.socket_ports[1];
  config_.socket_ports.pop_back();
  change();
  EXPECT_TRUE(exporter.is_closed(2000));
  EXPECT_FALSE(Connection(port.port).is_open());
  config_.socket_ports.push_back(port);
  change();
  const Connection again(port.port);
  ASSERT_TRUE(again.send(joined({definition(), data(4)})));
  ASSERT_TRUE(wait_for_messages(4));
  stop_all();
  EXPECT_EQ(collected_.records, 7u);
}

// An exporter that uses both is one thread's.
TEST_F(TcpPort, MeetsTheThreadThatItsDatagramsMeet) {
  make(3);
  const Sender udp(AF_INET);
  for (int i = 1; i <= 24; ++i) {
    const Connection exporter(tcp_port(), fmt::format("127.0.3.{}", i));
    ASSERT_TRUE(exporter.send(joined({definition(), data(2)})));
    ASSERT_TRUE(wait_for_messages(static_cast<uint64_t>(i) * 2));
  }
  size_t at_work = 0;
  for (size_t core = 0; core < 3; ++core) at_work += plane_->pipeline(core).counters().datagrams.value() != 0;
  EXPECT_EQ(at_work, 3u);
  // By UDP, the same address meets the same one: it is known there.
  std::vector<uint64_t> before;
  for (size_t core = 0; core < 3; ++core) before.push_back(plane_->pipeline(core).decoder_counters().exporters.value());
  EXPECT_EQ(before[0] + before[1] + before[2], 24u);
  const Connection here(tcp_port(), "127.0.0.1");
  ASSERT_TRUE(here.send(definition()));
  ASSERT_TRUE(wait_for_messages(49));
  ASSERT_TRUE(udp.send(udp_port(), definition()));
  ASSERT_TRUE(wait_for_messages(50));
  uint64_t exporters = 0;
  for (size_t core = 0; core < 3; ++core) exporters += plane_->pipeline(core).decoder_counters().exporters.value();
  EXPECT_EQ(exporters, 25u);
  stop_all();
  EXPECT_EQ(collected_.records, 48u);
}

/// Exporters that have more to say than a window holds wait for us to read. What they have said waits in the kernel before the
/// thread begins, and goes on as fast as it reads: it finds much at each turn, however late it or we are.
TEST_F(TcpPort, LetsNothingGatherWhereMuchComes) {
  config_.idle = IdlePolicy::adaptive;
  config_.pipeline.batcher.buffers = 256;
  lay();
  std::vector<Octets> messages(180, data(170));  // of some 1400 octets each: four windows of 64 KiB
  messages.insert(messages.begin(), definition());
  const Octets stream = joined(messages);
  std::vector<Connection> exporters;
  for (const char* address : {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8"}) {
    exporters.emplace_back(tcp_port(), address);
    ASSERT_TRUE(exporters.back().leave(stream)) << address;
  }
  begin();
  ASSERT_TRUE(wait_for_messages(exporters.size() * messages.size()));
  const PipelineCounters& c = plane_->pipeline(0).counters();
  const uint64_t turns = c.bursts.value(), pauses = c.pauses.value();
  EXPECT_GT(turns, 16u) << "else this shows nothing";
  EXPECT_LE(pauses, turns / 4) << "what is left at the end may be little";
  stop_all();
}

/// Where little comes at a time, and often, they gather as datagrams do.
TEST_F(TcpPort, LetsMessagesGatherWhereTheyAreFew) {
  config_.idle = IdlePolicy::adaptive;
  make();
  const Connection exporter(tcp_port());
  ASSERT_TRUE(exporter.send(definition()));
  uint64_t sent = 1;
  ASSERT_TRUE(wait([&] {  // until it happens: who sends may be late
    for (int i = 0; i < 64 && exporter.send(data(2)); ++i) ++sent;
    return plane_->pipeline(0).counters().pauses.value() > 0;
  }));
  ASSERT_TRUE(wait_for_messages(sent));
  stop_all();
}

TEST_F(TcpPort, TakesNothingFromDatagramsToTheSameThread) {
  config_.tcp.sessions_max = 16;
  make();
  config_.socket_ports[0].receive_buffer_octets = 4 << 20;
  change();
  std::atomic<bool> is_over{false};
  std::atomic<uint64_t> connects{0};
  std::thread flood([&] {  // of connections, of which most are refused
    while (!is_over) {
      Connection one(tcp_port(), "127.0.0.7");
      connects.fetch_add(1);
    }
  });
  std::thread stream([&] {  // and one that sends as fast as it can
    const Connection exporter(tcp_port(), "127.0.0.8");
    exporter.send(definition());
    const Octets message = data(100);
    while (!is_over && exporter.send(message)) {
    }
  });
  const Sender udp(AF_INET);
  constexpr uint32_t kDatagrams = 5000;
  uint64_t sent = 0;
  for (uint32_t i = 0; i < kDatagrams; ++i) {
    ASSERT_TRUE(udp.send(udp_port(), v5_datagram(2, i * 2)));
    if (++sent % 50 == 0) {
      collected_.take(*plane_);
      usleep(500);
    }
  }
  ASSERT_TRUE(wait([&] { return stats(0).packets >= kDatagrams; }));
  is_over = true;
  flood.join();
  ASSERT_TRUE(wait([&] { return tcp().opened >= 1; }));
  stream.join();
  EXPECT_EQ(stats(0).missed, 0u);
  EXPECT_GT(connects.load(), 0u);
  stop_all();
}

}  // namespace
}  // namespace weir::dataplane::testing

// IPFIX over TCP (RFC 7011 §10.4): sessions over loopback, beside datagrams to the same thread.
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "tcp_port.h"
#include "udp_sender.h"

namespace weir::dataplane::testing {
namespace {

using namespace lab;
using ::testing::IsEmpty;

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
    EXPECT_TRUE(exporter.is_closed());
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
  EXPECT_TRUE(third.is_closed());
  const Connection fifth(tcp_port(), "127.0.0.9");
  EXPECT_TRUE(fifth.is_closed());
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

TEST_F(TcpPort, LetsInWhomTheAccessListAdmits) {
  config_.pipeline.decoder.access = {{}, {{*IpAddress::parse("127.0.0.2"), 128}}};
  make();
  const Connection denied(tcp_port(), "127.0.0.2");
  EXPECT_TRUE(denied.is_closed());
  EXPECT_EQ(tcp().refused[TcpRefusal::not_allowed], 1u);
  const Connection open(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(open.send(definition()));
  ASSERT_TRUE(wait_for_messages(1));
  config_.pipeline.decoder.access = {{}, {{*IpAddress::parse("127.0.0.2"), 128}, {*IpAddress::parse("127.0.0.3"), 128}}};
  change();
  ASSERT_TRUE(open.send(data(3)));
  ASSERT_TRUE(wait_for_end(TcpEnd::not_allowed));
  EXPECT_TRUE(open.is_closed());
  EXPECT_EQ(error(decode::DatagramError::exporter_not_allowed), 1u);
  stop_all();
}

TEST_F(TcpPort, ComesAndGoesWithAChange) {
  make();
  const Connection exporter(tcp_port());
  ASSERT_TRUE(exporter.send(joined({definition(), data(3)})));
  ASSERT_TRUE(wait_for_messages(2));
  const SocketPort port = config_.socket_ports[1];
  config_.socket_ports.pop_back();
  change();
  EXPECT_TRUE(exporter.is_closed());
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

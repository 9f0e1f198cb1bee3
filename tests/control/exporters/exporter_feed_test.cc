// exporter_feed_test.cc — Tables of names on their stream, with a real nats-server.
#include "control/exporters/exporter_feed.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "export/jetstream_reader.h"
#include "support/nats_server.h"
#include "support/process.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

using test::eventually;
using test::NatsServer;

decode::Event interface_of(uint32_t exporter, uint8_t index, std::string_view name) {
  decode::Event e;
  e.kind = decode::EventKind::name_learned;
  e.name_kind = decode::NameKind::interface;
  e.exporter = IpAddress::from_v4(0xC0000200u + exporter);
  e.key_octets = 1;
  e.key[0] = index;
  e.has_name = true;
  e.name_octets = static_cast<uint8_t>(name.size());
  std::memcpy(e.text, name.data(), name.size());
  return e;
}

/// The messages that a stream holds, by subject; several of one subject are a failure.
std::map<std::string, flowpb::ExporterInfo> stored(const std::string& url,
                                                   const std::string& stream) {
  std::map<std::string, flowpb::ExporterInfo> all;
  outbound::ReaderConfig config;
  config.nats.urls = {url};
  config.stream = stream;
  config.subject = "flows.meta.*";
  auto reader = outbound::JetStreamReader::open(config);
  EXPECT_TRUE(reader) << reader.error().message;
  if (!reader) return all;
  for (;;) {
    const auto message = (*reader)->next(500);
    if (!message || !*message) break;
    flowpb::ExporterInfo info;
    EXPECT_TRUE(info.ParseFromString((*message)->payload));
    EXPECT_TRUE(all.emplace((*message)->subject, info).second) << (*message)->subject;
  }
  return all;
}

class ExporterFeedTest : public testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
  }
  std::unique_ptr<ExporterFeed> make_feed() {
    outbound::MetaConfig config;
    config.nats.urls = {nats_.url()};
    config.stream.name = "flow_meta";
    config.stream.subjects = {"flows.meta.*"};
    config.stream.max_bytes = 64 << 20;
    config.stream.messages_per_subject = 1;
    config.publish_timeout_ms = 500;
    config.retry_first_ms = 20;
    auto publisher = outbound::MetaPublisher::make(config);
    EXPECT_TRUE(publisher) << publisher.error().message;
    auto feed = std::make_unique<ExporterFeed>(ExporterFeedConfig{.id_prefix = "run"},
                                               std::move(*publisher));
    feed->start();
    return feed;
  }
  /// Steps until as many tables are acknowledged.
  bool acknowledged(ExporterFeed& feed, uint64_t count) {
    return eventually([&] {
      feed.step(directory_, steady_clock_ns());
      const ExporterFeedView view = feed.view(directory_);
      return view.acknowledged >= count && view.waiting == 0;
    });
  }

  RoleScope role_{control_thread};
  NatsServer nats_;
  ExporterDirectory directory_{{.settle_ns = 1, .settle_max_ns = 1}};
};

TEST_F(ExporterFeedTest, KeepsTheNewestTableOfEachExporter) {
  ASSERT_TRUE(nats_.start());
  auto feed = make_feed();
  for (uint32_t i = 1; i <= 100; ++i) directory_.on_event(interface_of(i, 1, "old"), 0);
  ASSERT_TRUE(acknowledged(*feed, 100)) << feed->view(directory_).last_error;
  for (uint32_t i = 1; i <= 100; ++i) directory_.on_event(interface_of(i, 1, "new"), 0);
  directory_.on_event(interface_of(7, 2, "second"), 0);
  ASSERT_TRUE(acknowledged(*feed, 200)) << feed->view(directory_).last_error;
  const auto all = stored(nats_.url(), "flow_meta");
  ASSERT_EQ(all.size(), 100u);
  const flowpb::ExporterInfo& seventh = all.at("flows.meta.192-0-2-7");
  ASSERT_EQ(seventh.interfaces_size(), 2);
  EXPECT_EQ(seventh.interfaces(0).name(), "new");
  EXPECT_EQ(seventh.interfaces(1).name(), "second");
}

TEST_F(ExporterFeedTest, PublishesWhatChangedWhileTheBrokerWasAway) {
  auto feed = make_feed();
  directory_.on_event(interface_of(1, 1, "early"), 0);
  EXPECT_TRUE(eventually([&] {
    feed->step(directory_, steady_clock_ns());
    return !feed->view(directory_).last_error.empty();
  }));
  EXPECT_EQ(feed->view(directory_).waiting, 1u);
  ASSERT_TRUE(nats_.start());
  ASSERT_TRUE(acknowledged(*feed, 1)) << feed->view(directory_).last_error;
  EXPECT_EQ(feed->view(directory_).last_error, "");

  nats_.kill();
  directory_.on_event(interface_of(1, 1, "later"), 0);
  feed->step(directory_, steady_clock_ns());
  directory_.on_event(interface_of(1, 1, "latest"), 0);
  ASSERT_TRUE(nats_.start());
  ASSERT_TRUE(acknowledged(*feed, 3)) << feed->view(directory_).last_error;
  const auto all = stored(nats_.url(), "flow_meta");
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all.begin()->second.interfaces(0).name(), "latest");
}

TEST_F(ExporterFeedTest, EndsWithoutItsBrokerAndCountsWhatDidNotArrive) {
  auto feed = make_feed();
  directory_.on_event(interface_of(1, 1, "lost"), 0);
  ASSERT_TRUE(eventually([&] { return feed->step(directory_, steady_clock_ns()); }));
  feed->begin_drain(steady_clock_ns() + 100 * kNsPerMs);
  ASSERT_TRUE(eventually([&] { return feed->finished(); }));
  feed->step(directory_, steady_clock_ns());
  EXPECT_EQ(feed->view(directory_).failed, 1u);
  EXPECT_EQ(feed->view(directory_).acknowledged, 0u);
}

TEST(ExporterFeedLines, PrintsTablesAndTriesAgainWhereThereIsNoRoom) {
  RoleScope role(control_thread);
  ExporterDirectory directory({.settle_ns = 1, .settle_max_ns = 1});
  std::vector<std::string> lines;
  bool has_room = false;
  ExporterFeed feed({}, nullptr, [&](const std::string& line) {
    if (has_room) lines.push_back(line);
    return has_room;
  });
  feed.start();
  directory.on_event(interface_of(1, 1, "Gi1"), 0);
  feed.step(directory, 10);
  EXPECT_TRUE(lines.empty());
  has_room = true;
  feed.step(directory, 20);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("Gi1"), std::string::npos);
  EXPECT_FALSE(feed.step(directory, 30));
  EXPECT_TRUE(feed.finished());
}

}  // namespace
}  // namespace weir::control

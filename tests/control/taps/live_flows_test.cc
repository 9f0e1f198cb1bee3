// live_flows_test.cc — Flows on their way from the cores to who reads them on the control socket.
#include "control/taps/live_flows.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "control/http/live_routes.h"
#include "lab/message_builder.h"
#include "support/turning_plane.h"

namespace weir::control {
namespace {

using dataplane::kTapWatchesMax;
using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;
using ::testing::HasSubstr;

class Plane final : public TurningPlane {
 public:
  using TurningPlane::TurningPlane;

  /// A datagram of so many records to port 443, packets 1, 2, 3, …
  void receive(size_t core, size_t records) {
    lab::NetflowV5Builder builder;
    for (size_t i = 0; i < records; ++i) {
      builder.record({.src_addr = "192.0.2.9",
                      .dst_addr = "198.51.100.4",
                      .in_if = 7,
                      .out_if = 9,
                      .packets = static_cast<uint32_t>(i + 1),
                      .octets = 64,
                      .src_port = 1024,
                      .dst_port = 443,
                      .proto = 6});
    }
    TurningPlane::receive(core, builder.build(), wall_clock_ns(), "203.0.113.1");
  }
};

class LiveFlowsTest : public ::testing::Test {
 protected:
  LiveFlowsTest() {
    listeners_.publish(std::make_shared<const ListenerNames>(ListenerNames{"netflow"}));
    route_ = live_routes(flows_, listeners_, [this] { return now_ns_; }).at(0);
  }

  bool step() {
    const RoleScope role(control_thread);
    return flows_.step(plane_, directory_);
  }
  /// Until what was asked for has been taken up.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      step();
      plane_.turn();
    }
    step();
  }
  std::unique_ptr<LiveReader> open(const dataplane::FlowFilter& filter = {}) {
    auto reader = flows_.open(filter);
    settle();
    return reader;
  }
  static size_t take(LiveReader& reader) {
    size_t flows = 0;
    while (reader.take()) ++flows;
    return flows;
  }
  bool someone_looks() {
    for (size_t i = 0; i < plane_.cores().size(); ++i)
      if (!plane_.pipeline(i).goes_by(nullptr)) return true;
    return false;
  }

  HttpResponse ask(std::map<std::string, std::string> query) {
    return route_.handle({.method = "GET", .path = "/v1/flows/live", .query = std::move(query)});
  }
  /// What a stream says at one look, and whether it goes on.
  std::vector<json> look(HttpResponse& response, bool goes_on) {
    std::string out;
    EXPECT_EQ(response.stream->next(out), goes_on) << out;
    std::vector<json> lines;
    std::istringstream in(out);
    for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
    return lines;
  }

  uint64_t now_ns_ = 50 * kNsPerSec;
  ExporterDirectory directory_;
  Snapshot<ListenerNames> listeners_;
  LiveFlows flows_;  // before the plane, as in the appliance
  Plane plane_{2};
  service::HttpRoute route_;
};

TEST_F(LiveFlowsTest, AReaderGetsFlowsOfEveryCoreFromTheTimeThatEachLooks) {
  auto reader = flows_.open({});
  step();
  EXPECT_FALSE(reader->is_open());
  plane_.turn(0);
  step();
  EXPECT_FALSE(reader->is_open()) << "one core of two";
  plane_.turn(1);
  step();
  EXPECT_TRUE(reader->is_open());
  plane_.receive(0, 3);
  plane_.receive(1, 5);
  EXPECT_TRUE(step());
  EXPECT_FALSE(step());
  EXPECT_EQ(take(*reader), 8u);
  EXPECT_EQ(reader->counts().seen, 8u);
  EXPECT_EQ(reader->counts().matched, 8u);
}

TEST_F(LiveFlowsTest, TheTapIsClosedBehindTheLastReader) {
  EXPECT_FALSE(someone_looks());
  auto one = open(), other = open();
  EXPECT_TRUE(someone_looks());
  one.reset();
  settle();
  EXPECT_TRUE(someone_looks());
  plane_.receive(0, 2);
  step();
  EXPECT_EQ(take(*other), 2u);
  other.reset();
  settle();
  EXPECT_FALSE(someone_looks());
  EXPECT_FALSE(step());
}

TEST_F(LiveFlowsTest, OnlySoManyLookAtATimeAndAPlaceIsFreeOnceNoCoreLooksForIt) {
  std::vector<std::unique_ptr<LiveReader>> readers;
  for (size_t i = 0; i < kTapWatchesMax; ++i) readers.push_back(open());
  EXPECT_EQ(flows_.open({}), nullptr);
  readers.pop_back();
  EXPECT_EQ(flows_.open({}), nullptr) << "cores still look for it";
  settle();
  auto again = open();
  ASSERT_NE(again, nullptr);
  plane_.receive(1, 4);
  step();
  EXPECT_EQ(take(*again), 4u);
  EXPECT_EQ(take(*readers[0]), 4u);
}

TEST_F(LiveFlowsTest, WhoLeavesBeforeACoreHasLookedLeavesNothingBehind) {
  for (int i = 0; i < 20; ++i) {
    auto reader = flows_.open({});
    ASSERT_NE(reader, nullptr) << i;
    if (i % 2 == 0) step();
    reader.reset();
    settle();
  }
  EXPECT_FALSE(someone_looks());
}

// The cores look by what would be gone.
TEST_F(LiveFlowsTest, WhoLeavesWhileCoresTakeItUpKeepsItsPlaceUntilTheyLetGo) {
  std::vector<std::unique_ptr<LiveReader>> others;
  for (size_t i = 0; i + 1 < kTapWatchesMax; ++i) others.push_back(open());
  auto hasty = flows_.open({});
  step();
  hasty.reset();
  plane_.turn();
  step();
  EXPECT_EQ(flows_.open({}), nullptr);
  plane_.receive(0, 3);
  settle();
  EXPECT_NE(flows_.open({}), nullptr);
  EXPECT_EQ(take(*others[0]), 3u);
}

TEST_F(LiveFlowsTest, WhatAReaderDoesNotTakeIsCountedAndHoldsNobodyElseUp) {
  auto slow = open(), quick = open();
  size_t taken = 0;
  for (int i = 0; i < 100; ++i) {
    plane_.receive(0, 30);
    step();
    taken += take(*quick);
    plane_.turn();  // a second later
    if (i % 50 == 0) {
      const RoleScope role(control_thread);
      outbound::OutboundBatch* batch = nullptr;
      while (plane_.pipeline(0).batcher().take_sealed(batch)) plane_.pipeline(0).batcher().give_back(batch);
    }
  }
  EXPECT_EQ(taken, 3000u);
  EXPECT_EQ(slow->counts().no_room, 3000 - kLiveFlowsWaitingMax);
  EXPECT_EQ(quick->counts().no_room, 0u);
  EXPECT_EQ(take(*slow), kLiveFlowsWaitingMax);
}

TEST_F(LiveFlowsTest, AtTheEndReadersAreToldAndKeepWhatHasComeForThem) {
  auto reader = open();
  plane_.receive(0, 3);
  step();
  flows_.end();
  EXPECT_TRUE(reader->is_ending());
  EXPECT_EQ(take(*reader), 3u);
}

// ---- as the control socket has it ----

TEST_F(LiveFlowsTest, AStreamBeginsAndEndsWithASummaryAndHasALineForEachFlow) {
  HttpResponse response = ask({{"port", "443"}, {"seconds", "2"}});
  ASSERT_EQ(response.status, 200u);
  EXPECT_EQ(response.content_type, "application/x-ndjson");
  EXPECT_TRUE(look(response, true).empty()) << "no core looks yet";
  settle();
  auto lines = look(response, true);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["summary"]["ended_by"], nullptr);
  EXPECT_EQ(lines[0]["summary"]["every_core_looks"], true);

  plane_.receive(0, 2);
  step();
  lines = look(response, true);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["listener"], "netflow");
  EXPECT_EQ(lines[0]["flow"]["type"], "NETFLOW_V5");
  EXPECT_EQ(lines[0]["flow"]["src_addr"], "192.0.2.9");
  EXPECT_EQ(lines[0]["flow"]["sampler_address"], "203.0.113.1");
  EXPECT_EQ(lines[1]["flow"]["packets"], 2);

  now_ns_ += kNsPerSec;
  lines = look(response, true);
  ASSERT_EQ(lines.size(), 1u) << "somebody is still there";
  EXPECT_EQ(lines[0]["summary"]["elapsed_ms"], 1000);
  now_ns_ += kNsPerSec;
  lines = look(response, false);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["summary"]["ended_by"], "seconds");
  EXPECT_EQ(lines[0]["summary"]["shown"], 2);
  EXPECT_EQ(lines[0]["summary"]["matched"], 2);
}

TEST_F(LiveFlowsTest, AStreamEndsWithAsManyFlowsAsWereAskedForAndSaysWhatElseThereWas) {
  HttpResponse response = ask({{"max", "3"}});
  settle();
  plane_.receive(0, 30);
  plane_.receive(0, 30);
  step();
  const auto lines = look(response, false);
  ASSERT_EQ(lines.size(), 5u);
  const json& summary = lines.back()["summary"];
  EXPECT_EQ(summary["ended_by"], "max");
  EXPECT_EQ(summary["seen"], 60);
  EXPECT_EQ(summary["matched"], 60);
  EXPECT_EQ(summary["shown"], 3);
  EXPECT_EQ(summary["not_shown"],
            (json{{"sampled_away", 60 - 32}, {"too_large", 0}, {"no_room", 0}, {"under_way", 32 - 3}}));
}

TEST_F(LiveFlowsTest, FlowsHaveTheNamesThatOptionsDataGaveTheirInterfaces) {
  decode::Event event;
  event.kind = decode::EventKind::name_learned;
  event.name_kind = decode::NameKind::interface;
  event.exporter = IpAddress::parse("203.0.113.1").value();
  event.key[0] = 7;
  event.key_octets = 1;
  const std::string name = "xe-0/0/7";
  std::copy(name.begin(), name.end(), event.text);
  event.name_octets = static_cast<uint8_t>(name.size());
  event.has_name = true;
  {
    const RoleScope role(control_thread);
    directory_.on_event(event, 1);
  }
  HttpResponse response = ask({});
  settle();
  plane_.receive(0, 1);
  step();
  const auto lines = look(response, true);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1]["flow"]["in_if_name"], "xe-0/0/7");
  EXPECT_FALSE(lines[1]["flow"].contains("out_if_name"));
}

TEST_F(LiveFlowsTest, ACoreThatDoesNotAnswerKeepsNobodyFromTheOthers) {
  HttpResponse response = ask({});
  step();
  plane_.turn(0);
  step();
  EXPECT_TRUE(look(response, true).empty());
  now_ns_ += 2 * kNsPerSec;
  plane_.receive(0, 2);
  step();
  const auto lines = look(response, true);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["summary"]["every_core_looks"], false);
}

TEST_F(LiveFlowsTest, AStreamEndsWithTheAppliance) {
  HttpResponse response = ask({{"seconds", "3600"}});
  settle();
  look(response, true);
  flows_.end();
  EXPECT_EQ(look(response, false).back()["summary"]["ended_by"], "stopping");
}

TEST_F(LiveFlowsTest, RefusesWhatItCannotServe) {
  EXPECT_EQ(ask({{"net", "10.0.0.0/99"}}).status, 400u);
  EXPECT_EQ(ask({{"nett", "10.0.0.0/9"}}).status, 400u);
  std::vector<HttpResponse> open;
  for (size_t i = 0; i < kTapWatchesMax; ++i) open.push_back(ask({}));
  const HttpResponse refused = ask({});
  EXPECT_EQ(refused.status, 503u);
  EXPECT_THAT(refused.body, HasSubstr("4 look at live flows already"));
  Snapshot<ListenerNames> nothing;
  EXPECT_EQ(live_routes(flows_, nothing)[0].handle({}).status, 503u) << "the appliance is starting";
}

}  // namespace
}  // namespace weir::control

// Every capture through decoder, encoder, parser and transform: each record an event, each event valid; and flows that
// no exporter would send.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "base/clock.h"
#include "decode/decoder.h"
#include "export/batch_reader.h"
#include "export/encoder.h"
#include "export/protocol_names.h"
#include "export/record_maker.h"
#include "export/sflow_encoder.h"
#include "flow/sflow_discard_view.h"
#include "support/captures.h"
#include "support/payloads.h"
#include "support/program.h"
#include "transform/flow_maker.h"
#include "transform/judge.h"

namespace weir::transform {
namespace {

using nlohmann::json;

/// Takes records the way of the appliance, and hands on their events.
template <class OnEvent>
class EventSink final : public RecordSink {
 public:
  explicit EventSink(OnEvent on_event) : on_event_(std::move(on_event)) {}

  void on_records(const RecordBurst& burst) noexcept override {
    const outbound::HeaderPrefix prefix(burst.header);
    size_t most = outbound::kStoreSlackOctets;
    for (const FlowRecord& r : burst.records) most += outbound::Encoder::octets_max(prefix, r);
    std::vector<uint8_t> encoded(most);
    const size_t octets = encoder_.encode(prefix, burst.records, burst.arena, encoded.data());
    outbound::BatchWalk walk({encoded.data(), octets});
    for (outbound::BatchEntry entry; walk.next(entry); ++flows) {
      FlowView view;
      EXPECT_TRUE(parse_flow(entry.message, view));
      const size_t length = writer_.write(view, {}, event_);
      EXPECT_NE(length, 0u);
      on_event_(std::string_view(event_.data(), length));
    }
    EXPECT_TRUE(walk.complete());
  }
  void on_discard(const SflowDiscard& discard) noexcept override {
    SflowDiscardView view;
    FlowView packet;
    EXPECT_TRUE(parse_sflow_discard(sflow_encoder_.encode(discard), view));
    EXPECT_TRUE(parse_flow(view.packet, packet));
    EXPECT_EQ(view.reason, discard.reason);
    EventContext context;
    context.discard_reason = view.reason;
    const std::string_view event(event_.data(), writer_.write(packet, context, event_));
    EXPECT_NE(event.find("\"activity_name\":\"Refuse\""), std::string_view::npos) << event;
    EXPECT_NE(event.find("\"disposition\":\"Blocked\""), std::string_view::npos) << event;
    on_event_(event);
    ++flows, ++discards;
  }
  size_t flows = 0;
  size_t discards = 0;  // among them

 private:
  OnEvent on_event_;
  outbound::Encoder encoder_;
  outbound::SflowEncoder sflow_encoder_;
  const OcsfWriter writer_{{.observables = true}};
  std::vector<char> event_ = std::vector<char>(kEventOctetsMax);
};

/// Flows of all captures; 0 where there are none.
template <class OnEvent>
size_t for_each_event(OnEvent on_event) {
  EventSink sink(on_event);
  for (const test::CaptureFile& row : test::read_captures_index()) {
    const auto payloads = test::read_payloads(row.path());
    if (!payloads) continue;
    decode::DecoderConfig config;
    config.listeners.emplace_back();
    config.limits.time_future_max_ns = uint64_t{50} * 366 * 86'400 * kNsPerSec;
    auto decoder = decode::Decoder::create(config);
    for (const test::Payload& p : *payloads) {
      Datagram d;
      d.payload = p.octets;
      d.source = p.source;
      d.source_port = p.source_port;
      d.received_ns = p.received_ns;
      (*decoder)->decode(d, sink);
    }
  }
  if (sink.flows != 0) {
    EXPECT_GT(sink.discards, 0u);
  }
  return sink.flows;
}

TEST(OcsfCorpus, EveryFlowOfEveryCaptureIsAValidEvent) {
  if (!test::has_ocsf_schema()) GTEST_SKIP() << "no OCSF schema in " << test::ocsf_folder();
  const test::Judge judge;
  size_t faulty = 0;
  const size_t flows = for_each_event([&](std::string_view text) {
    const json event = json::parse(text);
    const auto faults = judge.faults_of(event);
    if (faults.empty() || ++faulty > 10) return;
    ADD_FAILURE() << json(faults).dump(1) << event.dump(1);
  });
  if (flows == 0) GTEST_SKIP() << "no captures in " << test::captures_folder();
  EXPECT_EQ(faulty, 0u);
  std::cout << flows << " flows\n";
}

/// The linter that came with the schema, where there is a Python for it: a second opinion on ours.
TEST(OcsfCorpus, TheSchemasOwnLinterFindsNothing) {
  const auto linter = test::ocsf_folder() / "ocsf_lint.py";
  if (!std::filesystem::exists(linter)) GTEST_SKIP() << "no " << linter;
  if (test::run_program({"sh", "-c", "command -v python3"}).status != 0) GTEST_SKIP() << "no python3";
  const test::TemporaryFolder folder;
  const std::string lines = folder / "events.jsonl";
  std::ofstream file(lines);
  const size_t flows = for_each_event([&](std::string_view event) { file << event << '\n'; });
  file.close();
  if (flows == 0) GTEST_SKIP() << "no captures in " << test::captures_folder();
  const auto found = test::run_program({"sh", "-c", "python3 \"$0\" \"$1\" < \"$2\" | awk '/ OK$/ { ++good; next } { print } END { print good + 0 }'", linter,
                                        test::ocsf_folder() / "network_activity-1.7.0.resolved.json", lines});
  EXPECT_EQ(found.out, std::to_string(flows) + "\n");
  EXPECT_EQ(found.err, "");
}

TEST(OcsfCorpus, FlowsThatNoExporterWouldSendAreValidEventsToo) {
  if (!test::has_ocsf_schema()) GTEST_SKIP() << "no OCSF schema in " << test::ocsf_folder();
  const test::Judge judge;
  outbound::testing::RecordMaker maker(20'260'701);
  for (int round = 0; round < 1500; ++round) {
    SCOPED_TRACE(round);
    outbound::testing::ArenaWriter arena;
    const FlowRecord record = maker.record(arena, outbound::testing::Arena::some);
    flowpb::FlowMessage flow = outbound::testing::message_of(
        maker.header(), record, arena.data(), record.proto < 256 ? outbound::protocol_name(static_cast<uint8_t>(record.proto)) : "");
    if (maker.one_in(3)) flow.clear_src_addr();
    if (maker.one_in(3)) flow.clear_dst_addr();
    if (maker.one_in(5)) flow.clear_in_if(), flow.clear_in_if_name(), flow.clear_out_if(), flow.clear_out_if_name();
    if (maker.one_in(5)) flow.clear_src_mac(), flow.clear_dst_mac();
    if (maker.one_in(3)) flow.set_firewall_event(static_cast<uint32_t>(maker.below(7)));
    if (maker.one_in(3)) flow.set_nat_event(static_cast<uint32_t>(maker.below(20)));
    if (maker.one_in(3)) flow.set_forwarding_status(static_cast<uint32_t>(maker.below(256)));
    const json event = test::event_of(flow, {.observables = true}, {.processed_ms = 1, .message_id = "a\"b"});
    ASSERT_EQ(judge.faults_of(event), std::vector<std::string>()) << event.dump(1);
  }
}

}  // namespace
}  // namespace weir::transform

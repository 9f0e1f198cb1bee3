// exporter_details_test.cc — What one exporter said, from its cores to who asks on the control socket.
#include "control/exporters/exporter_details.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "control/http/exporter_detail_routes.h"
#include "lab/message_builder.h"
#include "support/turning_plane.h"

namespace weir::control {
namespace {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

const IpAddress kRouter = IpAddress::from_v4(0xC0000207);  // 192.0.2.7, whom the plane receives from

/// Id 256 with octets, packets, an element of ntop's and one that nobody knows; sampler 3 samples 1 in 100.
lab::Octets ipfix() {
  return lab::IpfixBuilder{}
      .export_time(static_cast<uint32_t>(wall_clock_ns() / kNsPerSec))
      .domain(5)
      .templates({{.id = 256, .fields = {{1, 8}, {2, 8}, {82, 65535}, {12345, 4, 99999}}}})
      .options_templates({{.id = 257, .scopes = {{302, 4}}, .fields = {{305, 4}, {306, 4}}}})
      .data(257, {lab::Record(lab::Octets{0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 99})})
      .build();
}

class ExporterDetailsTest : public ::testing::Test {
 protected:
  ExporterDetailsTest() {
    ApplianceView view;
    decode::ExporterStats e;
    e.address = kRouter;
    e.sampling_rate_default = 7;
    view.exporters.push_back(e);
    view_.publish(std::make_shared<const ApplianceView>(view));
    route_ = exporter_detail_route(view_, details_, [this] { return now_ns_; });
  }
  void step() {
    const RoleScope role(control_thread);
    details_.step(plane_, directory_, now_ns_);
  }
  /// Until it has answered all slices.
  void turn(size_t core) {
    for (int i = 0; i < 20; ++i) plane_.turn(core);
  }
  HttpResponse ask() { return route_.handle(HttpRequest{.method = "GET", .path = "/v1/exporters/192.0.2.7"}); }

  Snapshot<ApplianceView> view_;
  ExporterDetails details_;
  TurningPlane plane_{2};
  ExporterDirectory directory_;
  service::HttpRoute route_;
  uint64_t now_ns_ = 1000 * kNsPerSec;
};

TEST_F(ExporterDetailsTest, ShowsTemplatesWithFieldsAndWhereRatesComeFrom) {
  plane_.receive(1, ipfix(), wall_clock_ns());
  const HttpResponse response = ask();
  ASSERT_EQ(response.status, 200u);
  std::string text;
  EXPECT_TRUE(response.stream->next(text)) << "nobody waits for the cores";
  step();
  EXPECT_TRUE(response.stream->next(text));
  for (size_t core : {0, 1}) turn(core);
  step();
  EXPECT_FALSE(response.stream->next(text));
  const json body = json::parse(text);
  EXPECT_EQ(body["detail"], json::parse(R"({"complete":true,"cut":false,"record_readers":[],"silent_cores":[]})"));
  ASSERT_EQ(body["template_list"].size(), 2u) << body["template_list"];
  const json& data = body["template_list"][0];
  EXPECT_EQ(data["id"], 256);
  EXPECT_EQ(data["domain"], 5);
  EXPECT_EQ(data["kind"], "data");
  EXPECT_EQ(data["record_octets"], json());
  EXPECT_EQ(data["fields"], json::parse(R"([
      {"enterprise":0,"id":1,"name":"octetDeltaCount","octets":8},
      {"enterprise":0,"id":2,"name":"packetDeltaCount","octets":8},
      {"enterprise":0,"id":82,"name":"interfaceName","octets":null},
      {"enterprise":99999,"id":12345,"name":null,"octets":4}])"));
  EXPECT_TRUE(data["fused"] == "variable_length" || data["fused"] == "left_out") << data["fused"];
  EXPECT_EQ(body["template_list"][1]["kind"], "options");
  EXPECT_EQ(body["template_list"][1]["fused"], json());
  EXPECT_EQ(body["template_list"][1]["scope_fields"], 1);
  EXPECT_EQ(body["template_list"][1]["record_octets"], 12);
  ASSERT_EQ(body["sampling"].size(), 2u) << body["sampling"];
  EXPECT_EQ(body["sampling"][0]["source"], "sampler");
  EXPECT_EQ(body["sampling"][0]["id"], 3);
  EXPECT_EQ(body["sampling"][0]["rate"], 100);
  EXPECT_EQ(body["sampling"][1]["source"], "default");
  EXPECT_EQ(body["sampling"][1]["rate"], 7);
}

TEST_F(ExporterDetailsTest, SaysWhatKeepsRecordsFromBeingFusedJustNow) {
  plane_.receive(0, ipfix(), wall_clock_ns());
  dataplane::TapLane lane({});
  const dataplane::TapSet watched{.lanes = {&lane}, .count = 1};
  const dataplane::TapSet* const none = nullptr;
  for (const auto& [tap, readers] : {std::pair{&watched, json::array({"live_tail"})}, std::pair{none, json::array()}}) {
    {
      const RoleScope role(control_thread);
      plane_.pipeline(1).set_tap(tap);
    }
    const HttpResponse response = ask();
    std::string text;
    EXPECT_TRUE(response.stream->next(text));
    step();
    for (size_t core : {0, 1}) turn(core);
    step();
    EXPECT_FALSE(response.stream->next(text));
    EXPECT_EQ(json::parse(text)["detail"]["record_readers"], readers) << "of one core is enough";
  }
}

TEST_F(ExporterDetailsTest, ShowsWhatTheExporterCallsItsInterfacesUnderTheOperatorsWords) {
  const auto say = [&](uint8_t index, std::string_view text, std::string_view description) {
    decode::Event e;
    e.kind = decode::EventKind::name_learned;
    e.name_kind = decode::NameKind::interface;
    e.exporter = kRouter;
    e.key_octets = 1;
    e.key[0] = index;
    e.has_name = e.has_description = true;
    e.name_octets = static_cast<uint8_t>(text.size());
    e.description_octets = static_cast<uint8_t>(description.size());
    std::memcpy(e.text, text.data(), text.size());
    std::memcpy(e.text + text.size(), description.data(), description.size());
    const RoleScope role(control_thread);
    directory_.on_event(e, now_ns_);
  };
  say(7, "Gi0/0/7", "to Hamburg");
  say(9, "Gi0/0/9", "");
  {
    const RoleScope role(control_thread);
    directory_.set_list(std::make_shared<const ExporterList>(*ExporterList::parse(
                            "address,name,site,ifIndex,ifName,speed,boundary\n192.0.2.7,a,b,7,uplink,10G,yes\n", "list")),
                        now_ns_, now_ns_);
  }
  const HttpResponse response = ask();
  step();
  for (size_t core : {0, 1}) turn(core);
  step();
  std::string text;
  ASSERT_FALSE(response.stream->next(text));
  EXPECT_EQ(json::parse(text)["interfaces"], json::parse(R"([
      {"if_index":7,"name":"uplink","description":"to Hamburg","speed_bps":10000000000,"boundary":"external"},
      {"if_index":9,"name":"Gi0/0/9","description":null,"speed_bps":null,"boundary":"unknown"}])"));
}

TEST_F(ExporterDetailsTest, NamesACoreThatDoesNotAnswerAndGoesOnWithoutIt) {
  plane_.receive(1, ipfix(), wall_clock_ns());
  for (int round = 0; round < 2; ++round) {  // the second one finds it still stuck
    const HttpResponse response = ask();
    step();
    turn(1);
    step();
    std::string text;
    EXPECT_TRUE(round == 1 || response.stream->next(text));
    now_ns_ += kDetailPatienceNs;
    step();
    ASSERT_FALSE(response.stream->next(text)) << round;
    const json body = json::parse(text);
    EXPECT_EQ(body["detail"]["silent_cores"], json::array({0}));
    EXPECT_FALSE(body["detail"]["complete"]);
    EXPECT_EQ(body["template_list"].size(), 2u);
  }
  // What it says at last is nobody's answer, and it is asked again.
  turn(0);
  step();
  const HttpResponse response = ask();
  step();
  for (size_t core : {0, 1}) turn(core);
  step();
  std::string text;
  ASSERT_FALSE(response.stream->next(text));
  EXPECT_TRUE(json::parse(text)["detail"]["complete"]);
}

TEST_F(ExporterDetailsTest, ServesAFewAndTurnsOthersAwayUntilOneLeaves) {
  std::vector<HttpResponse> asking;
  for (size_t i = 0; i < kDetailAsksMax; ++i) asking.push_back(ask());
  EXPECT_EQ(ask().status, 503u);
  asking.pop_back();
  step();
  step();
  EXPECT_EQ(ask().status, 200u);
}

TEST_F(ExporterDetailsTest, AnswersWithoutTheControlThreadInTheEnd) {
  const HttpResponse response = ask();
  std::string text;
  EXPECT_TRUE(response.stream->next(text));
  now_ns_ += 10 * kDetailPatienceNs;
  EXPECT_FALSE(response.stream->next(text));
  EXPECT_EQ(json::parse(text)["detail"]["silent_cores"], json());
}

}  // namespace
}  // namespace weir::control

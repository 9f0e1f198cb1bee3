// Captures and the quarantine on the control socket: what may be asked for, how captures begin and end, what is kept
// of how many at a time, and the files that come of it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "control/http/capture_routes.h"
#include "control/taps/capture_desk.h"
#include "control/taps/capture_pcap.h"
#include "lab/capture_file.h"
#include "lab/message_builder.h"
#include "support/turning_plane.h"

namespace weir::control {
namespace {

using nlohmann::json;
using service::HttpAccess;
using service::HttpRequest;
using service::HttpResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What of a pcap a test looks at.
struct ReadPacket {
  uint64_t timestamp_ns;
  bool is_cut;
  packet::FrameView view;
  std::vector<uint8_t> payload;
};

std::vector<ReadPacket> read_pcap(const std::string& octets, packet::ChecksumPolicy::Check check) {
  std::string path = ::testing::TempDir() + "weir-pcap-XXXXXX";
  const int fd = mkstemp(path.data());
  EXPECT_GE(fd, 0);
  close(fd);
  std::ofstream(path, std::ios::binary) << octets;
  std::vector<ReadPacket> packets;
  auto reader = lab::CaptureReader::open(path);
  EXPECT_TRUE(reader) << reader.error().message;
  lab::CapturedFrame frame;
  for (;;) {
    const auto more = reader->next(frame);
    EXPECT_TRUE(more);
    if (!more || !*more) break;
    const auto view = packet::parse_frame(frame.octets, frame.link, {check, check});
    packets.push_back({frame.timestamp_ns, frame.is_cut, view, {view.payload.begin(), view.payload.end()}});
  }
  unlink(path.c_str());
  return packets;
}

lab::Octets v5(uint32_t sequence = 0) {
  return lab::NetflowV5Builder{}.sequence(sequence).record({.octets = 64, .proto = 6}).build();
}

class CaptureTest : public ::testing::Test {
 protected:
  CaptureTest() {
    desk_.set_ground({kCores, {"netflow", "sflow"}});
    routes_ = capture_routes(desk_, quarantine_, view_);
  }
  HttpResponse ask(const std::string& method, const std::string& route, const std::string& tail = {},
                   const std::string& body = {}, const std::map<std::string, std::string>& query = {}) {
    for (const auto& r : routes_)
      if (r.method == method && r.path == route)
        return r.handle({.method = method, .path = route, .query = query, .body = body, .tail = tail});
    ADD_FAILURE() << "no route " << method << " " << route;
    return {};
  }
  json begin(const std::string& body = "{}") {
    const HttpResponse response = ask("POST", "/v1/captures", {}, body);
    EXPECT_EQ(response.status, 201u) << response.body;
    return json::parse(response.body);
  }
  json look(uint64_t id) { return json::parse(ask("GET", "/v1/captures/{id}", std::to_string(id)).body); }
  std::vector<ReadPacket> packets(uint64_t id) {
    return read_pcap(ask("GET", "/v1/captures/{id}/pcap", std::to_string(id)).body, packet::ChecksumPolicy::Check::verify);
  }
  void step() {
    const RoleScope role(control_thread);
    desk_.step(plane_, steady_ns_);
    quarantine_.step(plane_, steady_ns_);
  }
  /// Until the cores have taken up what there is.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      step();
      plane_.turn();
    }
    step();
  }

  static constexpr size_t kCores = 2;
  CaptureDesk desk_;
  QuarantineDesk quarantine_;
  Snapshot<ApplianceView> view_;
  std::vector<service::HttpRoute> routes_;
  TurningPlane plane_{kCores};
  uint64_t steady_ns_ = 1000 * kNsPerSec;
};

TEST_F(CaptureTest, SaysWhatIsWrongWithWhatIsAskedFor) {
  const struct {
    const char* body;
    const char* error;
  } rows[] = {
      {"no json", "not a JSON object"},
      {"[]", "not a JSON object"},
      {R"({"coutn": 3})", "no key 'coutn'; there are exporter, listener"},
      {R"({"exporter": "router"})", "exporter is \"router\", must be an address or a prefix"},
      {R"({"exporter": 7})", "exporter is 7"},
      {R"({"exporter": "192.0.2.0/33"})", "must be an address or a prefix"},
      {R"({"listener": "ipfix"})", "listener is \"ipfix\", must be one of netflow, sflow"},
      {R"({"listener": ""})", "must be one of netflow, sflow"},
      {R"({"only": "bad"})", "only is \"bad\", must be one of all, rejected, templates"},
      {R"({"count": 0})", "count is 0, must be a whole number from 1 to 100000"},
      {R"({"count": 100001})", "from 1 to 100000"},
      {R"({"count": -1})", "count is -1"},
      {R"({"count": 1.5})", "count is 1.5"},
      {R"({"count": "9"})", "count is \"9\""},
      {R"({"count": 99999999999999999999999})", "from 1 to 100000"},
      {R"({"octets": 16777217})", "octets is 16777217, must be a whole number from 1 to 16777216"},
      {R"({"until_templates": 1})", "until_templates is 1, must be true or false"},
      {R"({"seconds": 3601})", "seconds is 3601, must be a whole number from 1 to 3600"},
  };
  for (const auto& row : rows) {
    const HttpResponse response = ask("POST", "/v1/captures", {}, row.body);
    EXPECT_EQ(response.status, 400u) << row.body;
    EXPECT_THAT(json::parse(response.body).at("error").get<std::string>(), HasSubstr(row.error)) << row.body;
  }
  const HttpResponse large = ask("POST", "/v1/captures", {}, json{{"exporter", std::string(1 << 19, 'x')}}.dump());
  EXPECT_EQ(large.status, 400u);
  EXPECT_LT(large.body.size(), 300u);
  EXPECT_TRUE(desk_.list().empty());
}

TEST_F(CaptureTest, IsForAdmins) {
  for (const auto& route : routes_) {
    const bool has_octets = route.method != "GET" || route.path.ends_with("/pcap") || route.path == "/v1/quarantine";
    EXPECT_EQ(route.access == HttpAccess::admin, has_octets) << route.method << " " << route.path;
    EXPECT_FALSE(route.also_on_tcp);
  }
}

TEST_F(CaptureTest, TakesAsManyAsWereAskedForAndEnds) {
  const json asked = begin(R"({"exporter": "192.0.2.7", "count": 3})");
  EXPECT_EQ(asked["id"], 1);
  EXPECT_EQ(asked["state"], "starting");
  settle();
  EXPECT_EQ(look(1)["state"], "running");
  plane_.receive(0, v5(1), 10, "192.0.2.8");
  plane_.receive(0, v5(1), 11);
  plane_.receive(1, v5(2), 12);
  EXPECT_EQ(look(1)["datagrams"]["kept"], 2);
  EXPECT_EQ(packets(1).size(), 2u) << "while it runs";
  for (uint32_t i = 0; i < 5; ++i) plane_.receive(0, v5(i), 13 + i);
  settle();
  const json ended = look(1);
  EXPECT_EQ(ended["state"], "ended");
  EXPECT_EQ(ended["ended_by"], "count");
  EXPECT_EQ(ended["datagrams"]["kept"], 3);
  EXPECT_EQ(ended["datagrams"]["missed"], 0);
  plane_.receive(0, v5(9), 99);

  const std::vector<ReadPacket> read = packets(1);
  ASSERT_EQ(read.size(), 3u) << "the first of all cores'";
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read[i].timestamp_ns, 11 + i);
    EXPECT_EQ(read[i].view.verdict, packet::FrameVerdict::udp);
    EXPECT_EQ(read[i].view.src, *IpAddress::parse("192.0.2.7"));
    EXPECT_EQ(read[i].view.src_port, 4000);
    EXPECT_EQ(read[i].view.dst_port, TurningPlane::kPort);
  }
  EXPECT_EQ(read[1].payload, v5(2));
}

TEST_F(CaptureTest, EndsByEachOfItsBounds) {
  const struct {
    const char* body;
    const char* ended_by;
    uint64_t kept, missed;
  } rows[] = {
      {R"({"count": 2})", "count", 2, 0},
      {R"({"octets": 200})", "octets", 2, 2},  // of 72 each
      {R"({"octets": 144})", "octets", 2, 2},
      {R"({"seconds": 5})", "seconds", 4, 0},
      {R"({"listener": "sflow", "seconds": 5})", "seconds", 0, 0},
      {R"({"only": "rejected", "seconds": 5})", "seconds", 0, 0},
  };
  uint64_t id = 0;
  for (const auto& row : rows) {
    begin(row.body);
    settle();
    for (uint32_t i = 0; i < 4; ++i) plane_.receive(0, v5(i), i + 1);
    steady_ns_ += 5 * kNsPerSec - 1;
    settle();
    steady_ns_ += 1;
    settle();
    const json ended = look(++id);
    EXPECT_EQ(ended["state"], "ended") << row.body;
    EXPECT_EQ(ended["ended_by"], row.ended_by) << row.body;
    EXPECT_EQ(ended["datagrams"]["kept"], row.kept) << row.body;
    EXPECT_EQ(ended["datagrams"]["missed"], row.missed) << row.body;
    EXPECT_EQ(packets(id).size(), row.kept) << row.body;
  }
}

TEST_F(CaptureTest, MayWaitForTemplatesBeyondItsCount) {
  begin(R"({"count": 2, "seconds": 100, "until_templates": true})");
  settle();
  const auto data = lab::NetflowV9Builder{}.data(256, {{lab::u32(1)}}).build();
  const auto templates = lab::NetflowV9Builder{}.templates({{.id = 256, .fields = {{1, 4}}}}).build();
  for (uint64_t i = 1; i <= 4; ++i) plane_.receive(i % 2, data, i);
  steady_ns_ += 50 * kNsPerSec;
  settle();
  EXPECT_EQ(look(1)["state"], "running") << "without templates";
  plane_.receive(0, templates, 5);
  settle();
  EXPECT_EQ(look(1)["state"], "running") << "others may follow";
  plane_.receive(1, templates, 6);
  plane_.receive(1, data, 7);
  steady_ns_ += kCaptureTemplatesNs;
  settle();
  EXPECT_EQ(look(1)["ended_by"], "count");
  std::vector<uint64_t> times;
  for (const ReadPacket& packet : packets(1)) times.push_back(packet.timestamp_ns);
  EXPECT_THAT(times, ElementsAre(1, 2, 5, 6));
}

TEST_F(CaptureTest, TellsWhenMemoryRanOutBeforeTheBounds) {
  begin(R"({"count": 100000})");
  settle();
  const lab::Octets large = lab::filled(60'000, 0xee);
  for (uint64_t i = 0; i < 200; ++i) plane_.receive(0, large, i);
  settle();
  const json ended = look(1);
  EXPECT_EQ(ended["ended_by"], "memory");
  EXPECT_EQ(ended["datagrams"]["kept"], (kCaptureMemoryOctets / kCores) / (60'000 + sizeof(dataplane::DatagramNote)));
  EXPECT_EQ(ended["datagrams"]["kept"].get<uint64_t>() + ended["datagrams"]["missed"].get<uint64_t>(), 200u);
  EXPECT_EQ(ended["datagrams"]["rejected"], ended["datagrams"]["kept"]);
}

TEST_F(CaptureTest, OnesThatRunDoNotNoticeOneAnother) {
  begin(R"({"exporter": "192.0.2.7", "count": 2})");
  settle();
  begin(R"({"exporter": "192.0.2.0/24"})");
  settle();
  plane_.receive(0, v5(), 1, "192.0.2.8");
  plane_.receive(0, v5(), 2);
  plane_.receive(0, v5(), 3);
  settle();
  plane_.receive(0, v5(), 4);
  EXPECT_EQ(look(1)["state"], "ended");
  EXPECT_EQ(look(1)["datagrams"]["kept"], 2);
  EXPECT_EQ(look(2)["state"], "running");
  EXPECT_EQ(look(2)["datagrams"]["kept"], 4);
}

TEST_F(CaptureTest, HasPlaceForSomeAndTheOldestThatHasEndedMakesPlace) {
  for (size_t i = 0; i < kCapturesMax; ++i) begin(R"({"seconds": 100})");
  settle();
  const HttpResponse refused = ask("POST", "/v1/captures");
  EXPECT_EQ(refused.status, 409u);
  EXPECT_THAT(refused.body, HasSubstr("4 captures are running, limit 4"));
  EXPECT_EQ(ask("DELETE", "/v1/captures/{id}", "2").status, 200u);
  EXPECT_EQ(ask("GET", "/v1/captures/{id}", "2").status, 404u);
  EXPECT_EQ(begin(R"({"seconds": 1000})")["id"], 5) << "at once, though a core may still write into the other's memory";
  plane_.receive(0, v5(), 1);
  settle();
  plane_.receive(0, v5(), 2);
  EXPECT_EQ(look(1)["datagrams"]["kept"], 2);
  EXPECT_EQ(look(5)["datagrams"]["kept"], 1);
  steady_ns_ += 100 * kNsPerSec;
  settle();
  EXPECT_EQ(begin()["id"], 6);
  std::vector<uint64_t> ids;
  const json listed = json::parse(ask("GET", "/v1/captures").body);
  for (const json& c : listed["captures"]) ids.push_back(c["id"]);
  EXPECT_THAT(ids, ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(ask("GET", "/v1/captures/{id}/pcap", "1").status, 404u);
}

TEST_F(CaptureTest, KnowsNoCaptureOfAnotherName) {
  for (const char* id : {"", "x", "1x", "-1", "99999999999999999999999"}) {
    EXPECT_EQ(ask("GET", "/v1/captures/{id}", id).status, 400u) << id;
    EXPECT_EQ(ask("DELETE", "/v1/captures/{id}", id).status, 400u) << id;
  }
  EXPECT_EQ(ask("GET", "/v1/captures/{id}/pcap", "7").status, 404u);
}

TEST_F(CaptureTest, WaitsForACoreThatIsBusy) {
  begin();
  for (int i = 0; i < 5; ++i) {
    step();
    plane_.turn(0);
  }
  EXPECT_EQ(look(1)["state"], "starting");
  settle();
  EXPECT_EQ(look(1)["state"], "running");
  EXPECT_EQ(ask("DELETE", "/v1/captures/{id}", "1").status, 200u);
  step();
  plane_.turn(0);
  step();
  plane_.receive(1, v5(), 1);  // the other core still goes by it: its memory must be there
  settle();
}

TEST_F(CaptureTest, MayBeRemovedBeforeItHasBegun) {
  begin();
  EXPECT_EQ(ask("DELETE", "/v1/captures/{id}", "1").status, 200u);
  settle();
  settle();
  for (size_t i = 0; i < kCapturesMax; ++i) begin();
}

TEST_F(CaptureTest, ThoseThatCoresHaveNotLetGoOfAreBounded) {
  for (size_t i = 0; i < kCapturesMax; ++i) begin();
  settle();
  for (size_t i = 0; i < kCapturesHeldMax - kCapturesMax; ++i) {
    EXPECT_EQ(ask("DELETE", "/v1/captures/{id}", std::to_string(i + 1)).status, 200u);
    begin();
    step();  // without a turn of the cores
  }
  EXPECT_EQ(ask("DELETE", "/v1/captures/{id}", "5").status, 200u);
  EXPECT_EQ(ask("POST", "/v1/captures").status, 409u);
  settle();
  settle();
  begin();
  plane_.receive(0, v5(), 1);
  EXPECT_EQ(look(6)["datagrams"]["kept"], 1);
}

TEST_F(CaptureTest, IsRefusedWhileTheApplianceStarts) {
  CaptureDesk desk;
  const auto routes = capture_routes(desk, quarantine_, view_);
  EXPECT_EQ(routes[0].handle({.method = "POST"}).status, 503u);
}

// ── the quarantine ───────────────────────────────────────────────────────────────────────────────

TEST_F(CaptureTest, ListsWhatCouldNotBeDecoded) {
  EXPECT_TRUE(json::parse(ask("GET", "/v1/quarantine").body)["datagrams"].empty());
  plane_.receive(0, lab::Octets{1, 2}, 7);
  plane_.receive(1, lab::filled(500, 0xee), 8, "2001:db8::9");
  plane_.receive(0, lab::filled(3000, 0xee), 9);
  for (int i = 0; i < 20; ++i) {
    settle();
    steady_ns_ += kNsPerSec;
  }
  ApplianceView named;
  named.exporter_list = std::make_shared<const ExporterList>(*ExporterList::parse("address,name\n192.0.2.7,edge1\n", "list"));
  EXPECT_TRUE(json::parse(ask("GET", "/v1/quarantine").body)["datagrams"][0]["exporter_name"].is_null());
  view_.publish(std::make_shared<const ApplianceView>(std::move(named)));
  const json answer = json::parse(ask("GET", "/v1/quarantine").body);
  ASSERT_EQ(answer["datagrams"].size(), 3u);
  EXPECT_EQ(answer["datagrams"][0]["exporter_name"], "edge1");
  EXPECT_TRUE(answer["datagrams"][1]["exporter_name"].is_null());
  const json& shortest = answer["datagrams"][0];
  EXPECT_EQ(shortest["reason"], "truncated_header");
  EXPECT_EQ(shortest["hex"], "0102");
  EXPECT_EQ(shortest["octets"], 2);
  EXPECT_EQ(shortest["listener"], "netflow");
  EXPECT_EQ(shortest["exporter"], "192.0.2.7");
  EXPECT_EQ(shortest["received_ns"], 7);
  EXPECT_EQ(answer["datagrams"][1]["exporter"], "2001:db8::9");
  EXPECT_EQ(answer["datagrams"][1]["core"], 1);
  EXPECT_EQ(answer["datagrams"][1]["hex"].get<std::string>().size(), 2 * 128u);
  EXPECT_EQ(answer["datagrams"][2]["octets"], 3000);
  EXPECT_EQ(answer["datagrams"][2]["is_whole"], false);
  EXPECT_EQ(answer["reasons"]["unknown_version"]["copied"], 2);

  const json one = json::parse(ask("GET", "/v1/quarantine", {}, {}, {{"reason", "truncated_header"}}).body);
  EXPECT_EQ(one["datagrams"].size(), 1u);
  const HttpResponse wrong = ask("GET", "/v1/quarantine/pcap", {}, {}, {{"reason", "bad"}});
  EXPECT_EQ(wrong.status, 400u);
  EXPECT_THAT(wrong.body, HasSubstr("must be one of empty, truncated_header"));

  const auto packets = read_pcap(ask("GET", "/v1/quarantine/pcap").body, packet::ChecksumPolicy::Check::verify);
  ASSERT_EQ(packets.size(), 3u);
  EXPECT_EQ(packets[0].payload, (lab::Octets{1, 2}));
  EXPECT_EQ(packets[1].payload, lab::filled(500, 0xee));
  EXPECT_EQ(packets[1].view.verdict, packet::FrameVerdict::udp);
  EXPECT_TRUE(packets[2].is_cut);
}

TEST(CapturePcap, TellsTheTrueLengthOfWhatWasNotKeptWhole) {
  for (const char* source : {"192.0.2.7", "2001:db8::7"}) {
    const lab::Octets kept = lab::filled(64, 0xab);
    dataplane::DatagramView view{.note = {.source = *IpAddress::parse(source),
                                          .source_port = 1,
                                          .local_port = 2055,
                                          .payload_octets = 1000,
                                          .octets = 1000,
                                          .kept_octets = 64},
                                 .octets = kept};
    const auto pcap = pcap_of({view});
    ASSERT_TRUE(pcap);
    const size_t header = view.note.source.is_v4() ? 28 : 48;
    uint32_t lengths[2];  // behind the file's header and the time: kept, and on the wire
    std::memcpy(lengths, pcap->data() + 24 + 8, sizeof lengths);
    EXPECT_EQ(lengths[0], header + 64);
    EXPECT_EQ(lengths[1], header + 1000);
    const auto* ip = reinterpret_cast<const uint8_t*>(pcap->data()) + 24 + 16;
    EXPECT_EQ(load_be16(ip + header - 8 + 4), 1008) << "UDP";
    EXPECT_EQ(load_be16(ip + (header == 28 ? 2 : 4)), header == 28 ? 1028 : 1008) << "IP";
  }
}

TEST(CapturePcap, NamesTheDestinationWhereItIsKnown) {
  const lab::Octets payload = v5();
  const auto octets = static_cast<uint32_t>(payload.size());
  dataplane::DatagramView view{.note = {.source = *IpAddress::parse("192.0.2.7"),
                                        .destination = *IpAddress::parse("192.0.2.200"),
                                        .source_port = 1,
                                        .local_port = 2055,
                                        .payload_octets = octets,
                                        .octets = octets,
                                        .kept_octets = octets},
                               .octets = payload};
  const auto packets = read_pcap(*pcap_of({view}), packet::ChecksumPolicy::Check::verify);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].view.dst, *IpAddress::parse("192.0.2.200"));
  EXPECT_EQ(packets[0].payload, payload);
}

}  // namespace
}  // namespace weir::control

#include "control/view.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "control/http/exporter_detail_routes.h"
#include "control/http/metrics.h"
#include "control/http/routes.h"
#include "control/state/identity.h"
#include "control/view_build.h"

namespace weir::control {
namespace {

using decode::DatagramError;
using decode::SetOutcome;
using outbound::DeliveryFailure;
using packet::FrameVerdict;
using service::HttpRequest;
using service::HttpResponse;

/// A view in which every row has its own number, so that a mix-up shows.
ApplianceView sample_view() {
  ApplianceView view;
  view.appliance_uuid = "11111111-2222-4333-8444-555555555555";
  view.partition = "default";
  view.state = ApplianceState::running;
  view.started_ns = 1'700'000'000'000'000'000;
  view.taken_ns = view.started_ns + 5'000'000'000;
  dataplane::PortStats port;
  port.name = "p0";
  port.kind = "dpdk";
  port.driver = "net_null";
  port.link_up = true;
  port.packets = 10;
  port.missed = 4;
  view.ports.push_back(port);
  CoreView core;
  core.info = {.core = 0, .cpu = 1, .serves = "p0 queue 0"};
  Ledger& l = core.ledger;
  l.frames = 15;
  l.verdicts[FrameVerdict::udp] = 7;
  l.verdicts[FrameVerdict::not_ip] = 2;
  l.verdicts[FrameVerdict::fragment] = 6;
  l.fragments[packet::FragmentOutcome::joined] = 2;
  l.fragments[packet::FragmentOutcome::expired] = 3;
  l.fragments_waiting = 1;
  l.reassembled[FrameVerdict::udp] = 1;
  l.no_listener = 1;
  l.exceptions[dataplane::ExceptionOutcome::no_interface] = 2;
  l.exceptions[dataplane::ExceptionOutcome::passed] = 1;
  l.datagrams = 7;
  l.datagrams_decoded = 5;
  l.datagram_errors[DatagramError::unknown_version] = 2;
  l.sets = 6;
  l.set_outcomes[SetOutcome::decoded] = 4;
  l.set_outcomes[SetOutcome::waiting_for_template] = 2;
  l.set_octets = 600;
  l.set_outcome_octets[SetOutcome::decoded] = 400;
  l.set_outcome_octets[SetOutcome::waiting_for_template] = 200;
  l.records = 90;
  l.encoded = 80;
  l.record_drops[outbound::RecordDrop::no_buffer] = 10;
  core.buffers = 64;
  core.buffers_free = 48;
  view.cores.push_back(core);
  ListenerView listener;
  listener.name = "edge";
  listener.port = 2055;
  listener.datagrams[decode::Protocol::netflow_v9] = 5;
  listener.octets[decode::Protocol::netflow_v9] = 5000;
  listener.records[decode::Protocol::netflow_v9] = 90;
  listener.rejected = 2;
  view.listeners.push_back(listener);
  PublisherView publisher;
  publisher.name = "jetstream";
  publisher.kind = "jetstream";
  publisher.connected = true;
  publisher.records_acknowledged = 70;
  publisher.failures[DeliveryFailure::timed_out] = 3;
  publisher.records_failed = 3;
  publisher.records_in_flight = 7;
  publisher.records_routed = 80;
  publisher.queue_depth = 3;
  publisher.queue_capacity = 12;
  for (const uint64_t ms : {2, 3, 40, 700}) publisher.delivery.add(ms * 1'000'000);
  view.publishers.push_back(publisher);
  for (uint32_t i = 1; i <= 3; ++i) {
    decode::ExporterStats e;
    e.address = IpAddress::from_v4(0xC0000200u + i);
    e.datagrams = i;
    e.protocols = 1u << static_cast<uint32_t>(decode::Protocol::netflow_v9);
    view.exporters.push_back(e);
  }
  return view;
}

HttpResponse ask(const ApplianceView& view, std::string path,
                 std::map<std::string, std::string> query = {}) {
  Snapshot<ApplianceView> snapshot;
  snapshot.publish(std::make_shared<const ApplianceView>(view));
  auto routes = appliance_routes(snapshot, 0, [&view] { return view.taken_steady_ns; });
  // Its clock runs so fast that no core is waited for.
  ExporterDetails details;
  uint64_t now_ns = 0;
  routes.push_back(exporter_detail_route(snapshot, details, [&now_ns] { return now_ns += 10 * kNsPerSec; }));
  for (const auto& route : routes) {
    const bool fits = route.path == path || (route.path == "/v1/exporters/{address}" &&
                                             path.starts_with("/v1/exporters/"));
    if (!fits) continue;
    HttpResponse response = route.handle(HttpRequest{.method = "GET", .path = path, .query = std::move(query)});
    while (response.stream && response.stream->next(response.body)) {
    }
    response.stream.reset();
    return response;
  }
  ADD_FAILURE() << "no route " << path;
  return {};
}

nlohmann::json ask_json(const ApplianceView& view, std::string path,
                        std::map<std::string, std::string> query = {}) {
  const HttpResponse response = ask(view, std::move(path), std::move(query));
  EXPECT_EQ(response.status, 200u) << response.body;
  return nlohmann::json::parse(response.body);
}

TEST(Ledger, BalancesWhenEverythingIsAccountedFor) {
  EXPECT_TRUE(sample_view().total().discrepancies().empty());
}

TEST(Ledger, IsSummedUpWithEachReasonAtTheEnd) {
  ApplianceView view = sample_view();
  view.cores[0].ledger.set_outcomes[SetOutcome::waiting_for_template] = 0;
  view.cores[0].ledger.set_outcomes[SetOutcome::expired] = 2;
  view.publishers[0].failures[DeliveryFailure::queue_full] = 1;
  const std::string text = summary_of(view);
  for (const char* part :
       {"received 7 datagrams, rejected 2 (unknown_version 2)", "2 of 6 sets not decoded (expired 2)",
        "decoded 90 records, encoded 80, not encoded 10 (no_buffer 10)",
        "jetstream: acknowledged 70, failed 3, dropped 0, in flight 7 (queue_full 1, timed_out 3)"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST(Ledger, NamesEachEquationThatDoesNotHold) {
  const struct {
    const char* what;
    void (*spoil)(Ledger&);
  } cases[] = {
      {"frames", [](Ledger& l) { ++l.frames; }},
      {"fragments", [](Ledger& l) { ++l.fragments[packet::FragmentOutcome::tiny]; }},
      {"fragments", [](Ledger& l) { --l.fragments_waiting; }},
      {"udp frames", [](Ledger& l) { ++l.no_listener, ++l.exceptions[dataplane::ExceptionOutcome::joined]; }},
      {"other frames", [](Ledger& l) { ++l.exceptions[dataplane::ExceptionOutcome::rate_limited]; }},
      {"udp frames", [](Ledger& l) { ++l.reassembled[FrameVerdict::udp]; }},
      {"datagrams", [](Ledger& l) { --l.datagrams_decoded; }},
      {"sets", [](Ledger& l) { ++l.set_outcomes[SetOutcome::expired]; }},
      {"set octets", [](Ledger& l) { ++l.set_octets; }},
      {"records", [](Ledger& l) { ++l.record_drops[outbound::RecordDrop::filtered]; }},
      {"records", [](Ledger& l) { ++l.counter_records; }},
      {"records", [](Ledger& l) { ++l.discard_records; }},
  };
  for (const auto& c : cases) {
    Ledger ledger = sample_view().total();
    c.spoil(ledger);
    const auto lines = ledger.discrepancies();
    ASSERT_EQ(lines.size(), 1u) << c.what;
    EXPECT_EQ(lines[0].equation, c.what);
    EXPECT_NE(lines[0].difference, 0);
  }
}

TEST(Ledger, HoldsEachPublisherToWhatItWasOffered) {
  PublisherView publisher = sample_view().publishers[0];
  EXPECT_TRUE(publisher.discrepancies().empty());
  --publisher.records_in_flight;
  ASSERT_EQ(publisher.discrepancies().size(), 1u);
  EXPECT_EQ(publisher.discrepancies()[0].text(), "records: 1 are not accounted for");
  publisher.records_acknowledged += 3;
  EXPECT_EQ(publisher.discrepancies()[0].text(), "records: 2 too many are accounted for");
}

TEST(Readiness, APublisherThatTakesNothingIsNotReadyThoughItIsConnected) {
  ApplianceView view = sample_view();
  view.publishers[0].takes_nothing_ns = 12'300'000'000;
  EXPECT_EQ(view.not_ready_because(),
            "publisher jetstream: cannot publish: takes nothing since 12 s");
  EXPECT_EQ(ask_json(view, "/v1/status")["publishers"][0]["last_error"],
            "takes nothing since 12 s");
  view.publishers[0].last_error = "no stream";
  EXPECT_EQ(view.not_ready_because(), "publisher jetstream: cannot publish: no stream")
      << "what it says itself is more to the point";
}

TEST(Readiness, SaysWhyNot) {
  ApplianceView view = sample_view();
  EXPECT_EQ(view.not_ready_because(), "");
  view.publishers[0].last_error = "stream events: subject taken";
  EXPECT_EQ(view.not_ready_because(),
            "publisher jetstream: cannot publish: stream events: subject taken");
  view.publishers[0].last_error.clear();
  view.publishers[0].connected = false;
  view.publishers[0].last_error = "no servers available";
  EXPECT_EQ(view.not_ready_because(), "publisher jetstream: not connected: no servers available");
  view.publishers.insert(view.publishers.begin(), view.publishers[0]);
  view.publishers[0].connected = true;
  view.publishers[0].last_error.clear();
  EXPECT_NE(view.not_ready_because(), "") << "one of two is away";
  view.ports[0].trouble = "interface eth1 has 2 receive queues now";
  EXPECT_EQ(view.not_ready_because(), "port p0: interface eth1 has 2 receive queues now") << "a link, and not all comes by it";
  view.ports[0].trouble.clear();
  view.ports[0].link_up = false;
  EXPECT_EQ(view.not_ready_because(), "port p0: link is down");
  view.state = ApplianceState::draining;
  EXPECT_EQ(view.not_ready_because(), "the appliance is draining");
}

TEST(Readiness, APublisherThatSpoolsIsReadyWhileItsDiskTakesMore) {
  ApplianceView view = sample_view();
  PublisherView& publisher = view.publishers[0];
  publisher.connected = false;
  publisher.last_error = "no servers available";
  publisher.policy = DropPolicy::spool;
  publisher.spool.dir = "/var/lib/weir/spool/jetstream";
  publisher.spool.octets = 999;
  publisher.spool.octets_max = 1000;
  EXPECT_EQ(view.not_ready_because(), "");
  EXPECT_EQ(ask(view, "/readyz").status, 200u);
  EXPECT_EQ(ask_json(view, "/v1/status")["publishers"][0]["last_error"], "no servers available") << "it is told all the same";
  publisher.connected = true;
  publisher.last_error.clear();
  publisher.takes_nothing_ns = 6'000'000'000;
  EXPECT_EQ(view.not_ready_because(), "") << "what it does not take goes to disk";

  const struct {
    void (*spoil)(PublisherView&);
    const char* why;
  } cases[] = {
      {[](PublisherView& p) { p.spool.octets = 1000; }, "not connected: no servers available"},
      {[](PublisherView& p) { p.spool.dir.clear(); }, "not connected: no servers available"},
      {[](PublisherView& p) { p.policy = DropPolicy::drop_oldest; }, "not connected: no servers available"},
      {[](PublisherView& p) { p.spool.last_error = "spool: full"; }, "not connected: no servers available; spool: full"},
      {[](PublisherView& p) { p.spool.takes_nothing_ns = 7'000'000'000; },
       "not connected: no servers available; spool: takes nothing since 7 s"},
  };
  publisher.connected = false;
  publisher.takes_nothing_ns = 0;
  publisher.last_error = "no servers available";
  const PublisherView spools = publisher;
  for (const auto& c : cases) {
    publisher = spools;
    c.spoil(publisher);
    EXPECT_EQ(view.not_ready_because(), std::string("publisher jetstream: ") + c.why);
    EXPECT_EQ(ask(view, "/readyz").status, 503u);
  }
  publisher = spools;
  publisher.connected = true;
  publisher.last_error.clear();
  publisher.spool.last_error = "spool: full";
  EXPECT_EQ(view.not_ready_because(), "") << "nothing needs the disk";
}

TEST(Routes, LedgerHasEveryReasonAsAKey) {
  const auto body = ask_json(sample_view(), "/v1/ledger");
  EXPECT_EQ(body["frames"]["verdicts"]["not_ip"], 2);
  EXPECT_EQ(body["datagrams"]["rejected"]["unknown_version"], 2);
  EXPECT_EQ(body["datagrams"]["rejected"]["empty"], 0);
  EXPECT_EQ(body["sets"]["outcomes"]["waiting_for_template"], 2);
  EXPECT_EQ(body["records"]["dropped"]["no_buffer"], 10);
  EXPECT_EQ(body["publishers"][0]["records"]["acknowledged"], 70);
  EXPECT_EQ(body["publishers"][0]["failures"]["timed_out"], 3);
  EXPECT_EQ(body["ports"][0]["missed"], 4);
  EXPECT_TRUE(body["ports"][0]["errors"].is_null());
  EXPECT_EQ(body["balanced"], true);
}

TEST(Routes, NameWhoLostRecords) {
  ApplianceView view = sample_view();
  view.exporter_list = std::make_shared<const ExporterList>(*ExporterList::parse("address,name\n192.0.2.1,edge1\n", "list"));
  view.losses.push_back({IpAddress::from_v4(0xC0000201u), RouteId{0}, {}});
  view.losses.push_back({IpAddress::from_v4(0xC0000202u), RouteId{0}, {}});
  view.publishers[0].losses.push_back({IpAddress::from_v4(0xC0000201u), RouteId{0}, {}});
  const auto body = ask_json(view, "/v1/ledger");
  EXPECT_EQ(body["losses"]["rows"][0]["exporter_name"], "edge1");
  EXPECT_TRUE(body["losses"]["rows"][1]["exporter_name"].is_null());
  EXPECT_EQ(body["publishers"][0]["losses"]["rows"][0]["exporter_name"], "edge1");
}

TEST(Routes, StatusSaysWhetherItIsReady) {
  ApplianceView view = sample_view();
  EXPECT_EQ(ask_json(view, "/v1/status")["ready"], true);
  EXPECT_EQ(ask(view, "/readyz").status, 200u);
  view.publishers[0].connected = false;
  EXPECT_EQ(ask_json(view, "/v1/status")["ready"], false);
  EXPECT_EQ(ask(view, "/readyz").status, 503u);
  EXPECT_EQ(ask(view, "/healthz").status, 200u);
}

TEST(Routes, ExportersComeInPages) {
  const ApplianceView view = sample_view();
  const auto first = ask_json(view, "/v1/exporters", {{"limit", "2"}});
  ASSERT_EQ(first["exporters"].size(), 2u);
  EXPECT_EQ(first["exporters"][0]["address"], "192.0.2.1");
  EXPECT_EQ(first["exporters"][0]["protocols"], nlohmann::json::array({"netflow_v9"}));
  EXPECT_EQ(first["next_offset"], 2);
  const auto second = ask_json(view, "/v1/exporters", {{"offset", "2"}, {"limit", "2"}});
  ASSERT_EQ(second["exporters"].size(), 1u);
  EXPECT_EQ(second["exporters"][0]["address"], "192.0.2.3");
  EXPECT_TRUE(second["next_offset"].is_null());
  EXPECT_TRUE(
      ask_json(view, "/v1/exporters", {{"offset", "18446744073709551615"}})["exporters"].empty());
}

TEST(Routes, HoldAgainstAnExporterWhatItDidOfLate) {
  ApplianceView view = sample_view();
  for (decode::ExporterStats& e : view.exporters) e.datagrams_rejected = e.datagrams;  // in all its life
  view.recent.resize(view.exporters.size());
  view.recent[1].datagrams = view.recent[1].datagrams_rejected = 1;
  const auto all = ask_json(view, "/v1/exporters");
  ASSERT_EQ(all["exporters"].size(), view.exporters.size());
  for (const auto& e : all["exporters"]) {
    EXPECT_EQ(e["verdicts"].size(), e["address"] == "192.0.2.2" ? 1u : 0u) << e;
  }
  EXPECT_EQ(ask_json(view, "/v1/exporters/192.0.2.2")["verdicts"][0]["about"], "rejected");
}

TEST(Routes, WrongQuestionsAreAnsweredClearly) {
  const ApplianceView view = sample_view();
  for (const char* limit : {"x", "-1", "1001", "", "1 "}) {
    EXPECT_EQ(ask(view, "/v1/exporters", {{"limit", limit}}).status, 400u) << limit;
  }
  EXPECT_EQ(ask(view, "/v1/exporters/nonsense").status, 400u);
  EXPECT_EQ(ask(view, "/v1/exporters/192.0.2.9").status, 404u);
  EXPECT_EQ(ask_json(view, "/v1/exporters/192.0.2.2")["datagrams"]["received"], 2);
}

TEST(Routes, StandTextOfABrokerThatIsNoUtf8) {
  ApplianceView view = sample_view();
  view.publishers.at(0).last_error = "no \xff\xfe\x80 way";
  EXPECT_EQ(ask(view, "/readyz").status, 503u);
  const auto status = ask_json(view, "/v1/status");
  EXPECT_NE(status["not_ready_because"].get<std::string>().find(" way"), std::string::npos);
}

TEST(Routes, SayThatTheyAreStartingBeforeTheFirstView) {
  Snapshot<ApplianceView> nothing;
  for (const auto& route : appliance_routes(nothing, 0, [] { return uint64_t{0}; })) {
    const unsigned expected = route.path == "/healthz" ? 200 : 503;
    EXPECT_EQ(route.handle(HttpRequest{.method = "GET", .path = route.path}).status, expected)
        << route.path;
  }
}

TEST(Routes, TellWhatCameByEachListenerAndWhereSomethingWaits) {
  const auto listeners = ask_json(sample_view(), "/v1/listeners")["listeners"];
  ASSERT_EQ(listeners.size(), 1u);
  EXPECT_EQ(listeners[0]["name"], "edge");
  EXPECT_EQ(listeners[0]["records"]["netflow_v9"], 90);
  EXPECT_EQ(listeners[0]["rejected"], 2);

  std::map<std::string, nlohmann::json> queues;
  const auto body = ask_json(sample_view(), "/v1/queues");
  for (const auto& q : body["queues"]) queues[q["name"]] = q;
  EXPECT_EQ(queues["core 0: batch buffers in use"]["depth"], 16);
  EXPECT_EQ(queues["core 0: batch buffers in use"]["fill"], 0.25);
  EXPECT_EQ(queues["core 0: fragments"]["depth"], 1);
  EXPECT_TRUE(queues["core 0: fragments"]["capacity"].is_null());
  EXPECT_EQ(queues["publisher jetstream: batches"]["fill"], 0.25);
  EXPECT_EQ(queues["publisher jetstream: undecided"]["depth"], 7);
}

TEST(Routes, OnlyMetricsAndHealthAreOnTcp) {
  Snapshot<ApplianceView> nothing;
  std::set<std::string> on_tcp;
  for (const auto& route : appliance_routes(nothing, 0, [] { return uint64_t{0}; })) {
    if (route.also_on_tcp) on_tcp.insert(route.path);
  }
  EXPECT_EQ(on_tcp, (std::set<std::string>{"/metrics", "/healthz", "/readyz"}));
}

TEST(Metrics, CarryTheLedgersNumbers) {
  const std::string text = metrics_text(sample_view());
  for (const char* line : {
           "weir_port_packets_total{port=\"p0\",driver=\"net_null\"} 10\n",
           "weir_port_missed_total{port=\"p0\",driver=\"net_null\"} 4\n",
           "weir_frames_total{core=\"0\",verdict=\"not_ip\"} 2\n",
           "weir_fragments_total{core=\"0\",outcome=\"expired\"} 3\n",
           "weir_fragments_waiting{core=\"0\"} 1\n",
           "weir_reassembled_total{core=\"0\",verdict=\"udp\"} 1\n",
           "weir_no_listener_total{core=\"0\"} 1\n",
           "weir_datagram_errors_total{core=\"0\",reason=\"unknown_version\"} 2\n",
           "weir_sets{core=\"0\",outcome=\"waiting_for_template\"} 2\n",
           "weir_record_drops_total{core=\"0\",reason=\"no_buffer\"} 10\n",
           "weir_publisher_records_acknowledged_total{publisher=\"jetstream\",kind=\"jetstream\"} "
           "70\n",
           "weir_publisher_records_lost_total{publisher=\"jetstream\",kind=\"jetstream\",reason="
           "\"timed_out\"} 3\n",
           "weir_listener_datagrams_total{listener=\"edge\",protocol=\"netflow_v9\"} 5\n",
           "weir_listener_octets_total{listener=\"edge\",protocol=\"netflow_v9\"} 5000\n",
           "weir_listener_records_total{listener=\"edge\",protocol=\"netflow_v9\"} 90\n",
           "weir_listener_records_total{listener=\"edge\",protocol=\"ipfix\"} 0\n",
           "weir_listener_rejected_total{listener=\"edge\"} 2\n",
           "weir_publisher_delivery_seconds_bucket{publisher=\"jetstream\",kind=\"jetstream\",le=\"0.005\"} 2\n",
           "weir_publisher_delivery_seconds_bucket{publisher=\"jetstream\",kind=\"jetstream\",le=\"0.5\"} 3\n",
           "weir_publisher_delivery_seconds_bucket{publisher=\"jetstream\",kind=\"jetstream\",le=\"+Inf\"} 4\n",
           "weir_publisher_delivery_seconds_sum{publisher=\"jetstream\",kind=\"jetstream\"} 0.745\n",
           "weir_ready 1\n",
           "weir_ledger_balanced 1\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  // A counter that the device does not have is absent, not 0.
  EXPECT_EQ(text.find("weir_port_errors_total{"), std::string::npos);
}

TEST(Identity, IsKeptInTheStateFolder) {
  const std::string dir = testing::TempDir() + "weir-identity-" + std::to_string(getpid());
  const std::string first = load_or_make_appliance_uuid(dir);
  EXPECT_TRUE(is_uuid(first)) << first;
  EXPECT_EQ(load_or_make_appliance_uuid(dir), first);
  std::ofstream(dir + "/appliance_id") << "damaged\n";
  const std::string second = load_or_make_appliance_uuid(dir);
  EXPECT_TRUE(is_uuid(second));
  EXPECT_NE(second, first);
  EXPECT_EQ(load_or_make_appliance_uuid(dir), second);
}

TEST(Identity, IsNewEachTimeWhereNothingIsKept) {
  const std::string first = load_or_make_appliance_uuid("");
  EXPECT_TRUE(is_uuid(first));
  EXPECT_NE(load_or_make_appliance_uuid(""), first);
  EXPECT_TRUE(is_uuid(load_or_make_appliance_uuid("/proc/no/such/place")));
}

}  // namespace
}  // namespace weir::control

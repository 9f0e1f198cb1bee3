// What rules decide about a flow, in its event.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "rules/rule_set.h"
#include "support/program.h"
#include "transform/flow_maker.h"
#include "transform/judge.h"
#include "transform/remainder.h"

namespace weir::transform {
namespace {

using nlohmann::json;
using test::usual_flow;

json event_under(const std::string& rules_text, const flowpb::FlowMessage& flow) {
  const auto rules = rules::RuleSet::parse(rules_text, "rules.yaml", "", event_targets());
  EXPECT_TRUE(rules) << rules.error().message;
  if (!rules) return {};
  const std::string message = flow.SerializeAsString();
  FlowView view;
  EXPECT_TRUE(parse_flow(test::octets_of(message), view));
  rules::Scratch scratch;
  rules::Outcome outcome;
  (*rules)->program().run(view, scratch, outcome);
  if (outcome.is_dropped) return {};
  std::vector<char> out(kEventOctetsMax);
  const Decisions decisions{&outcome, &(*rules)->program(), (*rules)->local_prefixes()};
  const size_t octets = OcsfWriter({.rules_name = (*rules)->name(), .rules_hash = (*rules)->hash()}).write(view, {.decisions = decisions}, out);
  const json event = json::parse(std::string(out.data(), octets));
  if (test::has_ocsf_schema()) {
    static const test::Judge judge;
    EXPECT_EQ(judge.faults_of(event), std::vector<std::string>()) << event.dump(1);
  }
  return event;
}

TEST(EventsUnderRules, SayWhatTheRulesSet) {
  const json event = event_under(R"yaml(
version: 1
rules:
  - id: a
    then:
      set:
        severity_id: 3
        app_name: "'web'"
        message: "`${flow_type} to ${dst_port}`"
        connection_info.direction_id: 2
        connection_info.boundary_id: 3
        src_endpoint.hostname: "'host.example'"
        dst_endpoint.svc_name: "upper('https')"
        dst_endpoint.zone: "'dmz'"
        device.name: "'edge-1'"
        metadata.tenant_uid: "'t1'"
        unmapped.team: "'net \"core\"'"
        unmapped.ratio: bytes / packets
        unmapped.is_web: dst_port == 443
      labels: [one, two]
)yaml", usual_flow());
  EXPECT_EQ(event["severity_id"], 3);
  EXPECT_EQ(event["severity"], "Medium");
  EXPECT_EQ(event["app_name"], "web");
  EXPECT_EQ(event["message"], "IPFIX to 443");
  EXPECT_EQ(event["connection_info"]["direction"], "Outbound");
  EXPECT_EQ(event["connection_info"]["boundary"], "External");
  EXPECT_EQ(event["src_endpoint"]["hostname"], "host.example");
  EXPECT_EQ(event["dst_endpoint"]["svc_name"], "HTTPS");
  EXPECT_EQ(event["dst_endpoint"]["zone"], "dmz");
  EXPECT_EQ(event["device"]["name"], "edge-1");
  EXPECT_EQ(event["metadata"]["tenant_uid"], "t1");
  EXPECT_EQ(event["metadata"]["labels"], json({"one", "two"}));
  EXPECT_EQ(event["unmapped"]["team"], "net \"core\"");
  EXPECT_EQ(event["unmapped"]["ratio"], 1234.56);
  EXPECT_EQ(event["unmapped"]["is_web"], true);
}

/// All attributes that rules can set, in what no column of a store holds: no rule may set a field of its own under such a key.
TEST(RemaindersUnderRules, HaveNoKeyTwice) {
  std::string text = "version: 1\nrules:\n  - id: a\n    then:\n      set:\n";
  for (const rules::Target& target : event_targets()) text += "        " + target.name + (target.kind == rules::TargetKind::text ? ": \"'x'\"\n" : ": 1\n");
  const auto rules = rules::RuleSet::parse(text, "rules.yaml", "", event_targets());
  ASSERT_TRUE(rules) << rules.error().message;
  const std::string message = usual_flow().SerializeAsString();
  FlowView view;
  ASSERT_TRUE(parse_flow(test::octets_of(message), view));
  rules::Scratch scratch;
  rules::Outcome outcome;
  (*rules)->program().run(view, scratch, outcome);
  const Decisions decisions{&outcome, &(*rules)->program(), (*rules)->local_prefixes()};
  std::vector<char> room(kEventOctetsMax);
  bool is_cut = false;
  const json remainder = json::parse(std::string_view(room.data(), write_remainder(view, decisions, 0, room, is_cut)));
  EXPECT_EQ(remainder.count("message"), 1u);
  EXPECT_GE(remainder.size(), event_targets().size() - 2) << "all but those with a column";
  for (const auto& [key, value] : remainder.items()) {
    const auto own = rules::RuleSet::parse("version: 1\nrules:\n  - {id: a, then: {set: {unmapped." + key + ": 1}}}\n", "rules.yaml", "", event_targets());
    EXPECT_FALSE(own) << key;
  }
}

TEST(RulesDocument, HasAnExampleThatIsRight) {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  std::ifstream file(std::string(root != nullptr ? root : ".") + "/docs/RULES.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t begin = text.find("```yaml\n") + 8;
  ASSERT_NE(begin, std::string::npos + 8);
  const test::TemporaryFolder folder;
  test::write_file(folder / "hosts.csv", "address,name,team\n192.0.2.10,www,core\n");
  const auto rules = rules::RuleSet::parse(text.substr(begin, text.find("```\n", begin) - begin), "RULES.md", folder / "", event_targets());
  ASSERT_TRUE(rules) << rules.error().message;
  EXPECT_EQ((*rules)->rules().size(), 3u);
  // Whether the dictionary knows the host or not, the rule goes on to its end.
  size_t known = 0, unknown = 0;
  for (uint32_t i = 0; i < 500; ++i) {
    flowpb::FlowMessage flow = usual_flow();
    flow.set_proto(6);
    flow.set_dst_port(443);
    flow.set_sequence_num(i);  // some are kept of what is sampled
    flow.set_src_addr(i % 2 == 0 ? std::string("\xc0\0\2\x0a", 4) : std::string("\xc0\0\2\x0b", 4));
    const std::string message = flow.SerializeAsString();
    FlowView view;
    ASSERT_TRUE(parse_flow(test::octets_of(message), view));
    rules::Scratch scratch;
    rules::Outcome outcome;
    (*rules)->program().run(view, scratch, outcome);
    EXPECT_EQ(outcome.errors, 0u);
    EXPECT_EQ(rules::run_plainly(**rules, view).errors, 0u);
    if (outcome.is_dropped) continue;
    ++(i % 2 == 0 ? known : unknown);
    std::vector<char> out(kEventOctetsMax);
    const Decisions decisions{&outcome, &(*rules)->program(), (*rules)->local_prefixes()};
    const json event = json::parse(std::string(out.data(), OcsfWriter({}).write(view, {.decisions = decisions}, out)));
    EXPECT_EQ(event["metadata"]["labels"].back(), "web");
    EXPECT_EQ(event["app_name"], "web");
    EXPECT_EQ(event["src_endpoint"].value("hostname", "none"), i % 2 == 0 ? "www" : "none");
    EXPECT_EQ(event["unmapped"].value("team", "none"), i % 2 == 0 ? "core" : "none");
  }
  EXPECT_GT(known, 5u);
  EXPECT_GT(unknown, 5u);
  for (const rules::Target& target : event_targets()) {
    const size_t point = target.name.find("_endpoint.");
    const std::string name = point == std::string::npos ? target.name : target.name.substr(point + 9);
    EXPECT_NE(text.find(name + "`"), std::string::npos) << name;
  }
}

TEST(EventsUnderRules, SayWhichRulesTheyWentBy) {
  const std::string text = "version: 1\n";
  const json by = event_under(text, usual_flow())["metadata"]["transformation_info_list"];
  ASSERT_EQ(by.size(), 1u);
  EXPECT_EQ(by[0]["name"], "rules.yaml");
  EXPECT_EQ(by[0]["uid"].get<std::string>().size(), 7u + 64u);
  EXPECT_EQ(event_under(text, usual_flow())["metadata"]["transformation_info_list"], by);
  EXPECT_NE(event_under(text + "# another\n", usual_flow())["metadata"]["transformation_info_list"], by);
}

TEST(EventsUnderRules, LetTheExportersOwnNameForAnApplicationGoFirst) {
  flowpb::FlowMessage flow = usual_flow();
  flow.set_application_name("ssh");
  EXPECT_EQ(event_under("version: 1\nrules: [{id: a, then: {set: {app_name: \"'web'\"}}}]\n", flow)["app_name"], "ssh");
}

TEST(EventsUnderRules, SeeDirectionsFromTheOperatorsNetworks) {
  struct Case {
    const char *source, *destination, *direction, *boundary, *scope;
  };
  const Case cases[] = {
      {"10.0.0.1", "192.0.2.1", "Outbound", "External", "Internal"},
      {"192.0.2.1", "10.0.0.1", "Inbound", "External", "External"},
      {"10.0.0.1", "10.9.9.9", "Lateral", "Internal", "Internal"},
      {"10.0.0.1", "10.0.0.1", "Local", "Localhost", "Internal"},
      {"192.0.2.1", "192.0.2.2", "Unknown", "External", "External"},
      {"2001:db8::1", "10.0.0.1", "Lateral", "Internal", "Internal"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.source) + " to " + c.destination);
    flowpb::FlowMessage flow = usual_flow();
    flow.set_src_addr(test::wire(c.source));
    flow.set_dst_addr(test::wire(c.destination));
    const json event = event_under("version: 1\nlocal_prefixes: [10.0.0.0/8, '2001:db8::/32']\n", flow);
    EXPECT_EQ(event["connection_info"]["direction"], c.direction);
    EXPECT_EQ(event["connection_info"]["boundary"], c.boundary);
    EXPECT_EQ(event["src_endpoint"]["network_scope"], c.scope);
  }
}

TEST(EventsUnderRules, MultiplyTheSamplingRateByWhatWasLeftOut) {
  flowpb::FlowMessage flow = usual_flow();
  flow.set_sampling_rate(100);
  size_t kept = 0;
  for (uint32_t i = 0; i < 200; ++i) {
    flow.set_sequence_num(i);
    const json event = event_under("version: 1\nrules: [{id: a, then: {sample: 4}}]\n", flow);
    if (event.is_null()) continue;
    ++kept;
    EXPECT_EQ(event["unmapped"]["sampling_rate"], 400);
  }
  EXPECT_GT(kept, 20u);
  EXPECT_LT(kept, 100u);
}

}  // namespace
}  // namespace weir::transform

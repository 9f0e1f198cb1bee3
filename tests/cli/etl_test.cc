// `weir-etl` as its users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace weir {
namespace {

using nlohmann::json;
using test::built;
using test::lines_of;
using test::Outcome;
using test::run_program;
using testing::HasSubstr;

class Etl : public testing::Test {
 protected:
  std::string rules(const std::string& text) {
    const std::string file = folder_ / "rules.yaml";
    test::write_file(file, "version: 1\n" + text);
    return file;
  }
  Outcome explain(const std::string& file, const std::string& flows) {
    const std::string input = folder_ / "flows.json";
    test::write_file(input, flows);
    return run_program({"sh", "-c", "\"$0\" explain \"$1\" < \"$2\"", built("weir-etl"), file, input});
  }
  test::TemporaryFolder folder_;
};

TEST_F(Etl, ChecksRules) {
  const Outcome good = run_program({built("weir-etl"), "check",
                                    rules("sets: {web: [80, 443]}\n"
                                          "rules:\n"
                                          "  - {id: w, when: dst_port in @web, then: {sample: 5, set: {app_name: \"'web'\"}, labels: [l]}}\n"
                                          "  - {id: all, then: {drop: true}}\n")});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("good. 2 rules, 1 sets, 0 dictionaries"));
  EXPECT_THAT(good.out, HasSubstr("sample 1 in 5, set app_name, label l  (dst_port in @web)"));
  EXPECT_THAT(good.out, HasSubstr("drop  (always)"));

  const Outcome wrong = run_program({built("weir-etl"), "check", rules("rules:\n  - {id: a, when: bytes > 'x', then: {drop: true}}\n")});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("rules.yaml:3:25: rule a: when: '>' of a number and a text"));
  EXPECT_EQ(run_program({built("weir-etl"), "check", "/nowhere"}).status, 1);
  EXPECT_EQ(run_program({built("weir-etl")}).status, 2);
}

TEST_F(Etl, ExplainsWhatADecisionFileDidWithAFlow) {
  test::write_file(folder_ / "d.json",
                   R"({"nodes":[{"id":"i","type":"inputNode"},{"id":"e","name":"make","type":"expressionNode","content":{"expressions":[)"
                   R"({"key":"half","value":"bytes / 2"},{"key":"app.name","value":"dst_port == 443 ? 'web' : 1 + application_name"},)"
                   R"({"key":"rate","value":"sampling_rate"}]}},{"id":"o","type":"outputNode"}],)"
                   R"("edges":[{"sourceId":"i","targetId":"e"},{"sourceId":"e","targetId":"o"}]})");
  const std::string file = rules("decision: d.json\nrules:\n  - {id: one, then: {sample: 1}}\n  - {id: drop, when: dst_port == 1, then: {drop: true}}\n");
  const Outcome good = run_program({built("weir-etl"), "check", file});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("decision d.json: "));
  const Outcome ran = explain(file, R"({"dst_port":443,"bytes":7,"sampling_rate":10})" "\n" R"({"dst_port":1})" "\n" R"({"dst_port":2})" "\n");
  EXPECT_EQ(ran.status, 1) << "the last one has no result";
  EXPECT_THAT(ran.out, HasSubstr("decision d.json\n  node 'make': half = 3.5\n  node 'make': app.name = \"web\"\n  node 'make': rate = 10\n"
                                 "result {\"half\":3.5,\"app\":{\"name\":\"web\"},\"rate\":10}\n"));
  EXPECT_THAT(ran.out, HasSubstr("dropped by drop"));
  EXPECT_THAT(ran.out, HasSubstr("app.name = no value: at 29: add of a number and a string"));
  EXPECT_THAT(ran.out, HasSubstr("no result: an expression has no value for this flow: node 'make': app.name = dst_port == 443 ? 'web' : 1 + application_name\n"));
}

TEST_F(Etl, ExplainsWhatEachRuleDidWithAFlow) {
  const std::string file = rules(
      "derive: {per_packet: bytes / packets}\n"
      "rules:\n"
      "  - {id: first, when: proto == 17, then: {drop: true}}\n"
      "  - {id: second, when: dst_port == 443, then: {set: {app_name: \"'web'\"}, labels: [w]}}\n"
      "  - {id: third, when: number(site) > 1, then: {labels: [x]}}\n");
  const Outcome ran = explain(file, R"({"proto":"TCP","dst_port":443,"src_addr":"192.0.2.1","bytes":100,"packets":8,"site":"x"})" "\n"
                                    R"({"proto":"UDP"})" "\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  const std::vector<std::string> lines = lines_of(ran.out);
  ASSERT_GE(lines.size(), 8u) << ran.out;
  EXPECT_THAT(lines[0], HasSubstr("12.5"));
  EXPECT_THAT(lines[1], HasSubstr("did not match"));
  EXPECT_THAT(lines[2], HasSubstr("matched: set app_name = \"web\", labelled it w"));
  EXPECT_THAT(lines[3], HasSubstr("NO VALUE: at 1: number() of \"x\""));
  const json event = json::parse(lines[4].substr(lines[4].find('{')));
  EXPECT_EQ(event["app_name"], "web");
  EXPECT_THAT(ran.out, HasSubstr("dropped by first"));

  const Outcome beside = explain(file, R"({"kind":"sflow_counters","agent_uptime_ms":5,"interface":{"if_index":3}})" "\n"
                                       R"({"kind":"sflow_discard","reason":"DROP_ACL","reason_code":258,"packet":{"dst_port":443,"forwarding_status":129}})" "\n");
  EXPECT_EQ(beside.status, 0) << beside.err;
  EXPECT_THAT(beside.out, HasSubstr("sflow_counters: counters are no flow, and no rule sees them\n"));
  EXPECT_THAT(beside.out, HasSubstr("matched: set app_name = \"web\""));
  EXPECT_THAT(beside.out, HasSubstr("\"status_detail\":\"DROP_ACL\""));
  EXPECT_EQ(explain(file, R"({"kind":"sflow_counters"})" "\n").status, 1) << "no flow at all";
  EXPECT_THAT(explain(file, R"({"kind":"sandwich"})" "\n").err, HasSubstr("kind is no field of a flow"));
  const Outcome wrong = explain(file, "{\"dst_prt\":1}\n");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("dst_prt is no field of a flow"));
  EXPECT_EQ(explain(file, "").status, 1);
}

TEST_F(Etl, EvaluatesDecisionFiles) {
  const auto eval = [&](const std::string& file, const std::string& input) {
    test::write_file(folder_ / "decision.json", file);
    test::write_file(folder_ / "input.json", input);
    return run_program({"sh", "-c", "\"$0\" eval \"$1\" < \"$2\"", built("weir-etl"), folder_ / "decision.json", folder_ / "input.json"});
  };
  const std::string file =
      R"({"nodes":[{"id":"i","type":"inputNode"},{"id":"e","name":"make","type":"expressionNode","content":{"expressions":)"
      R"([{"key":"a.b","value":"x / 4"},{"key":"n","value":"null"}]}},{"id":"o","type":"outputNode"}],)"
      R"("edges":[{"sourceId":"i","targetId":"e"},{"sourceId":"e","targetId":"o"}]})";
  const Outcome good = eval(file, R"({"x":10})");
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(good.out, "{\"a\":{\"b\":2.5}}\n");
  EXPECT_THAT(eval(file, R"({"x":"y"})").err, HasSubstr("node 'make': x / 4: at 3: divide of a string and a number"));
  EXPECT_EQ(eval(file, "5").status, 1);
  EXPECT_EQ(eval("{}", "{}").status, 1);
}

TEST_F(Etl, ConfigurationsKeysAreInItsDocument) {
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  const Outcome keys = run_program({built("weir-etl"), "check-config", "--keys"});
  ASSERT_EQ(keys.status, 0) << keys.err;
  EXPECT_THAT(test::contents_of(std::string(root) + "/docs/ETL.md"), HasSubstr(keys.out))
      << "put what `weir-etl check-config --keys` prints in the place of the table in docs/ETL.md";
}

}  // namespace
}  // namespace weir

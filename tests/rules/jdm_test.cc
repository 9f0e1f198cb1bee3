// Decision files do what the reference engine makes of them. Expected results are those of @gorules/zen-engine 0.54.0; where a Node with
// that engine is at hand (NODE_PATH, or what scripts/fetch_zen_engine.sh left), it is asked again.
#include "rules/jdm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "rules/engine_questions.h"
#include "support/program.h"

namespace weir::rules {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::filesystem::path installed_folder() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::filesystem::path(root != nullptr ? root : ".") / ".." / "shared" / "rules" / "installed";
}

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// input → one expression node → output.
std::string one_node(std::initializer_list<std::pair<const char*, const char*>> expressions, const json& more = json::object(),
                     bool beside = false) {
  json content = more;
  content["expressions"] = json::array();
  for (const auto& [key, value] : expressions) {
    content["expressions"].push_back({{"id", "x"}, {"key", key}, {"value", value}});
  }
  json edges = {{{"id", "1"}, {"sourceId", "i"}, {"targetId", "e"}}, {{"id", "2"}, {"sourceId", "e"}, {"targetId", "o"}}};
  if (beside) edges.push_back({{"id", "3"}, {"sourceId", "i"}, {"targetId", "o"}});
  return json{{"nodes",
               {{{"id", "i"}, {"type", "inputNode"}, {"name", "in"}},
                {{"id", "e"}, {"type", "expressionNode"}, {"name", "make"}, {"content", content}},
                {{"id", "o"}, {"type", "outputNode"}, {"name", "out"}}}},
              {"edges", edges}}
      .dump();
}

struct Case {
  const char* what;
  std::string file;
  const char* input;
  const char* result;  // empty: it has none
};

std::vector<Case> cases() {
  return {
      {"null takes a key away, but not inside of what is new", one_node({{"a", "null"}, {"b", "{c: null, d: 1}"}, {"e.f", "null"}, {"e.g", "2"}}),
       "{}", R"({"b":{"c":null,"d":1},"e":{"f":null,"g":2}})"},
      {"$ is what the node has made so far", one_node({{"a", "1"}, {"b", "$.a + 1"}, {"c", "a"}}), R"({"a":5})", R"({"a":1,"b":2,"c":5})"},
      {"passThrough", one_node({{"a", "1"}, {"n", "null"}}, {{"passThrough", true}}), R"({"a":5,"n":3,"z":{"q":null},"w":null})",
       R"({"a":1,"z":{"q":null}})"},
      {"inputField", one_node({{"a", "x + 1"}}, {{"inputField", "p.q"}}), R"({"p":{"q":{"x":1}}})", R"({"a":2})"},
      {"outputPath", one_node({{"a", "x + 1"}}, {{"outputPath", "r.s"}}), R"({"x":1})", R"({"r":{"s":{"a":2}}})"},
      {"outputPath and passThrough", one_node({{"a", "x + 1"}}, {{"outputPath", "r.s"}, {"passThrough", true}}), R"({"x":1,"r":{"t":1}})",
       R"({"r":{"s":{"a":2},"t":1},"x":1})"},
      {"inputField, outputPath and passThrough", one_node({{"a", "x + 1"}}, {{"inputField", "p"}, {"outputPath", "r"}, {"passThrough", true}}),
       R"({"p":{"x":1},"y":2})", R"({"p":{"x":1},"r":{"a":2},"y":2})"},
      {"entries without key or value are none", one_node({{"", "1"}, {"b", ""}}), R"({"x":1})", "{}"},
      {"types that do not go together end it", one_node({{"b", "x + 'a'"}}), R"({"x":1})", ""},
      {"a key under a key", one_node({{"a.b", "1"}, {"a.c", "2"}, {"a", "{d: 3}"}}), "{}", R"({"a":{"d":3}})"},
      {"a key under a number is not set", one_node({{"a", "1"}, {"a.c", "2"}}), "{}", R"({"a":1})"},
      {"what comes beside is merged", one_node({{"o", "{x: null, y: [1]}"}, {"z", "null"}}, json::object(), true),
       R"({"o":{"x":1,"q":2,"y":[5,6]},"z":4,"k":null})", R"({"o":{"q":2,"y":[1]}})"},
      {"quotients keep zeros", one_node({{"a", "string(10/4)"}, {"b", "`${1/1024}`"}, {"c", "string(100/1000)"}, {"d", "string(12/4)"}, {"e", "string(3/2*2)"}}), "{}",
       R"({"a":"2.50","b":"0.00097656250","c":"0.10","d":"3","e":"3.00"})"},
      {"lists, objects and intervals are equal to nothing", one_node({{"a", "[1,2] == [1,2]"}, {"b", "{a: 1} != {a: 1}"}, {"c", "contains([[1]], [1])"}}), "{}",
       R"({"a":false,"b":true,"c":false})"},
      {"intervals by themselves are text", one_node({{"a", "[1..3]"}, {"b", "{c: (1..2.50]}"}, {"d", "2 in ([1..3])"}, {"e", "map([1..3], #)"}}), "{}",
       R"({"a":"[1..3]","b":{"c":"(1..2.50]"},"d":true,"e":[1,2,3]})"},
      {"text is counted in octets", one_node({{"a", "len(s)"}, {"b", "s[0:1]"}, {"c", "trim('\u00a0x\u2003')"}}), R"({"s":"äb"})", R"({"a":3,"b":"ä","c":"x"})"},
      {"a slice within a character", one_node({{"b", "s[0:0]"}}), R"({"s":"äb"})", ""},
      {"texts as numbers and truths", one_node({{"a", "number(' 12 ')"}, {"b", "isNumeric(' 1')"}, {"c", "bool('x')"}, {"d", "bool('')"}, {"e", "bool(null)"}}), "{}",
       R"({"a":12,"b":true,"c":false,"d":true,"e":false})"},
      {"names of an input that is no object", one_node({{"a", "k"}}, {{"inputField", "x"}}), R"({"x":1})", ""},
      {"no output node", R"({"nodes":[{"id":"i","name":"i","type":"inputNode"},{"id":"e","name":"e","type":"expressionNode","content":{"expressions":[{"id":"1","key":"r","value":"x"}]}}],)"
                         R"("edges":[{"id":"1","sourceId":"i","targetId":"e"}]})", R"({"x":1})", R"({"r":1})"},
      {"what nothing leads to does not run", R"({"nodes":[{"id":"i","name":"i","type":"inputNode"},{"id":"o","name":"o","type":"outputNode"},{"id":"e","name":"e","type":"expressionNode","content":)"
                                             R"({"expressions":[{"id":"1","key":"r","value":"1 + 'a'"}]}}],"edges":[{"id":"1","sourceId":"i","targetId":"o"}]})", R"({"x":1})", R"({"x":1})"},
      {"decimal numbers", one_node({{"a", "7/2"}, {"b", "string(1.50)"}, {"c", "1/3"}, {"d", "10/4*2"}}), "{}",
       R"({"a":3.5,"b":"1.50","c":0.3333333333333333,"d":5})"},
      {"groups that took no part are left out", one_node({{"a", "extract('y', '(x)?(y)')"}, {"b", "extract('y', '(x?)(y)')"}, {"c", "extract('z', '(x)|(y)|(z)')"}}),
       "{}", R"({"a":["y","y"],"b":["y","","y"],"c":["z","z"]})"},
      {"the greatest of those that are there as often", one_node({{"a", "mode([3, 2, 2, 3])"}, {"b", "mode([2, 3, 3, 2, 1])"}, {"c", "mode([5, 1, 1.0, 5, 1])"}}), "{}",
       R"({"a":3,"b":3,"c":1})"},
      {"the last of two keys", one_node({{"b", "1"}, {"a", "2"}, {"b", "3"}}), "{}", R"({"a":2,"b":3})"},
  };
}

/// As JSON numbers: 0.333… of 28 digits and of 16 are one.
json result_of(const std::string& file, const std::string& input) {
  const auto decision = Decision::parse(file);
  EXPECT_TRUE(decision) << decision.error().message;
  if (!decision) return {};
  const auto result = decision->evaluate(*parse_json(input));
  return result ? json::parse(result->to_json()) : json();
}

TEST(Jdm, DoesWhatTheEngineDid) {
  for (const Case& c : cases()) {
    EXPECT_EQ(result_of(c.file, c.input), *c.result == '\0' ? json() : json::parse(c.result)) << c.what;
  }
}

TEST(Jdm, RunsTheFilesOfInstallations) {
  if (!std::filesystem::exists(installed_folder())) GTEST_SKIP() << "no " << installed_folder();
  const auto run = [](const char* name, const char* input) { return result_of(contents_of(installed_folder() / name), input); };
  EXPECT_EQ(run("passthrough.json", R"({"a":null,"b":{"c":null},"d":[null]})"), json::parse(R"({"b":{"c":null},"d":[null]})"));
  EXPECT_EQ(run("strip_full_message.json", R"({"a":1,"full_message":"x","n":null,"o":{"x":null,"y":1}})"),
            json::parse(R"({"a":1,"o":{"x":null,"y":1}})"));
  EXPECT_EQ(run("snmp_severity.json", R"({"varbinds":[{"value":"s: hello"}]})"),
            json::parse(R"({"body":"hello","service_name":"snmp","severity":"Unknown","source":"snmp","varbinds":[{"value":"s: hello"}]})"));
  const json flow = run("netflow_to_ocsf.json",
                        R"({"time_flow_end_ns":1714764451000000000,"time_received_ns":1,"time_flow_start_ns":0,"src_as":0,"dst_as":5,)"
                        R"("in_if":1,"out_if":0,"protocol_name":"","proto":6,"src_addr":"a"})");
  EXPECT_EQ(flow["time"], 1714764451000);
  EXPECT_FALSE(flow.contains("start_time"));
  EXPECT_EQ(flow["connection_info"]["protocol_name"], "TCP");
  EXPECT_EQ(flow["src_endpoint"], json::parse(R"({"ip":"a","port":null,"autonomous_system":null,"interface_uid":"1"})"));
}

TEST(Jdm, RefusesWhatIsBeyondItByNodeAndExpression) {
  const auto error = [](const std::string& file) {
    const auto decision = Decision::parse(file);
    return decision ? "" : decision.error().message;
  };
  EXPECT_THAT(error("{"), HasSubstr("no decision file"));
  EXPECT_EQ(error(one_node({{"t", "date('now')"}})), "node 'make': t = date('now'): date() is not known here");
  EXPECT_THAT(error(one_node({{"t", "1 +"}})), HasSubstr("node 'make': t = 1 +: at 4: the expression ends where a value is expected"));
  EXPECT_THAT(error(one_node({{"t", "1"}}, {{"executionMode", "loop"}})), HasSubstr("executionMode is 'loop'"));
  std::string deep = "a";
  for (int i = 0; i < 100'000; ++i) deep += ".a";
  EXPECT_EQ(error(one_node({{deep.c_str(), "1"}})), "node 'make': a key of more than 64 names");
  EXPECT_EQ(error(one_node({{"t", "1 + $nodes.in.x"}})), "node 'make': t = 1 + $nodes.in.x: $nodes is not known here");
  EXPECT_THAT(error(one_node({{"t", "$root['$nodes'].in"}})), HasSubstr("$nodes is not known here"));
  EXPECT_EQ(error(R"({"nodes":[{"id":"o","type":"outputNode"}],"edges":[]})"), "it has 0 input nodes, and needs one");
  EXPECT_EQ(error(R"({"nodes":[{"id":"a","type":"inputNode"},{"id":"b","type":"inputNode"}],"edges":[]})"), "it has 2 input nodes, and needs one");
  EXPECT_EQ(error(R"({"nodes":[{"id":"f","name":"js","type":"functionNode"}],"edges":[]})"),
            "node 'js' is a functionNode; what runs here are inputNode, expressionNode and outputNode");
  EXPECT_THAT(error(R"({"nodes":[{"id":"i","type":"inputNode"}],"edges":[{"sourceId":"i","targetId":"x"}]})"), HasSubstr("'x'"));
  EXPECT_EQ(error(R"({"nodes":[{"id":"a","type":"inputNode"},{"id":"b","type":"outputNode"}],)"
                  R"("edges":[{"sourceId":"a","targetId":"b"},{"sourceId":"b","targetId":"a"}]})"),
            "its nodes go in a circle");
}

/// What would take hours, all memory, or the stack.
TEST(Jdm, EndsWhateverAnExpressionAsks) {
  const auto error = [](const std::string& file, const std::string& input) {
    const auto decision = Decision::parse(file);
    EXPECT_TRUE(decision) << decision.error().message;
    const auto result = decision->evaluate(*parse_json(input));
    return result ? result->to_json().substr(0, 100) : result.error().message;
  };
  std::string items = "1";
  for (int i = 0; i < 300; ++i) items += ",1";
  EXPECT_THAT(error(one_node({{"a", "map(s, map(s, map(s, map(s, 1))))"}}), R"({"s":[)" + items + "]}"), HasSubstr("takes more than an expression may"));
  json doubling = json::parse(one_node({{"a0", "'xxxxxxxxxxxxxxxx'"}}));
  for (int i = 1; i < 60; ++i) {
    const std::string last = "$.a" + std::to_string(i - 1);
    doubling["nodes"][1]["content"]["expressions"].push_back({{"id", "x"}, {"key", "a" + std::to_string(i)}, {"value", last + " + " + last}});
  }
  EXPECT_THAT(error(doubling.dump(), "{}"), HasSubstr("takes more than an expression may"));
  const std::string long_text = R"({"s":")" + std::string(60'000, 'z') + "\"}";
  EXPECT_EQ(error(one_node({{"a", "extract(s, '(.|x)*y')"}}), long_text), R"({"a":[]})");
  EXPECT_THAT(error(one_node({{"a", "matches(s, '[^ab]{1900}x')"}}), long_text), HasSubstr("takes more than an expression may"));
  EXPECT_EQ(error(one_node({{"a", "mode(map([1..99999], #))"}}), "{}"), R"({"a":99999})") << "in the time of sorting them";
  EXPECT_EQ(error(one_node({{"a", "matches(s, '^(a+)+$')"}}), R"({"s":")" + std::string(60, 'a') + "b\"}"), R"({"a":false})");
  EXPECT_EQ(error(one_node({{"a", "extract(s, '^x(a+)b?(c|)')"}}), R"({"s":"xaab"})"), R"({"a":["xaab","aa",""]})");
  EXPECT_THAT(error(one_node({{"a", "matches(s, '(a)\\1')"}}), R"({"s":"aa"})"), HasSubstr("matches()")) << "the engine has no references back either";
  EXPECT_THAT(error(one_node({{"a", "matches('x', s)"}}), long_text), HasSubstr("a pattern longer than"));
  EXPECT_EQ(error(one_node({{"a", "len(map((9223372036854775806..9223372036854775807], #))"}}), "{}"), R"({"a":1})");
}

std::string path_of_names(size_t count) {
  std::string names = "a";
  for (size_t i = 1; i < count; ++i) names += ".a";
  return names;
}

/// `nodes` nodes in a row; each puts all that it is given under a key, and that under a path, of 64 names each.
std::string nested(size_t nodes, const char* key = nullptr) {
  const std::string names = path_of_names(64);
  json file = {{"nodes", {{{"id", "n0"}, {"type", "inputNode"}}}}, {"edges", json::array()}};
  for (size_t i = 1; i <= nodes; ++i) {
    const json expression = {{"id", "x"}, {"key", key != nullptr ? key : names}, {"value", "$root"}};
    json content = {{"expressions", {expression}}};
    if (key == nullptr) content["outputPath"] = names;
    file["nodes"].push_back({{"id", "n" + std::to_string(i)}, {"type", i == nodes ? "outputNode" : "expressionNode"}, {"content", content}});
    file["edges"].push_back({{"id", "e"}, {"sourceId", "n" + std::to_string(i - 1)}, {"targetId", "n" + std::to_string(i)}});
  }
  return file.dump();
}

TEST(Jdm, EndsBeforeNodesInARowMakeWhatIsTooDeepForTheStack) {
  const auto outcome = [](const std::string& file) {
    const auto decision = Decision::parse(file);
    EXPECT_TRUE(decision) << decision.error().message;
    const auto result = decision->evaluate(Value::object());
    return result ? std::to_string(depth_of(*result)) : result.error().message;
  };
  EXPECT_EQ(outcome(nested(4)), "385");
  EXPECT_EQ(outcome(nested(999)), "node 'n4': its result is deeper than 512 values");
  EXPECT_EQ(outcome(nested(512, "a")), "512");
  EXPECT_EQ(outcome(nested(514, "a")), "node 'n512': $root: its result is deeper than 512 values");
  const std::string names = path_of_names(64);
  json file = json::parse(one_node({}));
  for (int i = 0; i < 1000; ++i) file["nodes"][1]["content"]["expressions"].push_back({{"id", "x"}, {"key", names + std::to_string(i)}, {"value", "$"}});
  EXPECT_THAT(outcome(file.dump()), HasSubstr("node 'make': $: its result is deeper than 512 values"));
}

TEST(Jdm, TakesNoObjectOfSoManyMembersThatLookingForThemTakesLong) {
  const auto object = [](size_t members) {
    std::string text = R"({"o":[{)";
    for (size_t i = 0; i < members; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":{}";
    return parse_json(text + "}, {}]}");
  };
  const auto all = object(4096);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->find("o")->items[0].members.size(), 4096u);
  EXPECT_FALSE(object(4097));
  EXPECT_FALSE(object(100'000));
}

TEST(Jdm, WeighsWhatPassesThrough) {
  json file = json::parse(nested(400, "a"));
  for (json& node : file["nodes"]) node["content"] = {{"passThrough", true}, {"expressions", json::array()}};
  const auto decision = Decision::parse(file.dump());
  ASSERT_TRUE(decision) << decision.error().message;
  const auto input = [](size_t items) { return Value::object({{"s", Value::array(std::vector<Value>(items))}}); };
  EXPECT_TRUE(decision->evaluate(input(5'000)));
  const auto result = decision->evaluate(input(20'000));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("the decision takes more than one may"));
}

// ---- the engine itself ----

json random_flow(std::mt19937_64& random) {
  const auto number = [&] {
    static constexpr uint64_t kNumbers[] = {0, 1, 6, 17, 58, 443, 65535, 4200000000};
    return kNumbers[random() % std::size(kNumbers)];
  };
  json flow;
  for (const char* const key : {"time_received_ns", "time_flow_start_ns", "time_flow_end_ns", "src_port", "dst_port", "proto", "bytes", "packets",
                                "sampling_rate", "sequence_num", "in_if", "out_if", "src_as", "dst_as", "tcp_flags", "ip_tos", "vlan_id"}) {
    flow[key] = number();
  }
  // Beyond 32 bits the engine's binding makes doubles of numbers, whose text has a point: only where they are divided.
  if (random() % 2 == 0) flow["time_flow_end_ns"] = 1'714'764'451'000'000'000 + random() % 1000 * 1'000'000;
  for (const char* const key : {"src_addr", "dst_addr", "next_hop", "sampler_address", "flow_type"}) flow[key] = random() % 4 == 0 ? "" : "192.0.2.7";
  flow["protocol_name"] = random() % 2 == 0 ? "" : "TCP";
  flow["as_path"] = json::array({1, 2});
  return flow;
}

TEST(Jdm, RefusesWhatIsNoExpressionToTheEngine) {
  for (const char* const e : testing::kNoExpressions) {
    const std::string file = testing::question_of(e, json::object())["file"];
    EXPECT_FALSE(Decision::parse(file)) << e;
  }
}

TEST(Jdm, AgreesWithTheReferenceEngine) {
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  setenv("NODE_PATH", (std::string(root != nullptr ? root : ".") + "/build/tools/node_modules").c_str(), 0);
  if (test::run_program({"node", "-e", "require('@gorules/zen-engine')"}).status != 0) {
    GTEST_SKIP() << "no Node with @gorules/zen-engine: scripts/fetch_zen_engine.sh build/tools says why";
  }
  json work = json::array();
  for (const Case& c : cases()) work.push_back({{"file", c.file}, {"input", json::parse(c.input)}});
  std::mt19937_64 random(9);
  if (std::filesystem::exists(installed_folder())) {
    const std::string netflow = contents_of(installed_folder() / "netflow_to_ocsf.json");
    for (int i = 0; i < 300; ++i) work.push_back({{"file", netflow}, {"input", random_flow(random)}});
    const json logs[] = {{{"short_message", "envoy-coraza-waf: {\"rule_id\": \"942100\",\"client_ip\":\"192.0.2.1\"}"}, {"attributes", {{"z", 1}}}},
                         {{"body", "x|9|y"}, {"severity", "low"}}, {{"rule", "r"}, {"priority", "WARN"}, {"output", "o"}},
                         {{"varbinds", json::array()}}, {{"varbinds", {{{"value", "STRING: up"}}}}, {"body", ""}}, json::object()};
    for (const auto& entry : std::filesystem::directory_iterator(installed_folder())) {
      if (entry.path().filename() == "netflow_to_ocsf.json") continue;
      for (const json& log : logs) work.push_back({{"file", contents_of(entry.path())}, {"input", log}});
    }
  }
  json beside = json::parse(one_node({{"a", "1"}, {"n", "null"}}, json::object(), true));
  std::reverse(beside["edges"].begin(), beside["edges"].end());
  work.push_back({{"file", beside.dump()}, {"input", json::parse(R"({"a":5,"n":6,"z":{"q":null}})")}});
  for (const char* const pattern : {"(|a)*", "(|a)+", "(a|b?)+?", "(|a)*b", "(a{0,2}?){2,}", "(a|)*?", "(a*)*b", "(a?b?){2,}?c", "((a?)*|b)*", "(?:(a)|b|)*", "(^|a)*b",
                                    "(a*?)*", "(a?\?){2,3}", "((a)|(b)?)+", "[a-c-e]+", "[]a]+", "[^]a]+", "[\\d-]+", "[-a]+", "[\\_]", "\\x61b"}) {
    const std::string asked = std::string("extract(s, '") + pattern + "')";
    for (const char* const text : {"aaa", "aab", "aabbc", "b-a]", "", "_1-e"}) {
      work.push_back({{"file", one_node({{"a", asked.c_str()}})}, {"input", {{"s", text}}}});
    }
  }
  // Two nodes side by side that set the same key: whose output is merged last?
  for (const bool turned : {false, true}) {
    json file = json::parse(one_node({{"a", "1"}, {"b", "{x: 1}"}}));
    file["nodes"].push_back({{"id", "f"}, {"type", "expressionNode"}, {"name", "other"},
                             {"content", {{"expressions", {{{"id", "1"}, {"key", "a"}, {"value", "2"}}, {{"id", "2"}, {"key", "b"}, {"value", "{y: 2}"}}}}}}});
    file["edges"].push_back({{"id", "4"}, {"sourceId", "i"}, {"targetId", "f"}});
    file["edges"].push_back({{"id", "5"}, {"sourceId", "f"}, {"targetId", "o"}});
    if (turned) std::reverse(file["edges"].begin(), file["edges"].end());
    work.push_back({{"file", file.dump()}, {"input", json::object()}});
  }
  testing::ask_expressions(work);
  testing::ask_random_numbers(work, random);
  testing::ask_random_texts(work, random);
  testing::ask_random_graphs(work, random);
  const size_t expressions = work.size();
  for (const char* const e : testing::kNoExpressions) work.push_back(testing::question_of(e, json::object()));
  const test::TemporaryFolder folder;
  test::write_file(folder / "work.json", work.dump());
  test::write_file(folder / "ask.js",
                   "const {ZenEngine}=require('@gorules/zen-engine');const work=JSON.parse(require('fs').readFileSync(process.argv[2]));"
                   "(async()=>{const e=new ZenEngine();for(const w of work){let r=null;try{r=(await e.createDecision(Buffer.from(w.file))"
                   ".evaluate(w.input)).result}catch(x){}console.log(JSON.stringify(r))}})();");
  const auto asked = test::run_program({"node", folder / "ask.js", folder / "work.json"});
  ASSERT_EQ(asked.status, 0) << asked.err;
  const std::vector<std::string> lines = test::lines_of(asked.out);
  ASSERT_EQ(lines.size(), work.size());
  for (size_t i = 0; i < expressions; ++i) {
    EXPECT_EQ(result_of(work[i]["file"], work[i]["input"].dump()), json::parse(lines[i])) << work[i]["file"] << work[i]["input"];
  }
  for (size_t i = expressions; i < work.size(); ++i) EXPECT_EQ(lines[i], "null") << work[i]["file"];
  std::cout << work.size() << " decisions compared\n";
}

}  // namespace
}  // namespace weir::rules

// Decision files on flows: the flat program writes what the interpreter makes of the flow's fields.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "rules/decision_trees.h"
#include "rules/flow_maker.h"
#include "support/program.h"
#include "transform/decision_writer.h"
#include "transform/ocsf_event.h"

namespace weir::transform {
namespace {

using nlohmann::json;
using rules::Decision;
using rules::DecisionProgram;
using rules::testing::FlowMaker;
using rules::testing::Viewed;
using ::testing::HasSubstr;

using Expressions = std::vector<std::pair<std::string, std::string>>;
json node(const char* id, const Expressions& expressions, const json& more = json::object()) {
  json content = more;
  content["expressions"] = json::array();
  for (const auto& [key, value] : expressions) content["expressions"].push_back({{"id", "x"}, {"key", key}, {"value", value}});
  return {{"id", id}, {"type", "expressionNode"}, {"name", id}, {"content", content}};
}
json edge(const char* from, const char* to) { return {{"sourceId", from}, {"targetId", to}}; }
std::string graph(json nodes, const json& edges) {
  nodes.push_back({{"id", "in"}, {"type", "inputNode"}});
  nodes.push_back({{"id", "out"}, {"type", "outputNode"}});
  return json{{"nodes", nodes}, {"edges", edges}}.dump();
}
std::string one_node(const Expressions& expressions) { return graph({node("make", expressions)}, {edge("in", "make"), edge("make", "out")}); }

/// `null`: no value. `decisions`: what rules said before.
struct Both {
  json flat, plain;
};
Both run(const Decision& decision, const DecisionProgram& program, const FlowView& flow, DecisionWriter& writer,
        const Decisions& decisions = {}) {
  static std::vector<char> room(kEventOctetsMax);
  Both result;
  DecisionEnd end = DecisionEnd::written;
  const size_t octets = writer.write(program, flow, decisions, room, end);
  if (end == DecisionEnd::written) result.flat = json::parse(std::string_view(room.data(), octets), nullptr, false);
  const auto value = decision.evaluate(rules::context_of(flow));
  if (value) result.plain = json::parse(value->to_json());
  return result;
}

std::string refusal_of(const std::string& file) {
  const auto decision = Decision::parse(file);
  EXPECT_TRUE(decision) << decision.error().message;
  const auto program = DecisionProgram::compile(*decision);
  return program ? "" : program.error().message;
}

/// Of flows whose every field may be anything.
json result_of(const std::string& file, const flowpb::FlowMessage& message) {
  const auto decision = Decision::parse(file);
  EXPECT_TRUE(decision) << decision.error().message;
  const auto program = DecisionProgram::compile(*decision);
  EXPECT_TRUE(program) << program.error().message;
  if (!program) return {};
  const Viewed flow(message);
  DecisionWriter writer;
  const Both both = run(*decision, *program, flow.view, writer);
  EXPECT_EQ(both.flat, both.plain) << file;
  return both.flat;
}

TEST(DecisionOnFlows, WritesWhatTheNodesMake) {
  flowpb::FlowMessage flow;
  flow.set_proto(6);
  flow.set_bytes(7);
  flow.set_src_addr(std::string("\xc0\0\2\1", 4));
  flow.set_src_mac(0x020000000001);
  flow.set_application_name("a\"b");
  flow.add_as_path(64500);
  flow.add_as_path(64501);
  EXPECT_EQ(result_of(one_node({{"o", "{ip: src_addr, 'm c': src_mac, as: src_as > 0 ? {number: src_as} : null}"},
                                {"name", "application_name"},
                                {"path", "as_path"},
                                {"half", "bytes / 2"},
                                {"none", "src_as > 0 ? 1 : null"},
                                {"zero", "bytes / src_as"},
                                {"missing", "nobody.at[0].all ?? 'x'"},
                                {"e.f", "null"},
                                {"e.g", "$.half + 1"}}),
                      flow),
            json::parse(R"({"o":{"ip":"192.0.2.1","m c":"02:00:00:00:00:01","as":null},"name":"a\"b","path":[64500,64501],"half":3.5,)"
                        R"("missing":"x","e":{"f":null,"g":4.5}})"));
  EXPECT_EQ(result_of(one_node({{"a", "proto == 6 ? 1 + application_name : 0"}}), flow), json()) << "it has no value";
  EXPECT_EQ(result_of(one_node({{"a", "proto == 6 ? len(nobody) : 0"}}), flow), json());
  EXPECT_EQ(result_of(one_node({{"a", "proto == 17 ? len(nobody) : 0"}}), flow), json::parse(R"({"a":0})"));
  EXPECT_EQ(result_of(one_node({{"a", "bytes + application_name"}, {"a", "1"}}), flow), json()) << "what is written over is asked all the same";
  EXPECT_EQ(result_of(one_node({{"a", "proto != null and proto != 'x'"}}), flow), json::parse(R"({"a":true})"));
}

TEST(DecisionOnFlows, GoThroughNodesAndBesideThem) {
  flowpb::FlowMessage flow;
  flow.set_bytes(7);
  const std::string chain = graph({node("one", {{"a", "bytes + 1"}, {"o.x", "bytes"}, {"o.y", "null"}}), node("two", {{"b", "a * 2"}, {"o", "{z: o.x, r: $root}"}})},
                                  {edge("in", "one"), edge("one", "two"), edge("two", "out"), edge("one", "out")});
  EXPECT_EQ(result_of(chain, flow), json::parse(R"({"a":8,"b":16,"o":{"x":7,"y":null,"z":7,"r":{"a":8,"o":{"x":7,"y":null}}}})"));
  const json all = result_of(graph({node("one", {{"bytes", "bytes > 100 ? bytes : null"}, {"proto", "null"}}, {{"passThrough", true}})},
                                   {edge("in", "one"), edge("one", "out")}),
                             flow);
  EXPECT_FALSE(all.contains("bytes"));
  EXPECT_FALSE(all.contains("proto"));
  EXPECT_EQ(all["packets"], 0);
  EXPECT_EQ(all["as_path"], json::array());
}

TEST(DecisionOnFlows, HaveIntervalsThatAreTextOutsideOfExpressions) {
  flowpb::FlowMessage flow;
  flow.set_bytes(7);
  EXPECT_EQ(result_of(one_node({{"half", "bytes / 2 in [1..5]"},
                                {"either", "bytes / 2 in ([1..5] ?? bytes)"},
                                {"one of", "bytes / 2 in (true ? [1..5] : bytes)"},
                                {"member", "bytes / 2 in ({a: [1..5]}).a"},
                                {"list", "[1..3]"}}),
                      flow),
            json::parse(R"({"half":true,"either":true,"one of":true,"member":true,"list":"[1..3]"})"));
  EXPECT_THAT(refusal_of(one_node({{"a", "bytes in ([1..packets] ?? bytes)"}})), HasSubstr("node 'make': a = bytes in ([1..packets] ?? bytes): at "));
}

TEST(DecisionOnFlows, LeaveWhatWasThereWhereANodeMadeNothingOfIt) {
  flowpb::FlowMessage few, many;
  few.set_bytes(7);
  many.set_bytes(700);
  const auto merged = [](const char* bytes) {
    return graph({node("one", {{"bytes", bytes}}, {{"passThrough", true}})}, {edge("in", "one"), edge("one", "out"), edge("in", "out")});
  };
  const std::string number = merged("bytes > 100 ? bytes + 1 : null");
  EXPECT_EQ(result_of(number, few)["bytes"], 7);
  EXPECT_EQ(result_of(number, many)["bytes"], 701);
  const std::string object = merged("bytes > 100 ? {of: [bytes, 'x']} : null");
  EXPECT_EQ(result_of(object, few)["bytes"], 7);
  EXPECT_EQ(result_of(object, many)["bytes"], json::parse(R"({"of":[700,"x"]})"));
  const std::string quotient = merged("(bytes / src_as) ?? (bytes > 100 ? 1 : null)");
  EXPECT_EQ(result_of(quotient, few)["bytes"], 7);
  EXPECT_EQ(result_of(quotient, many)["bytes"], 1);

  json nodes = json::array(), edges = json::array();
  for (int i = 0; i < 600; ++i) {
    const std::string id = "n" + std::to_string(i);
    nodes.push_back(node(id.c_str(), {{"bytes", "proto / src_as"}}, {{"passThrough", true}}));
    edges.push_back(edge("in", id.c_str()));
    edges.push_back(edge(id.c_str(), "out"));
  }
  EXPECT_THAT(refusal_of(graph(nodes, edges)), HasSubstr("node 'out': what it is of "));
}

TEST(DecisionOnFlows, RefusesByNodeAndExpressionWhatOnlyValuesShow) {
  EXPECT_EQ(refusal_of(one_node({{"a", "1"}, {"n", "some(as_path, # > 1)"}})),
            "node 'make': n = some(as_path, # > 1): at 1: of the list as_path rules may ask len(as_path), contains(as_path, x) and x in as_path");
  EXPECT_EQ(refusal_of(one_node({{"n", "1 + as_path[0]"}})), "node 'make': n = 1 + as_path[0]: at 12: an index of what only a flow's values would show");
  EXPECT_THAT(refusal_of(one_node({{"n", "matches(site, 'a+')"}})), HasSubstr("node 'make': n = matches(site, 'a+'): at 1: matches() is not for rules on flows"));
  EXPECT_THAT(refusal_of(one_node({{"n", "{a: 1, b: proto} == {a: 1}"}})), HasSubstr("an object is not for"));
  EXPECT_THAT(refusal_of(one_node({{"n", "({a: bytes + site, b: 1}).b"}})), HasSubstr("a member of what"));
  EXPECT_EQ(refusal_of(one_node({{"a", "1"}, {"n", "len(nobody)"}})), "node 'make': n = len(nobody): it has no value, whatever the flow");
  EXPECT_THAT(refusal_of(one_node({{"n", "{a: [bytes, 1 + 'x']}"}})), HasSubstr("it has no value, whatever the flow"));
  Expressions texts = {{"t0", "'" + std::string(15000, 'x') + "'"}};
  for (int i = 1; i <= 8; ++i) texts.emplace_back("t" + std::to_string(i), "$.t" + std::to_string(i - 1) + " + $.t" + std::to_string(i - 1));
  for (int i = 0; i < 40; ++i) texts.emplace_back("c" + std::to_string(i), "$.t8");
  EXPECT_THAT(refusal_of(one_node(texts)), HasSubstr("takes more than"));
  Expressions lists;
  for (int i = 0; i < 8; ++i) lists.emplace_back("l" + std::to_string(i), "map([1..99999], 1)");
  EXPECT_THAT(refusal_of(one_node(lists)), HasSubstr("takes more than"));
  Expressions many = {{"k", "bytes"}};
  for (int i = 0; i < 9000; ++i) many.emplace_back("k", "$.k + $.k");
  EXPECT_THAT(refusal_of(one_node(many)), HasSubstr("node 'make': k = $.k + $.k: "));
}

TEST(DecisionOnFlows, TakeOneMemberOfManyWithoutTheRest) {
  flowpb::FlowMessage flow;
  flow.set_bytes(7);
  Expressions chain = {{"k0", "bytes"}};
  for (int i = 1; i <= 200; ++i) {
    const std::string before = "k" + std::to_string(i - 1);
    chain.emplace_back("k" + std::to_string(i), i % 2 == 0 ? "$." + before + " + 1" : "$['" + before + "'] + 1");
  }
  EXPECT_EQ(result_of(one_node(chain), flow)["k200"], 207);
}

TEST(DecisionOnFlows, KeepNothingOfAConstantWithoutAValue) {
  std::string list = "0";
  for (int i = 0; i < 7000; ++i) list += ",0";
  const std::string file = one_node({{"k", "proto == 6 ? 1 + [" + list + "] : 3"}});
  const auto decision = Decision::parse(file);
  ASSERT_TRUE(decision) << decision.error().message;
  const auto trees = rules::DecisionTrees::of(*decision);
  ASSERT_TRUE(trees) << trees.error().message;
  const rules::Node& without = *trees->expressions[0].tree->children[1];
  ASSERT_FALSE(without.children.empty());
  EXPECT_TRUE(std::all_of(without.children.begin(), without.children.end(), [](const auto& child) { return child->children.empty(); }));
  flowpb::FlowMessage flow;
  EXPECT_EQ(result_of(file, flow), json::parse(R"({"k":3})"));
  flow.set_proto(6);
  EXPECT_EQ(result_of(file, flow), json());
}

TEST(DecisionOnFlows, HasTheRateOfSamplingThatRulesLeave) {
  const auto decision = Decision::parse(one_node({{"rate", "sampling_rate"}}));
  const auto program = DecisionProgram::compile(*decision);
  ASSERT_TRUE(program) << program.error().message;
  flowpb::FlowMessage message;
  message.set_sampling_rate(100);
  const Viewed flow(message);
  DecisionWriter writer;
  rules::Outcome outcome;
  outcome.sampling_factor = 7;
  EXPECT_EQ(run(*decision, *program, flow.view, writer, {.outcome = &outcome}).flat, json::parse(R"({"rate":700})"));
  EXPECT_EQ(run(*decision, *program, flow.view, writer).flat, json::parse(R"({"rate":100})"));
}

TEST(DecisionOnFlows, WritesNothingWhereItDoesNotFit) {
  const auto decision = Decision::parse(one_node({{"a", "site"}, {"b", "as_path"}, {"c", "bytes > 1 ? {d: null} : null"}}));
  const auto program = DecisionProgram::compile(*decision);
  ASSERT_TRUE(program) << program.error().message;
  FlowMaker maker(3);
  const Viewed flow(maker.flow());
  DecisionWriter writer;
  std::vector<char> room(4096);
  DecisionEnd end = DecisionEnd::written;
  const size_t all = writer.write(*program, flow.view, {}, room, end);
  ASSERT_EQ(end, DecisionEnd::written);
  for (size_t n = 0; n < all; ++n) {
    EXPECT_EQ(writer.write(*program, flow.view, {}, std::span(room).first(n), end), 0u);
    EXPECT_EQ(end, DecisionEnd::too_large) << n;
  }
}

std::filesystem::path installed_folder() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return std::filesystem::path(root != nullptr ? root : ".") / ".." / "shared" / "rules" / "installed";
}

TEST(DecisionOnFlows, DoesWhatTheInterpreterDoesWithTheFilesOfInstallations) {
  if (!std::filesystem::exists(installed_folder())) GTEST_SKIP() << "no " << installed_folder();
  FlowMaker maker(150);
  DecisionWriter writer;
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(installed_folder())) {
    ++files;
    std::ifstream file(entry.path());
    const auto decision = Decision::parse(std::string{std::istreambuf_iterator<char>(file), {}});
    ASSERT_TRUE(decision) << decision.error().message;
    const auto program = DecisionProgram::compile(*decision);
    ASSERT_TRUE(program) << entry.path() << ": " << program.error().message;
    for (int i = 0; i < 1000; ++i) {
      const Viewed flow(maker.flow());
      const Both both = run(*decision, *program, flow.view, writer);
      ASSERT_EQ(both.flat, both.plain) << entry.path();
      ASSERT_TRUE(both.flat.is_object());
    }
  }
  EXPECT_GE(files, 7u);
}

/// Expressions of decision files: of fields, of names that flows do not have, of what the node has made.
class ExpressionMaker {
 public:
  explicit ExpressionMaker(FlowMaker& maker) : maker_(maker) {}

  std::string any(int depth) {
    switch (maker_.below(depth > 0 ? 8 : 2)) {
      case 0: return pick({"as_path", "labels", "srv6_segments", "null", "[]", "{}"});
      case 1: return scalar(depth);
      case 2: return "{a: " + any(depth - 1) + ", b: " + any(depth - 1) + ", " + pick({"c", "a", "'d e'"}) + ": " + any(depth - 1) + "}";
      case 3: return "[" + any(depth - 1) + ", " + any(depth - 1) + "]";
      case 4: return "(" + condition(depth - 1) + " ? " + any(depth - 1) + " : " + any(depth - 1) + ")";
      case 5: return "(" + any(depth - 1) + " ?? " + any(depth - 1) + ")";
      case 6: return pick({"$.k0", "$.k1.a", "$.k2.b", "$.k0.a.b", "k0", "k1.a", "k2[0]", "$root.k1", "$"});
      default: return scalar(depth);
    }
  }
  std::string condition(int depth) {
    switch (maker_.below(depth > 0 ? 9 : 4)) {
      case 0: return number_field() + pick({" == ", " != ", " < ", " <= ", " > ", " >= "}) + std::to_string(maker_.number());
      case 1: return text_field() + pick({" == ", " != "}) + pick({"'ssh'", "''", "null", "severity", "10"});
      case 2: return pick({"nobody == null", "nobody != ''", "80 in as_path", "contains(labels, 'ssh')", "contains(site, 'h')", "true"});
      case 3: return number_field() + pick({" in ", " not in "}) + pick({"[1..1023]", "[80, 443]", "(6..99)"});
      case 4: return "(" + condition(depth - 1) + pick({" and ", " or "}) + condition(depth - 1) + ")";
      case 5: return "not (" + condition(depth - 1) + ")";
      case 6: return "(" + condition(depth - 1) + " ? " + condition(depth - 1) + " : " + condition(depth - 1) + ")";
      case 7: return scalar(depth - 1) + pick({" == ", " != ", " < ", " > "}) + scalar(depth - 1);
      default: return scalar(depth - 1);  // of no sense, mostly
    }
  }
  std::string scalar(int depth) {
    switch (maker_.below(depth > 0 ? 13 : 5)) {
      case 0: return number_field();
      case 1: return text_field();
      case 2: return pick({"1", "2.50", "'x'", "'7'", "true", "null", "''"});
      case 3: return pick({"nobody", "severity", "body.x.y", "varbinds[0].value", "$.k0", "k0"});
      case 4: return pick({"src_addr", "src_mac", "flow_type", "sampler_address"});
      case 5: return "(" + scalar(depth - 1) + pick({" + ", " - ", " * ", " / ", " % "}) + scalar(depth - 1) + ")";
      case 6: return "(" + scalar(depth - 1) + " ?? " + scalar(depth - 1) + ")";
      case 7: return pick({"string(", "len(", "upper(", "floor(", "number(", "abs(", "trim("}) + scalar(depth - 1) + ")";
      case 8: return "(" + condition(depth - 1) + " ? " + scalar(depth - 1) + " : " + scalar(depth - 1) + ")";
      case 9: return "`a ${" + scalar(0) + "} b`";
      case 10: return "-" + scalar(depth - 1);
      case 11: return "(extract(nobody ?? 'a:b', '(a):(b)')[" + pick({"1", "2", "3"}) + "] ?? " + scalar(0) + ")";
      default: return condition(depth - 1);
    }
  }

 private:
  std::string pick(std::initializer_list<const char*> of) { return *(of.begin() + maker_.below(of.size())); }
  std::string number_field() { return pick({"bytes", "packets", "src_port", "dst_port", "proto", "src_as", "tcp_flags"}); }
  std::string text_field() { return pick({"application_name", "in_if_name", "site"}); }

  FlowMaker& maker_;
};

TEST(DecisionOnFlows, DoesWhatTheInterpreterDoesWithFilesMadeAtRandom) {
  FlowMaker maker(151);
  ExpressionMaker expressions(maker);
  DecisionWriter writer;
  size_t compiled = 0, refused = 0, results = 0, without = 0, unnamed = 0;
  const auto keys = [&] {
    Expressions list;
    const char* const kKeys[] = {"k0", "k1", "k2", "k1.a", "k2.b.c", "bytes", "site"};
    for (uint64_t i = 1 + maker.below(5); i > 0; --i) list.emplace_back(kKeys[maker.below(std::size(kKeys))], expressions.any(3));
    return list;
  };
  for (int round = 0; round < 6000; ++round) {
    json more = {{"passThrough", maker.below(4) == 0}};
    if (maker.below(6) == 0) more["outputPath"] = "k2.p";
    json nodes = {node("one", keys(), more)};
    json edges = {edge("in", "one")};
    if (maker.below(2) == 0) {
      nodes.push_back(node("two", keys(), {{"passThrough", maker.below(4) == 0}, {"inputField", maker.below(6) == 0 ? "k1" : ""}}));
      edges.push_back(edge("one", "two"));
      edges.push_back(edge("two", "out"));
      if (maker.below(3) == 0) edges.push_back(edge("one", "out"));
      if (maker.below(3) == 0) edges.push_back(edge("in", "two"));
    } else {
      edges.push_back(edge("one", "out"));
    }
    if (maker.below(4) == 0) edges.push_back(edge("in", "out"));
    const std::string file = graph(nodes, edges);
    const auto decision = Decision::parse(file);
    ASSERT_TRUE(decision) << decision.error().message << "\n" << file;
    const auto program = DecisionProgram::compile(*decision);
    if (!program) {
      ++refused;
      EXPECT_THAT(program.error().message, HasSubstr("node '"));
      continue;
    }
    ++compiled;
    for (int i = 0; i < 12; ++i) {
      const Viewed flow(maker.flow());
      const Both both = run(*decision, *program, flow.view, writer);
      ASSERT_EQ(both.flat, both.plain) << json::parse(file).dump(1);
      if (both.flat.is_null()) {
        unnamed += writer.without_value().empty();
      }
      ++(both.flat.is_null() ? without : results);
    }
  }
  std::cout << compiled << " files compiled, " << refused << " refused; " << results << " results, " << without << " without a value, of which " << unnamed << " do not say whose\n";
  EXPECT_EQ(unnamed, 0u);
  EXPECT_GT(compiled, 1500u);
  EXPECT_GT(results, 5000u);
  EXPECT_GT(without, 2000u);
}

}  // namespace
}  // namespace weir::transform

// engine_questions.h — What the reference engine is asked beside the decisions that have their results written down.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace weir::rules::testing {

using nlohmann::json;

inline json edge_of(const std::string& from, const std::string& to) { return {{"id", from + to}, {"sourceId", from}, {"targetId", to}}; }
inline json node_of(const std::string& id, const char* type, json expressions = nullptr, json content = json::object()) {
  if (!expressions.is_null()) content["expressions"] = std::move(expressions);
  return {{"id", id}, {"name", id}, {"type", type}, {"content", content}};
}
inline json entry(const std::string& key, const std::string& value) { return {{"id", key + value}, {"key", key}, {"value", value}}; }
inline json question(json nodes, json edges, json input) {
  return {{"file", json{{"nodes", std::move(nodes)}, {"edges", std::move(edges)}}.dump()}, {"input", std::move(input)}};
}
inline json question_of(const std::string& expression, const json& input) {
  return question({node_of("i", "inputNode"), node_of("e", "expressionNode", {entry("r", expression)}), node_of("o", "outputNode")},
                  {edge_of("i", "e"), edge_of("e", "o")}, input);
}

/// Each by itself. What ends the engine's process is left out, and what it has no one answer for: the order of keys.
inline void ask_expressions(json& work) {
  const json input = json::parse(R"({"x":1,"s":"abc","n":null,"o":{"k":1,"n":null,"deep":{"z":[1,2,{"q":5}]}},"a":[3,1,2],"t":true,"f":false,"e":"",
    "fl":1.5,"neg":-7,"u":"äöü","words":"a b c","user":"Jürgen Groß ","euro":"a€b","spaced":" 12","b":5000,"c":1536})");
  for (const char* const e : {
           "$root.x", "$", "$.zz", "$ == null", "s[0]", "s[0:1]", "s[1:]", "s[3:]", "s[:1]", "s[:9]", "s[2:1]", "s[3:3]", "a[0:1]", "a[-1]", "a[9]", "a[3:]",
           "a[2:1]", "a[5:1]", "a[:9]", "a[1.5]", "a[1.5:2]", "a[n]", "a[\"0\"]", "o.k", "o[\"k\"]", "o.nope.x", "o.n", "n.x", "x.y", "len(s)", "len(a)", "len(u)",
           "trim(\"  a \")", "split(words,\" \")", "split(s,\"\")", "split(u,\"\")", "split(\"\",\"\")", "split(\"\",\",\")", "sum(a)", "avg(a)", "min(a)",
           "max(a)", "median(a)", "mode(a)", "floor(neg/2)", "round(neg/2)", "round(2.5)", "round(-2.5)", "round(1.255,2)", "trunc(neg/2)", "ceil(neg/2)",
           "neg % 4", "-neg % 4", "5.5 % 2", "2^-1", "0^0", "0^-1", "neg^2", "-2^2", "1.10^3", "1.0^2", "2.50^2", "1/0", "0/0", "n ?? 1 + 1", "not t", "!t",
           "not t == f", "t ? 1 : f ? 2 : 3", "x in [1..5]", "x in (1..5]", "x not in [2,3]", "s in [\"abc\"]", "\"k\" in o", "\"b\" in s", "x == \"1\"", "n == n",
           "zz == null", "zz != \"\"", "a == [3,1,2]", "a == a", "a != a", "o == {k:1}", "{a:1} == {a:1}", "[] == []", "[1] != [1]", "$root == $root",
           "contains([[1]],[1])", "contains([{a:1}],{a:1})", "contains([null],null)", "{a:1} in [{a:1}]", "[1,2] in [[1,2]]", "a in a", "null in [null]",
           "a + 1", "s + 1", "s + \"d\"", "s + n", "string(n)", "string(t)", "string(1.50)", "string(fl)", "string(a)", "string(o)", "number(\"1e3\")",
           "number(\"1_000\")", "number(spaced)", "number(\" 1 \")", "number(\"0x10\")", "number(t)", "number(\"\")", "number(\"１\")", "number(\"+5\")", "number(\"1.\")",
           "number(\".5\")", "number(\"1,5\")", "isNumeric(spaced)", "isNumeric(\"1.5\")", "isNumeric(\"\")", "isNumeric(n)", "isNumeric(\" 1\")", "bool(\"true\")",
           "bool(\" true \")", "bool(1)", "bool(\"x\")", "bool(\"\")", "bool(\"TRUE\")", "bool(n)", "bool(a)", "bool(o)", "type(n)", "type(a)", "type([1..3])",
           "[1..3]", "(1..3]", "[1.0..3.50]", "[3..1]", "[a[0]..a[1]]", "[\"a\"..\"c\"]", "{a:[1..3]}", "[[1..3]]", "[1..3] ?? 5", "t ? [1..3] : 2", "len([1..3])",
           "sum([1..3])", "[1..3][0]", "[1..3] == [1..3]", "string([1..3])", "`${[1..3]}`", "contains([1..3],2)", "2 in ([1..3])", "map([1..3],#)", "map((1..3),#)",
           "map([1.5..3],#)", "map([3..1],#)", "some([1..3],#>2)", "keys([1..3])", "flatten([[1..3]])", "n in [1..3]", "s in [1..3]", "`x ${x + 1} y`", "`${n}`",
           "`${a}`", "`${o}`", "`${t} ${fl}`", "merge([{a:1},{b:2}])", "all(a,#>0)", "filter(a,#>1)", "flatMap([[1],[2]],#)", "count(a,#>1)", "map(a, map(a, #))",
           "{a:1,[s]:2,\"b c\":3}", "{[x]:1}", "{[t]:2}", "{[n]:2}", "{[1.50]:2}", "{[a]:2}", "o.deep.z[2].q", "abs(neg)", "abs(\"1\")", "f and s > 1", "t or s > 1",
           "s > \"a\"", "x < null", "+s", "+n", "+a", "-s", "- -x", "0.1+0.2", "1/3*3", "7/2", "string(3/2*2)", "string(10/4)", "string(c/1024)", "string(b/1024)",
           "string(0*1.50)", "string(100/1000)", "string(avg([1,2]))", "string(median([1,2]))", "string(2^-1)", "string(x-x/4*4)", "string(1.0/4)", "string(5.50 % 2)",
           "string(1 % 2.50)", "`${b/1024}`", "max([])", "sum([])", "len(n)", "5 in 1", "x in n", "1 < 2 < 3", "2 ^ 3 ^ 2", "t + 1", "null + 1", "$x",
           "trim(\"\u00a0x\u00a0\")", "trim(\"\u3000x\u2003\")", "u[0:1]", "u[0:2]", "u[1:2]", "euro[1:3]", "euro[1:1]", "user[0:2]", "len(trim(user))", "contains(user, 'ß')",
           "1e3", "1e-3", "1.50e1", "1_0e1", "number('1E3')", "({a:1}).a", "(s)[0]", "('abc')[0]", "('abc')[0:1]", "(s)[3]", "(s)[-1]", "(s)[1.5]", "(s)[n]", "(s)[t]", "(s)['0']", "(s).x", "s[x]", "s[-1]", "s[1.5]",
           "s[0+0]", "s[(1)]", "s[n]", "s[0][0]", "(s)[0][0]", "$.s[0]", "$root.s[0]", "$root['s'][0]", "upper(s)[0]", "(t ? s : s)[0]", "(s + 'd')[3]", "[s][0][0]",
           "split(words,' ')[1][0]", "map([s], #[0])", "map([s] as v, v[0])", "(u)[0]", "(u)[1]", "(u + 'a')[6]", "len(s)[0]", "(n)[0]",
           "startsWith(u, 'ä')", "endsWith(trim(user), 'ß')", "u == 'äöü'", "matches(euro, '^a.b$')", "extract(euro, '(.)b')"}) {
    work.push_back(question_of(e, input));
  }
}

/// To the engine these are no expressions.
inline constexpr const char* kNoExpressions[] = {"1E3", "1E+3", "1e", "'abc'[0]", "'abc'[0:1]", "'abc'.x", "`abc`[0]", "{a:1}.a", "{a:[1,2]}.a[1]", "true.x", "null.x", "1[0]"};

inline void ask_random_numbers(json& work, std::mt19937_64& random) {
  const auto number = [&random]() -> std::string {
    switch (random() % 5) {
      case 0: return std::to_string(1 + random() % 100);
      case 1: return std::to_string(1 + random() % 2'000'000'000);
      case 2: return std::to_string(1 + random() % 1'000'000'000'000);
      case 3: return std::to_string(random() % 100'000) + "." + std::to_string(1 + random() % 10'000'000);
      default: return std::string("0.") + std::string(random() % 8, '0') + std::to_string(1 + random() % 1'000'000);
    }
  };
  const char* const kUnits[] = {"8", "10", "60", "100", "1000", "1024", "1000000", "0.5", "2.50"};
  for (int i = 0; i < 1500; ++i) {
    std::string e = number() + " " + "///*+-%"[random() % 7] + " " + (random() % 3 == 0 ? kUnits[random() % std::size(kUnits)] : number());
    if (random() % 3 == 0) e = "(" + e + ") " + "/*+-"[random() % 4] + " " + number();
    if (random() % 10 == 0) e = number() + " ^ " + std::to_string(random() % 6);
    work.push_back(question_of(random() % 4 == 0 ? "`${" + e + "}`" : "string(" + e + ")", json::object()));
  }
}

inline void ask_random_texts(json& work, std::mt19937_64& random) {
  const auto pick = [&random](std::initializer_list<const char*> of) { return std::string(*(of.begin() + random() % of.size())); };
  for (int i = 0; i < 400; ++i) {
    std::string s, part;
    for (uint64_t n = random() % 6; n > 0; --n) s += pick({"a", "B", " ", "ä", "ß", "€", "日", "😀", "\u00a0", "\u2003", "7", "-"});
    for (uint64_t n = random() % 2; n > 0; --n) part += pick({"a", "ä", "€", " ", "B"});
    const std::string from = std::to_string(random() % 6), to = std::to_string(random() % 8);
    const std::string e = pick({"len(s)", "trim(s)", "len(trim(s))", "split(s, p)", "contains(s, p)", "startsWith(s, p)", "endsWith(s, p)", "s + p == p + s", "isNumeric(s)",
                                "number(s)", "bool(s)", "extract(s, '^(.)')", "matches(s, '^.{2}$')", "SLICE", "SLICE", "`<${s}>`"});
    work.push_back(question_of(e == "SLICE" ? "s[" + from + ":" + to + "]" : e, {{"s", s}, {"p", part}}));
  }
}

/// Some without an output, some with two; nodes that nothing leads to or that lead nowhere, with and without mistakes. Without nulls in
/// objects: where an object comes by two ways and is merged with itself the engine leaves them, and takes them away where it is another.
inline void ask_random_graphs(json& work, std::mt19937_64& random) {
  const json input = json::parse(R"({"x":1,"n":null,"o":{"k":1},"a":[1,null],"s":"t"})");
  for (int i = 0; i < 600; ++i) {
    json nodes = json::array(), edges = json::array();
    std::vector<std::string> ids = {"i"};
    nodes.push_back(node_of("i", "inputNode"));
    const size_t middle = random() % 5;
    for (size_t n = 0; n < middle; ++n) {
      ids.push_back("e" + std::to_string(n));
      json expressions = json::array();
      for (uint64_t k = random() % 4; k > 0; --k) {
        const char* const kValues[] = {"x", "1", "2", "null", "o", "{k: 3, m: 2}", "r", "$.r", "s", "k", "q.z", "a", "x + 1", "n", "o.k"};
        const char* const kKeys[] = {"r", "q", "x", "o"};
        const char* const kPaths[] = {"o.k", "p.q", "q.z"};
        if (random() % 3 == 0) expressions.push_back(entry(kPaths[random() % 3], random() % 2 == 0 ? "1" : "{a: 'b'}"));
        else expressions.push_back(entry(kKeys[random() % 4], random() % 25 == 0 ? "1 + 'a'" : kValues[random() % std::size(kValues)]));
      }
      json content = {{"passThrough", random() % 4 == 0}};
      if (random() % 8 == 0) content["inputField"] = std::string(random() % 2 == 0 ? "o" : random() % 2 == 0 ? "x" : "a");
      nodes.push_back(node_of(ids.back(), "expressionNode", expressions, content));
    }
    for (uint64_t outputs = random() % 6 == 0 ? 0 : random() % 4 == 0 ? 2 : 1; outputs > 0; --outputs) {
      ids.push_back("o" + std::to_string(outputs));
      nodes.push_back(node_of(ids.back(), "outputNode"));
    }
    for (size_t to = 1; to < ids.size(); ++to) {
      for (size_t from = 0; from < to; ++from) {
        if (random() % 5 < (from + 1 == to ? 4u : 1u)) edges.push_back(edge_of(ids[from], ids[to]));
      }
    }
    std::shuffle(edges.begin(), edges.end(), random);
    if (random() % 2 == 0) std::shuffle(nodes.begin(), nodes.end(), random);
    work.push_back(question(nodes, edges, input));
  }
}

}  // namespace weir::rules::testing

// weirctl_rules.h — The rules of classification as tables.
//
// Failure:  nlohmann::json's exceptions, where an answer has another shape than this weirctl knows.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weir::cli {

/// All of them, in the order in which they go.
void print_rules(const nlohmann::json& answer);
/// Those that matched something, the busiest first.
void print_hits(const nlohmann::json& answer);

/// All pages of them, as one; false where `fetch` has said what is wrong.
bool fetch_rules(const std::function<bool(const std::string& target, nlohmann::json& page)>& fetch, nlohmann::json& all);

struct RulesTest {
  std::string file;
  std::vector<std::string> rules;  // empty: those that the appliance goes by
  std::string header_octets;
  bool as_json = false;
};
/// The words of the program that tries rules on a capture.
std::vector<std::string> words_of_test(const std::string& socket, const RulesTest& test);

}  // namespace weir::cli

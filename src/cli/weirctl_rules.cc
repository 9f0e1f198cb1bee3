#include "cli/weirctl_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/weirctl_client.h"
#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

void print_rules(const json& answer) {
  if (is_of_etl(answer)) return print_etl_rules(answer, false);
  if (answer.at("total") == 0) {
    std::puts("records are not classified: there are no rules (classification.rules)");
    return;
  }
  Table table({"rule", "looks in", "does", "priority", "hits", "drops"}, 3);
  for (const json& r : answer.at("rules")) {
    table.add({text_of(r.at("id")), text_of(r.at("looks_in")), text_of(r.at("does")), text_of(r.at("priority")),
               text_of(r.at("hits")), text_of(r.at("drops"))});
  }
  table.print();
}

void print_hits(const json& answer) {
  if (is_of_etl(answer)) return print_etl_rules(answer, true);
  std::vector<json> rows;
  for (const json& r : answer.at("rules"))
    if (r.at("hits") != 0 || r.at("errors") != 0) rows.push_back(r);
  std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) { return a.at("hits") > b.at("hits"); });
  fmt::print("{} records looked at, {} matched by some rule; {} names taken out\n", text_of(answer.at("records")),
             text_of(answer.at("records_matched")), text_of(answer.at("names_extracted")));
  Table table({"rule", "hits", "drops", "errors"});
  for (const json& r : rows) table.add({text_of(r.at("id")), text_of(r.at("hits")), text_of(r.at("drops")), text_of(r.at("errors"))});
  table.print();
}

bool fetch_rules(const std::function<bool(const std::string& target, json& page)>& fetch, json& all) {
  for (std::string target = "/v1/rules";;) {
    json page;
    if (!fetch(target, page)) return false;
    const json next = page.is_object() ? page.value("next_offset", json()) : json();
    if (all.is_null()) {
      all = std::move(page);
    } else if (page.is_object() && page["rules"].is_array()) {
      for (json& row : page["rules"]) all["rules"].push_back(std::move(row));
    }
    if (!next.is_number_unsigned()) break;
    target = "/v1/rules?offset=" + next.dump();
  }
  if (all.is_object()) all["next_offset"] = nullptr;
  return true;
}

std::vector<std::string> words_of_test(const std::string& socket, const RulesTest& test) {
  std::vector<std::string> words = {"weir", "rules", "test", test.file};
  std::vector<std::string> rules = test.rules;
  if (rules.empty()) {
    const json body = json::parse(get(socket, "/v1/rules?limit=1").body, nullptr, /*allow_exceptions=*/false);
    if (body.is_object() && body.value("files", json()).is_array())
      for (const json& file : body["files"]) rules.push_back(text_of(file));
  }
  for (const std::string& path : rules) words.insert(words.end(), {"--rules", path});
  if (!test.header_octets.empty()) words.insert(words.end(), {"--header", test.header_octets});
  if (test.as_json) words.push_back("--json");
  return words;
}

}  // namespace weir::cli

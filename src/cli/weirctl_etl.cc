// What weir-etl answers, as tables.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/weirctl_ledger_rows.h"
#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

bool is_of_etl(const json& answer) { return answer.is_object() && answer.value("program", json()) == "weir-etl"; }

void print_source(const json& s) {
  const json& source = s.at("source");
  Table inputs({"subject", "consumer", "ready", "waiting", "in hand", "redelivered", "expired"}, 3);
  for (const json& i : source.at("inputs")) {
    inputs.add({text_of(i.at("subject")), text_of(i.at("consumer")), i.at("ready").get<bool>() ? "yes" : "no",
                text_of(i.at("pending")), text_of(i.at("ack_pending")), text_of(i.at("redelivered")),
                text_of(i.at("expired_in_stream"))});
  }
  inputs.print();
  if (s.at("behind").get<bool>()) {
    fmt::print("behind: {} of the {} messages of stream {} are not worked on yet\n", text_of(s.at("lag")),
               text_of(source.at("messages")), text_of(source.at("stream")));
  }
  if (s.at("careful").get<bool>()) fmt::print("careful: one message at a time, for some were delivered before\n");
  if (const json names = s.value("names", json()); names.is_object()) {
    const std::string trouble = text_of(names.at("trouble"));
    if (trouble.empty()) fmt::print("names of {} exporters\n", text_of(names.at("exporters")));
    else fmt::print("no names of exporters just now: {}\n", trouble);
  }
  std::puts("");
}

void print_rules_in_use(const json& s, const char* none) {
  const json& rules = s.at("rules");
  if (text_of(rules.at("name")).empty()) {
    fmt::print("{}\n", none);
  } else {
    fmt::print("rules {}, version {} since the start, sha256 {}\n", text_of(rules.at("name")), text_of(rules.at("version")),
               text_of(rules.at("hash")));
  }
  if (const json pending = rules.value("pending", json()); pending.is_object()) {
    fmt::print("from the next message on version {}, sha256 {}\n", text_of(pending.at("version")), text_of(pending.at("hash")));
  }
  if (const json error = s.value(json::json_pointer("/files_read/error"), json("")); error != "") {
    fmt::print("FILES NOT TAKEN as they are now; what was read before goes on:\n  {}\n", text_of(error));
  }
  std::puts("");
}

void print_etl_status(const json& s) {
  fmt::print("weir-etl {} ({})  started {} ago\n", text_of(s.at("version")), text_of(s.at("commit")),
             age_of(s.at("started_ns"), s.at("taken_ns")));
  const char* const state = s.at("stopping").get<bool>() ? "stopping" : "running";
  fmt::print("{}, {}\n", state, s.at("ready").get<bool>() ? "ready" : "not ready: " + text_of(s.at("because")));
  print_rules_in_use(s, "no rules: each flow becomes an event");
  print_source(s);
  Table publishers({"publisher", "stream", "connected", "acknowledged", "in flight", "refused", "retries"}, 3);
  for (const json& p : s.at("publishers")) {
    publishers.add({text_of(p.at("name")), text_of(p.at("stream")), p.at("connected").get<bool>() ? "yes" : "no",
                    text_of(p.at("acknowledgements")), text_of(p.at("in_flight")), text_of(p.at("refusals")),
                    text_of(p.at("retries"))});
  }
  publishers.print();
}

void print_etl_ledger(const json& l) {
  Table table({"ledger", "what became of it", "number", "share"}, 2);
  LedgerRows rows(table);
  const auto number = [](const json& object, const char* key) { return object.at(key).get<uint64_t>(); };
  const json& messages = l.at("messages");
  rows.begin("messages", "in", messages.at("in"));
  rows.part("done", number(messages, "done"));
  rows.parts("dead", messages.at("dead"));
  rows.part("returned, to be delivered again", number(messages, "returned"));
  rows.part("in hand", number(messages, "in_hand"));
  rows.note("delivered before, among them", number(messages, "redelivered"));
  const json& records = l.at("records");
  rows.begin("flows", "in", records.at("in"));
  rows.part("events", number(records, "events"));
  rows.part("results of a decision file", number(records, "decisions"));
  rows.part("dropped by rules", number(records, "dropped"));
  rows.part("sampled out", number(records, "sampled_out"));
  rows.parts("dead", records.at("dead"));
  rows.part("returned, to be delivered again", number(records, "returned"));
  rows.part("in flight", number(records, "in_flight"));
  const bool adds_up = rows.add_up();
  table.print();
  std::puts("");
  for (const json& line : l.at("discrepancies")) fmt::print("{}\n", text_of(line));
  if (l.at("balanced").get<bool>() && adds_up) {
    std::puts("the books balance: in each ledger the rows with = and + make up the first");
  }
}

void print_etl_rules(const json& answer, bool only_hits) {
  if (text_of(answer.at("name")).empty()) {
    std::puts("no rules: each flow becomes an event");
  } else {
    fmt::print("rules {}, version {} since the start, sha256 {}\n\n", text_of(answer.at("name")), text_of(answer.at("version")),
               text_of(answer.at("hash")));
    std::vector<json> rows = answer.at("rules");
    if (only_hits) {
      std::erase_if(rows, [](const json& r) { return r.at("matched") == 0 && r.at("errors") == 0; });
      std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) { return a.at("matched") > b.at("matched"); });
    }
    Table table({"rule", "matched", "left out", "errors"});
    for (const json& r : rows) table.add({text_of(r.at("id")), text_of(r.at("matched")), text_of(r.at("dropped")), text_of(r.at("errors"))});
    const json& former = answer.at("former");
    if (former.at("matched") != 0 || former.at("errors") != 0) {
      table.add({"(of rules that are gone)", text_of(former.at("matched")), text_of(former.at("dropped")), text_of(former.at("errors"))});
    }
    table.print();
  }
  if (answer.at("enrichment").empty()) return;
  std::puts("");
  Table sources({"known of addresses by", "from", "type", "version", "entries"}, 4);
  for (const json& s : answer.at("enrichment")) {
    sources.add({text_of(s.at("kind")), text_of(s.at("path")), text_of(s.at("type")), text_of(s.at("version")), text_of(s.at("prefixes"))});
  }
  sources.print();
}

}  // namespace weir::cli

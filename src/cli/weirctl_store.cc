// What weir-store answers, as tables.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/weirctl_ledger_rows.h"
#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {
namespace {

std::string mib(const json& octets) { return fmt::format("{} MiB", octets.get<uint64_t>() >> 20); }

}  // namespace

bool is_of_store(const json& answer) { return answer.is_object() && answer.value("program", json()) == "weir-store"; }

void print_store_status(const json& s) {
  fmt::print("weir-store {} ({})  started {} ago\n", text_of(s.at("version")), text_of(s.at("commit")),
             age_of(s.at("started_ns"), s.at("taken_ns")));
  const char* const state = s.at("stopping").get<bool>() ? "stopping" : "running";
  fmt::print("{}, {}\n", state, s.at("ready").get<bool>() ? "ready" : "not ready: " + text_of(s.at("because")));
  for (const json& line : s.value("degraded", json::array())) fmt::print("DEGRADED: {}\n", text_of(line));
  print_rules_in_use(s, "no rules: each flow becomes a row");
  print_source(s);
  const json& database = s.at("database");
  const json& commits = s.at("commits");
  Table table({"database", "size", "log", "free", "commits", "rows", "failures"}, 1);
  table.add({text_of(database.at("path")), mib(database.at("octets")), mib(database.at("log_octets")), mib(database.at("free_octets")),
             text_of(commits.at("number")), text_of(commits.at("rows")), text_of(commits.at("failures"))});
  table.print();
  if (!text_of(database.at("trouble")).empty()) fmt::print("{}\n", text_of(database.at("trouble")));
  if (const json& keeper = s.at("keeper"); keeper.is_object()) {
    fmt::print("{} hours in the database; {} files of older ones, {}, {} rows; {} broken\n", text_of(keeper.at("hours")),
               text_of(keeper.at("files")), mib(keeper.at("file_octets")), text_of(keeper.at("file_rows")),
               text_of(keeper.at("broken_files")));
    for (const json& named : keeper.value("broken_named", json::array())) fmt::print("left out: {}\n", text_of(named));
    if (const json scrub = keeper.value("scrub", json()); scrub.is_object()) {
      fmt::print("read through since the start: {} files, {}; longest ago: {} h; never yet: {} files\n", text_of(scrub.at("files")), mib(scrub.at("octets")),
                 scrub.at("unread_seconds").get<uint64_t>() / 3600, text_of(scrub.at("files_without_sum")));
    }
    for (const auto& task : keeper.at("tasks").items()) {
      const std::string trouble = text_of(task.value().at("trouble"));
      if (!trouble.empty()) fmt::print("{}: {}\n", task.key(), trouble);
    }
  }
}

void print_verified(const json& keeper) {
  const json& verify = keeper.at("scrub").at("verify");
  fmt::print("{} files of {} were read through: {} of them are not what was written\n", text_of(verify.at("files")), mib(verify.at("octets")),
             text_of(verify.at("damaged")));
  for (const json& named : keeper.at("broken_named")) fmt::print("left out: {}\n", text_of(named));
}

void print_store_ledger(const json& l) {
  Table table({"ledger", "what became of it", "number", "share"}, 2);
  LedgerRows rows(table);
  const auto number = [](const json& object, const char* key) { return object.at(key).get<uint64_t>(); };
  const json& messages = l.at("messages");
  rows.begin("messages", "in", messages.at("in"));
  rows.part("stored", number(messages, "stored"));
  rows.part("repeated, and not stored again", number(messages, "repeated"));
  rows.parts("dead", messages.at("dead"));
  rows.part("returned, to be delivered again", number(messages, "returned"));
  rows.part("in hand", number(messages, "in_hand"));
  rows.note("delivered before, among them", number(messages, "redelivered"));
  rows.note("older than what is remembered, among them", number(messages, "unsure"));
  const json& records = l.at("records");
  rows.begin("flows", "in", records.at("in"));
  rows.part("rows", number(records, "rows"));
  rows.part("dropped by rules", number(records, "dropped"));
  rows.part("sampled out", number(records, "sampled_out"));
  rows.parts("dead", records.at("dead"));
  rows.part("returned, to be delivered again", number(records, "returned"));
  rows.part("in flight", number(records, "in_flight"));
  if (const json files = l.value("files", json()); files.is_object()) {
    rows.begin("files", "rows of older hours", files.at("rows"));
    rows.part("answered", number(files, "answered"));
    rows.part("left out: their file cannot be read", number(files, "left_out"));
  }
  const bool adds_up = rows.add_up();
  table.print();
  std::puts("");
  for (const json& line : l.at("discrepancies")) fmt::print("{}\n", text_of(line));
  if (l.at("balanced").get<bool>() && adds_up) {
    std::puts("the books balance: in each ledger the rows with = and + make up the first");
  }
}

}  // namespace weir::cli

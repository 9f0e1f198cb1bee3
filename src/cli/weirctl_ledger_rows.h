// weirctl_ledger_rows.h — Ledgers as rows of a table: what came in, then what became of it, which adds up.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

/// One ledger of several in a table: what came in, then what became of it.
class LedgerRows {
 public:
  explicit LedgerRows(Table& table) : table_(table) {}

  /// `what` came in, `of` a ledger: the rows that follow add up to it.
  void begin(std::string ledger, const std::string& what, const json& count) {
    table_.add({std::move(ledger), what, text_of(count), ""});
    settle();
    total_ = left_ = count.get<uint64_t>();
    is_first_ = true;
  }
  void part(const std::string& what, uint64_t count) {
    const std::string share =
        total_ == 0 ? ""
                    : fmt::format("{:.1f}%", 100 * static_cast<double>(count) /
                                                 static_cast<double>(total_));
    table_.add({"", fmt::format("{} {}", is_first_ ? '=' : '+', what), fmt::format("{}", count), share});
    is_first_ = false;
    left_ -= count;
  }
  /// A row for each reason that there was, or one that says that there was none.
  void parts(const std::string& what, const json& tally) {
    bool is_any = false;
    for (const auto& [reason, count] : tally.items()) {
      if (count == 0) continue;
      part(what.empty() ? reason : fmt::format("{}: {}", what, reason), count.get<uint64_t>());
      is_any = true;
    }
    if (!is_any) part(what.empty() ? "none" : what, 0);
  }
  /// Beside the sum.
  void note(const std::string& what, uint64_t count) {
    table_.add({"", fmt::format("  {}", what), fmt::format("{}", count), ""});
  }

  /// Whether each ledger's rows, as they are printed, made up its first.
  bool add_up() {
    settle();
    return add_up_;
  }

 private:
  void settle() noexcept {
    add_up_ = add_up_ && left_ == 0;
    left_ = 0;
  }

  Table& table_;
  uint64_t total_ = 0;
  uint64_t left_ = 0;
  bool add_up_ = true;
  bool is_first_ = true;
};

}  // namespace weir::cli

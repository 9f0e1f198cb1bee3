#include "api/store_rows.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weir::api {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Splits `[a, "b", [c]]` at its own commas.
void split_cells(std::string_view row, std::vector<std::string_view>& cells) {
  cells.clear();
  row = row.substr(1, row.size() - 2);
  const auto add = [&](std::string_view cell) {
    while (!cell.empty() && is_blank(cell.front())) cell.remove_prefix(1);
    while (!cell.empty() && is_blank(cell.back())) cell.remove_suffix(1);
    cells.push_back(cell);
  };
  size_t depth = 0, from = 0;
  bool in_string = false;
  for (size_t i = 0; i < row.size(); ++i) {
    const char c = row[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      add(row.substr(from, i - from));
      from = i + 1;
    }
  }
  add(row.substr(from));
}

}  // namespace

bool StoreRows::fail(std::string_view why) {
  if (trouble_.empty()) trouble_ = "the store's answer is not what it should be: " + std::string(why);
  return false;
}

bool StoreRows::row_too_large() {
  is_row_too_large_ = true;
  if (trouble_.empty()) trouble_ = fmt::format("a row of the answer has more than {} MiB, as a list of many flows may: Parquet has room for it", kRowOctetsMax >> 20);
  return false;
}

bool StoreRows::scan_string(char c) noexcept {
  if (in_string_) {
    if (is_escaped_) {
      is_escaped_ = false;
    } else if (c == '\\') {
      is_escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
    return true;
  }
  if (c == '"') in_string_ = true;
  return in_string_;
}

bool StoreRows::take_member_octet(char c) {
  if (members_.size() >= kMemberOctetsMax) return fail("more beside its rows than fits");
  members_ += c;
  if (scan_string(c)) return true;
  if (c == '{' || c == '[') {
    constexpr std::string_view kRows = "\"rows\":[";
    if (++depth_ == 2 && c == '[' && std::string_view(members_).ends_with(kRows)) state_ = State::rows;
  } else if (c == '}' || c == ']') {
    if (depth_ == 0) return fail("a bracket too many");
    if (--depth_ == 0) state_ = State::behind;
  } else if (is_blank(c)) {
    members_.pop_back();
  }
  return true;
}

bool StoreRows::end_row(const Take& take) {
  split_cells(text_, cells_);
  text_.clear();
  state_ = State::rows;
  return take(cells_);
}

bool StoreRows::feed(std::string_view octets, const Take& take) {
  for (const char c : octets) {
    switch (state_) {
      case State::before:
        if (is_blank(c)) break;
        if (c != '{') return fail("no object");
        state_ = State::members;
        [[fallthrough]];
      case State::members:
        if (!take_member_octet(c)) return false;
        break;
      case State::rows:
        if (is_blank(c) || c == ',') break;
        if (c == ']') {
          members_ += c;
          --depth_;
          state_ = State::members;
        } else if (c == '[') {
          text_ = c;
          ++depth_;
          state_ = State::row;
        } else {
          return fail("a row is no list");
        }
        break;
      case State::row:
        if (text_.size() >= kRowOctetsMax) return row_too_large();
        text_ += c;
        if (scan_string(c)) break;
        if (c == '[' || c == '{') ++depth_;
        if ((c == ']' || c == '}') && --depth_ == 2 && !end_row(take)) return false;
        break;
      case State::behind:
        if (!is_blank(c)) return fail("something behind its end");
        break;
    }
  }
  return true;
}

std::string cell_text(std::string_view cell) {
  if (cell == "null") return {};
  if (cell.empty() || cell.front() != '"') return std::string(cell);
  if (cell.find('\\') == std::string_view::npos) return std::string(cell.substr(1, cell.size() - 2));
  const auto json = nlohmann::json::parse(cell, nullptr, /*allow_exceptions=*/false);
  return json.is_string() ? json.get<std::string>() : std::string(cell);
}

}  // namespace weir::api

// store_rows.h — The store's answer, {"columns":[…],"rows":[[…],…],…}, row by row as its octets come.
//
// Runs on:  any thread.
// Bounds:   a row of kRowOctetsMax, members beside the rows of kMemberOctetsMax together.
// Failure:  feed says false where it is no such answer; `trouble` says why.
//
// Only brackets, commas and strings are looked at: what stands in a cell goes on as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::api {

inline constexpr size_t kRowOctetsMax = 4 << 20;
inline constexpr size_t kMemberOctetsMax = 1 << 20;

class StoreRows {
 public:
  /// The cells of a row as JSON; valid until the call returns. False: enough.
  using Take = std::function<bool(const std::vector<std::string_view>& cells)>;

  [[nodiscard]] bool feed(std::string_view octets, const Take& take);
  /// Whether the answer came to its end.
  bool is_whole() const noexcept { return state_ == State::behind; }
  /// All but the rows: {"columns":[…],"truncated":false}. Of one that goes on what was there before the rows, with them left out.
  const std::string& members() const noexcept { return members_; }
  const std::string& trouble() const noexcept { return trouble_; }
  /// Then it is the question that asks for too much; any other trouble is the store's.
  bool is_row_too_large() const noexcept { return is_row_too_large_; }

 private:
  enum class State : uint8_t { before, members, rows, row, behind };
  bool fail(std::string_view why);
  bool row_too_large();
  bool take_member_octet(char c);
  bool end_row(const Take& take);
  bool scan_string(char c) noexcept;  // whether `c` is in one

  State state_ = State::before;
  std::string members_;
  std::string text_;  // of what is being read: a row, or a member's string
  size_t depth_ = 0;
  bool in_string_ = false;
  bool is_escaped_ = false;
  bool is_row_too_large_ = false;
  std::vector<std::string_view> cells_;
  std::string trouble_;
};

/// A cell's text: of a string without quotes and escapes, of NULL empty, of others as they stand.
std::string cell_text(std::string_view cell);

}  // namespace weir::api

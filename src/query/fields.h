// fields.h — What of a flow can be asked for: the one table of names, types, columns and what may be done with each.
//
// Spec:     docs/SRQL.md, "Fields".
// Runs on:  any thread. Constant tables.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/named_enum.h"

namespace weir::query {

/// What values look like, and so which operators there are.
#define WEIR_FIELD_KINDS(X)                                                                                  \
  X(address) X(network) X(number) X(counter) X(text) X(named_number) X(tcp_flags) X(flags_label) X(mac) X(instant) \
  X(number_list) X(community_list) X(text_list) X(boolean) X(conversation)
WEIR_NAMED_ENUM(FieldKind, uint8_t, WEIR_FIELD_KINDS)

/// Names of a number's values. The first of a number is the one that is shown.
struct ValueName {
  int64_t number;
  std::string_view name;
};

struct Field {
  std::string_view name;
  std::string_view aliases;  // with blanks between them
  FieldKind kind;
  // Of the physical row `f`, or what is joined to it, in plain SQL. Of either-side fields the source's.
  std::string_view column;
  std::string_view other_column = {};  // of either-side fields the destination's
  std::string_view reads = {};         // physical columns that `column` is made of, with blanks; empty: `column` itself
  int64_t largest = INT64_MAX;         // of numbers
  std::span<const ValueName> names = {};
  std::string_view raw_column = {};    // of counters: as exported, with raw:true
  std::string_view unit = {};

  bool is_either_side() const noexcept { return !other_column.empty(); }
  bool is_ordered() const noexcept;    // can be compared, and has ranges
  bool is_numeric() const noexcept;    // can be summed up
  bool can_group() const noexcept;
  bool can_show() const noexcept;
  /// The physical columns, one by one.
  std::string_view sources() const noexcept { return reads.empty() ? column : reads; }
};

std::span<const Field> fields() noexcept;
/// By name or alias, in lower case.
const Field* find_field(std::string_view name) noexcept;
/// The field of this very name: of those that the program itself uses.
const Field& field_named(std::string_view name) noexcept;
/// Names that look like `name`, for messages: "src_endpoint_ip, src_cidr"; empty if none does.
std::string fields_like(std::string_view name);

/// The number that a text names, in any case, blanks and -_ left out.
std::optional<int64_t> number_named(const Field& field, std::string_view text) noexcept;
std::string names_allowed(const Field& field);

struct FlagName {
  int64_t bit;
  std::string_view name;
};
std::span<const FlagName> tcp_flag_names() noexcept;

}  // namespace weir::query

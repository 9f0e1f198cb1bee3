// sets.h — Sets that conditions name (@local, @web), and dictionaries that lookup() asks.
//
// Runs on:  made when rules are read, constant from then on; asked on any thread, without an allocation.
// Bounds:   kSetItemsMax, kDictionaryRowsMax, kDictionaryOctetsMax.
// Failure:  an Error that names the item and what it may be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/byte_order.h"
#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/result.h"

namespace weir::rules {

inline constexpr size_t kSetItemsMax = 1'000'000;
inline constexpr size_t kDictionaryRowsMax = 1'000'000;
inline constexpr size_t kDictionaryOctetsMax = 256 << 20;
inline constexpr size_t kDictionaryColumnsMax = 64;

/// 4 octets, 16, or nothing: as addresses are in a flow.
std::optional<IpAddress> address_of(std::string_view octets) noexcept;
/// Of text.
std::optional<IpAddress> parse_address(std::string_view text) noexcept;

/// Addresses under any of some prefixes: ranges that do not overlap, in order.
class PrefixSet {
 public:
  /// `192.0.2.0/24`, `2001:db8::/32`, or an address.
  Result<void> add(std::string_view prefix);
  void finish();
  bool contains(const IpAddress& address) const noexcept;

  /// The octets as a number: compared without a call.
  __extension__ using Key = unsigned __int128;
  static Key key_of(const IpAddress& address) noexcept {
    return static_cast<Key>(load_be64(address.octets.data())) << 64 | load_be64(address.octets.data() + 8);
  }
  struct Range {
    Key first, last;
  };
  /// In order; those that touch are one.
  const std::vector<Range>& ranges() const noexcept { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

/// Whole numbers; single ones and `1024-65535`.
class NumberSet {
 public:
  Result<void> add(std::string_view number_or_range);
  static bool is_item(std::string_view text) noexcept { return range_of(text).has_value(); }
  void finish();
  bool contains(uint64_t v) const noexcept {
    return v < kBits ? (bits_[v / 64] >> (v % 64) & 1) != 0 : contains_large(v);
  }
  /// How many there are, or `limit` where there are more.
  uint64_t count_up_to(uint64_t limit) const noexcept {
    uint64_t count = 0;
    for (const Range& r : ranges_) {
      if (r.last - r.first >= limit - count) return limit;
      count += r.last - r.first + 1;
    }
    return count;
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const Range& r : ranges_) {
      for (uint64_t v = r.first;; ++v) {
        visit(v);
        if (v == r.last) break;
      }
    }
  }

 private:
  static constexpr size_t kBits = 65'536;  // ports
  struct Range {
    uint64_t first, last;
  };
  static std::optional<Range> range_of(std::string_view text) noexcept;
  bool contains_large(uint64_t v) const noexcept;
  std::vector<uint64_t> bits_ = std::vector<uint64_t>(kBits / 64);
  std::vector<Range> ranges_;
};

/// For maps that are asked with views.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
};

#define WEIR_SET_KINDS(X) X(prefixes) X(numbers) X(texts)
WEIR_NAMED_ENUM(SetKind, uint8_t, WEIR_SET_KINDS)

/// By itself.
SetKind kind_of_item(std::string_view item);

/// What the first item is, all are. One without items is of every kind, and has nothing in it.
struct NamedSet {
  std::string name;
  std::string first_item;
  SetKind kind = SetKind::texts;
  PrefixSet prefixes;
  NumberSet numbers;
  std::unordered_map<std::string, bool, TextHash, std::equal_to<>> texts;

  /// Of an Error `wrong_item` says which item it is about; the first, of none.
  static Result<NamedSet> make(std::string name, const std::vector<std::string>& items, size_t* wrong_item = nullptr);
  bool is_empty() const noexcept { return first_item.empty() && texts.empty(); }

  bool contains(uint64_t number) const noexcept { return kind == SetKind::numbers && numbers.contains(number); }
  bool contains(std::string_view text) const noexcept;
};

/// A CSV file with a heading: the first column is the key. RFC 4180: quotes, doubled inside.
class Dictionary {
 public:
  static Result<Dictionary> parse(std::string name, std::string_view csv);

  const std::string& name() const { return name_; }
  const std::vector<std::string>& columns() const { return columns_; }
  std::optional<size_t> column(std::string_view name) const;
  /// The first key that is an address (a MAC address) in another form than fields have it, and theirs; empty where there is none.
  struct OtherForm {
    std::string key, as_field;
  };
  const OtherForm& other_address() const noexcept { return other_address_; }
  const OtherForm& other_mac() const noexcept { return other_mac_; }
  /// Nothing where there is no such key.
  std::optional<std::string_view> find(std::string_view key, size_t column) const noexcept;

 private:
  void look_at_form(const std::string& key);

  std::string name_;
  std::vector<std::string> columns_;
  OtherForm other_address_, other_mac_;
  std::unordered_map<std::string, std::vector<std::string>, TextHash, std::equal_to<>> rows_;
};

}  // namespace weir::rules

// address_table.h — Which of many prefixes an address lies in, of several sets at once: one search an address, whatever their number.
//
// Runs on:  built when sets are read, constant from then on; asked on any thread, without an allocation.
// Bounds:   kPrefixesMax a set, kSetsMax sets. About 8 octets a boundary of IPv4, 20 of IPv6.
//
// Prefixes that lie in each other are cut into ranges that do not, each with what holds in it: of every set the longest
// prefix's value. What the sets say together is one number, so that sets cost nothing when they are asked.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/result.h"

namespace weir::enrich {

inline constexpr size_t kPrefixesMax = 8'000'000;
inline constexpr size_t kSetsMax = 8;

struct Prefix {
  IpAddress address;   // IPv4 mapped; bits behind `length` do not count
  uint8_t length = 0;  // of the mapped form: 96 + n of IPv4
  uint32_t value = 0;  // not 0
};

/// `192.0.2.0/24`, `2001:db8::/32`, or an address; nothing where it is none.
std::optional<Prefix> parse_prefix(std::string_view text) noexcept;

/// What several sets say of an address: values by set, 0 where a set says nothing.
using Values = std::array<uint32_t, kSetsMax>;

class AddressTable {
 public:
  /// Of two prefixes of a set that are the same the later holds.
  static Result<AddressTable> build(std::span<const std::vector<Prefix>> sets);

  /// An index into `combinations`; 0: no set says anything. `octets`: 4 or 16 of them, as flows have them.
  uint32_t find(std::string_view octets) const noexcept;
  /// For whoever asks find() in a while.
  void prefetch(std::string_view octets) const noexcept;
  const std::vector<Values>& combinations() const noexcept { return combinations_; }
  size_t ranges() const noexcept { return v4_ranges_ + v6_starts_.size(); }

 private:
  struct Half {
    uint64_t high, low;
    friend auto operator<=>(const Half&, const Half&) = default;
  };
  struct V4Range {
    uint32_t start, value;  // side by side: what is found by its start is in the same cache line
  };
  // PERF: ranges of IPv4 are found by their first 18 bits, those of IPv6 in 2000::/3 by the 20 bits behind: the rest is a
  // search among a few neighbours (lookup, perf/bench_transform).
  static constexpr size_t kV4IndexBits = 18;
  static constexpr size_t kV6IndexBits = 20;

  uint32_t find_v4(uint32_t address) const noexcept;
  uint32_t find_v6(Half address) const noexcept;
  void index();

  std::vector<V4Range> v4_;  // and one more at each end, so that there is one before and behind any address
  size_t v4_ranges_ = 0;
  std::vector<uint32_t> v4_index_;
  std::vector<Half> v6_starts_;
  std::vector<uint32_t> v6_values_, v6_index_;
  std::vector<Values> combinations_;
};

}  // namespace weir::enrich

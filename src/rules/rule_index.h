// rule_index.h — Which of many rules a flow can match at all, found by a few tests instead of each rule's own.
//
// Runs on:  made when rules are read, constant from then on; asked on any thread, without an allocation.
// Bounds:   kIndexWordsMax words of memory: what would need more stays with the rules that are always asked.
//
// A rule's condition often begins with tests that all must hold: proto == 6 and dst_port == 443. One of them is its guard. Guards on one
// field are one table: from the field's value to the rules whose guards hold. What is left are the rules without a guard, and few others;
// they are run as they always are, so that the index may name a rule too many, but never one too few.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "flow/flow_view.h"

namespace weir::rules {

class Program;

inline constexpr size_t kIndexedRulesMax = 16'384;
inline constexpr size_t kIndexWordsMax = 4u << 20;

/// Where a rule's instructions are: [begin, end).
struct RuleExtent {
  uint32_t begin = 0, end = 0;
};

class RuleIndex {
 public:
  /// Empty where there are too few rules for it to pay, or too many.
  static RuleIndex make(const Program& program, std::span<const RuleExtent> rules);

  bool empty() const noexcept { return words_ == 0; }
  size_t words() const noexcept { return words_; }
  /// Bit i: the flow may match rule i. `bits`: words() of them.
  void candidates(const FlowView& flow, uint64_t* bits) const noexcept;

 private:
  __extension__ using Key = unsigned __int128;
  /// Of one number of flows: an open hash of values.
  struct NumberTable {
    uint8_t slot = 0;
    struct Entry {
      uint64_t value = 0;
      uint32_t bits = 0;  // a place in pool_; 0: free
    };
    std::vector<Entry> entries;  // a power of two of them
  };
  /// Of one address of flows: ranges of addresses, each up to the next one's first.
  struct AddressTable {
    uint8_t slot = 0;
    std::vector<Key> firsts;
    std::vector<uint32_t> bits;  // places in pool_; 0: none
  };
  struct Guard;
  static std::vector<Guard> guards_of(const Program& program, RuleExtent rule);
  void add_numbers(uint8_t slot, const std::map<uint64_t, std::vector<uint32_t>>& rules);
  /// False where they would be too large.
  bool add_addresses(const Program& program, uint8_t slot, const std::vector<std::pair<uint32_t, uint16_t>>& rules_and_sets);
  void set(uint32_t place, uint32_t rule) noexcept { pool_[place + rule / 64] |= uint64_t{1} << (rule % 64); }
  uint32_t new_bits();

  size_t words_ = 0;
  std::vector<uint64_t> always_;
  std::vector<uint64_t> pool_;
  std::vector<NumberTable> numbers_;
  std::vector<AddressTable> addresses_;
};

}  // namespace weir::rules

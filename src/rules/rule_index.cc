#include "rules/rule_index.h"

#include <algorithm>
#include <optional>

#include "rules/operators.h"
#include "rules/program.h"

namespace weir::rules {
namespace {

constexpr size_t kIndexedRulesMin = 8;
constexpr uint64_t kValuesOfSetMax = 1024;   // of a set of numbers that is a guard
constexpr size_t kAddressRangesMax = 200'000;

size_t place_of(uint64_t value, size_t mask) noexcept { return static_cast<size_t>(value * 0x9E3779B97F4A7C15ull >> 40) & mask; }

/// Protocols and flags tell few flows apart.
bool is_coarse(uint8_t slot) noexcept {
  const auto number = static_cast<NumberSlot>(slot);
  return number == NumberSlot::proto || number == NumberSlot::etype || number == NumberSlot::type || number == NumberSlot::tcp_flags;
}

}  // namespace

/// A test that must hold for the rule to do anything.
struct RuleIndex::Guard {
  enum class Kind : uint8_t { number, numbers, addresses } kind;
  uint8_t slot;
  uint16_t set;    // of numbers or prefixes
  uint64_t value;  // of a number
  /// The smaller the fewer flows pass it.
  int rank() const noexcept {
    switch (kind) {
      case Kind::number: return is_coarse(slot) ? 3 : 0;
      case Kind::numbers: return is_coarse(slot) ? 4 : 1;
      case Kind::addresses: break;
    }
    return 2;
  }
};

/// Those at its beginning, of tests that cannot fail and lead to its end where they do not hold.
std::vector<RuleIndex::Guard> RuleIndex::guards_of(const Program& program, RuleExtent rule) {
  std::vector<Guard> guards;
  for (uint32_t at = rule.begin; at < rule.end; ++at) {
    const Instruction& i = program.code[at];
    if (i.op > Op::if_list_has || i.flag || i.jump != rule.end) break;
    if (i.op == Op::if_number && static_cast<BinaryOperator>(i.b) == BinaryOperator::equal) {
      guards.push_back({Guard::Kind::number, i.a, 0, i.value});
    } else if (i.op == Op::if_number_in && program.sets[i.index]->numbers.count_up_to(kValuesOfSetMax + 1) <= kValuesOfSetMax) {
      guards.push_back({Guard::Kind::numbers, i.a, i.index, 0});
    } else if (i.op == Op::if_address_in) {
      guards.push_back({Guard::Kind::addresses, i.a, i.index, 0});
    }
  }
  return guards;
}

uint32_t RuleIndex::new_bits() {
  const auto place = static_cast<uint32_t>(pool_.size());
  pool_.resize(pool_.size() + words_);
  return place;
}

RuleIndex RuleIndex::make(const Program& program, std::span<const RuleExtent> rules) {
  RuleIndex index;
  if (rules.size() < kIndexedRulesMin || rules.size() > kIndexedRulesMax) return index;
  index.words_ = (rules.size() + 63) / 64;
  index.always_.assign(index.words_, 0);
  index.pool_.assign(index.words_, 0);  // the first is nobody's
  std::map<uint8_t, std::map<uint64_t, std::vector<uint32_t>>> numbers;              // rules by slot and value
  std::map<uint8_t, std::vector<std::pair<uint32_t, uint16_t>>> addresses;           // rules and sets by slot
  const auto always = [&](uint32_t rule) { index.always_[rule / 64] |= uint64_t{1} << (rule % 64); };
  for (uint32_t r = 0; r < rules.size(); ++r) {
    const std::vector<Guard> guards = guards_of(program, rules[r]);
    const auto best = std::min_element(guards.begin(), guards.end(), [](const Guard& a, const Guard& b) { return a.rank() < b.rank(); });
    if (best == guards.end()) {
      always(r);
    } else if (best->kind == Guard::Kind::addresses) {
      addresses[best->slot].emplace_back(r, best->set);
    } else if (best->kind == Guard::Kind::number) {
      numbers[best->slot][best->value].push_back(r);
    } else {
      program.sets[best->set]->numbers.for_each([&](uint64_t value) { numbers[best->slot][value].push_back(r); });
    }
  }
  for (const auto& [slot, by_value] : numbers) {
    if (index.pool_.size() + by_value.size() * index.words_ <= kIndexWordsMax) {
      index.add_numbers(slot, by_value);
      continue;
    }
    for (const auto& [value, of_value] : by_value) std::for_each(of_value.begin(), of_value.end(), always);
  }
  for (const auto& [slot, of_slot] : addresses) {
    if (index.add_addresses(program, slot, of_slot)) continue;
    for (const auto& [rule, set] : of_slot) always(rule);
  }
  return index;
}

void RuleIndex::add_numbers(uint8_t slot, const std::map<uint64_t, std::vector<uint32_t>>& rules) {
  NumberTable table;
  table.slot = slot;
  size_t size = 2;
  while (size < 2 * rules.size()) size *= 2;
  table.entries.resize(size);
  for (const auto& [value, of_value] : rules) {
    size_t at = place_of(value, size - 1);
    while (table.entries[at].bits != 0) at = (at + 1) & (size - 1);
    table.entries[at] = {value, new_bits()};
    for (const uint32_t rule : of_value) set(table.entries[at].bits, rule);
  }
  numbers_.push_back(std::move(table));
}

bool RuleIndex::add_addresses(const Program& program, uint8_t slot, const std::vector<std::pair<uint32_t, uint16_t>>& rules_and_sets) {
  struct Change {
    Key at;
    uint32_t rule;
  };
  std::vector<Change> changes;  // where a rule's set begins or ends: its ranges do not touch
  for (const auto& [rule, set] : rules_and_sets) {
    for (const PrefixSet::Range& range : program.sets[set]->prefixes.ranges()) {
      changes.push_back({range.first, rule});
      if (range.last != ~Key{0}) changes.push_back({range.last + 1, rule});
    }
    if (changes.size() > 2 * kAddressRangesMax) return false;
  }
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.at < b.at; });
  AddressTable table;
  table.slot = slot;
  const size_t before = pool_.size();
  std::vector<uint64_t> now(words_);
  std::map<std::vector<uint64_t>, uint32_t> known = {{now, 0}};
  for (size_t i = 0; i < changes.size();) {
    const Key at = changes[i].at;
    for (; i < changes.size() && changes[i].at == at; ++i) now[changes[i].rule / 64] ^= uint64_t{1} << (changes[i].rule % 64);
    const auto [entry, is_new] = known.try_emplace(now, 0);
    if (is_new) {
      if (pool_.size() + words_ > kIndexWordsMax) {
        pool_.resize(before);
        return false;
      }
      entry->second = new_bits();
      std::copy(now.begin(), now.end(), pool_.begin() + entry->second);
    }
    table.firsts.push_back(at);
    table.bits.push_back(entry->second);
  }
  addresses_.push_back(std::move(table));
  return true;
}

void RuleIndex::candidates(const FlowView& flow, uint64_t* bits) const noexcept {
  const auto add = [&](uint32_t place) {
    for (size_t w = 0; w < words_; ++w) bits[w] |= pool_[place + w];
  };
  for (size_t w = 0; w < words_; ++w) bits[w] = always_[w];
  for (const NumberTable& table : numbers_) {
    const uint64_t value = flow.numbers[table.slot];
    const size_t mask = table.entries.size() - 1;
    for (size_t at = place_of(value, mask); table.entries[at].bits != 0; at = (at + 1) & mask) {
      if (table.entries[at].value != value) continue;
      add(table.entries[at].bits);
      break;
    }
  }
  for (const AddressTable& table : addresses_) {
    const auto address = address_of(flow.octets[table.slot]);
    if (!address) continue;
    const Key key = PrefixSet::key_of(*address);
    const auto behind = std::upper_bound(table.firsts.begin(), table.firsts.end(), key);
    if (behind == table.firsts.begin()) continue;
    const uint32_t place = table.bits[static_cast<size_t>(behind - table.firsts.begin()) - 1];
    if (place != 0) add(place);
  }
}

}  // namespace weir::rules

#include "enrich/address_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

namespace weir::enrich {

namespace {

__extension__ using Key = unsigned __int128;
constexpr unsigned kBits = 128;
constexpr unsigned kMappedBits = 96;
constexpr Key kMappedFirst = static_cast<Key>(0xffff) << 32;
constexpr Key kMappedLast = kMappedFirst | 0xffffffffu;

Key key_of(const IpAddress& address) noexcept {
  return static_cast<Key>(load_be64(address.octets.data())) << 64 | load_be64(address.octets.data() + 8);
}

/// The bits behind a prefix.
Key host_mask(unsigned length) noexcept { return length == 0 ? ~Key{0} : length >= kBits ? 0 : (~Key{0}) >> length; }

struct Range {
  Key first, last;
  uint32_t value;
};

/// From `first` to the next boundary `value` holds.
struct Boundary {
  Key first;
  uint32_t value;
};

/// Where a set's answer changes, in order.
std::vector<Boundary> boundaries_of(const std::vector<Prefix>& prefixes) {
  struct Numbered {
    Range range;
    size_t order;
  };
  std::vector<Numbered> ranges;
  ranges.reserve(prefixes.size());
  for (const Prefix& prefix : prefixes) {
    const Key host = host_mask(prefix.length);
    const Key first = key_of(prefix.address) & ~host;
    ranges.push_back({{first, first | host, prefix.value}, ranges.size()});
  }
  // A prefix before those that lie in it; of the same, the later one lies in the earlier.
  std::sort(ranges.begin(), ranges.end(), [](const Numbered& a, const Numbered& b) {
    if (a.range.first != b.range.first) return a.range.first < b.range.first;
    if (a.range.last != b.range.last) return a.range.last > b.range.last;
    return a.order < b.order;
  });
  std::vector<Boundary> found;
  const auto put = [&](Key first, uint32_t value) {
    // Where several end at one place the last word counts.
    if (!found.empty() && found.back().first == first) {
      found.back().value = value;
    } else if (found.empty() ? value != 0 : found.back().value != value) {
      found.push_back({first, value});
    }
  };
  std::vector<Range> open;
  const auto close_before = [&](std::optional<Key> next) {
    while (!open.empty() && (!next || open.back().last < *next)) {
      const Key last = open.back().last;
      open.pop_back();
      if (last != ~Key{0}) put(last + 1, open.empty() ? 0 : open.back().value);
    }
  };
  for (const Numbered& numbered : ranges) {
    close_before(numbered.range.first);
    open.push_back(numbered.range);
    put(numbered.range.first, numbered.range.value);
  }
  close_before(std::nullopt);
  return found;
}

}  // namespace

std::optional<Prefix> parse_prefix(std::string_view text) noexcept {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  // A mapped address is one of IPv6 as it is written, and so is the length behind it.
  const unsigned width = text.substr(0, slash).find(':') == std::string_view::npos ? kBits - kMappedBits : kBits;
  unsigned length = width;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc() || end != digits.data() + digits.size() || length > width) return std::nullopt;
  }
  if (width == kBits && address->is_v4() && length < kMappedBits) return std::nullopt;  // of which much is no mapped address
  return Prefix{*address, static_cast<uint8_t>(length + kBits - width), 0};
}

Result<AddressTable> AddressTable::build(std::span<const std::vector<Prefix>> sets) {
  if (sets.size() > kSetsMax) return Error{fmt::format("{} sets of prefixes; at most {} go", sets.size(), kSetsMax)};
  std::vector<std::vector<Boundary>> of_sets;
  for (const std::vector<Prefix>& set : sets) {
    if (set.size() > kPrefixesMax) return Error{fmt::format("{} prefixes in a set; at most {} go", set.size(), kPrefixesMax)};
    of_sets.push_back(boundaries_of(set));
  }
  AddressTable table;
  table.combinations_.push_back({});
  std::map<Values, uint32_t> known = {{Values{}, 0}};
  std::vector<size_t> at(of_sets.size());
  Values values{};
  const auto number_of = [&](const Values& combination) {
    const auto [entry, is_new] = known.try_emplace(combination, static_cast<uint32_t>(table.combinations_.size()));
    if (is_new) table.combinations_.push_back(combination);
    return entry->second;
  };
  // All sets' boundaries as one walk. IPv4 has a table of its own, in which addresses begin at 0.
  uint32_t last_v4 = 0, last_v6 = 0;
  table.v4_.push_back({0, 0});
  const auto put = [&](Key first, Key next, uint32_t number) {  // holds from first to before next; next 0: to the end
    const Key last = next - 1;
    if (first <= kMappedLast && last >= kMappedFirst) {
      const auto from = static_cast<uint32_t>(std::max(first, kMappedFirst));
      if (number != last_v4) {
        table.v4_.push_back({from, number});
        ++table.v4_ranges_;
        last_v4 = number;
      }
    }
    if (number != last_v6) {
      table.v6_starts_.push_back({static_cast<uint64_t>(first >> 64), static_cast<uint64_t>(first)});
      table.v6_values_.push_back(number);
      last_v6 = number;
    }
  };
  const auto next_boundary = [&]() -> std::optional<Key> {
    std::optional<Key> next;
    for (size_t i = 0; i < of_sets.size(); ++i) {
      if (at[i] < of_sets[i].size() && (!next || of_sets[i][at[i]].first < *next)) next = of_sets[i][at[i]].first;
    }
    return next;
  };
  for (std::optional<Key> here = next_boundary(); here;) {
    for (size_t i = 0; i < of_sets.size(); ++i) {
      if (at[i] < of_sets[i].size() && of_sets[i][at[i]].first == *here) values[i] = of_sets[i][at[i]++].value;
    }
    const std::optional<Key> next = next_boundary();
    put(*here, next.value_or(0), number_of(values));
    here = next;
  }
  table.v4_.push_back({UINT32_MAX, 0});
  table.index();
  return table;
}

void AddressTable::index() {
  v4_index_.assign((size_t{1} << kV4IndexBits) + 1, 0);
  size_t at = 0;
  for (size_t bucket = 0; bucket < v4_index_.size(); ++bucket) {
    while (at <= v4_ranges_ && v4_[at].start >> (32 - kV4IndexBits) < bucket) ++at;
    v4_index_[bucket] = static_cast<uint32_t>(at);
  }
  v6_index_.assign((size_t{1} << kV6IndexBits) + 1, 0);
  at = 0;
  for (size_t bucket = 0; bucket < v6_index_.size(); ++bucket) {
    const auto key = [&](size_t i) { return v6_starts_[i].high >> (64 - 3 - kV6IndexBits); };  // with the three bits in front
    const uint64_t first = (uint64_t{1} << kV6IndexBits) + bucket;  // 001 in front
    while (at < v6_starts_.size() && key(at) < first) ++at;
    v6_index_[bucket] = static_cast<uint32_t>(at);
  }
}

uint32_t AddressTable::find_v4(uint32_t address) const noexcept {
  const size_t bucket = address >> (32 - kV4IndexBits);
  const V4Range* at = v4_.data() + v4_index_[bucket];
  size_t left = v4_index_[bucket + 1] - v4_index_[bucket];
  // PERF: which half it is nobody can foretell, so there are moves in the place of branches: the searches for both ends of a flow then
  // wait for memory at once (enriched, perf/bench_transform).
  while (left > 1) {
    const size_t half = left / 2;
    at = at[half].start <= address ? at + half : at;
    left -= half;
  }
  // The range before the first of its bucket may have begun in an earlier one.
  const unsigned is_before = static_cast<unsigned>(left == 0) | static_cast<unsigned>(at->start > address);
  return (at - is_before)->value;
}

uint32_t AddressTable::find_v6(Half address) const noexcept {
  const auto begin = v6_starts_.begin();
  auto from = begin, to = v6_starts_.end();
  if (address.high >> 61 == 1) {
    const size_t bucket = (address.high >> (64 - 3 - kV6IndexBits)) & ((size_t{1} << kV6IndexBits) - 1);
    from = begin + v6_index_[bucket];
    to = begin + v6_index_[bucket + 1];
  }
  const auto behind = std::upper_bound(from, to, address);
  return behind == begin ? 0 : v6_values_[static_cast<size_t>(behind - begin) - 1];
}

void AddressTable::prefetch(std::string_view octets) const noexcept {
  const auto* const data = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() != 4) return;
  const size_t bucket = load_be32(data) >> (32 - kV4IndexBits);
  __builtin_prefetch(v4_.data() + v4_index_[bucket]);
  __builtin_prefetch(v4_.data() + v4_index_[bucket + 1]);
}

uint32_t AddressTable::find(std::string_view octets) const noexcept {
  const auto* const data = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return find_v4(load_be32(data));
  if (octets.size() != 16) return 0;
  const Half address = {load_be64(data), load_be64(data + 8)};
  if (address.high == 0 && address.low >> 32 == 0xffff) return find_v4(static_cast<uint32_t>(address.low));
  return find_v6(address);
}

}  // namespace weir::enrich

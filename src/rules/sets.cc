#include "rules/sets.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "rules/field_forms.h"

namespace weir::rules {
namespace {

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return v;
}

/// Ranges in order, those that touch joined.
template <class Range, class After>
void join_ranges(std::vector<Range>& ranges, After next_of) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  std::vector<Range> joined;
  for (const Range& r : ranges) {
    if (!joined.empty() && (r.first <= joined.back().last || r.first == next_of(joined.back().last))) {
      joined.back().last = std::max(joined.back().last, r.last);
    } else {
      joined.push_back(r);
    }
  }
  ranges = std::move(joined);
}

template <class Range, class Item>
bool in_ranges(const std::vector<Range>& ranges, const Item& v) noexcept {
  const auto behind =
      std::upper_bound(ranges.begin(), ranges.end(), v, [](const Item& a, const Range& r) { return a < r.first; });
  return behind != ranges.begin() && v <= (behind - 1)->last;
}

}  // namespace

std::optional<IpAddress> address_of(std::string_view octets) noexcept {
  const auto* const o = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return IpAddress::from_v4(o);
  if (octets.size() == 16) return IpAddress::from_v6(o);
  return std::nullopt;
}

std::optional<IpAddress> parse_address(std::string_view text) noexcept {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof terminated) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated);
  terminated[text.size()] = '\0';
  uint8_t octets[16];
  if (inet_pton(AF_INET, terminated, octets) == 1) return IpAddress::from_v4(octets);
  if (inet_pton(AF_INET6, terminated, octets) == 1) return IpAddress::from_v6(octets);
  return std::nullopt;
}

Result<void> PrefixSet::add(std::string_view prefix) {
  const size_t slash = prefix.find('/');
  const auto address = parse_address(prefix.substr(0, slash));
  if (!address) return Error{fmt::format("'{}' is no prefix", prefix)};
  const uint64_t bits_max = address->is_v4() ? 32 : 128;
  const auto length = slash == std::string_view::npos ? bits_max : number_of(prefix.substr(slash + 1));
  if (!length || *length > bits_max) return Error{fmt::format("'{}': the length is 0 to {}", prefix, bits_max)};
  const uint64_t bits = *length + 128 - bits_max;
  const Key behind = bits == 128 ? 0 : ~Key{0} >> bits;
  const Key key = key_of(*address);
  ranges_.push_back({key & ~behind, key | behind});
  return {};
}

void PrefixSet::finish() {
  join_ranges(ranges_, [](Key key) { return key + 1; });
}

bool PrefixSet::contains(const IpAddress& address) const noexcept { return in_ranges(ranges_, key_of(address)); }

std::optional<NumberSet::Range> NumberSet::range_of(std::string_view text) noexcept {
  const size_t dash = text.find('-');
  const auto first = number_of(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number_of(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return Range{*first, *last};
}

Result<void> NumberSet::add(std::string_view text) {
  const auto range = range_of(text);
  if (!range) return Error{fmt::format("'{}' is neither a number nor a range", text)};
  ranges_.push_back(*range);
  return {};
}

void NumberSet::finish() {
  join_ranges(ranges_, [](uint64_t v) { return v + 1; });
  for (const Range& r : ranges_) {
    for (uint64_t v = r.first; v <= r.last && v < kBits; ++v) bits_[v / 64] |= uint64_t{1} << (v % 64);
  }
}

bool NumberSet::contains_large(uint64_t v) const noexcept { return in_ranges(ranges_, v); }

SetKind kind_of_item(std::string_view item) {
  if (NumberSet::is_item(item)) return SetKind::numbers;
  return PrefixSet().add(item) ? SetKind::prefixes : SetKind::texts;
}

Result<NamedSet> NamedSet::make(std::string name, const std::vector<std::string>& items, size_t* wrong_item) {
  NamedSet set;
  set.name = std::move(name);
  if (items.size() > kSetItemsMax) {
    return Error{fmt::format("set {} has {} items, limit {}", set.name, items.size(), kSetItemsMax)};
  }
  if (!items.empty()) {
    set.kind = kind_of_item(items.front());
    set.first_item = items.front();
  }
  for (const std::string& item : items) {
    Result<void> added;
    if (set.kind == SetKind::numbers) added = set.numbers.add(item);
    if (set.kind == SetKind::prefixes) added = set.prefixes.add(item);
    if (set.kind == SetKind::texts) {
      // A slip in the first of some prefixes would make texts of them all, which no address is among.
      if (const SetKind kind = kind_of_item(item); kind != SetKind::texts) {
        const auto why = kind == SetKind::prefixes ? set.prefixes.add(set.first_item) : NumberSet().add(set.first_item);
        return Error{fmt::format("set {}: {}; {} is one, and a set's items are all prefixes, all numbers or all texts", set.name,
                                 why.error().message, item)};
      }
      set.texts.emplace(item, true);
    }
    if (!added) {
      if (wrong_item != nullptr) *wrong_item = static_cast<size_t>(&item - items.data());
      return Error{fmt::format("set {}: {}; it is a set of {} by its first item, {}", set.name, added.error().message,
                               name_of(set.kind), items.front())};
    }
  }
  set.numbers.finish();
  set.prefixes.finish();
  return set;
}

bool NamedSet::contains(std::string_view text) const noexcept {
  if (kind == SetKind::texts) return texts.find(text) != texts.end();
  if (kind != SetKind::prefixes) return false;
  const auto address = parse_address(text);
  return address && prefixes.contains(*address);
}

Result<Dictionary> Dictionary::parse(std::string name, std::string_view csv) {
  Dictionary d;
  d.name_ = std::move(name);
  if (csv.size() > kDictionaryOctetsMax) {
    return Error{fmt::format("{} has {} octets, limit {}", d.name_, csv.size(), kDictionaryOctetsMax)};
  }
  if (csv.starts_with("\xef\xbb\xbf")) csv.remove_prefix(3);
  size_t line = 1;
  for (size_t i = 0; i < csv.size();) {
    std::vector<std::string> cells(1);
    const size_t first_line = line;
    bool quoted = false;
    for (; i < csv.size() && (quoted || csv[i] != '\n'); ++i) {
      const char c = csv[i];
      line += c == '\n';
      if (c == '"' && quoted && i + 1 < csv.size() && csv[i + 1] == '"') {
        cells.back() += csv[++i];
      } else if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        if (cells.size() == kDictionaryColumnsMax) {
          return Error{fmt::format("{}:{}: more than {} columns", d.name_, first_line, kDictionaryColumnsMax)};
        }
        cells.emplace_back();
      } else if (c != '\r' || quoted) {
        cells.back() += c;
      }
    }
    ++i;
    ++line;
    if (quoted) return Error{fmt::format("{}:{}: a quote has no end", d.name_, first_line)};
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (d.columns_.empty()) {
      if (cells.size() < 2) return Error{fmt::format("{}:{}: one column; it takes a key and 1 to {} values", d.name_, first_line, kDictionaryColumnsMax - 1)};
      d.columns_ = std::move(cells);
      continue;
    }
    if (cells.size() != d.columns_.size()) {
      return Error{fmt::format("{}:{}: {} columns, the heading has {}", d.name_, first_line, cells.size(), d.columns_.size())};
    }
    if (d.rows_.size() >= kDictionaryRowsMax) return Error{fmt::format("{}: more than {} rows", d.name_, kDictionaryRowsMax)};
    d.look_at_form(cells[0]);
    std::string key = cells[0];
    if (!d.rows_.emplace(std::move(key), std::move(cells)).second) {
      return Error{fmt::format("{}:{}: its key stands there twice", d.name_, first_line)};
    }
  }
  if (d.columns_.empty()) return Error{fmt::format("{} is empty; its first line names the columns", d.name_)};
  return d;
}

void Dictionary::look_at_form(const std::string& key) {
  if (other_address_.key.empty() && key.find(':') != std::string::npos) {  // of IPv4 there is one form
    if (auto form = address_as_field(key); form && *form != key) other_address_ = {key, std::move(*form)};
  }
  // Digits alone may be anything.
  if (other_mac_.key.empty() && key.find_first_of(":-.") != std::string::npos) {
    if (auto form = mac_as_field(key); form && *form != key) other_mac_ = {key, std::move(*form)};
  }
}

std::optional<size_t> Dictionary::column(std::string_view name) const {
  for (size_t i = 1; i < columns_.size(); ++i) {
    if (columns_[i] == name) return i;
  }
  return std::nullopt;
}

std::optional<std::string_view> Dictionary::find(std::string_view key, size_t column) const noexcept {
  const auto at = rows_.find(key);
  if (at == rows_.end()) return std::nullopt;
  return at->second[column];
}

}  // namespace weir::rules

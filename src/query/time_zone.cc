#include "query/time_zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "base/byte_order.h"
#include "base/printable.h"
#include "query/posix_zone.h"

namespace weir::query {
namespace {

constexpr const char* kZoneFolder = "/usr/share/zoneinfo/";
constexpr size_t kHeaderOctets = 44;
constexpr int64_t kOffsetSecsMax = 18 * 3600;

struct Counts {
  uint32_t utc_indicators, standard_indicators, leaps, transitions, types, name_octets;
  size_t data_octets(size_t time_octets) const {
    return transitions * (time_octets + 1) + types * size_t{6} + name_octets + leaps * (time_octets + 4) + standard_indicators + utc_indicators;
  }
};

std::optional<Counts> header_of(std::string_view file) {
  if (file.size() < kHeaderOctets || file.substr(0, 4) != "TZif") return std::nullopt;
  const auto* p = reinterpret_cast<const uint8_t*>(file.data()) + 20;
  return Counts{load_be32(p), load_be32(p + 4), load_be32(p + 8), load_be32(p + 12), load_be32(p + 16), load_be32(p + 20)};
}

bool is_zone_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '/' || name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '/' || c == '+' || c == '-';
  });
}

/// +02:00, -0530, +2
std::optional<int64_t> fixed_offset(std::string_view text) {
  if (text.size() < 2 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  std::string digits;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == ':' && i == 3) continue;
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    digits += text[i];
  }
  if (digits.size() > 4 || digits.size() == 3) return std::nullopt;
  const int64_t hours = std::stoi(digits.substr(0, 2));
  const int64_t minutes = digits.size() == 4 ? std::stoi(digits.substr(2)) : 0;
  const int64_t secs = hours * 3600 + minutes * 60;
  if (minutes > 59 || secs > kOffsetSecsMax) return std::nullopt;
  return text[0] == '-' ? -secs : secs;
}

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name) {
  TimeZone zone;
  if (name == "UTC" || name == "utc" || name == "Z" || name == "z" || name == "GMT") return zone;
  if (const auto offset = fixed_offset(name)) {
    zone.first_offset_ = *offset;
    return zone;
  }
  const Error unknown{fmt::format("'{}' is no time zone that is known here; allowed: UTC, an offset such as +02:00, a name such as Europe/Berlin",
                                  printable(name.substr(0, 64)))};
  if (!is_zone_name(name)) return unknown;
  std::ifstream in(kZoneFolder + std::string(name), std::ios::binary);
  std::string file(kZoneFileOctetsMax, '\0');
  in.read(file.data(), static_cast<std::streamsize>(file.size()));
  file.resize(static_cast<size_t>(std::max<std::streamsize>(0, in.gcount())));

  const auto first = header_of(file);
  if (!first || file[4] < '2') return unknown;
  const size_t second_at = kHeaderOctets + first->data_octets(4);  // the same again with 64-bit times
  if (second_at > file.size()) return unknown;
  const auto counts = header_of(std::string_view(file).substr(second_at));
  // Files of right/ count leap seconds, which no other clock here does.
  if (!counts || counts->types == 0 || counts->leaps != 0 || file.size() - second_at < kHeaderOctets + counts->data_octets(8)) return unknown;

  const auto* times = reinterpret_cast<const uint8_t*>(file.data()) + second_at + kHeaderOctets;
  const uint8_t* const indexes = times + counts->transitions * size_t{8};
  const uint8_t* const types = indexes + counts->transitions;
  const auto offset_of = [&](uint8_t type) -> std::optional<int64_t> {
    if (type >= counts->types) return std::nullopt;
    return static_cast<int32_t>(load_be32(types + type * size_t{6}));
  };
  zone.name_ = name;
  zone.first_offset_ = *offset_of(0);
  for (uint32_t i = 0; i < counts->transitions; ++i) {
    const auto offset = offset_of(indexes[i]);
    if (!offset) return unknown;
    zone.transitions_.push_back({static_cast<int64_t>(load_be64(times + i * size_t{8})), *offset});
  }
  // Files that are kept small list no change that the rule at their end has.
  std::string_view rule = std::string_view(file).substr(second_at + kHeaderOctets + counts->data_octets(8));
  if (rule.size() < 2 || rule.front() != '\n' || rule.find('\n', 1) == std::string_view::npos) return unknown;
  rule = rule.substr(1, rule.find('\n', 1) - 1);
  if (rule.empty()) return zone;
  const auto more = transitions_of_rule(rule, zone.transitions_.empty() ? 0 : zone.transitions_.back().at);
  if (!more) return unknown;
  zone.transitions_.insert(zone.transitions_.end(), more->begin(), more->end());
  return zone;
}

int64_t TimeZone::offset_at(int64_t utc_secs) const noexcept {
  const auto after = std::upper_bound(transitions_.begin(), transitions_.end(), utc_secs,
                                      [](int64_t at, const Transition& t) { return at < t.at; });
  return after == transitions_.begin() ? first_offset_ : std::prev(after)->offset;
}

int64_t TimeZone::to_utc(int64_t local_secs) const noexcept {
  // What goes a day before and a day after are the offsets that can be meant.
  const int64_t before = offset_at(local_secs - 86'400 - first_offset_);
  const int64_t after = offset_at(local_secs + 86'400 - first_offset_);
  for (const int64_t offset : {before, after}) {
    if (offset_at(local_secs - offset) == offset) return local_secs - offset;
  }
  return local_secs - before;
}

std::vector<TimeZone::Transition> TimeZone::transitions_between(int64_t start_secs, int64_t end_secs) const {
  std::vector<Transition> between;
  for (const Transition& t : transitions_) {
    if (t.at > start_secs && t.at < end_secs) between.push_back(t);
  }
  return between;
}

}  // namespace weir::query

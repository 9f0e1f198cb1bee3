// What values of a configuration are made of: numbers, octets, times, words.
#include <algorithm>

#include "service/config_reader.h"

namespace weir::service {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<uint64_t> parse_decimal(std::string_view text) {
  // 010 is 8 to some readers of YAML and 10 to others: refused.
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

namespace {
struct Unit {
  std::string_view word;
  uint64_t factor;
};

/// A number with one of `units` behind it; without one the number counts in `bare`.
std::optional<uint64_t> parse_with_unit(std::string_view text, uint64_t bare,
                                        std::initializer_list<Unit> units) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_decimal(text.substr(0, digits));
  if (!number) return std::nullopt;
  const std::string_view word = trimmed(text.substr(digits));
  uint64_t factor = bare;
  if (!word.empty()) {
    const auto* unit =
        std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.word == word; });
    if (unit == units.end()) return std::nullopt;
    factor = unit->factor;
  }
  uint64_t value = 0;
  if (__builtin_mul_overflow(*number, factor, &value)) return std::nullopt;
  return value;
}

constexpr Unit kBinaryUnits[] = {
    {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}};
}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, 1,
                         {{"B", 1},
                          {"KiB", 1ull << 10},
                          {"MiB", 1ull << 20},
                          {"GiB", 1ull << 30},
                          {"TiB", 1ull << 40},
                          {"kB", 1000},
                          {"KB", 1000},
                          {"MB", 1000'000},
                          {"GB", 1000'000'000},
                          {"TB", 1000'000'000'000}});
}

std::optional<uint64_t> parse_duration_ns(std::string_view text, uint64_t unit_ns) {
  constexpr uint64_t kSecond = 1'000'000'000;
  return parse_with_unit(text, unit_ns,
                         {{"ns", 1},
                          {"us", 1000},
                          {"ms", 1000'000},
                          {"s", kSecond},
                          {"m", 60 * kSecond},
                          {"h", 3600 * kSecond},
                          {"d", 86'400 * kSecond}});
}

std::string print_size(uint64_t octets) {
  for (const auto& [word, factor] : kBinaryUnits) {
    if (octets >= factor && octets % factor == 0) return fmt::format("{}{}", octets / factor, word);
  }
  return fmt::format("{}", octets);
}

std::string detail::plain_number(uint64_t value) { return fmt::format("{}", value); }

ValueType<bool> boolean() { return choice<bool>({{"true", true}, {"false", false}}); }

ValueType<std::string> any_text() {
  return text_where("text", [](std::string_view) { return true; });
}

ValueType<std::string> text_where(std::string allowed,
                                  std::function<bool(std::string_view)> is_allowed) {
  return {
      std::move(allowed),
      [is_allowed = std::move(is_allowed)](std::string_view text) -> std::optional<std::string> {
        if (!is_allowed(text)) return std::nullopt;
        return std::string(text);
      },
      [](const std::string& value) { return value; },
      {}};
}

}  // namespace weir::service

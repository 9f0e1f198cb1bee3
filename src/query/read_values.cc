#include "query/read_values.h"

#include <charconv>
#include <string>

#include "query/fields.h"
#include "query/scanner.h"

namespace weir::query {
namespace {

std::optional<uint64_t> digits_of(std::string_view text, int base = 10) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

AddressRange network_of(const IpAddress& address, unsigned bits) {
  if (address.is_v4()) bits += 96;
  AddressRange range{address, address};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
    const auto mask = static_cast<uint8_t>(0xff00u >> kept);
    range.first.octets[i] &= mask;
    range.last.octets[i] |= static_cast<uint8_t>(~mask);
  }
  return range;
}

}  // namespace

std::optional<AddressRange> read_prefix_or_range(std::string_view text) {
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const auto address = IpAddress::parse(text.substr(0, slash));
    auto bits = digits_of(text.substr(slash + 1));
    if (!address || !bits || text.size() - slash > 4) return std::nullopt;
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8, and no shorter one is IPv4.
    if (address->is_v4() && text.find(':') < slash) {
      if (*bits < 96) return std::nullopt;
      *bits -= 96;
    }
    if (*bits > (address->is_v4() ? 32u : 128u)) return std::nullopt;
    return network_of(*address, static_cast<unsigned>(*bits));
  }
  if (const size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto first = IpAddress::parse(text.substr(0, dash)), last = IpAddress::parse(text.substr(dash + 1));
    if (!first || !last || first->is_v4() != last->is_v4() || *first > *last) return std::nullopt;
    return AddressRange{*first, *last};
  }
  const auto address = IpAddress::parse(text);
  if (!address) return std::nullopt;
  return AddressRange{*address, *address};
}

std::optional<int64_t> read_integer(std::string_view text) {
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    const auto number = digits_of(text.substr(2), 16);
    return number && *number <= INT64_MAX ? std::optional<int64_t>(*number) : std::nullopt;
  }
  uint64_t unit = 1;
  if (text.size() > 1) {
    switch (text.back()) {
      case 'k': case 'K': unit = 1'000; break;
      case 'M': unit = 1'000'000; break;
      case 'G': unit = 1'000'000'000; break;
      case 'T': unit = 1'000'000'000'000; break;
      default: break;
    }
    if (unit != 1) text.remove_suffix(1);
  }
  const auto number = digits_of(text);
  if (!number || *number > INT64_MAX / unit) return std::nullopt;
  return static_cast<int64_t>(*number * unit);
}

std::optional<std::pair<int64_t, int64_t>> read_number_range(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos || dash == 0) return std::nullopt;
  const auto first = read_integer(text.substr(0, dash)), last = read_integer(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  return std::pair{*first, *last};
}

std::optional<int64_t> read_community(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return read_integer(text);
  const auto high = digits_of(text.substr(0, colon)), low = digits_of(text.substr(colon + 1));
  if (!high || !low || *high > 65'535 || *low > 65'535) return std::nullopt;
  return static_cast<int64_t>(*high << 16 | *low);
}

std::optional<Flags> read_flags(std::string_view text) {
  Flags flags;
  if (text.empty()) return std::nullopt;
  for (;;) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    const bool is_unset = !name.empty() && name.front() == '!';
    if (is_unset) name.remove_prefix(1);
    int64_t bit = same_word(name, "NS") ? 256 : 0;
    for (const FlagName& flag : tcp_flag_names()) {
      if (same_word(flag.name, name)) bit = flag.bit;
    }
    if (bit == 0 || ((flags.looked_at & bit) != 0 && ((flags.set & bit) != 0) == is_unset)) return std::nullopt;
    flags.looked_at |= bit;
    if (!is_unset) flags.set |= bit;
    if (comma == text.size()) return flags;
    text.remove_prefix(comma + 1);
  }
}

std::optional<int64_t> read_mac(std::string_view text) {
  std::string digits;
  size_t separators = 0;
  for (const char c : text) {
    if (c == ':' || c == '-' || c == '.') {
      ++separators;
    } else {
      digits += c;
    }
  }
  const bool has_form = (text.size() == 17 && separators == 5) || (text.size() == 14 && separators == 2) || (text.size() == 12 && separators == 0);
  const auto number = digits_of(digits, 16);
  if (!has_form || digits.size() != 12 || !number) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<bool> read_boolean(std::string_view text) {
  if (same_word(text, "true") || same_word(text, "yes") || text == "1") return true;
  if (same_word(text, "false") || same_word(text, "no") || text == "0") return false;
  return std::nullopt;
}

bool is_like(std::string_view text, std::string_view pattern) {
  // The last % that was passed, and where in the text it began: what it stands for grows until the rest fits.
  size_t t = 0, p = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && same_word(pattern.substr(p, 1), text.substr(t, 1))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

}  // namespace weir::query

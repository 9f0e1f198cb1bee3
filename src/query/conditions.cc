#include "query/conditions.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/printable.h"
#include "query/read_values.h"
#include "query/scanner.h"

namespace weir::query {
namespace {

using PK = Predicate::Kind;
using K = FieldKind;

// IPv4 lies in the midst of IPv6, and none of it is meant by an IPv6 network such as ::/0.
const IpAddress kV4First = *IpAddress::parse("0.0.0.0"), kV4Last = *IpAddress::parse("255.255.255.255");

Place visible(const Text& value) { return {value.place.at, std::max<size_t>(1, value.place.octets)}; }

Predicate simple(PK kind, const Field& field, std::string_view column, std::vector<Parameter> values) {
  Predicate p;
  p.kind = kind;
  p.field = &field;
  p.column = column;
  p.values = std::move(values);
  return p;
}

Predicate compared(const Field& field, std::string_view column, Comparison comparison, Parameter value) {
  Predicate p = simple(PK::compare, field, column, {std::move(value)});
  p.comparison = comparison;
  return p;
}

Predicate joined(PK kind, std::vector<Predicate> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Predicate p;
  p.kind = kind;
  p.parts = std::move(parts);
  return p;
}

/// % is anything; _ and \ stand for themselves.
std::string like_pattern(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '_' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// One value of a condition on one column.
class ColumnReader {
 public:
  ColumnReader(const Condition& condition, const Field& field, std::string_view column, const ConditionContext& context)
      : condition_(condition), field_(field), column_(column), context_(context) {}

  Predicate read() const {
    if (condition_.comparison == Comparison::matches) return regular_expression();
    if (condition_.comparison != Comparison::equal) return comparison();
    if (field_.kind == K::number_list || field_.kind == K::community_list || field_.kind == K::text_list) return list();
    if (field_.kind == K::instant) return instants();
    if (condition_.kind == Values::bracketed) {
      refuse(condition_.place, fmt::format("{} is no list: it cannot have all of several values; allowed: {}:(value,value), one of them", field_.name, condition_.key.text));
    }
    std::vector<Predicate> parts;
    std::vector<Parameter> plain;
    for (const Text& value : condition_.values) {
      Predicate part = one(value);
      if (part.kind == PK::compare) {
        plain.push_back(std::move(part.values.front()));
      } else {
        parts.push_back(std::move(part));
      }
    }
    if (plain.size() == 1) {
      parts.push_back(compared(field_, column_, Comparison::equal, std::move(plain.front())));
    } else if (!plain.empty()) {
      parts.push_back(simple(PK::in, field_, column_, std::move(plain)));
    }
    return joined(PK::any, std::move(parts));
  }

 private:
  [[noreturn]] void wrong(const Text& value, std::string_view allowed) const {
    refuse(visible(value), fmt::format("'{}' is no value of {}; allowed: {}", printable(value.text), field_.name, allowed));
  }

  Predicate equal(Parameter value) const { return compared(field_, column_, Comparison::equal, std::move(value)); }

  Predicate one(const Text& value) const {
    const bool has_wildcard = value.text.find('%') != std::string::npos;
    switch (field_.kind) {
      case K::address:
      case K::network: return has_wildcard ? wildcard(value) : address(value);
      case K::number: return has_wildcard ? wildcard(value) : number(value);
      case K::counter: return number(value);
      case K::named_number: return has_wildcard ? named_like(value) : named(value);
      case K::text: return has_wildcard ? wildcard(value) : equal(text_of(value));
      case K::tcp_flags: return flags(value);
      case K::flags_label: return label(value);
      case K::mac: {
        const auto mac = read_mac(value.text);
        if (!mac) wrong(value, "a MAC address such as 00:1b:21:3c:9d:f8");
        return equal(*mac);
      }
      case K::boolean: {
        const auto is_true = read_boolean(value.text);
        if (!is_true) wrong(value, "true, false");
        return simple(PK::is_true, field_, column_, {*is_true});
      }
      default: refuse(condition_.place, fmt::format("{} is what flows are grouped by; it is no filter", field_.name));
    }
  }

  std::string text_of(const Text& value) const {
    std::string text = value.text;
    if (field_.column == "f.src_country" || field_.column == "f.dst_country") {
      for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return text;
  }

  Predicate address(const Text& value) const {
    const auto range = read_prefix_or_range(value.text);
    if (!range) {
      wrong(value, field_.kind == K::network ? "a network such as 192.0.2.0/24 or 2001:db8::/32"
                                             : "an address such as 192.0.2.1 or 2001:db8::1, a network 192.0.2.0/24, a range 192.0.2.1-192.0.2.9");
    }
    if (range->first == range->last) return equal(range->first);
    Predicate between = simple(PK::between, field_, column_, {range->first, range->last});
    const bool has_v4 = !range->first.is_v4() && range->first < kV4First && kV4Last < range->last;
    return has_v4 ? of_family(std::move(between), /*is_v4=*/false) : between;
  }

  Predicate number(const Text& value) const {
    if (const auto range = read_number_range(value.text); range && range->second <= field_.largest) {
      if (range->first > range->second) wrong(value, "a range whose first number is not larger than its last");
      return simple(PK::between, field_, column_, {range->first, range->second});
    }
    return equal(number_of(value));
  }

  int64_t number_of(const Text& value) const {
    if (const auto named = number_named(field_, value.text)) return *named;
    const auto number = read_integer(value.text);
    if (!number || *number > field_.largest) wrong(value, number_allowed());
    return *number;
  }

  std::string number_allowed() const {
    std::string allowed = field_.largest == INT64_MAX ? std::string("a number from 0, also as 10k, 10M or 10G")
                                                      : fmt::format("a number from 0 to {}", field_.largest);
    if (!field_.names.empty()) allowed += ", or " + names_allowed(field_);
    return allowed + ", a range 1-9, or >, >=, <, <= before a number";
  }

  Predicate wildcard(const Text& value) const {
    if (field_.kind == K::number) {
      for (const char c : value.text) {
        if (c != '%' && (c < '0' || c > '9')) wrong(value, "digits and %, such as %443%");
      }
    }
    return simple(PK::like, field_, column_, {like_pattern(value.text)});
  }

  Predicate named(const Text& value) const {
    if (const auto number = number_named(field_, value.text)) return equal(*number);
    const auto number = field_.name == "protocol_name" ? read_integer(value.text) : std::nullopt;
    if (!number || *number > field_.largest) wrong(value, names_allowed(field_));
    return equal(*number);
  }

  /// Names are known here: those that the pattern meets.
  Predicate named_like(const Text& value) const {
    std::vector<Parameter> numbers;
    for (const ValueName& name : field_.names) {
      if (!name.name.empty() && is_like(name.name, value.text)) numbers.emplace_back(name.number);
    }
    if (numbers.empty()) refuse(visible(value), fmt::format("no name of {} is like '{}'; they are: {}", field_.name, printable(value.text), names_allowed(field_)));
    return simple(PK::in, field_, column_, std::move(numbers));
  }

  Predicate flags(const Text& value) const {
    if (const auto number = read_integer(value.text); number && *number <= field_.largest) return equal(*number);
    const auto flags = read_flags(value.text);
    if (!flags) wrong(value, "names with commas between them, ! before those that must not be set (SYN,!ACK): FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE; or a number");
    return simple(PK::flags, field_, column_, {flags->set, flags->looked_at});
  }

  Predicate label(const Text& value) const {
    if (same_word(value.text, "none")) return equal(int64_t{0});
    const auto flags = read_flags(value.text);
    if (!flags || flags->set != flags->looked_at) wrong(value, "names with commas between them, such as SYN,ACK, or none");
    return equal(flags->set);
  }

  Predicate comparison() const {
    if (!field_.is_ordered()) {
      refuse_unquoted_name();
      refuse(condition_.place, fmt::format("{} has no order and cannot be compared; allowed: {}:value, {}:(value,value)", field_.name, condition_.key.text, condition_.key.text));
    }
    const Text& value = condition_.values[0];
    Parameter parameter;
    if (field_.kind == K::instant) {
      parameter = Instant{read_instant(value, context_.zone, context_.now_us)};
    } else if (field_.kind == K::address) {
      const auto address = IpAddress::parse(value.text);
      if (!address) wrong(value, "an address");
      return compared_address(*address);
    } else {
      parameter = number_of(value);
    }
    return compared(field_, column_, condition_.comparison, std::move(parameter));
  }

  /// `>5m` of duration_bucket is the name of a value, and reads as a comparison.
  void refuse_unquoted_name() const {
    for (const ValueName& name : field_.names) {
      if (!name.name.starts_with('<') && !name.name.starts_with('>')) continue;
      if (!same_word(name.name.substr(1), condition_.values[0].text)) continue;
      refuse(condition_.place, fmt::format("{} has no order and cannot be compared; the value {} takes quotes: {}:\"{}\"", field_.name, name.name, condition_.key.text, name.name));
    }
  }

  /// With those of its own family.
  Predicate compared_address(const IpAddress& address) const {
    return of_family(compared(field_, column_, condition_.comparison, address), address.is_v4());
  }

  Predicate of_family(Predicate predicate, bool is_v4) const {
    Predicate family = simple(PK::between, field_, column_, {kV4First, kV4Last});
    if (!is_v4) {
      Predicate none;
      none.kind = PK::none;
      none.parts.push_back(std::move(family));
      family = std::move(none);
    }
    std::vector<Predicate> parts;
    parts.push_back(std::move(predicate));
    parts.push_back(std::move(family));
    return joined(PK::all, std::move(parts));
  }

  Predicate regular_expression() const {
    if (field_.kind != K::text && field_.kind != K::text_list && field_.kind != K::named_number) {
      refuse(condition_.place, fmt::format("{} is no text: ~ is for texts such as app, server_name, exporter_name", field_.name));
    }
    context_.has_regular_expression = true;
    return simple(field_.kind == K::text_list ? PK::has_match : PK::matches, field_, column_, {condition_.values[0].text});
  }

  /// [ ] asks for all of its items, ( ) for any.
  Predicate list() const {
    std::vector<Parameter> plain;
    std::vector<Predicate> parts;
    for (const Text& value : condition_.values) {
      if (value.text.empty() && !value.is_quoted) refuse(condition_.place, "the list has an empty item");
      if (field_.kind == K::text_list) {
        if (value.text.find('%') == std::string::npos) {
          plain.emplace_back(value.text);
        } else {
          parts.push_back(simple(PK::has_like, field_, column_, {like_pattern(value.text)}));
        }
        continue;
      }
      const auto number = field_.kind == K::community_list ? read_community(value.text) : read_integer(value.text);
      if (!number || *number > field_.largest) {
        wrong(value, field_.kind == K::community_list ? "a community such as 65000:100, or its number" : "AS numbers, as in as_path:[64512]");
      }
      plain.emplace_back(*number);
    }
    const bool wants_all = condition_.kind == Values::bracketed;
    if (!plain.empty()) parts.push_back(simple(wants_all ? PK::has_all : PK::has_any, field_, column_, std::move(plain)));
    return joined(wants_all ? PK::all : PK::any, std::move(parts));
  }

  Predicate instants() const {
    if (condition_.kind == Values::one) return equal(Instant{read_instant(condition_.values[0], context_.zone, context_.now_us)});
    if (condition_.kind != Values::bracketed || condition_.values.size() != 2) {
      refuse(condition_.place, fmt::format("allowed: {}:[start,end], or >=, < before a time", condition_.key.text));
    }
    std::vector<Predicate> parts;
    const Text &start = condition_.values[0], &end = condition_.values[1];
    if (!start.text.empty()) parts.push_back(compared(field_, column_, Comparison::at_least, Instant{read_instant(start, context_.zone, context_.now_us)}));
    if (!end.text.empty()) parts.push_back(compared(field_, column_, Comparison::less, Instant{read_instant(end, context_.zone, context_.now_us)}));
    if (parts.empty()) refuse(condition_.place, "a window needs a start or an end");
    return joined(PK::all, std::move(parts));
  }

  const Condition& condition_;
  const Field& field_;
  const std::string_view column_;
  const ConditionContext& context_;
};

}  // namespace

const Field& known_field(const Text& name) {
  if (const Field* const field = find_field(name.text)) return *field;
  const std::string like = fields_like(name.text);
  refuse(name.place, fmt::format("'{}' is no field of flows; {}", printable(name.text),
                                 like.empty() ? std::string("docs/SRQL.md names all, such as src_ip, dst_port, proto, bytes_total") : "like it: " + like));
}

std::optional<double> read_number(std::string_view text) {
  double unit = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k': case 'K': unit = 1e3; break;
      case 'M': unit = 1e6; break;
      case 'G': unit = 1e9; break;
      case 'T': unit = 1e12; break;
      default: break;
    }
  }
  if (unit != 1) text.remove_suffix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  number *= unit;
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

Predicate predicate_of(const Condition& condition, const ConditionContext& context) {
  const Field& field = known_field(condition.key);
  const auto column = context.is_raw && !field.raw_column.empty() ? field.raw_column : field.column;
  std::vector<Predicate> sides;
  sides.push_back(ColumnReader(condition, field, column, context).read());
  if (field.is_either_side()) sides.push_back(ColumnReader(condition, field, field.other_column, context).read());
  Predicate predicate = joined(PK::any, std::move(sides));
  if (!condition.is_negated) return predicate;
  Predicate none;
  none.kind = PK::none;
  none.parts.push_back(std::move(predicate));
  return none;
}

}  // namespace weir::query

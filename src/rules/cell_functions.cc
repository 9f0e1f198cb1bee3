#include "rules/cell_functions.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "rules/letters.h"
#include "rules/mac_text.h"

namespace weir::rules {
namespace {

bool change_case(std::string_view text, bool to_upper, Scratch& scratch, Cell& result) noexcept {
  char* const out = scratch.take(text.size());
  if (out == nullptr) return false;
  std::transform(text.begin(), text.end(), out, [to_upper](char c) {
    const bool changes = to_upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
    return changes ? static_cast<char>(c ^ 0x20) : c;
  });
  result = Cell::of(std::string_view(out, text.size()));
  return true;
}

bool rounding(std::span<const Cell> arguments, Decimal::Toward toward, Cell& result) noexcept {
  if (arguments[0].kind != CellKind::number) return false;
  uint64_t digits = 0;
  if (arguments.size() == 2) {
    const auto asked = arguments[1].kind == CellKind::number ? arguments[1].number.to_uint64() : std::nullopt;
    if (!asked || *asked > Decimal::kScaleMax) return false;
    digits = *asked;
  }
  result = Cell::of(arguments[0].number.rounded(toward, static_cast<unsigned>(digits)));
  return true;
}

/// Null of what is no MAC address, and of null, as of a key that a dictionary has not.
bool mac_of(const Cell& of, Scratch& scratch, Cell& result) noexcept {
  if (of.kind == CellKind::boolean) return false;
  const auto mac = of.kind == CellKind::text ? parse_mac(of.text) : of.kind == CellKind::number ? of.number.to_uint64() : std::nullopt;
  result = Cell();
  if (!mac || *mac > kMacMax) return true;
  char* const out = scratch.take(kMacTextOctets);
  if (out == nullptr) return false;
  write_mac(out, *mac);
  result = Cell::of(std::string_view(out, kMacTextOctets));
  return true;
}

struct Mask {
  uint32_t network, bits;
};
constexpr Mask kPrivate4[] = {{0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}, {0x64400000, 10}, {0x7f000000, 8}, {0xa9fe0000, 16}};

}  // namespace

bool is_private_address(const IpAddress& a) noexcept {
  if (a.is_v4()) {
    const uint32_t v4 = load_be32(a.octets.data() + 12);
    return std::any_of(std::begin(kPrivate4), std::end(kPrivate4),
                       [v4](const Mask& m) { return (v4 ^ m.network) >> (32 - m.bits) == 0; });
  }
  if ((a.octets[0] & 0xfe) == 0xfc) return true;                            // fc00::/7
  if (a.octets[0] == 0xfe && (a.octets[1] & 0xc0) == 0x80) return true;     // fe80::/10
  IpAddress loopback;
  loopback.octets[15] = 1;
  return a == loopback;
}

bool append_text(const Cell& cell, Scratch& scratch, std::string_view& text) noexcept {
  switch (cell.kind) {
    case CellKind::text: text = cell.text; return true;
    case CellKind::boolean: text = cell.boolean ? "true" : "false"; return true;
    case CellKind::null:
    case CellKind::count_: text = "null"; return true;
    case CellKind::number: break;
  }
  char* const out = scratch.take(Decimal::kTextMax);
  if (out == nullptr) return false;
  text = {out, static_cast<size_t>(cell.number.write(out) - out)};
  return true;
}

bool apply(BinaryOperator op, const Cell& left, const Cell& right, Scratch& scratch, Cell& result) noexcept {
  if (op == BinaryOperator::equal || op == BinaryOperator::not_equal) {
    result = Cell::of((left == right) == (op == BinaryOperator::equal));
    return true;
  }
  if (op == BinaryOperator::add && left.kind == CellKind::text && right.kind == CellKind::text) {
    char* const out = scratch.take(left.text.size() + right.text.size());
    if (out == nullptr) return false;
    std::copy(left.text.begin(), left.text.end(), out);
    std::copy(right.text.begin(), right.text.end(), out + left.text.size());
    result = Cell::of(std::string_view(out, left.text.size() + right.text.size()));
    return true;
  }
  if (left.kind != CellKind::number || right.kind != CellKind::number) return false;
  const Decimal& a = left.number;
  const Decimal& b = right.number;
  std::optional<Decimal> number;
  switch (op) {
    case BinaryOperator::less: result = Cell::of(compare(a, b) < 0); return true;
    case BinaryOperator::less_equal: result = Cell::of(compare(a, b) <= 0); return true;
    case BinaryOperator::greater: result = Cell::of(compare(a, b) > 0); return true;
    case BinaryOperator::greater_equal: result = Cell::of(compare(a, b) >= 0); return true;
    case BinaryOperator::add: number = add(a, b); break;
    case BinaryOperator::subtract: number = subtract(a, b); break;
    case BinaryOperator::multiply: number = multiply(a, b); break;
    case BinaryOperator::divide:
    case BinaryOperator::remainder:
      if (b.is_zero()) {
        result = Cell();
        return true;
      }
      number = op == BinaryOperator::divide ? divide(a, b) : remainder(a, b);
      break;
    case BinaryOperator::power: number = power(a, b); break;
    case BinaryOperator::equal:
    case BinaryOperator::not_equal:
    case BinaryOperator::count_: break;
  }
  if (!number) return false;
  result = Cell::of(*number);
  return true;
}

bool whole_quotient(CellFunction rounding, const Cell& left, const Cell& right, Scratch& scratch, Cell& result) noexcept {
  const auto whole = [](const Cell& cell) { return cell.kind == CellKind::number ? cell.number.to_uint64() : std::nullopt; };
  const auto a = whole(left), b = whole(right);
  // PERF: 28 digits that are cut off again took longer than all other rules of fifty (rules, perf/bench_transform). Numbers of 64 bits are
  // further from the next whole one than what 28 digits are rounded by.
  if (a && b && *b != 0) {
    set_number(result, *a / *b);
    return true;
  }
  Cell quotient;
  return apply(BinaryOperator::divide, left, right, scratch, quotient) && call(rounding, {&quotient, 1}, scratch, result);
}

bool call(CellFunction function, std::span<const Cell> a, Scratch& scratch, Cell& result) noexcept {
  using F = CellFunction;
  const auto both_text = [&] { return a[0].kind == CellKind::text && a[1].kind == CellKind::text; };
  const bool is_text = a[0].kind == CellKind::text;
  const bool is_number = a[0].kind == CellKind::number;
  switch (function) {
    case F::len_:
      if (!is_text) return false;
      result = Cell::of(Decimal(a[0].text.size()));  // octets, as the reference engine counts
      return true;
    case F::contains_:
      if (!both_text()) return false;
      result = Cell::of(a[0].text.find(a[1].text) != std::string_view::npos);
      return true;
    case F::startsWith_:
      if (!both_text()) return false;
      result = Cell::of(a[0].text.starts_with(a[1].text));
      return true;
    case F::endsWith_:
      if (!both_text()) return false;
      result = Cell::of(a[0].text.ends_with(a[1].text));
      return true;
    case F::upper_:
    case F::lower_: return is_text && change_case(a[0].text, function == F::upper_, scratch, result);
    case F::trim_:
      if (!is_text) return false;
      result = Cell::of(without_space(a[0].text));
      return true;
    case F::abs_:
      if (!is_number) return false;
      result = Cell::of(a[0].number.abs());
      return true;
    case F::floor_: return rounding(a, Decimal::Toward::minus_infinity, result);
    case F::ceil_: return rounding(a, Decimal::Toward::infinity, result);
    case F::round_: return rounding(a, Decimal::Toward::nearest, result);
    case F::trunc_: return rounding(a, Decimal::Toward::zero, result);
    case F::string_: {
      std::string_view text;
      if (!append_text(a[0], scratch, text)) return false;
      result = Cell::of(text);
      return true;
    }
    case F::number_: {
      if (is_number) {
        result = a[0];
        return true;
      }
      const auto number = a[0].kind == CellKind::boolean ? Decimal(a[0].boolean ? 1 : 0)
                          : is_text                      ? Decimal::parse(without_space(a[0].text))
                                                         : std::nullopt;
      if (!number) return false;
      result = Cell::of(*number);
      return true;
    }
    case F::isNumeric_:
      result = Cell::of(is_number || (is_text && Decimal::parse(without_space(a[0].text)).has_value()));
      return true;
    case F::bit_and_: {
      const auto x = is_number ? a[0].number.to_uint64() : std::nullopt;
      const auto mask = a[1].kind == CellKind::number ? a[1].number.to_uint64() : std::nullopt;
      if (!x || !mask) return false;
      result = Cell::of(Decimal(*x & *mask));
      return true;
    }
    case F::is_private_:
    case F::ip_version_: {
      if (!is_text) return false;
      const auto address = parse_address(a[0].text);
      if (function == F::is_private_) {
        result = Cell::of(address && is_private_address(*address));
      } else {
        result = Cell::of(Decimal(!address ? 0u : address->is_v4() ? 4u : 6u));
      }
      return true;
    }
    case F::mac_: return mac_of(a[0], scratch, result);
    case F::count_: break;
  }
  return false;
}

}  // namespace weir::rules

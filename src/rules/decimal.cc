#include "rules/decimal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace weir::rules {
namespace {

__extension__ using UInt128 = unsigned __int128;

constexpr Int128 kMantissaMax = (Int128{1} << 96) - 1;

constexpr auto kPowers = [] {
  std::array<Int128, 39> powers{};
  powers[0] = 1;
  for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

constexpr auto kPowers64 = [] {
  std::array<uint64_t, 19> powers{};
  for (size_t i = 0; i < powers.size(); ++i) powers[i] = static_cast<uint64_t>(kPowers[i]);
  return powers;
}();

/// What a mantissa may be at most to take so many digits more.
// PERF: a division of 128 bits each time it is asked, which is several times a quotient, took most of dividing (rules, perf/bench_transform).
constexpr auto kRoomForDigits = [] {
  std::array<UInt128, 10> most{};
  for (size_t digits = 0; digits < most.size(); ++digits) most[digits] = static_cast<UInt128>(kMantissaMax / kPowers[digits]);
  return most;
}();

Int128 magnitude(Int128 v) { return v < 0 ? -v : v; }

/// v / divisor (positive), halves to even.
Int128 divide_to_even(Int128 v, Int128 divisor) {
  Int128 quotient = v / divisor;
  const Int128 rest = magnitude(v % divisor);
  const Int128 other = divisor - rest;
  if (rest > other || (rest == other && quotient % 2 != 0)) quotient += v < 0 ? -1 : 1;
  return quotient;
}

/// Leaves `v` as it is where the result would be too large.
bool scale_up(Int128& v, unsigned digits) {
  Int128 scaled;
  if (digits >= kPowers.size() || __builtin_mul_overflow(v, kPowers[digits], &scaled)) return false;
  v = scaled;
  return true;
}

/// What sums and products are before they are rounded: below 2^192.
struct Wide {
  std::array<uint64_t, 3> limbs;  // the lowest first

  static Wide of(UInt128 v) { return {{static_cast<uint64_t>(v), static_cast<uint64_t>(v >> 64), 0}}; }
  static Wide product(UInt128 a, UInt128 b) {  // both below 2^96
    const auto a0 = static_cast<uint64_t>(a), a1 = static_cast<uint64_t>(a >> 64);
    const auto b0 = static_cast<uint64_t>(b), b1 = static_cast<uint64_t>(b >> 64);
    const UInt128 low = UInt128{a0} * b0;
    UInt128 middle = (low >> 64) + UInt128{a0} * b1;
    const UInt128 carried = (middle >> 64) + UInt128{a1} * b1;
    middle = static_cast<uint64_t>(middle) + UInt128{a1} * b0;
    return {{static_cast<uint64_t>(low), static_cast<uint64_t>(middle), static_cast<uint64_t>(carried + (middle >> 64))}};
  }
  void add(const Wide& other) {
    UInt128 carry = 0;
    for (size_t i = 0; i < 3; ++i) {
      carry += UInt128{limbs[i]} + other.limbs[i];
      limbs[i] = static_cast<uint64_t>(carry);
      carry >>= 64;
    }
  }
  /// No larger than this one.
  void subtract(const Wide& other) {
    uint64_t borrow = 0;
    for (size_t i = 0; i < 3; ++i) {
      const UInt128 less = UInt128{other.limbs[i]} + borrow;
      borrow = limbs[i] < less;
      limbs[i] -= static_cast<uint64_t>(less);
    }
  }
  /// Its last digit, which it loses.
  unsigned divide_by_ten() {
    UInt128 rest = 0;
    for (size_t i = 3; i-- > 0;) {
      rest = rest << 64 | limbs[i];
      limbs[i] = static_cast<uint64_t>(rest / 10);
      rest %= 10;
    }
    return static_cast<unsigned>(rest);
  }
  bool fits() const { return limbs[2] == 0 && limbs[1] <= UINT32_MAX; }
  UInt128 low() const { return UInt128{limbs[1]} << 64 | limbs[0]; }
};

// ---- division, as the reference engine's numbers do it (rust_decimal): its quotients keep some zeros, which their text shows ----

/// PERF: of 128 bits each division is a call; most of ours fit 64 (decision, perf/bench_transform).
std::pair<UInt128, UInt128> divided(UInt128 a, UInt128 b) {
  if (a <= UINT64_MAX && b <= UINT64_MAX) {
    const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
    return {x / y, x % y};
  }
  return {a / b, a % b};
}

/// How many digits, at most nine, a quotient of this scale can be given.
unsigned digits_that_fit(UInt128 quotient, int scale) {
  unsigned digits = static_cast<unsigned>(std::min(9, static_cast<int>(Decimal::kScaleMax) - scale));
  while (digits > 0 && quotient > kRoomForDigits[digits]) --digits;
  return digits;
}

/// Eight zeros as often as the lowest 32 bits are 0, then four, two and one where the number is even enough: not all of them.
void drop_zeros(UInt128& v, int& scale) {
  const auto drop = [&](unsigned digits, uint64_t even) {
    if ((static_cast<uint32_t>(v) & even) != 0 || scale < static_cast<int>(digits)) return false;
    const auto [quotient, rest] = divided(v, kPowers64[digits]);
    if (rest != 0) return false;
    v = quotient;
    scale -= static_cast<int>(digits);
    return true;
  };
  while (drop(8, UINT32_MAX)) {
  }
  drop(4, 0xf);
  drop(2, 0x3);
  drop(1, 0x1);
}

}  // namespace

std::optional<Decimal> Decimal::parse(std::string_view text) {
  Decimal d;
  bool negative = false, point = false, any = false;
  size_t i = 0;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) negative = text[i++] == '-';
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' && any) continue;
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (d.mantissa_ > kMantissaMax / 10 || d.scale_ == kScaleMax) {
      if (!point) return std::nullopt;
      continue;  // digits beyond the 28th
    }
    d.mantissa_ = d.mantissa_ * 10 + (c - '0');
    d.scale_ = static_cast<uint8_t>(d.scale_ + point);
  }
  if (!any) return std::nullopt;
  int exponent = 0;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && text[i] == '+') ++i;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), exponent);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    i = text.size();
  }
  if (i != text.size() || exponent > 28 || exponent < -28) return std::nullopt;
  const int scale = d.scale_ - exponent;
  if (scale < 0) {
    if (!scale_up(d.mantissa_, static_cast<unsigned>(-scale))) return std::nullopt;
    d.scale_ = 0;
  } else if (scale > static_cast<int>(kScaleMax)) {
    d.mantissa_ = divide_to_even(d.mantissa_, kPowers[static_cast<size_t>(scale) - kScaleMax]);
    d.scale_ = kScaleMax;
  } else {
    d.scale_ = static_cast<uint8_t>(scale);
  }
  if (negative) d.mantissa_ = -d.mantissa_;
  return d.fitted();
}

std::optional<Decimal> Decimal::of_double(double v) {
  if (!std::isfinite(v)) return std::nullopt;
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  return parse({text, static_cast<size_t>(end - text)});
}

/// Without the digits that are too many, rounded once, half to even; nothing where there are too many before the point.
template <class W>
std::optional<Decimal> Decimal::rounded_to_fit(W v, int scale, bool negative) noexcept {
  unsigned last = 0;
  bool more = false;
  while (!v.fits() || scale > static_cast<int>(kScaleMax)) {
    if (scale == 0) return std::nullopt;
    more |= last != 0;
    last = v.divide_by_ten();
    --scale;
  }
  Decimal d;
  d.mantissa_ = static_cast<Int128>(v.low());
  d.mantissa_ += last > 5 || (last == 5 && (more || d.mantissa_ % 2 != 0));
  if (d.mantissa_ > kMantissaMax) {
    if (scale-- == 0) return std::nullopt;
    d.mantissa_ = d.mantissa_ / 10 + 1;  // of 2^96, which ends in 6
  }
  if (negative) d.mantissa_ = -d.mantissa_;
  d.scale_ = static_cast<uint8_t>(scale);
  return d;
}

std::optional<Decimal> Decimal::fitted() const noexcept {
  const Int128 size = magnitude(mantissa_);
  if (size <= kMantissaMax && scale_ <= kScaleMax) return *this;
  return rounded_to_fit(Wide::of(static_cast<UInt128>(size)), scale_, is_negative());
}

std::optional<Decimal> add(const Decimal& a, const Decimal& b) noexcept {
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  const Decimal& low = a.scale_ < b.scale_ ? a : b;
  const Decimal& high = a.scale_ < b.scale_ ? b : a;
  Decimal sum;
  sum.scale_ = high.scale_;
  Int128 scaled = low.mantissa_;
  if (scale_up(scaled, high.scale_ - low.scale_) && !__builtin_add_overflow(scaled, high.mantissa_, &sum.mantissa_)) {
    return sum.fitted();
  }
  Wide x = Wide::product(static_cast<UInt128>(magnitude(low.mantissa_)), static_cast<UInt128>(kPowers[high.scale_ - low.scale_]));
  const Wide y = Wide::of(static_cast<UInt128>(magnitude(high.mantissa_)));
  if (low.is_negative() == high.is_negative()) x.add(y);
  else x.subtract(y);  // which is far smaller
  return Decimal::rounded_to_fit(x, high.scale_, low.is_negative());
}

std::optional<Decimal> subtract(const Decimal& a, const Decimal& b) noexcept { return add(a, -b); }

std::optional<Decimal> multiply(const Decimal& a, const Decimal& b) noexcept {
  if (a.is_zero() || b.is_zero()) return Decimal();
  Decimal product;
  product.scale_ = static_cast<uint8_t>(a.scale_ + b.scale_);
  if (!__builtin_mul_overflow(a.mantissa_, b.mantissa_, &product.mantissa_)) return product.fitted();
  return Decimal::rounded_to_fit(Wide::product(static_cast<UInt128>(magnitude(a.mantissa_)), static_cast<UInt128>(magnitude(b.mantissa_))),
                                 product.scale_, a.is_negative() != b.is_negative());
}

std::optional<Decimal> divide(const Decimal& a, const Decimal& b) noexcept {
  if (b.is_zero()) return std::nullopt;
  if (a.is_zero()) return Decimal();
  const auto divisor = static_cast<UInt128>(magnitude(b.mantissa_));
  auto [quotient, rest] = divided(static_cast<UInt128>(magnitude(a.mantissa_)), divisor);
  int scale = a.scale_ - b.scale_;
  bool has_fraction = false;
  // Nine digits at a time, or as many as fit: which of its zeros the quotient keeps as text depends on it.
  while (rest != 0 || scale < 0) {
    unsigned digits = rest == 0 ? std::min(9u, static_cast<unsigned>(-scale)) : digits_that_fit(quotient, scale);
    if (rest != 0) {
      has_fraction = true;
      if (digits < 9 && static_cast<int>(digits) + scale < 0) return std::nullopt;
      if (digits == 0) {
        const bool goes_up = rest > divisor - rest || (rest == divisor - rest && quotient % 2 != 0);
        quotient += goes_up;
        break;
      }
    }
    scale += static_cast<int>(digits);
    if (quotient > kRoomForDigits[digits]) return std::nullopt;
    const auto [more, left] = divided(rest * kPowers64[digits], divisor);
    quotient = quotient * kPowers64[digits] + more;
    rest = left;
    if (quotient > static_cast<UInt128>(kMantissaMax)) break;
  }
  if (quotient > static_cast<UInt128>(kMantissaMax)) {
    if (--scale < 0) return std::nullopt;
    const auto last = static_cast<unsigned>(quotient % 10);
    quotient /= 10;
    quotient += last > 5 || (last == 5 && (rest != 0 || quotient % 2 != 0));
  }
  if (has_fraction) drop_zeros(quotient, scale);
  Decimal d;
  d.mantissa_ = static_cast<Int128>(quotient);
  if (a.is_negative() != b.is_negative()) d.mantissa_ = -d.mantissa_;
  d.scale_ = static_cast<uint8_t>(scale);
  return d;
}

std::optional<Decimal> remainder(const Decimal& a, const Decimal& b) noexcept {
  if (b.is_zero()) return std::nullopt;
  if (compare(a.abs(), b.abs()) < 0) return a;
  Decimal x = a, y = b;
  if (x.scale_ < y.scale_ ? !scale_up(x.mantissa_, y.scale_ - x.scale_) : !scale_up(y.mantissa_, x.scale_ - y.scale_)) {
    return std::nullopt;
  }
  x.mantissa_ %= y.mantissa_;
  x.scale_ = std::max(x.scale_, y.scale_);
  return x.fitted();
}

std::optional<Decimal> power(const Decimal& a, const Decimal& b) noexcept {
  const std::optional<int64_t> exponent = b.to_int64();
  if (!exponent || *exponent > 1000 || *exponent < -1000) {
    return Decimal::of_double(std::pow(a.to_double(), b.to_double()));
  }
  if (*exponent == 0) return Decimal(1);
  if (a.is_zero()) return Decimal();
  if (a == Decimal(1)) return Decimal(1);
  // By its squares, and without the zeros at the end, as the reference engine's numbers do it.
  const int64_t times = std::abs(*exponent);
  Decimal result = a;
  if (times == 2) {
    const auto square = multiply(a, a);
    if (!square) return std::nullopt;
    result = *square;
  } else if (times > 2) {
    const auto square = multiply(a, a);
    std::optional<Decimal> product = Decimal(1);
    for (int64_t i = 0; square && product && i < times / 2; ++i) product = multiply(*product, *square);
    if (square && product && times % 2 != 0) product = multiply(*product, a);
    if (!square || !product) return std::nullopt;
    result = *product;
    while (result.scale_ > 0 && result.mantissa_ % 10 == 0) {
      result.mantissa_ /= 10;
      --result.scale_;
    }
    if (result.is_zero()) result.scale_ = 0;
  }
  return *exponent < 0 ? divide(Decimal(1), result) : result;
}

int compare(const Decimal& a, const Decimal& b) noexcept {
  if (a.scale_ == b.scale_) return a.mantissa_ < b.mantissa_ ? -1 : a.mantissa_ > b.mantissa_;
  if (a.scale_ > b.scale_) return -compare(b, a);
  // b has more digits behind its point.
  Int128 scaled = a.mantissa_;
  if (!scale_up(scaled, b.scale_ - a.scale_)) return a.is_negative() ? -1 : 1;  // far beyond any b
  return scaled < b.mantissa_ ? -1 : scaled > b.mantissa_;
}

Decimal Decimal::rounded(Toward toward, unsigned digits) const noexcept {
  if (digits >= scale_) return *this;
  const Int128 divisor = kPowers[scale_ - digits];
  Decimal d;
  d.mantissa_ = mantissa_ / divisor;
  d.scale_ = static_cast<uint8_t>(digits);
  const Int128 rest = mantissa_ - d.mantissa_ * divisor;
  switch (toward) {
    case Toward::zero: break;
    case Toward::minus_infinity: d.mantissa_ -= rest < 0; break;
    case Toward::infinity: d.mantissa_ += rest > 0; break;
    case Toward::nearest:
      if (2 * magnitude(rest) >= divisor) d.mantissa_ += is_negative() ? -1 : 1;
      break;
  }
  return d;
}

std::optional<Int128> Decimal::whole() const noexcept {
  if (scale_ == 0) return mantissa_;
  const Int128 divisor = kPowers[scale_];
  if (mantissa_ % divisor != 0) return std::nullopt;
  return mantissa_ / divisor;
}

std::optional<int64_t> Decimal::to_int64() const noexcept {
  const std::optional<Int128> v = whole();
  if (!v || *v > INT64_MAX || *v < INT64_MIN) return std::nullopt;
  return static_cast<int64_t>(*v);
}

std::optional<uint64_t> Decimal::to_uint64() const noexcept {
  const std::optional<Int128> v = whole();
  if (!v || *v < 0 || *v > Int128{UINT64_MAX}) return std::nullopt;
  return static_cast<uint64_t>(*v);
}

bool Decimal::is_within_int64() const noexcept {
  // Digits behind the point only make it smaller.
  if (mantissa_ >= -INT64_MAX && mantissa_ <= INT64_MAX) return true;
  return scale_ != 0 && compare(abs(), Decimal::of(INT64_MAX)) <= 0;
}

double Decimal::to_double() const noexcept {
  char text[kTextMax + 1];
  char* const end = write(text);
  double v = 0;
  std::from_chars(text, end, v);
  return v;
}

char* Decimal::write(char* out) const noexcept {
  char digits[kTextMax];
  size_t n = 0;
  Int128 rest = magnitude(mantissa_);
  for (; rest > Int128{UINT64_MAX}; rest /= 10) digits[n++] = static_cast<char>('0' + static_cast<int>(rest % 10));
  auto small = static_cast<uint64_t>(rest);
  do {
    digits[n++] = static_cast<char>('0' + small % 10);
    small /= 10;
  } while (small != 0 || n <= scale_);
  if (is_negative()) *out++ = '-';
  while (n > 0) {
    if (n == scale_) *out++ = '.';
    *out++ = digits[--n];
  }
  return out;
}

char* Decimal::write_json(char* out) const noexcept {
  char* end = write(out);
  if (scale_ == 0) return end;
  while (end[-1] == '0') --end;
  return end[-1] == '.' ? end - 1 : end;
}

std::string Decimal::to_string() const {
  char text[kTextMax];
  return {text, write(text)};
}

std::string Decimal::to_json() const {
  char text[kTextMax];
  return {text, write_json(text)};
}

}  // namespace weir::rules

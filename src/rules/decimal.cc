#include "rules/decimal.h"

#include <array>
#include <charconv>
#include <cmath>

namespace weir::rules {
namespace {

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

std::optional<Decimal> Decimal::fitted() const noexcept {
  Decimal d = *this;
  while (magnitude(d.mantissa_) > kMantissaMax) {
    if (d.scale_ == 0) return std::nullopt;
    d.mantissa_ = divide_to_even(d.mantissa_, 10);
    --d.scale_;
  }
  return d;
}

std::optional<Decimal> add(const Decimal& a, const Decimal& b) noexcept {
  Decimal low = a.scale_ < b.scale_ ? a : b;
  Decimal high = a.scale_ < b.scale_ ? b : a;
  while (low.scale_ < high.scale_) {
    const unsigned digits = high.scale_ - low.scale_;
    if (scale_up(low.mantissa_, digits)) {
      low.scale_ = high.scale_;
    } else {
      high.mantissa_ = divide_to_even(high.mantissa_, 10);
      --high.scale_;
    }
  }
  if (__builtin_add_overflow(low.mantissa_, high.mantissa_, &low.mantissa_)) return std::nullopt;
  return low.fitted();
}

std::optional<Decimal> subtract(const Decimal& a, const Decimal& b) noexcept { return add(a, -b); }

std::optional<Decimal> multiply(const Decimal& a, const Decimal& b) noexcept {
  Decimal x = a, y = b, product;
  while (__builtin_mul_overflow(x.mantissa_, y.mantissa_, &product.mantissa_)) {
    Decimal& longer = x.scale_ >= y.scale_ ? x : y;
    if (longer.scale_ == 0) return std::nullopt;
    longer.mantissa_ = divide_to_even(longer.mantissa_, 10);
    --longer.scale_;
  }
  unsigned scale = static_cast<unsigned>(x.scale_) + y.scale_;
  for (; scale > Decimal::kScaleMax; --scale) product.mantissa_ = divide_to_even(product.mantissa_, 10);
  product.scale_ = static_cast<uint8_t>(scale);
  return product.fitted();
}

std::optional<Decimal> divide(const Decimal& a, const Decimal& b) noexcept {
  if (b.is_zero()) return std::nullopt;
  // PERF: what fits 64 bits is shortened there; of 128 bits each division is a call (decision, perf/bench_transform).
  const auto without_zeros = [](Int128 mantissa, unsigned digits) {
    Decimal d;
    d.scale_ = static_cast<uint8_t>(digits);
    d.mantissa_ = mantissa;
    if (const Int128 size = magnitude(mantissa); size <= Int128{UINT64_MAX}) {
      auto small = static_cast<uint64_t>(size);
      for (; d.scale_ > 0 && small % 10 == 0; --d.scale_) small /= 10;
      d.mantissa_ = mantissa < 0 ? -Int128{small} : Int128{small};
    }
    for (; d.scale_ > 0 && d.mantissa_ % 10 == 0; --d.scale_) d.mantissa_ /= 10;
    return d;
  };
  // By a power of ten, as units are changed: only the point moves.
  if (b.scale_ == 0 && !b.is_negative() && b.mantissa_ <= kPowers[18]) {
    const auto wanted = static_cast<uint64_t>(b.mantissa_);
    for (unsigned zeros = 0; zeros <= 18 && a.scale_ + zeros <= Decimal::kScaleMax; ++zeros) {
      if (kPowers64[zeros] != wanted) continue;
      return without_zeros(a.mantissa_, a.scale_ + zeros);
    }
  }
  const bool negative = a.is_negative() != b.is_negative();
  const Int128 divisor = magnitude(b.mantissa_);
  Int128 quotient = magnitude(a.mantissa_) / divisor;
  Int128 rest = magnitude(a.mantissa_) % divisor;
  int scale = a.scale_ - b.scale_;
  while ((rest != 0 || scale < 0) && scale < static_cast<int>(Decimal::kScaleMax) && quotient <= kMantissaMax / 10) {
    rest *= 10;
    quotient = quotient * 10 + rest / divisor;
    rest %= divisor;
    ++scale;
  }
  if (scale < 0) return std::nullopt;
  const Int128 other = divisor - rest;
  if (rest > other || (rest == other && quotient % 2 != 0)) ++quotient;
  return without_zeros(negative ? -quotient : quotient, static_cast<unsigned>(scale)).fitted();
}

std::optional<Decimal> remainder(const Decimal& a, const Decimal& b) noexcept {
  if (b.is_zero()) return std::nullopt;
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
  Decimal result(1);
  for (int64_t i = 0; i < std::abs(*exponent); ++i) {
    const std::optional<Decimal> next = multiply(result, a);
    if (!next) return std::nullopt;
    result = *next;
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
  const Int128 rest = mantissa_ % divisor;
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

std::string Decimal::to_string() const {
  char text[kTextMax];
  return {text, write(text)};
}

}  // namespace weir::rules

// decimal.h — Numbers as rules have them: decimal, 28 digits, never binary fractions.
//
// Spec:     what the reference engine's numbers do: a mantissa of 96 bits and a scale of at most 28; 0.1 + 0.2 is 0.3, 7 / 2 is
//           3.5, 1.50 keeps its zero as text. What does not fit is rounded, half to even, at the last digit that does.
// Runs on:  any thread. Pure, no allocation but to_string's.
// Failure:  nothing where a result is too large, or a divisor is 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::rules {

__extension__ using Int128 = __int128;

class Decimal {
 public:
  static constexpr unsigned kScaleMax = 28;

  constexpr Decimal() = default;
  constexpr Decimal(uint64_t v) : mantissa_(v) {}  // NOLINT: by intent
  static constexpr Decimal of(int64_t v) {
    Decimal d;
    d.mantissa_ = v;
    return d;
  }
  /// `12`, `1_000`, `1.50`, `2.5e-3`, with a sign; all of the text.
  static std::optional<Decimal> parse(std::string_view text);
  static std::optional<Decimal> of_double(double v);

  friend std::optional<Decimal> add(const Decimal& a, const Decimal& b) noexcept;
  friend std::optional<Decimal> multiply(const Decimal& a, const Decimal& b) noexcept;
  friend std::optional<Decimal> divide(const Decimal& a, const Decimal& b) noexcept;
  friend std::optional<Decimal> remainder(const Decimal& a, const Decimal& b) noexcept;
  friend std::optional<Decimal> power(const Decimal& a, const Decimal& b) noexcept;
  /// -1, 0 or 1.
  friend int compare(const Decimal& a, const Decimal& b) noexcept;
  friend bool operator==(const Decimal& a, const Decimal& b) noexcept { return compare(a, b) == 0; }

  Decimal operator-() const noexcept {
    Decimal d = *this;
    d.mantissa_ = -mantissa_;
    return d;
  }
  Decimal abs() const noexcept { return is_negative() ? -*this : *this; }
  enum class Toward : uint8_t { zero, minus_infinity, infinity, nearest };  // nearest: halves away from zero
  /// To `digits` behind the point.
  Decimal rounded(Toward toward, unsigned digits = 0) const noexcept;

  bool is_negative() const noexcept { return mantissa_ < 0; }
  bool is_zero() const noexcept { return mantissa_ == 0; }
  /// Where it is a whole number of so many bits.
  std::optional<int64_t> to_int64() const noexcept;
  std::optional<uint64_t> to_uint64() const noexcept;
  /// Whether it lies within ±(2^63-1), with whatever behind the point: what readers of JSON have integers for.
  bool is_within_int64() const noexcept;
  double to_double() const noexcept;
  std::string to_string() const;
  /// Writes what to_string gives, at most kTextMax octets, and returns the end.
  static constexpr size_t kTextMax = 40;
  char* write(char* out) const noexcept;
  /// As numbers are exchanged: without the zeros that end a fraction.
  char* write_json(char* out) const noexcept;
  std::string to_json() const;

 private:
  std::optional<Decimal> fitted() const noexcept;
  template <class Wide>
  static std::optional<Decimal> rounded_to_fit(Wide magnitude, int scale, bool negative) noexcept;
  std::optional<Int128> whole() const noexcept;

  Int128 mantissa_ = 0;
  uint8_t scale_ = 0;
};

std::optional<Decimal> subtract(const Decimal& a, const Decimal& b) noexcept;

}  // namespace weir::rules

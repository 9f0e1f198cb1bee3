// decimal_text.h — Whole numbers as decimal text, written where the caller says.
//
// Runs on:  any thread. Pure.
// Bounds:   stores at most kDecimalTextRoom octets; what is written ends where the returned pointer is.
//
// PERF: std::to_chars asks for the number's length first, and divides once for each two digits, each behind the other. Events are full of
// milliseconds since 1970, which here are two halves that do not wait for each other (event, perf/bench_transform).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir {

inline constexpr size_t kDecimalTextRoom = 20;

namespace detail {
struct DigitPairs {
  char text[200];
  constexpr DigitPairs() : text{} {
    for (unsigned i = 0; i < 100; ++i) {
      text[2 * i] = static_cast<char>('0' + i / 10);
      text[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
  }
};
inline constexpr DigitPairs kDigitPairs;

inline void write_2(char* p, uint32_t v) noexcept { std::memcpy(p, kDigitPairs.text + 2 * v, 2); }
inline void write_4(char* p, uint32_t v) noexcept {
  write_2(p, v / 100);
  write_2(p + 2, v % 100);
}
inline void write_8(char* p, uint32_t v) noexcept {
  write_4(p, v / 10'000);
  write_4(p + 4, v % 10'000);
}
/// Without leading zeros; v < 10^4.
inline char* write_up_to_4(char* p, uint32_t v) noexcept {
  if (v < 10) {
    *p = static_cast<char>('0' + v);
    return p + 1;
  }
  if (v < 100) {
    write_2(p, v);
    return p + 2;
  }
  if (v < 1000) {
    *p = static_cast<char>('0' + v / 100);
    write_2(p + 1, v % 100);
    return p + 3;
  }
  write_4(p, v);
  return p + 4;
}
/// v < 10^8.
inline char* write_up_to_8(char* p, uint32_t v) noexcept {
  if (v < 10'000) return write_up_to_4(p, v);
  p = write_up_to_4(p, v / 10'000);
  write_4(p, v % 10'000);
  return p + 4;
}
}  // namespace detail

inline char* write_decimal(char* p, uint64_t v) noexcept {
  constexpr uint64_t k8 = 100'000'000, k16 = k8 * k8;
  if (v < k8) return detail::write_up_to_8(p, static_cast<uint32_t>(v));
  if (v < k16) {
    p = detail::write_up_to_8(p, static_cast<uint32_t>(v / k8));
  } else {
    p = detail::write_up_to_4(p, static_cast<uint32_t>(v / k16));
    v %= k16;
    detail::write_8(p, static_cast<uint32_t>(v / k8));
    p += 8;
  }
  detail::write_8(p, static_cast<uint32_t>(v % k8));
  return p + 8;
}

}  // namespace weir

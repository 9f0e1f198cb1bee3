// xdr.h — Reads the external data representation that sFlow is written in.
//
// Spec:     RFC 4506: everything is a multiple of four octets; sFlow v5's own `address`.
// Runs on:  any thread. Pure.
// Failure:  reading beyond the end yields zeros and empty spans, and `ok` is false from then on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/byte_order.h"
#include "base/ip_address.h"

namespace weir {

class XdrReader {
 public:
  explicit XdrReader(std::span<const uint8_t> octets) noexcept : rest_(octets) {}

  bool ok() const noexcept { return ok_; }
  size_t left() const noexcept { return rest_.size(); }

  uint32_t u32() noexcept {
    const auto s = take(4);
    return s.empty() ? 0 : load_be32(s.data());
  }
  uint64_t u64() noexcept {
    const auto s = take(8);
    return s.empty() ? 0 : load_be64(s.data());
  }
  /// `octets` as they are, with the padding that follows them; the last of a message may lack it.
  std::span<const uint8_t> fixed(uint32_t octets) noexcept {
    const auto s = take(octets);
    if (ok_) rest_ = rest_.subspan(std::min<size_t>((4 - octets % 4) % 4, rest_.size()));
    return s;
  }
  /// A length, then so many octets.
  std::span<const uint8_t> variable() noexcept { return fixed(u32()); }

  struct Address {
    IpAddress value;
    bool known = false;  // false: of type 0, which has no octets
  };
  Address address() noexcept {
    switch (u32()) {
      case 1:
        if (const auto s = take(4); !s.empty()) return {IpAddress::from_v4(s.data()), true};
        break;
      case 2:
        if (const auto s = take(16); !s.empty()) return {IpAddress::from_v6(s.data()), true};
        break;
      case 0: break;
      default: fail(); break;
    }
    return {};
  }

  /// Nothing more is read: what was read makes no sense.
  void fail() noexcept {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::span<const uint8_t> take(size_t octets) noexcept {
    if (octets > rest_.size()) {
      fail();
      return {};
    }
    const auto s = rest_.first(octets);
    rest_ = rest_.subspan(octets);
    return s;
  }

  std::span<const uint8_t> rest_;
  bool ok_ = true;
};

}  // namespace weir

// text_buffer.h — Appends text through a pointer, with one check of the room a value: to a std::string, which grows,
// or to octets of the caller's, which do not.
//
// Failure:  what does not fit the caller's octets is left out, and overflowed() says so from then on: what was
//           written is then no text to use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/copy_short.h"
#include "base/decimal_text.h"
#include "base/ip_text.h"

namespace weir::outbound {

class TextBuffer {
 public:
  explicit TextBuffer(std::string& out) : grows_(&out), used_(out.size()) { grow(0); }
  explicit TextBuffer(std::span<char> out) noexcept : data_(out.data()), capacity_(out.size()) {}
  ~TextBuffer() {
    if (grows_ != nullptr) grows_->resize(used_);
  }
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  size_t used() const { return used_; }
  bool overflowed() const { return overflowed_; }
  /// Takes back all but the first `used`.
  void cut(size_t used) { used_ = used; }
  /// The octet written last; there is one.
  char& last() { return data_[used_ - 1]; }

  void put(char c) {
    if (room(1)) data_[used_++] = c;
  }
  // PERF: inlined, so that a constant is a few moves, and other texts, which are short, no call
  // (event/mixed_10_exporters, perf/bench_transform).
  __attribute__((always_inline)) void put(std::string_view text) {
    if (!room(text.size())) return;
    copy_short(reinterpret_cast<uint8_t*>(data_ + used_), reinterpret_cast<const uint8_t*>(text.data()), text.size());
    used_ += text.size();
  }
  void put_number(uint64_t v) {
    if (room(kDecimalTextRoom)) used_ = static_cast<size_t>(write_decimal(data_ + used_, v) - data_);
  }
  /// `key` with its quotes and colon, a number and a comma.
  // PERF: one check of the room for all three, and the key a few moves as above (event/mixed_10_exporters, perf/bench_transform).
  __attribute__((always_inline)) void put_member(std::string_view key, uint64_t v) {
    if (!room(key.size() + kDecimalTextRoom + 1)) return;
    copy_short(reinterpret_cast<uint8_t*>(data_ + used_), reinterpret_cast<const uint8_t*>(key.data()), key.size());
    append_element(data_ + used_ + key.size(), v);
  }
  /// Two digits an octet.
  void put_hex(std::string_view octets) {
    if (!room(2 * octets.size())) return;
    for (const char c : octets) {
      const auto o = static_cast<uint8_t>(c);
      data_[used_++] = kHexDigits[o >> 4];
      data_[used_++] = kHexDigits[o & 15];
    }
  }
  /// 4 or 16 octets as an address, others as hexadecimal digits.
  void put_address(std::string_view octets) {
    const auto* const o = reinterpret_cast<const uint8_t*>(octets.data());
    if (octets.size() == 4) {
      if (room(kIpv4TextRoom)) used_ = static_cast<size_t>(write_ipv4(data_ + used_, o) - data_);
    } else if (octets.size() == 16) {
      if (room(kIpv6TextRoom)) used_ = static_cast<size_t>(write_ipv6(data_ + used_, o) - data_);
    } else {
      put_hex(octets);
    }
  }
  /// aa:bb:cc:dd:ee:ff of the low 48 bits.
  void put_mac(uint64_t mac) {
    if (!room(18)) return;
    for (int shift = 40; shift >= 0; shift -= 8) {
      const uint64_t o = mac >> shift & 0xff;
      data_[used_++] = kHexDigits[o >> 4];
      data_[used_++] = kHexDigits[o & 15];
      if (shift != 0) data_[used_++] = ':';
    }
  }

  static constexpr char kHexDigits[] = "0123456789abcdef";

 private:
  static constexpr size_t kStep = 2048;  // a line without lists and long strings takes less
  /// There is room.
  __attribute__((noinline)) void append_element(char* p, uint64_t v) noexcept {
    p = write_decimal(p, v);
    *p = ',';
    used_ = static_cast<size_t>(p + 1 - data_);
  }
  bool room(size_t n) {
    if (capacity_ - used_ >= n) [[likely]] return true;
    if (grows_ == nullptr) {
      overflowed_ = true;
      return false;
    }
    grow(n);
    return true;
  }
  void grow(size_t n) {
    grows_->resize(used_ + n + kStep);
    data_ = grows_->data();
    capacity_ = grows_->size();
  }

  std::string* grows_ = nullptr;
  char* data_ = nullptr;
  size_t capacity_ = 0;
  size_t used_ = 0;
  bool overflowed_ = false;
};

}  // namespace weir::outbound

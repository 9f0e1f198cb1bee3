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
  explicit TextBuffer(std::string& out) : grows_(&out) { grow(out.size(), 0); }
  explicit TextBuffer(std::span<char> out) noexcept : begin_(out.data()), at_(begin_), end_(begin_ + out.size()) {}
  ~TextBuffer() {
    if (grows_ != nullptr) grows_->resize(used());
  }
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  size_t used() const { return static_cast<size_t>(at_ - begin_); }
  bool overflowed() const { return overflowed_; }
  /// Takes back all but the first `used`.
  void cut(size_t used) { at_ = begin_ + used; }
  /// The octet written last; there is one.
  char& last() { return at_[-1]; }

  void put(char c) {
    if (!room(1)) return;
    char* const to = at_;
    *to = c;
    at_ = to + 1;
  }
  // PERF: inlined, so that a constant is a few moves, and other texts, which are short, no call
  // (event/mixed_10_exporters, perf/bench_transform).
  __attribute__((always_inline)) void put(std::string_view text) {
    if (!room(text.size())) return;
    char* const to = at_;  // the octets that are written could be at_'s own, for all that the compiler knows
    copy_short(reinterpret_cast<uint8_t*>(to), reinterpret_cast<const uint8_t*>(text.data()), text.size());
    at_ = to + text.size();
  }
  /// Of some sixty octets or more.
  void put_long(std::string_view text) {
    char* const to = room_for(text.size());
    if (to == nullptr) return;
    std::memcpy(to, text.data(), text.size());
    at_ = to + text.size();
  }
  void put_number(uint64_t v) {
    if (room(kDecimalTextRoom)) at_ = write_decimal(at_, v);
  }
  /// Where so many octets may be written behind what is there, which end_at() then says the end of; null where they do not fit.
  char* room_for(size_t octets) { return room(octets) ? at_ : nullptr; }
  void end_at(char* end) { at_ = end; }
  /// Two digits an octet.
  void put_hex(std::string_view octets) {
    if (!room(2 * octets.size())) return;
    char* to = at_;
    for (const char c : octets) {
      const auto o = static_cast<uint8_t>(c);
      *to++ = kHexDigits[o >> 4];
      *to++ = kHexDigits[o & 15];
    }
    at_ = to;
  }
  /// 4 or 16 octets as an address, others as hexadecimal digits.
  void put_address(std::string_view octets) {
    const auto* const o = reinterpret_cast<const uint8_t*>(octets.data());
    if (octets.size() == 4) {
      if (room(kIpv4TextRoom)) at_ = write_ipv4(at_, o);
    } else if (octets.size() == 16) {
      if (room(kIpv6TextRoom)) at_ = write_ipv6(at_, o);
    } else {
      put_hex(octets);
    }
  }
  /// aa:bb:cc:dd:ee:ff of the low 48 bits.
  void put_mac(uint64_t mac) {
    if (!room(18)) return;
    char* to = at_;
    for (int shift = 40; shift >= 0; shift -= 8) {
      const uint64_t o = mac >> shift & 0xff;
      *to++ = kHexDigits[o >> 4];
      *to++ = kHexDigits[o & 15];
      if (shift != 0) *to++ = ':';
    }
    at_ = to;
  }

  static constexpr char kHexDigits[] = "0123456789abcdef";

 private:
  static constexpr size_t kStep = 2048;  // a line without lists and long strings takes less
  bool room(size_t n) {
    if (static_cast<size_t>(end_ - at_) >= n) [[likely]] return true;
    if (grows_ == nullptr) {
      overflowed_ = true;
      return false;
    }
    grow(used(), n);
    return true;
  }
  void grow(size_t used, size_t n) {
    grows_->resize(used + n + kStep);
    begin_ = grows_->data();
    at_ = begin_ + used;
    end_ = begin_ + grows_->size();
  }

  std::string* grows_ = nullptr;
  char* begin_ = nullptr;
  char* at_ = nullptr;   // where what comes next is written
  char* end_ = nullptr;  // of the room
  bool overflowed_ = false;
};

}  // namespace weir::outbound

// text_buffer.h — Appends to a std::string through a pointer, with one check of the room a value.
#pragma once

#include <arpa/inet.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace weir::outbound {

class TextBuffer {
 public:
  explicit TextBuffer(std::string& out) : out_(out), used_(out.size()) {
    out_.resize(used_ + kStep);
  }
  ~TextBuffer() { out_.resize(used_); }
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  size_t used() const { return used_; }
  /// Takes back all but the first `used`.
  void cut(size_t used) { used_ = used; }

  void put(char c) {
    room(1);
    out_[used_++] = c;
  }
  void put(std::string_view text) {
    room(text.size());
    std::memcpy(out_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }
  void put_number(uint64_t v) {
    constexpr size_t kDigitsMax = 20;
    room(kDigitsMax);
    char* const p = out_.data() + used_;
    used_ += static_cast<size_t>(std::to_chars(p, p + kDigitsMax, v).ptr - p);
  }
  /// Two digits an octet.
  void put_hex(std::string_view octets) {
    room(2 * octets.size());
    for (const char c : octets) {
      const auto o = static_cast<uint8_t>(c);
      out_[used_++] = kHexDigits[o >> 4];
      out_[used_++] = kHexDigits[o & 15];
    }
  }
  /// 4 or 16 octets as an address, others as hexadecimal digits.
  void put_address(std::string_view octets) {
    if (octets.size() == 4) {
      for (size_t i = 0; i < 4; ++i) {
        if (i != 0) put('.');
        put_number(static_cast<uint8_t>(octets[i]));
      }
    } else if (octets.size() == 16) {
      room(INET6_ADDRSTRLEN);
      inet_ntop(AF_INET6, octets.data(), out_.data() + used_, INET6_ADDRSTRLEN);
      used_ += std::strlen(out_.data() + used_);
    } else {
      put_hex(octets);
    }
  }
  /// aa:bb:cc:dd:ee:ff of the low 48 bits.
  void put_mac(uint64_t mac) {
    room(18);
    for (int shift = 40; shift >= 0; shift -= 8) {
      const uint64_t o = mac >> shift & 0xff;
      out_[used_++] = kHexDigits[o >> 4];
      out_[used_++] = kHexDigits[o & 15];
      if (shift != 0) out_[used_++] = ':';
    }
  }

  static constexpr char kHexDigits[] = "0123456789abcdef";

 private:
  static constexpr size_t kStep = 2048;  // a line without lists and long strings takes less
  void room(size_t n) {
    if (out_.size() - used_ < n) [[unlikely]] {
      out_.resize(out_.size() + n + kStep);
    }
  }

  std::string& out_;
  size_t used_;
};

}  // namespace weir::outbound

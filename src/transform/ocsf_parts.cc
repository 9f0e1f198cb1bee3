#include "transform/ocsf_parts.h"

#include "base/copy_short.h"
#include "base/decimal_text.h"
#include "base/ip_text.h"

namespace weir::transform::parts {
namespace {

/// The quote that ends a text, and the comma.
char* write_end(char* p) noexcept {
  p[0] = '"';
  p[1] = ',';
  return p + 2;
}

char* write_hex(char* p, std::string_view octets) noexcept {
  for (const char c : octets) {
    const auto o = static_cast<uint8_t>(c);
    *p++ = TextBuffer::kHexDigits[o >> 4];
    *p++ = TextBuffer::kHexDigits[o & 15];
  }
  return p;
}

}  // namespace

char* write_number(char* p, uint64_t v) noexcept {
  p = write_decimal(p, v);
  *p = ',';
  return p + 1;
}

char* write_quoted_number(char* p, uint64_t v) noexcept {
  *p = '"';
  return write_end(write_decimal(p + 1, v));
}

char* write_plain(char* p, std::string_view text) noexcept {
  *p++ = '"';
  copy_short(reinterpret_cast<uint8_t*>(p), reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return write_end(p + text.size());
}

char* write_mac(char* p, uint64_t mac) noexcept {
  *p++ = '"';
  for (int shift = 40; shift >= 0; shift -= 8) {
    const char octet = static_cast<char>(mac >> shift & 0xff);
    p = write_hex(p, {&octet, 1});
    if (shift != 0) *p++ = ':';
  }
  return write_end(p);
}

char* write_address(char* p, std::string_view octets) noexcept {
  const auto* const o = reinterpret_cast<const uint8_t*>(octets.data());
  *p++ = '"';
  if (octets.size() == 4) return write_end(write_ipv4(p, o));
  if (octets.size() == 16) return write_end(write_ipv6(p, o));
  return write_end(write_hex(p, octets));
}

}  // namespace weir::transform::parts

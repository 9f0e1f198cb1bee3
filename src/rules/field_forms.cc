#include "rules/field_forms.h"

#include <arpa/inet.h>

#include <cctype>
#include <cstdint>

#include "base/ip_text.h"

namespace weir::rules {

std::optional<std::string> address_as_field(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;
  uint8_t octets[16];
  char written[kIpv6TextRoom];
  if (inet_pton(AF_INET, text.c_str(), octets) == 1) return std::string(written, write_ipv4(written, octets));
  if (inet_pton(AF_INET6, text.c_str(), octets) == 1) return std::string(written, write_ipv6(written, octets));
  return std::nullopt;
}

std::optional<std::string> mac_as_field(std::string_view text) {
  constexpr size_t kMacDigits = 12;
  std::string form;
  size_t digits = 0;
  for (const char c : text) {
    if (c == ':' || c == '-' || c == '.') continue;
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0 || digits == kMacDigits) return std::nullopt;
    if (digits > 0 && digits % 2 == 0) form += ':';
    form += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    ++digits;
  }
  return digits == kMacDigits ? std::optional(std::move(form)) : std::nullopt;
}

}  // namespace weir::rules

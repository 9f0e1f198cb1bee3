#include "rules/field_forms.h"

#include <arpa/inet.h>

#include <cstdint>

#include "base/ip_text.h"
#include "rules/mac_text.h"

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
  const auto mac = parse_mac(text);
  return mac ? std::optional(mac_as_field(*mac)) : std::nullopt;
}

std::string mac_as_field(uint64_t mac) {
  std::string form(kMacTextOctets, '\0');
  write_mac(form.data(), mac);
  return form;
}

}  // namespace weir::rules

#include "base/ip_address.h"

#include <arpa/inet.h>

namespace weir {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would see less than there is
  uint8_t octets[16];
  if (inet_pton(AF_INET, terminated.c_str(), octets) == 1) return from_v4(octets);
  if (inet_pton(AF_INET6, terminated.c_str(), octets) == 1) return from_v6(octets);
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, wire_data(), text, sizeof text);
  return text;
}

}  // namespace weir

#include "base/socket_address.h"

#include <charconv>

namespace weir {

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);

  SocketAddress result;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) return std::nullopt;

  if (host.empty() || host == "*") return result;
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // Without brackets nobody can tell where an IPv6 address ends and its port begins.
  if (bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
  const auto address = IpAddress::parse(host);
  if (!address) return std::nullopt;
  result.address = *address;
  return result;
}

std::string SocketAddress::to_string() const {
  const std::string host = address.to_string();
  const bool bare = host.find(':') == std::string::npos;
  return (bare ? host : "[" + host + "]") + ":" + std::to_string(port);
}

}  // namespace weir

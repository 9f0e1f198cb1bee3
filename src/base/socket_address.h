// socket_address.h — An IP address with a port, as operators write it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip_address.h"

namespace weir {

struct SocketAddress {
  IpAddress address;
  uint16_t port = 0;

  /// `192.0.2.1:2055`, `[2001:db8::1]:2055`; `:2055` and `*:2055` are every address, `[::]:2055`.
  static std::optional<SocketAddress> parse(std::string_view text);
  std::string to_string() const;

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

}  // namespace weir

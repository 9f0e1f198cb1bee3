// destination_parts.h — What destinations of datagrams and of sessions have in common.
//
// Private to src/lab.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "lab/generator.h"

namespace weir::lab {

/// Towards 127.0.0.0/8 exporters have addresses of their own, from this one on: 127.1.0.1.
inline constexpr uint32_t kLoopbackExporters = 0x7f01'0001u;

void count_sent(const OutgoingDatagram& d, GeneratorReport& report);
/// The first of them is what the report says.
void note_error(GeneratorReport& report, std::string what);

/// Where to send.
struct Target {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const noexcept { return storage.ss_family; }
  const sockaddr* address() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  bool is_loopback_v4() const noexcept;
};
/// `host_port`: an address or a name, [ADDRESS]:PORT where it is IPv6.
Result<Target> find_target(const std::string& host_port, int socket_type);

}  // namespace weir::lab

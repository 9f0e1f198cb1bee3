#include "lab/destination_parts.h"

#include <fmt/format.h>
#include <netdb.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace weir::lab {

void count_sent(const OutgoingDatagram& d, GeneratorReport& report) {
  ++report.datagrams;
  report.template_datagrams += d.content.templates != 0;
  report.records += d.content.records;
  report.options_records += d.content.options_records;
  report.counter_samples += d.content.counter_samples;
  report.flow_octets += d.content.flow_octets;
  report.flow_packets += d.content.flow_packets;
  report.octets += d.content.octets.size();
}

void note_error(GeneratorReport& report, std::string what) {
  if (report.first_error.empty()) report.first_error = std::move(what);
}

bool Target::is_loopback_v4() const noexcept {
  if (family() != AF_INET) return false;
  sockaddr_in in;
  std::memcpy(&in, &storage, sizeof in);
  return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

Result<Target> find_target(const std::string& host_port, int socket_type) {
  const size_t colon = host_port.rfind(':');
  std::string host = host_port.substr(0, colon);
  const std::string port = colon == std::string::npos ? "" : host_port.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || port.empty() || (!bracketed && host.find(':') != std::string::npos)) {
    return Error{
        fmt::format("'{}' is not HOST:PORT, such as 127.0.0.1:2055 or [::1]:2055", host_port)};
  }
  uint32_t number = 0;
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (wrong != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65'535) {
    return Error{fmt::format("{}: port {} is not allowed; allowed: 1 to 65535", host_port, port)};
  }
  addrinfo hints{};
  hints.ai_socktype = socket_type;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int why = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); why != 0) {
    return Error{fmt::format("{}: {}", host_port, gai_strerror(why))};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  Target target;
  target.length = found->ai_addrlen;
  std::memcpy(&target.storage, found->ai_addr, found->ai_addrlen);
  return target;
}

}  // namespace weir::lab

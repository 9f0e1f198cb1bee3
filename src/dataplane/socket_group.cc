#include "dataplane/socket_group.h"

#include <fmt/format.h>

#include "dataplane/source_steering.h"
#include "dataplane/tcp_socket.h"
#include "dataplane/udp_socket.h"

namespace weir::dataplane {

namespace {

using Sharing = PortSocket::Sharing;

Result<std::unique_ptr<PortSocket>> open_socket(const SocketPort& config, Sharing sharing, int* error_number) {
  const auto as_port = [](auto opened) -> Result<std::unique_ptr<PortSocket>> {
    if (!opened) return opened.error();
    return std::unique_ptr<PortSocket>(std::move(*opened));
  };
  return config.transport == Transport::tcp ? as_port(TcpSocket::open(config, sharing, error_number))
                                            : as_port(UdpSocket::open(config, sharing, error_number));
}

}  // namespace

Result<std::unique_ptr<SocketGroup>> SocketGroup::open(const SocketPort& config, const SocketSpread& spread,
                                                       int* error_number) {
  std::unique_ptr<SocketGroup> group(new SocketGroup());
  const bool is_shared = spread.threads > 1;
  Result<std::unique_ptr<PortSocket>> first =
      open_socket(config, is_shared ? Sharing::first : Sharing::none, error_number);
  if (!first) return first.error();
  group->sockets_.push_back(std::move(*first));
  if (!is_shared) return group;

  SocketPort beside = config;
  beside.port = group->port();  // the kernel may have chosen it
  for (uint16_t i = 1; i < spread.threads; ++i) {
    Result<std::unique_ptr<PortSocket>> socket = open_socket(beside, Sharing::beside, error_number);
    if (!socket) return socket.error();
    group->sockets_.push_back(std::move(*socket));
  }
  if (Result<void> steered = steer_by_source(group->sockets_.front()->fd(), spread.threads, spread.seed); !steered)
    return Error{fmt::format("port {}: {}", config.name, steered.error().message)};
  for (const std::unique_ptr<PortSocket>& socket : group->sockets_)
    if (Result<void> admitted = socket->admit_all(); !admitted) return admitted.error();
  return group;
}

void SocketGroup::adapt(const SocketPort& config) {
  for (const std::unique_ptr<PortSocket>& socket : sockets_) socket->adapt(config);
}

void SocketGroup::refuse_more() noexcept {
  for (const std::unique_ptr<PortSocket>& socket : sockets_) socket->refuse_more();
}

void SocketGroup::close() {
  for (const std::unique_ptr<PortSocket>& socket : sockets_) socket->close();
}

PortStats SocketGroup::stats() {
  PortStats all = sockets_.front()->stats();
  for (size_t i = 1; i < sockets_.size(); ++i) {
    const PortStats one = sockets_[i]->stats();
    all.packets += one.packets;
    all.octets += one.octets;
    all.link_up &= one.link_up;
    if (one.tcp) {
      all.tcp->sessions += one.tcp->sessions;
      all.tcp->opened += one.tcp->opened;
      all.tcp->refused += one.tcp->refused;
      all.tcp->ended += one.tcp->ended;
    }
    if (one.missed) all.missed = all.missed.value_or(0) + *one.missed;
    if (one.errors) all.errors = all.errors.value_or(0) + *one.errors;
  }
  return all;
}

}  // namespace weir::dataplane

#include "dataplane/socket_group.h"

#include <fmt/format.h>

#include "dataplane/source_steering.h"

namespace weir::dataplane {

Result<std::unique_ptr<SocketGroup>> SocketGroup::open(const SocketPort& config, const SocketSpread& spread,
                                                       int* error_number) {
  std::unique_ptr<SocketGroup> group(new SocketGroup());
  const bool is_shared = spread.threads > 1;
  Result<std::unique_ptr<UdpSocket>> first =
      UdpSocket::open(config, is_shared ? UdpSocket::Sharing::first : UdpSocket::Sharing::none, error_number);
  if (!first) return first.error();
  group->sockets_.push_back(std::move(*first));
  if (!is_shared) return group;

  SocketPort beside = config;
  beside.port = group->udp_port();  // the kernel may have chosen it
  for (uint16_t i = 1; i < spread.threads; ++i) {
    Result<std::unique_ptr<UdpSocket>> socket = UdpSocket::open(beside, UdpSocket::Sharing::beside, error_number);
    if (!socket) return socket.error();
    group->sockets_.push_back(std::move(*socket));
  }
  if (Result<void> steered = steer_by_source(group->sockets_.front()->fd(), spread.threads, spread.seed); !steered)
    return Error{fmt::format("port {}: {}", config.name, steered.error().message)};
  for (const std::unique_ptr<UdpSocket>& socket : group->sockets_)
    if (Result<void> admitted = socket->admit_all(); !admitted) return admitted.error();
  return group;
}

void SocketGroup::adapt(const SocketPort& config) {
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) socket->adapt(config);
}

void SocketGroup::refuse_more() noexcept {
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) refuse_all(socket->fd());
}

void SocketGroup::close() {
  for (const std::unique_ptr<UdpSocket>& socket : sockets_) socket->close();
}

PortStats SocketGroup::stats() {
  PortStats all = sockets_.front()->stats();
  for (size_t i = 1; i < sockets_.size(); ++i) {
    const PortStats one = sockets_[i]->stats();
    all.packets += one.packets;
    all.octets += one.octets;
    all.link_up &= one.link_up;
    if (one.missed) all.missed = all.missed.value_or(0) + *one.missed;
    if (one.errors) all.errors = all.errors.value_or(0) + *one.errors;
  }
  return all;
}

}  // namespace weir::dataplane

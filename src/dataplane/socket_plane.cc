#include "dataplane/socket_plane.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace weir::dataplane {

Result<std::unique_ptr<SocketPlane>> SocketPlane::open(std::span<const SocketPort> ports, const SocketSpread& spread,
                                                       const TcpLimits& tcp) {
  TcpLimits of_thread = tcp;
  of_thread.sessions_max = std::max(tcp.sessions_max / spread.threads, 1u);
  std::unique_ptr<SocketPlane> plane(new SocketPlane(spread));
  for (const SocketPort& port : ports) {
    Result<std::unique_ptr<SocketGroup>> group = SocketGroup::open(port, spread);
    if (!group) return group.error();
    plane->groups_.push_back(std::move(*group));
  }
  for (size_t thread = 0; thread < spread.threads; ++thread) {
    Result<std::unique_ptr<SocketCore>> core = SocketCore::open(of_thread);
    if (!core) return core.error();
    for (const std::unique_ptr<SocketGroup>& group : plane->groups_)
      if (!(*core)->serve(group->of_thread(thread)))
        return Error{fmt::format("port {}: {} kernel sockets, limit {}", group->name(), ports.size(), kSocketsMax)};
    plane->cores_.push_back(std::move(*core));
  }
  return plane;
}

Result<void> SocketPlane::start(size_t thread, Pipeline& pipeline, const Timekeeper& keeper, const SocketThread& thread_config) {
  return cores_[thread]->start(pipeline, keeper, thread_config);
}

void SocketPlane::request_stop() noexcept {
  for (const std::unique_ptr<SocketCore>& core : cores_) core->request_stop();
}

bool SocketPlane::has_ended() const noexcept {
  return std::all_of(cores_.begin(), cores_.end(), [](const auto& core) { return core->has_ended(); });
}

/// No thread's socket may close while another still receives: the kernel would count anew which is whose.
void SocketPlane::stop() {
  request_stop();
  for (const std::unique_ptr<SocketCore>& core : cores_) core->stop();
  for (const std::unique_ptr<SocketGroup>& group : groups_) group->close();
}

Result<void> SocketPlane::prepare_change(std::span<const SocketPort> ports) {
  joining_.clear();
  next_ports_.assign(ports.begin(), ports.end());
  if (ports.size() > kSocketsMax) return Error{fmt::format("{} kernel sockets, limit {}", ports.size(), kSocketsMax)};
  for (const SocketPort& port : ports) {
    const bool is_open =
        std::any_of(groups_.begin(), groups_.end(), [&](const auto& group) { return group->is_at(port); });
    if (is_open) continue;
    int number = 0;
    Result<std::unique_ptr<SocketGroup>> group = SocketGroup::open(port, spread_, &number);
    if (!group) {
      joining_.clear();
      const bool is_ours = number == EADDRINUSE && std::any_of(groups_.begin(), groups_.end(), [&](const auto& other) {
                             return other->transport() == port.transport && other->port() == port.port;
                           });
      if (is_ours)
        return Error{fmt::format("port {}: {} port {} has a socket of weir's at another address, which only a restart can "
                                 "change",
                                 port.name, port.transport == Transport::tcp ? "TCP" : "UDP", port.port)};
      return group.error();
    }
    joining_.push_back(std::move(*group));
  }
  return {};
}

void SocketPlane::begin_change() {
  for (size_t i = 0; i < groups_.size();) {
    const auto next = std::find_if(next_ports_.begin(), next_ports_.end(),
                                   [&](const SocketPort& port) { return groups_[i]->is_at(port); });
    if (next != next_ports_.end()) {
      groups_[i++]->adapt(*next);
      continue;
    }
    groups_[i]->refuse_more();
    for (size_t thread = 0; thread < cores_.size(); ++thread) cores_[thread]->take_away(groups_[i]->of_thread(thread));
    leaving_.push_back(std::move(groups_[i]));
    groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (std::unique_ptr<SocketGroup>& group : joining_) {
    for (size_t thread = 0; thread < cores_.size(); ++thread) cores_[thread]->give(group->of_thread(thread));
    groups_.push_back(std::move(group));
  }
  joining_.clear();
}

bool SocketPlane::settle_change() {
  bool is_settled = true;
  for (const std::unique_ptr<SocketCore>& core : cores_) is_settled &= core->settle_change();
  if (is_settled) leaving_.clear();
  return is_settled;
}

std::string SocketPlane::serves(size_t thread) const {
  std::string names;
  for (const std::unique_ptr<SocketGroup>& group : groups_) {
    if (!names.empty()) names += ", ";
    names += group->name();
  }
  return cores_.size() == 1 ? names : fmt::format("{} (thread {} of {})", names, thread + 1, cores_.size());
}

void SocketPlane::append_stats(std::vector<PortStats>& stats) {
  for (const std::unique_ptr<SocketGroup>& group : groups_) stats.push_back(group->stats());
}

}  // namespace weir::dataplane

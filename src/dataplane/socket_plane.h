// socket_plane.h — All kernel sockets and the threads that receive from them.
//
// Runs on:  control_thread; the threads are SocketCores.
// Bounds:   kSocketsMax ports, kSocketThreadsMax threads; a socket of each port for each thread.
// Failure:  an Error that names the port.
//
// Every thread serves a socket of every port, because exporters send templates to one port and data to another: what
// is known of an exporter must not depend on where its datagrams arrive.
//
// Private to src/dataplane.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/socket_core.h"
#include "dataplane/socket_group.h"

namespace weir::dataplane {

class SocketPlane {
 public:
  static Result<std::unique_ptr<SocketPlane>> open(std::span<const SocketPort> ports, const SocketSpread& spread,
                                                   const TcpLimits& tcp);

  size_t threads() const noexcept { return cores_.size(); }
  /// Starts the thread, which feeds `pipeline` until stop.
  Result<void> start(size_t thread, Pipeline& pipeline, const Timekeeper& keeper, const SocketThread& thread_config);
  void request_stop() noexcept;
  bool has_ended() const noexcept;

  /// Opens what of `ports` is not open yet; on an Error nothing has changed. begin_change then gives the
  /// threads what is new and takes away what is gone, and settle_change says whether they have done so.
  Result<void> prepare_change(std::span<const SocketPort> ports) WEIR_RUNS_ON(control_thread);
  void begin_change() WEIR_RUNS_ON(control_thread);
  bool settle_change() WEIR_RUNS_ON(control_thread);

  /// Takes what the kernel has queued; returns when the threads have ended. Idempotent.
  void stop();

  /// `p0/netflow, p0/sflow`; of several threads with the number of this one.
  std::string serves(size_t thread) const;
  void append_stats(std::vector<PortStats>& stats);

 private:
  explicit SocketPlane(const SocketSpread& spread) : spread_(spread) {}

  const SocketSpread spread_;
  // In this order: threads go before the sockets that they serve.
  std::vector<std::unique_ptr<SocketGroup>> groups_;   // open or about to be served
  std::vector<std::unique_ptr<SocketGroup>> leaving_;  // until every thread has given its socket back
  std::vector<std::unique_ptr<SocketGroup>> joining_;  // opened, and not given to the threads yet
  std::vector<SocketPort> next_ports_;                 // of the change that was prepared
  std::vector<std::unique_ptr<SocketCore>> cores_;
};

}  // namespace weir::dataplane

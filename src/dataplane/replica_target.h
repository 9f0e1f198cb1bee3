// replica_target.h — Another collector, and the socket by which it gets datagrams as they were received.
//
// Runs on:  control_thread opens and reads it; send on the sending thread.
// Bounds:   kBatch datagrams a system call; it never waits: what the kernel does not take is dropped and counted.
// Failure:  an Error that names the target and what the system refused; afterwards every datagram ends in a counter. That no
//           way leads to the target is none: it is tried again, at most once a second. Nor is an address that becomes ours, where
//           a listener of ours would hear it: it gets nothing from the next second on, for as long as that is so.
//
// Private to src/dataplane. With the exporter's own address: a raw socket that is connected to the target (else it would
// get a copy of every UDP packet of the host's), and that may send from addresses of others (IP_TRANSPARENT). The UDP header
// and its checksum are ours; the IP header is the kernel's, which also makes fragments of what the path does not carry
// whole. Both need CAP_NET_RAW.
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/result.h"
#include "dataplane/data_plane.h"
#include "dataplane/replica_lane.h"

namespace weir::dataplane {

class ReplicaTarget {
 public:
  static constexpr size_t kBatch = 64;

  static Result<std::unique_ptr<ReplicaTarget>> open(const ReplicaConfig& config) WEIR_RUNS_ON(control_thread);
  ~ReplicaTarget();
  ReplicaTarget(const ReplicaTarget&) = delete;
  ReplicaTarget& operator=(const ReplicaTarget&) = delete;

  /// Takes it along; sends when kBatch are together. What it refers to stays until flush.
  void add(const ReplicaNote& note) noexcept WEIR_RUNS_ON(exception_thread);
  void flush() noexcept WEIR_RUNS_ON(exception_thread);

  /// Whether a listener of ours would hear what goes there, should the address become ours.
  void set_would_come_back(bool would) noexcept WEIR_RUNS_ON(control_thread) { would_come_back_.store(would, std::memory_order_relaxed); }

  /// Without what lanes count.
  ReplicaStats stats() const;

 private:
  static constexpr size_t kUdpHeaderOctets = 8;
  static constexpr size_t kControlOctets = 64;  // for the larger of both families' packet information

  explicit ReplicaTarget(const ReplicaConfig& config)
      : config_(config), is_v4_(config.to.address.is_v4()), would_come_back_(config.would_come_back) {}
  Result<void> open_socket();
  int connect_socket() noexcept;
  bool connect_again() noexcept WEIR_RUNS_ON(exception_thread);
  bool is_ourselves() noexcept WEIR_RUNS_ON(exception_thread);
  bool send_one(size_t place) noexcept WEIR_RUNS_ON(exception_thread);
  void count_sent(size_t place, size_t datagrams) noexcept WEIR_RUNS_ON(exception_thread);
  void count_returned() noexcept WEIR_RUNS_ON(exception_thread);
  bool spoof(const ReplicaNote& note, size_t place) noexcept WEIR_RUNS_ON(exception_thread);
  void count_failure(int error) noexcept WEIR_RUNS_ON(exception_thread);

  const ReplicaConfig config_;
  const bool is_v4_;
  int fd_ = -1;
  uint64_t connected_ns_ = 0;  // when it was last tried
  std::atomic<bool> would_come_back_;  // the control thread's
  bool is_ours_ = false;               // the address, when it was last asked for
  uint64_t asked_ns_ = 0;
  size_t count_ = 0;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<std::array<iovec, 2>, kBatch> parts_{};
  std::array<std::array<uint8_t, kUdpHeaderOctets>, kBatch> headers_{};
  alignas(cmsghdr) std::array<std::array<uint8_t, kControlOctets>, kBatch> controls_{};
  Counter sent_;
  Counter sent_octets_;
  Counter returned_;
  CounterArray<ReplicaDrop> drops_;
};

/// Of a UDP datagram over IPv4 or IPv6, as it stands in the header, by the two addresses of one family.
uint16_t udp_checksum(const IpAddress& source, const IpAddress& destination, std::span<const uint8_t> header,
                      std::span<const uint8_t> payload) noexcept;

}  // namespace weir::dataplane

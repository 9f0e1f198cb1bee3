// tcp_sessions.h — The transport sessions of one receive thread.
//
// Spec:     RFC 7011 §10.4.
// Runs on:  made on the control thread; then the rx_lcore's.
// Owns:     room for a message of each session, touched only as far as it is needed; their descriptors.
// Bounds:   TcpLimits. A connection beyond them is refused, unless one gives way to it: who never said anything, or the
//           one idle longest of those who have two more than the newcomer, so that nobody loses the last one.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ip_address.h"
#include "base/result.h"
#include "dataplane/data_plane.h"
#include "decode/message_framer.h"

namespace weir::dataplane {

class TcpSocket;

struct TcpSession {
  int fd = -1;                // -1: free
  TcpSocket* owner = nullptr;
  IpAddress exporter;
  uint16_t port = 0;          // the exporter's
  uint64_t messages = 0;      // whole ones
  uint64_t last_ns = 0;       // of the last whole message, or the beginning
  bool has_spoken = false;    // a message with a set: a header alone says nothing
  uint64_t spoke_ns = 0;      // of the last such message, or the beginning
  uint32_t party = 0;         // whose it is: places in TcpSessions::counts_
  uint32_t network = 0;
  uint64_t due_ns = 0;        // by then the message that has begun must be whole; 0: none has
  decode::MessageFramer framer;
};

class TcpSessions {
 public:
  /// Fails where there is no address space.
  static Result<std::unique_ptr<TcpSessions>> create(const TcpLimits& limits);
  ~TcpSessions();
  TcpSessions(const TcpSessions&) = delete;
  TcpSessions& operator=(const TcpSessions&) = delete;

  /// What an exporter's connection finds: a place, or why there is none. A session that may have to give way is in
  /// `displaced`, else null: its owner must end it, and ask again.
  struct Place {
    TcpSession* session = nullptr;
    TcpRefusal refusal = TcpRefusal::count_;
    TcpSession* displaced = nullptr;
  };
  Place find_place(const IpAddress& exporter, uint64_t now_ns) noexcept WEIR_RUNS_ON(rx_lcore);
  /// In a place that was found.
  void begin(TcpSession& place, TcpSocket& owner, int fd, const IpAddress& exporter, uint16_t port, uint64_t now_ns) noexcept
      WEIR_RUNS_ON(rx_lcore);
  /// Closes the connection; what the session held is gone.
  void end(TcpSession& session) noexcept WEIR_RUNS_ON(rx_lcore);

  /// As Datagram::session: not 0.
  uint32_t number_of(const TcpSession& session) const noexcept {
    return static_cast<uint32_t>(&session - sessions_.data()) + 1;
  }
  TcpSession& at(uint32_t number) noexcept { return sessions_[number - 1]; }
  /// Those that were ever used; free ones among them.
  std::span<TcpSession> all() noexcept { return {sessions_.data(), used_}; }
  const TcpLimits& limits() const noexcept { return limits_; }

 private:
  /// Whom sessions are counted by. Who has one address of IPv6 has its /64.
  struct Parties {
    static constexpr uint32_t kNone = UINT32_MAX;
    uint32_t party = kNone;  // places in counts_
    uint32_t network = kNone;
  };
  explicit TcpSessions(const TcpLimits& limits);
  Parties find_parties(const IpAddress& exporter) noexcept WEIR_RUNS_ON(rx_lcore);
  uint32_t count_of(uint32_t party) const noexcept { return party != Parties::kNone ? counts_[party] : 0; }
  uint32_t join(uint32_t party) noexcept;
  void leave(uint32_t party) noexcept;
  TcpSession* find_displaced(const Parties& newcomer, uint64_t now_ns) noexcept WEIR_RUNS_ON(rx_lcore);
  uint8_t* room_of(const TcpSession& session) noexcept;

  const TcpLimits limits_;  // of this thread
  std::vector<TcpSession> sessions_;
  size_t used_ = 0;
  std::vector<uint32_t> counts_;         // sessions of each party: an exporter, or a network
  std::vector<uint32_t> free_counts_;    // places there
  uint8_t* rooms_ = nullptr;  // mapped
};

}  // namespace weir::dataplane

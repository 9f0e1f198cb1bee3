#include "dataplane/tcp_sessions.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <compare>
#include <cstring>

namespace weir::dataplane {
namespace {

constexpr size_t kRoomOctets = 65'536;  // whole pages, so that one's can be given back
static_assert(kRoomOctets >= decode::MessageFramer::kMessageOctetsMax);

constexpr size_t kNetworkOctets = 8;

/// Of one owner, as far as an address tells: of IPv6 one gets a /64 at least.
bool are_neighbours(const IpAddress& a, const IpAddress& b) noexcept {
  if (a.is_v4() || b.is_v4()) return a == b;
  return std::memcmp(a.octets.data(), b.octets.data(), kNetworkOctets) == 0;
}

}  // namespace

TcpSessions::TcpSessions(const TcpLimits& limits)
    : limits_(limits), sessions_(limits.sessions_max), counts_(size_t{2} * limits.sessions_max) {
  for (size_t i = counts_.size(); i != 0; --i) free_counts_.push_back(static_cast<uint32_t>(i - 1));
}

Result<std::unique_ptr<TcpSessions>> TcpSessions::create(const TcpLimits& limits) {
  std::unique_ptr<TcpSessions> made(new TcpSessions(limits));
  void* const mapped = mmap(nullptr, limits.sessions_max * kRoomOctets, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return Error{fmt::format("socket ports: room for {} TCP sessions: {}", limits.sessions_max, std::strerror(errno))};
  made->rooms_ = static_cast<uint8_t*>(mapped);
  return made;
}

TcpSessions::~TcpSessions() {
  for (const TcpSession& session : sessions_)
    if (session.fd >= 0) ::close(session.fd);
  if (rooms_ != nullptr) munmap(rooms_, sessions_.size() * kRoomOctets);
}

uint8_t* TcpSessions::room_of(const TcpSession& session) noexcept {
  return rooms_ + static_cast<size_t>(&session - sessions_.data()) * kRoomOctets;
}

TcpSessions::Place TcpSessions::find_place(const IpAddress& exporter, uint64_t now_ns) noexcept {
  const Parties parties = find_parties(exporter);
  if (count_of(parties.party) >= limits_.sessions_per_exporter_max)
    return {.refusal = TcpRefusal::sessions_per_exporter};
  for (TcpSession& session : all())
    if (session.fd < 0) return {.session = &session};
  if (used_ < sessions_.size()) return {.session = &sessions_[used_++]};
  return {.refusal = TcpRefusal::sessions_max, .displaced = find_displaced(parties, now_ns)};
}

TcpSessions::Parties TcpSessions::find_parties(const IpAddress& exporter) noexcept {
  Parties found;
  for (const TcpSession& session : all()) {
    if (session.fd < 0 || !are_neighbours(session.exporter, exporter)) continue;
    found.network = session.network;
    if (session.exporter != exporter) continue;
    found.party = session.party;
    break;
  }
  return found;
}

/// Who is at work never gives way. Of the others, first who never spoke; then one of the exporter, then of the network,
/// that has most, if that has two more than the newcomer: it still has one more then, so that two cannot drive each other
/// out in turn, and whoever has one keeps it.
TcpSession* TcpSessions::find_displaced(const Parties& newcomer, uint64_t now_ns) noexcept {
  const uint32_t of_party = count_of(newcomer.party) + 2, of_network = count_of(newcomer.network) + 2;
  // By a rank that is compared from left to right, then by how long it is idle.
  struct Rank {
    uint8_t reason;
    uint32_t sessions;
    auto operator<=>(const Rank&) const = default;
  };
  TcpSession* found = nullptr;
  Rank most{0, 0};
  for (TcpSession& session : all()) {
    if (now_ns < session.spoke_ns + limits_.message_ns) continue;
    Rank rank{0, 0};
    if (!session.has_spoken) {
      rank = {3, 0};
    } else if (counts_[session.party] >= of_party) {
      rank = {2, counts_[session.party]};
    } else if (counts_[session.network] >= of_network) {
      rank = {1, counts_[session.network]};
    } else {
      continue;
    }
    if (found != nullptr && (rank < most || (rank == most && session.spoke_ns >= found->spoke_ns))) continue;
    found = &session;
    most = rank;
  }
  return found;
}

uint32_t TcpSessions::join(uint32_t party) noexcept {
  if (party == Parties::kNone) {
    party = free_counts_.back();
    free_counts_.pop_back();
  }
  ++counts_[party];
  return party;
}

void TcpSessions::leave(uint32_t party) noexcept {
  if (--counts_[party] == 0) free_counts_.push_back(party);  // there was room for it before
}

void TcpSessions::begin(TcpSession& place, TcpSocket& owner, int fd, const IpAddress& exporter, uint16_t port,
                        uint64_t now_ns) noexcept {
  const Parties parties = find_parties(exporter);
  place = {.fd = fd,
           .owner = &owner,
           .exporter = exporter,
           .port = port,
           .last_ns = now_ns,
           .spoke_ns = now_ns,
           .party = join(parties.party),
           .network = join(parties.network),
           .framer = decode::MessageFramer(room_of(place))};
}

void TcpSessions::end(TcpSession& session) noexcept {
  ::close(session.fd);
  leave(session.party);
  leave(session.network);
  session = {};
  madvise(room_of(session), kRoomOctets, MADV_DONTNEED);
}

}  // namespace weir::dataplane

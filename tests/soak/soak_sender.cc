// soak_sender.cc — A million hostile datagrams from ten thousand addresses, and one exporter that behaves.
//
// usage: soak_sender PORT DATAGRAMS RATE
//
// Sends to 127.0.0.1:PORT from 198.18.0.0/15, which must be local (scripts/soak.sh makes it so in a
// network namespace of its own). Never more waits in the receiver's socket than a quarter of its
// buffer, so that nothing is lost before it is received. Each kGoodEvery-th datagram is of the exporter
// that behaves, 198.19.255.254: NetFlow v9, templates each 100 datagrams, and kGoodRecords records that
// count on in their bytes. Prints how many records that were, and the sum of their bytes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <thread>

#include "soak/hostile_traffic.h"

namespace weir::soak {
namespace {

constexpr uint32_t kSources = 10'000;
constexpr uint32_t kFirstSource = 0xC612'0001;  // 198.18.0.1
constexpr uint32_t kGoodSource = 0xC613'FFFE;   // 198.19.255.254
constexpr uint32_t kGoodEvery = 50;
constexpr uint32_t kGoodRecords = 5;
constexpr uint32_t kSockets = 4;  // source ports
constexpr uint32_t kBurst = 32;
constexpr uint64_t kWaitingOctetsMax = 1 << 20;

/// Sends from any local address.
class Sender {
 public:
  explicit Sender(uint16_t port) {
    to_.sin_family = AF_INET;
    to_.sin_port = htons(port);
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int& fd : sockets_) {
      fd = socket(AF_INET, SOCK_DGRAM, 0);
      sockaddr_in any{};
      any.sin_family = AF_INET;
      if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0) {
        std::perror("socket");
        std::exit(1);
      }
    }
  }
  void send(const lab::Octets& octets, uint32_t source, uint32_t socket_index) {
    iovec part{const_cast<uint8_t*>(octets.data()), octets.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))] = {};
    msghdr message{};
    message.msg_name = &to_;
    message.msg_namelen = sizeof to_;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = IPPROTO_IP;
    head->cmsg_type = IP_PKTINFO;
    head->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(source);
    std::memcpy(CMSG_DATA(head), &info, sizeof info);
    if (sendmsg(sockets_[socket_index % kSockets], &message, 0) < 0) {
      std::perror("sendmsg");
      std::exit(1);
    }
  }

 private:
  sockaddr_in to_{};
  int sockets_[kSockets];
};

/// Octets that wait in sockets bound to `port`, as the kernel accounts them.
uint64_t waiting_octets(uint16_t port) {
  char wanted[8];
  std::snprintf(wanted, sizeof wanted, ":%04X ", port);
  uint64_t octets = 0;
  for (const char* path : {"/proc/net/udp", "/proc/net/udp6"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      // sl local_address rem_address st tx_queue:rx_queue
      unsigned long long queued = 0;
      const size_t local = line.find(wanted);
      if (local == std::string::npos || local > 48) continue;
      if (std::sscanf(line.c_str() + local, "%*s %*s %*x %*x:%llx", &queued) == 1) octets += queued;
    }
  }
  return octets;
}

class GoodExporter {
 public:
  lab::Octets next() {
    using namespace lab;
    NetflowV9Builder m;
    m.unix_secs(static_cast<uint32_t>(std::time(nullptr))).sequence(sequence_).source_id(1);
    if (sequence_++ % 100 == 0) {
      m.templates(
          {{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 8}, {2, 4}, {4, 1}, {7, 2}, {11, 2}}}});
      return m.build();
    }
    std::vector<Record> rows;
    for (uint32_t i = 0; i < kGoodRecords; ++i) {
      ++records;
      bytes += records;
      rows.push_back({ipv4("192.0.2.1"), ipv4("198.51.100.2"), u64(records), u32(1), u8(6),
                      u16(443), u16(50'000)});
    }
    return m.data(256, rows).build();
  }
  uint64_t records = 0;
  uint64_t bytes = 0;

 private:
  uint32_t sequence_ = 0;
};

int run(uint16_t port, uint64_t datagrams, uint64_t rate) {
  using Clock = std::chrono::steady_clock;
  Sender sender(port);
  HostileTraffic hostile(20'261'120);
  GoodExporter good;
  lab::Random random(1);
  uint64_t octets = 0;
  const auto begin = Clock::now();
  for (uint64_t sent = 0; sent < datagrams; ++sent) {
    if (sent % kGoodEvery == 0) sender.send(good.next(), kGoodSource, 0);
    const lab::Octets d = hostile.next();
    octets += d.size();
    sender.send(d, kFirstSource + random.below(kSources), random.below(kSockets));
    if (sent % kBurst != 0) continue;
    while (waiting_octets(port) > kWaitingOctetsMax) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    std::this_thread::sleep_until(begin + std::chrono::nanoseconds(sent * 1'000'000'000 / rate));
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("hostile_datagrams=%" PRIu64 " hostile_octets=%" PRIu64
              " sources=%u seconds=%.1f "
              "good_records=%" PRIu64 " good_bytes=%" PRIu64 "\n",
              datagrams, octets, kSources, seconds, good.records, good.bytes);
  return 0;
}

}  // namespace
}  // namespace weir::soak

int main(int argc, char** argv) {
  const uint64_t port = argc == 4 ? std::strtoull(argv[1], nullptr, 10) : 0;
  const uint64_t datagrams = argc == 4 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const uint64_t rate = argc == 4 ? std::strtoull(argv[3], nullptr, 10) : 0;
  if (port == 0 || port > 65'535 || datagrams == 0 || rate == 0) {
    std::fprintf(stderr, "usage: soak_sender PORT DATAGRAMS RATE\n");
    return 2;
  }
  return weir::soak::run(static_cast<uint16_t>(port), datagrams, rate);
}

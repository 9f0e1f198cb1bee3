#include "bare_receivers.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "bare_look.h"
#include "base/thread_roles.h"
#include "dataplane/xdp_steering.h"

namespace weir::perf {
namespace {

constexpr int kPollMs = 100;

Error failed(const std::string& what) { return Error{fmt::format("{}: {}", what, std::strerror(errno))}; }

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int of) : fd(of) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

class BareSocket final : public BareReceiver {
 public:
  explicit BareSocket(int fd) : socket_(fd), buffers_(kBareBurst * kStride) {
    for (size_t i = 0; i < kBareBurst; ++i) {
      parts_[i] = {.iov_base = buffers_.data() + i * kStride, .iov_len = 65'535};
      msghdr& message = messages_[i].msg_hdr;
      message.msg_name = &sources_[i];
      message.msg_iov = &parts_[i];
      message.msg_iovlen = 1;
      message.msg_control = controls_[i].octets;
    }
  }
  unsigned take() override {
    for (mmsghdr& message : messages_) {
      message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
      message.msg_hdr.msg_controllen = sizeof(Control);
    }
    const int count = recvmmsg(socket_.fd, messages_.data(), kBareBurst, MSG_WAITFORONE, nullptr);
    unsigned of_v5 = 0;
    for (int i = 0; i < count; ++i) of_v5 += is_v5(buffers_.data() + static_cast<size_t>(i) * kStride, messages_[static_cast<size_t>(i)].msg_len) ? 1 : 0;
    return of_v5;
  }

 private:
  static constexpr size_t kStride = 65'536 + 128;
  struct alignas(cmsghdr) Control {
    uint8_t octets[CMSG_SPACE(sizeof(timespec))];
  };
  Descriptor socket_;
  std::vector<uint8_t> buffers_;
  std::array<mmsghdr, kBareBurst> messages_{};
  std::array<iovec, kBareBurst> parts_{};
  std::array<sockaddr_storage, kBareBurst> sources_{};
  std::array<Control, kBareBurst> controls_{};
};

class BareAfPacket final : public BareReceiver {
 public:
  BareAfPacket(int fd, uint8_t* ring, unsigned frames, uint16_t port) : socket_(fd), ring_(ring), frames_(frames), port_(port) {}
  ~BareAfPacket() override { munmap(ring_, octets_of(frames_)); }
  static constexpr uint32_t kFrameOctets = 9216;
  static size_t octets_of(unsigned frames) { return size_t{frames} * kFrameOctets; }

  unsigned take() override {
    unsigned of_v5 = 0, taken = 0;
    for (; taken < kBareBurst; ++taken) {
      uint8_t* const at = ring_ + size_t{next_} * kFrameOctets;
      auto& header = *reinterpret_cast<tpacket2_hdr*>(at);
      if ((__atomic_load_n(&header.tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
      of_v5 += is_export(at + header.tp_mac, header.tp_snaplen, port_) ? 1 : 0;
      __atomic_store_n(&header.tp_status, uint32_t{TP_STATUS_KERNEL}, __ATOMIC_RELEASE);
      next_ = next_ + 1 == frames_ ? 0 : next_ + 1;
    }
    if (taken == 0) wait_for_frames(socket_.fd);
    return of_v5;
  }

 private:
  Descriptor socket_;
  uint8_t* const ring_;
  const unsigned frames_;
  const uint16_t port_;
  unsigned next_ = 0;
};

/// One of an AF_XDP socket's rings; what the kernel says of its places.
template <class Entry>
struct Ring {
  uint32_t* producer = nullptr;
  uint32_t* consumer = nullptr;
  Entry* entries = nullptr;
  uint32_t mask = 0;

  bool map(int fd, uint32_t size, const xdp_ring_offset& at, off_t which) {
    void* const mapped = mmap(nullptr, at.desc + size * sizeof(Entry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, which);
    if (mapped == MAP_FAILED) return false;  // else it stays until the process ends
    auto* const octets = static_cast<uint8_t*>(mapped);
    producer = reinterpret_cast<uint32_t*>(octets + at.producer);
    consumer = reinterpret_cast<uint32_t*>(octets + at.consumer);
    entries = reinterpret_cast<Entry*>(octets + at.desc);
    mask = size - 1;
    return true;
  }
};

class BareAfXdp final : public BareReceiver {
 public:
  static constexpr uint32_t kFrameOctets = 2048;

  static Result<std::unique_ptr<BareReceiver>> open(const std::string& interface, uint16_t port, unsigned frames) {
    auto made = std::make_unique<BareAfXdp>(port);
    if (Result<void> set = made->set_up(interface, frames); !set) return set.error();
    return std::unique_ptr<BareReceiver>(std::move(made));
  }
  explicit BareAfXdp(uint16_t port) : port_(port) {}
  ~BareAfXdp() override {
    const RoleScope role(control_thread);
    steering_.reset();
  }

  unsigned take() override {
    const uint32_t there = __atomic_load_n(received_.producer, __ATOMIC_ACQUIRE) - taken_;
    if (there == 0) {
      wait_for_frames(socket_.fd);
      return 0;
    }
    const uint32_t count = std::min(there, kBareBurst);
    unsigned of_v5 = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const xdp_desc& frame = received_.entries[(taken_ + i) & received_.mask];
      of_v5 += is_export(memory_ + frame.addr, frame.len, port_) ? 1 : 0;
      free_.entries[(given_ + i) & free_.mask] = frame.addr;
    }
    __atomic_store_n(received_.consumer, taken_ += count, __ATOMIC_RELEASE);
    __atomic_store_n(free_.producer, given_ += count, __ATOMIC_RELEASE);
    return of_v5;
  }

 private:
  Result<void> set_up(const std::string& interface, unsigned frames) {
    const uint32_t room = 2 * frames;  // of which half is the kernel's while the ring is full
    socket_.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (socket_.fd < 0) return failed("AF_XDP");
    void* const mapped = mmap(nullptr, size_t{room} * kFrameOctets, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mapped == MAP_FAILED) return failed("AF_XDP: memory");
    memory_ = static_cast<uint8_t*>(mapped);
    xdp_umem_reg memory{};
    memory.addr = reinterpret_cast<uint64_t>(mapped);
    memory.len = uint64_t{room} * kFrameOctets;
    memory.chunk_size = kFrameOctets;
    xdp_mmap_offsets offsets{};
    socklen_t octets = sizeof offsets;
    if (setsockopt(socket_.fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) != 0 ||
        setsockopt(socket_.fd, SOL_XDP, XDP_UMEM_FILL_RING, &room, sizeof room) != 0 ||
        setsockopt(socket_.fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &room, sizeof room) != 0 ||
        setsockopt(socket_.fd, SOL_XDP, XDP_RX_RING, &frames, sizeof frames) != 0 ||
        getsockopt(socket_.fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &octets) != 0)
      return failed("AF_XDP: rings");
    if (!free_.map(socket_.fd, room, offsets.fr, static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING)) ||
        !received_.map(socket_.fd, frames, offsets.rx, XDP_PGOFF_RX_RING))
      return failed("AF_XDP: rings");
    for (uint32_t i = 0; i < room; ++i) free_.entries[i] = uint64_t{i} * kFrameOctets;
    __atomic_store_n(free_.producer, given_ = room, __ATOMIC_RELEASE);
    sockaddr_xdp at{};
    at.sxdp_family = AF_XDP;
    at.sxdp_flags = XDP_USE_NEED_WAKEUP;
    at.sxdp_ifindex = if_nametoindex(interface.c_str());
    if (bind(socket_.fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return failed("AF_XDP: " + interface);

    const RoleScope role(control_thread);
    auto steering = dataplane::XdpSteering::make(interface, dataplane::XdpScope::listeners);
    if (!steering) return steering.error();
    steering_ = std::move(*steering);
    const std::array<dataplane::Listener, 1> listeners{{{.name = "netflow", .port = port_, .route = {}, .rules = {}}}};
    if (Result<void> added = steering_->add_ports(listeners); !added) return added;
    if (Result<void> served = steering_->serve(0, socket_.fd); !served) return served;
    return steering_->attach();
  }

  const uint16_t port_;
  Descriptor socket_;
  uint8_t* memory_ = nullptr;
  Ring<uint64_t> free_;
  Ring<xdp_desc> received_;
  uint32_t taken_ = 0, given_ = 0;
  std::unique_ptr<dataplane::XdpSteering> steering_;
};

}  // namespace

Result<std::unique_ptr<BareReceiver>> open_bare_socket(const std::string& address, uint16_t port, int buffer_octets) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("socket");
  auto made = std::make_unique<BareSocket>(fd);
  const int yes = 1;
  const timeval patience{.tv_sec = 0, .tv_usec = kPollMs * 1000};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &at.sin_addr);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_octets, sizeof buffer_octets) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    return failed(address);
  return std::unique_ptr<BareReceiver>(std::move(made));
}

Result<std::unique_ptr<BareReceiver>> open_bare_af_packet(const std::string& interface, uint16_t port, unsigned frames) {
  Descriptor held(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (held.fd < 0) return failed("AF_PACKET");
  const int version = TPACKET_V2;
  constexpr uint32_t kFramesOfBlock = 4;
  tpacket_req ring{};
  ring.tp_frame_size = BareAfPacket::kFrameOctets;
  ring.tp_block_size = kFramesOfBlock * ring.tp_frame_size;
  ring.tp_frame_nr = frames;
  ring.tp_block_nr = frames / kFramesOfBlock;
  if (setsockopt(held.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      setsockopt(held.fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0)
    return failed("AF_PACKET: ring");
  void* const mapped =
      mmap(nullptr, BareAfPacket::octets_of(frames), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, held.fd, 0);
  if (mapped == MAP_FAILED) return failed("AF_PACKET: ring");
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ETH_P_ALL);
  at.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (bind(held.fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return failed("AF_PACKET: " + interface);
  const int fd = std::exchange(held.fd, -1);
  return std::unique_ptr<BareReceiver>(std::make_unique<BareAfPacket>(fd, static_cast<uint8_t*>(mapped), frames, port));
}

Result<std::unique_ptr<BareReceiver>> open_bare_af_xdp(const std::string& interface, uint16_t port, unsigned frames) {
  return BareAfXdp::open(interface, port, frames);
}

}  // namespace weir::perf

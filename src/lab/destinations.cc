// Where generated datagrams go: a UDP socket, or a capture.
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "lab/capture_file.h"
#include "lab/destination_parts.h"
#include "lab/frame_builder.h"
#include "lab/generator.h"

namespace weir::lab {
namespace {

constexpr uint16_t kExporterPort = 50'000;  // of exporters in captures
constexpr int kSendBufferBytes = 4 << 20;
constexpr size_t kSendBatchMax = 64;
constexpr int kBusyWaitMs = 100;
constexpr int kBusyTriesMax = 50;

// ---- UDP ---------------------------------------------------------------------------------------

class UdpDestination final : public Destination {
 public:
  UdpDestination(int fd, std::string target, uint32_t exporters)
      : fd_(fd), target_(std::move(target)), exporters_(exporters) {}
  ~UdpDestination() override { close(fd_); }
  UdpDestination(const UdpDestination&) = delete;
  UdpDestination& operator=(const UdpDestination&) = delete;

  bool in_real_time() const noexcept override { return true; }

  void send(std::span<const OutgoingDatagram> batch, GeneratorReport& report) override {
    while (!batch.empty()) {
      const size_t some = std::min(batch.size(), kSendBatchMax);
      send_some(batch.first(some), report);
      batch = batch.subspan(some);
    }
  }

  void finish(GeneratorReport& report) override {
    int pending = 0;
    socklen_t length = sizeof pending;
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &pending, &length) == 0 && pending == ECONNREFUSED) {
      note_refused(report);
    }
  }

 private:
  void note_refused(GeneratorReport& report) {
    ++report.refused;
    note_error(report, fmt::format("{}: nothing listens there (port unreachable)", target_));
  }

  void send_some(std::span<const OutgoingDatagram> batch, GeneratorReport& report) {
    for (size_t i = 0; i < batch.size(); ++i) fill(i, batch[i]);
    size_t at = 0;
    int busy = 0;
    while (at < batch.size()) {
      const int sent =
          sendmmsg(fd_, messages_.data() + at, static_cast<unsigned>(batch.size() - at), 0);
      if (sent > 0) {
        for (int i = 0; i < sent; ++i) count_sent(batch[at++], report);
        busy = 0;
        continue;
      }
      if (errno == EINTR) continue;
      if (errno == ECONNREFUSED) {  // an earlier one's; this one has not been sent yet
        note_refused(report);
        continue;
      }
      if ((errno == ENOBUFS || errno == EAGAIN) && ++busy < kBusyTriesMax) {
        pollfd p{fd_, POLLOUT, 0};
        poll(&p, 1, errno == ENOBUFS ? 1 : kBusyWaitMs);
        continue;
      }
      ++report.failed;
      note_error(report, fmt::format("{}: datagram of {} octets: {}", target_,
                                     batch[at].content.octets.size(), std::strerror(errno)));
      ++at;
    }
  }

  void fill(size_t i, const OutgoingDatagram& d) {
    // The kernel only reads it; iovec has no const.
    vectors_[i] = {const_cast<uint8_t*>(d.content.octets.data()), d.content.octets.size()};
    msghdr& header = messages_[i].msg_hdr;
    header = {};
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    if (exporters_ > 1) set_source(header, controls_[i], kLoopbackExporters + d.exporter);
  }

  struct alignas(cmsghdr) Control {
    char octets[CMSG_SPACE(sizeof(in_pktinfo))];
  };

  static void set_source(msghdr& header, Control& control, uint32_t host_order) {
    header.msg_control = control.octets;
    header.msg_controllen = sizeof control.octets;
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(host_order);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
  }

  const int fd_;
  const std::string target_;
  const uint32_t exporters_;
  std::array<mmsghdr, kSendBatchMax> messages_{};
  std::array<iovec, kSendBatchMax> vectors_{};
  std::array<Control, kSendBatchMax> controls_{};
};

// ---- Capture -----------------------------------------------------------------------------------

IpAddress exporter_v6(uint32_t i) {
  uint8_t octets[16] = {0x20, 0x01, 0x0d, 0xb8};
  store_be32(octets + 12, i + 1);
  return IpAddress::from_v6(octets);
}

class CaptureDestination final : public Destination {
 public:
  CaptureDestination(CaptureWriter writer, const SocketAddress& target)
      : writer_(std::move(writer)), target_(target) {}

  bool in_real_time() const noexcept override { return false; }

  void send(std::span<const OutgoingDatagram> batch, GeneratorReport& report) override {
    for (const OutgoingDatagram& d : batch) {
      const Address src =
          target_.address.is_v4() ? exporter_address_v4(d.exporter) : exporter_v6(d.exporter);
      const Octets frame = udp_frame(
          {.src = src, .dst = target_.address, .src_port = kExporterPort, .dst_port = target_.port},
          d.content.octets);
      if (const Result<void> written = writer_.write(frame, d.time_ns); !written) {
        ++report.failed;
        note_error(report, written.error().message);
        continue;
      }
      count_sent(d, report);
    }
  }

  void finish(GeneratorReport& report) override {
    if (const Result<void> closed = writer_.close(); !closed) {
      ++report.failed;  // at least the last ones
      note_error(report, closed.error().message);
    }
  }

 private:
  CaptureWriter writer_;
  const SocketAddress target_;
};

}  // namespace

Result<std::unique_ptr<Destination>> open_udp_destination(const std::string& host_port,
                                                          uint32_t& exporters) {
  const Result<Target> found = find_target(host_port, SOCK_DGRAM);
  if (!found) return found.error();
  const int fd = socket(found->family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{fmt::format("{}: no socket: {}", host_port, std::strerror(errno))};
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  // Connected, so that a closed port is told to us.
  if (connect(fd, found->address(), found->length) != 0) {
    const Error error{fmt::format("{}: {}", host_port, std::strerror(errno))};
    close(fd);
    return error;
  }
  if (!found->is_loopback_v4()) exporters = std::min(exporters, 1u);
  return std::unique_ptr<Destination>(std::make_unique<UdpDestination>(fd, host_port, exporters));
}

Result<std::unique_ptr<Destination>> open_capture_destination(const std::string& path,
                                                              const SocketAddress& target) {
  Result<CaptureWriter> writer = CaptureWriter::create(path, packet::LinkType::ethernet);
  if (!writer) return writer.error();
  return std::unique_ptr<Destination>(
      std::make_unique<CaptureDestination>(std::move(*writer), target));
}

}  // namespace weir::lab

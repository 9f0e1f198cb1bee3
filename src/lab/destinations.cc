// Where generated datagrams go: a UDP socket, or a capture.
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/clock.h"
#include "lab/capture_file.h"
#include "lab/frame_builder.h"
#include "lab/generator.h"

namespace weir::lab {
namespace {

constexpr uint16_t kExporterPort = 50'000;  // of exporters in captures
constexpr int kSendBufferBytes = 4 << 20;
constexpr size_t kSendBatchMax = 64;
constexpr int kBusyWaitMs = 100;
constexpr int kBusyTriesMax = 50;

void count_sent(const OutgoingDatagram& d, GeneratorReport& report) {
  ++report.datagrams;
  report.template_datagrams += d.content.templates != 0;
  report.records += d.content.records;
  report.options_records += d.content.options_records;
  report.counter_samples += d.content.counter_samples;
  report.flow_octets += d.content.flow_octets;
  report.flow_packets += d.content.flow_packets;
  report.octets += d.content.octets.size();
}

void note_error(GeneratorReport& report, std::string what) {
  if (report.first_error.empty()) report.first_error = std::move(what);
}

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
    if (exporters_ > 1) set_source(header, controls_[i], 0x7f010001u + d.exporter);
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

bool is_loopback_v4(const addrinfo& a) {
  if (a.ai_family != AF_INET) return false;
  sockaddr_in in;
  std::memcpy(&in, a.ai_addr, sizeof in);
  return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

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
  const size_t colon = host_port.rfind(':');
  std::string host = host_port.substr(0, colon);
  const std::string port = colon == std::string::npos ? "" : host_port.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || port.empty() || (!bracketed && host.find(':') != std::string::npos)) {
    return Error{
        fmt::format("'{}' is not HOST:PORT, such as 127.0.0.1:2055 or [::1]:2055", host_port)};
  }
  uint32_t number = 0;
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (wrong != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65'535) {
    return Error{fmt::format("{}: port {} is not allowed; allowed: 1 to 65535", host_port, port)};
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int why = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); why != 0) {
    return Error{fmt::format("{}: {}", host_port, gai_strerror(why))};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);

  const int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{fmt::format("{}: no socket: {}", host_port, std::strerror(errno))};
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  // Connected, so that a closed port is told to us.
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
    const Error error{fmt::format("{}: {}", host_port, std::strerror(errno))};
    close(fd);
    return error;
  }
  if (!is_loopback_v4(*found)) exporters = std::min(exporters, 1u);
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

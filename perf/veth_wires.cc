#include "veth_wires.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/byte_order.h"
#include "base/clock.h"
#include "lab/exporter_model.h"

namespace weir::perf {
namespace {

constexpr size_t kTogether = 32;  // by one system call
constexpr size_t kDifferent = 256;
constexpr uint64_t kNapNs = 50 * kNsPerUs;
constexpr size_t kSequenceAt = 16;  // of the v5 header

bool done(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

std::string far_end(unsigned wire) { return fmt::format("far{}", wire); }
std::string mac_of(unsigned wire) { return fmt::format("02:00:00:00:01:{:02x}", wire); }

void keep_ipv6_silent() {
  for (const char* which : {"all", "default"})
    done(fmt::format("echo 1 >/proc/sys/net/ipv6/conf/{}/disable_ipv6", which));
}

/// A wire of copper would not carry what the sender left for a NIC to do.
bool leave_checksums_to_nobody(int fd, const std::string& interface) {
  ethtool_value off{.cmd = ETHTOOL_STXCSUM, .data = 0};
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&off);
  return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

class Sender {
 public:
  bool open(unsigned wires) {
    for (unsigned wire = 0; wire < wires; ++wire) {
      const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      const int octets = 8 << 20;
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(kWirePort);
      inet_pton(AF_INET, VethWires::address_of(wire).c_str(), &to.sin_addr);
      setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets);
      if (!leave_checksums_to_nobody(fd, far_end(wire)) ||
          connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
        return false;
      sockets_.push_back(fd);
      sequences_.push_back(0);
    }
    lab::ExporterModel exporter({.protocol = lab::ExportProtocol::netflow_v5, .flows = kWireRecords, .start_ns = wall_clock_ns()});
    for (size_t i = 0; i < kDifferent; ++i) exporter.next(wall_clock_ns(), datagrams_[i]);
    for (size_t i = 0; i < kTogether; ++i) {
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    return true;
  }

  VethWires::Sent send(const VethWires::Order& order) {
    VethWires::Sent sent;
    const uint64_t begin_ns = steady_clock_ns();
    for (;;) {
      sent.elapsed_ns = steady_clock_ns() - begin_ns;
      if (order.ns != 0 && sent.elapsed_ns >= order.ns) return sent;
      uint64_t due = order.datagrams != 0 ? order.datagrams - sent.datagrams : kTogether;
      if (due == 0) return sent;
      if (order.rate != 0) {
        const uint64_t allowed = sent.elapsed_ns * order.rate / kNsPerSec;  // some seconds of a million: no overflow
        if (allowed <= sent.datagrams) {
          const timespec nap{.tv_sec = 0, .tv_nsec = kNapNs};
          nanosleep(&nap, nullptr);
          continue;
        }
        due = std::min(due, allowed - sent.datagrams);
      }
      sent.datagrams += send_some(order.wire, std::min<uint64_t>(due, kTogether));
    }
  }

 private:
  uint64_t send_some(uint32_t wire, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      std::vector<uint8_t>& octets = datagrams_[next_++ % kDifferent].octets;
      store_be32(octets.data() + kSequenceAt, sequences_[wire]);
      sequences_[wire] += kWireRecords;
      parts_[i] = {.iov_base = octets.data(), .iov_len = octets.size()};
    }
    const int sent = sendmmsg(sockets_[wire], messages_.data(), static_cast<unsigned>(count), 0);
    const auto left = static_cast<uint32_t>(std::max(sent, 0));
    sequences_[wire] -= (static_cast<uint32_t>(count) - left) * kWireRecords;
    return left;
  }

  std::vector<int> sockets_;
  std::vector<uint32_t> sequences_;
  std::array<lab::ExportDatagram, kDifferent> datagrams_;
  std::array<mmsghdr, kTogether> messages_{};
  std::array<iovec, kTogether> parts_{};
  size_t next_ = 0;
};

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

/// What the sending process does from its fork on: says that it has a namespace, waits for its ends, then for orders.
[[noreturn]] void be_sender(unsigned wires, unsigned cpu, int orders, int answers) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1);
  pin_to(cpu);
  VethWires::Sent word;
  if (unshare(CLONE_NEWNET) != 0) _exit(1);
  keep_ipv6_silent();
  if (write(answers, &word, sizeof word) != sizeof word) _exit(1);
  VethWires::Order order;
  if (read(orders, &order, sizeof order) != sizeof order) _exit(1);
  Sender sender;
  word.datagrams = sender.open(wires) ? 1 : 0;
  if (write(answers, &word, sizeof word) != sizeof word) _exit(1);
  while (read(orders, &order, sizeof order) == sizeof order) {
    word = sender.send(order);
    if (write(answers, &word, sizeof word) != sizeof word) break;
  }
  _exit(0);
}

}  // namespace

std::string VethWires::interface_of(unsigned wire) { return fmt::format("near{}", wire); }
std::string VethWires::address_of(unsigned wire) { return fmt::format("198.18.{}.2", wire); }

Result<void> VethWires::give_address(unsigned wire) {
  if (!done(fmt::format("ip addr add {}/24 dev {}", address_of(wire), interface_of(wire))))
    return Error{interface_of(wire) + " gets no address"};
  return {};
}

Result<std::unique_ptr<VethWires>> VethWires::lay(unsigned wires, unsigned cpu) {
  if (wires > kWiresMax) return Error{"too many wires"};
  if (unshare(CLONE_NEWNET) != 0) return Error{fmt::format("no network namespace: {}", std::strerror(errno))};
  keep_ipv6_silent();
  int orders[2], answers[2];
  if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) return Error{"no pipes"};
  std::unique_ptr<VethWires> made(new VethWires());
  made->sender_ = fork();
  if (made->sender_ < 0) return Error{"no process"};
  if (made->sender_ == 0) {
    close(orders[1]);
    be_sender(wires, cpu, orders[0], answers[1]);
  }
  close(orders[0]);
  close(answers[1]);
  made->orders_ = orders[1];
  made->answers_ = answers[0];
  Sent word;
  if (read(made->answers_, &word, sizeof word) != sizeof word) return Error{"the sender has no network namespace"};
  const std::string there = fmt::format("nsenter -t {} -n ", made->sender_);
  for (unsigned i = 0; i < wires; ++i) {
    const std::string near = interface_of(i), far = far_end(i);
    if (!done(fmt::format("ip link add {} address {} numrxqueues 1 numtxqueues 1 type veth peer name {} numrxqueues 1 numtxqueues 1",
                          near, mac_of(i), far)) ||
        !done(fmt::format("ip link set {} netns {}", far, made->sender_)) || !done("ip link set " + near + " up") ||
        !done(there + "ip link set " + far + " up") || !done(there + fmt::format("ip addr add 198.18.{}.1/24 dev {}", i, far)) ||
        !done(there + fmt::format("ip neigh replace {} lladdr {} dev {} nud permanent", address_of(i), mac_of(i), far)))
      return Error{"no pair of interfaces (ip, nsenter)"};
  }
  const Sent opened = made->send({});
  if (opened.datagrams != 1) return Error{"the sender cannot send"};
  return made;
}

VethWires::~VethWires() {
  if (orders_ >= 0) close(orders_);
  if (answers_ >= 0) close(answers_);
  if (sender_ > 0) {
    kill(sender_, SIGKILL);
    waitpid(sender_, nullptr, 0);
  }
}

VethWires::Sent VethWires::send(const Order& order) {
  Sent sent;
  if (write(orders_, &order, sizeof order) != sizeof order || read(answers_, &sent, sizeof sent) != sizeof sent) return {};
  return sent;
}

}  // namespace weir::perf

#include "dataplane/xdp_steering.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::dataplane {
namespace {

constexpr uint32_t kUdpPorts = 65'536;
constexpr uint32_t kIndexOctets = 4;

void close_if_open(int& fd) noexcept {
  if (fd >= 0) close(fd);
  fd = -1;
}

Error other_program(const std::string& interface) {
  return Error{fmt::format("another XDP program is on interface {} (ip link set dev {} xdp off takes it away)", interface,
                           interface)};
}

}  // namespace

Error XdpSteering::error(std::string_view what, int number) const {
  return Error{fmt::format("interface {}: XDP {}: {}", interface_, what, std::strerror(number))};
}

Result<std::unique_ptr<XdpSteering>> XdpSteering::make(const std::string& interface, XdpScope scope) {
  std::unique_ptr<XdpSteering> made(new XdpSteering(interface));
  made->maps_.ports = bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_ports", kIndexOctets, kIndexOctets, kUdpPorts, nullptr);
  if (made->maps_.ports < 0) return made->error("map of ports", errno);
  if (scope == XdpScope::listeners) {
    made->maps_.of_others = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "weir_of_others", sizeof(XdpDatagram), sizeof(uint32_t),
                                           kXdpDatagramsMax, nullptr);
    if (made->maps_.of_others < 0) return made->error("map of fragments", errno);
    made->maps_.exporters =
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_exporters", kIndexOctets, kIndexOctets, kXdpSources, nullptr);
    if (made->maps_.exporters < 0) return made->error("map of exporters", errno);
  }
  made->maps_.sockets =
      bpf_map_create(BPF_MAP_TYPE_XSKMAP, "weir_sockets", kIndexOctets, kIndexOctets, kXdpQueuesMax, nullptr);
  if (made->maps_.sockets < 0) return made->error("map of sockets", errno);
  const std::vector<bpf_insn> code = xdp_program(scope, made->maps_);
  bpf_prog_load_opts options{};
  options.sz = sizeof options;
  options.expected_attach_type = BPF_XDP;
  made->program_ =
      bpf_prog_load(BPF_PROG_TYPE_XDP, "weir", "Apache-2.0", code.data(), code.size(), &options);
  if (made->program_ < 0) return made->error("program", errno);
  return made;
}

XdpSteering::~XdpSteering() {
  detach();
  close_if_open(program_);
  close_if_open(maps_.sockets);
  close_if_open(maps_.exporters);
  close_if_open(maps_.of_others);
  close_if_open(maps_.ports);
}

Result<void> XdpSteering::serve(uint32_t queue, int socket) {
  if (bpf_map_update_elem(maps_.sockets, &queue, &socket, BPF_ANY) != 0)
    return error(fmt::format("socket of queue {}", queue), errno);
  return {};
}

Result<void> XdpSteering::attach() {
  const unsigned index = if_nametoindex(interface_.c_str());
  if (index == 0) return error("interface", errno);
  link_ = bpf_link_create(program_, static_cast<int>(index), BPF_XDP, nullptr);
  if (link_ >= 0) return {};
  return errno == EBUSY || errno == EEXIST ? other_program(interface_) : error("program on it", errno);
}

void XdpSteering::detach() noexcept { close_if_open(link_); }

Result<void> XdpSteering::add_ports(std::span<const Listener> listeners) {
  for (const Listener& listener : listeners) {
    if (listener.port == 0 || is_taken_[listener.port]) continue;
    const uint32_t port = listener.port, yes = 1;
    if (bpf_map_update_elem(maps_.ports, &port, &yes, BPF_ANY) != 0)
      return error(fmt::format("UDP port {}", port), errno);
    is_taken_[port] = true;
  }
  return {};
}

Result<void> XdpSteering::keep_ports(std::span<const Listener> listeners) {
  std::array<bool, kUdpPorts> is_wanted{};
  uint32_t failed_port = 0;  // the first
  int failed_number = 0;
  for (const Listener& listener : listeners) is_wanted[listener.port] = true;
  for (uint32_t port = 1; port < kUdpPorts; ++port) {
    if (!is_taken_[port] || is_wanted[port]) continue;
    const uint32_t no = 0;
    if (bpf_map_update_elem(maps_.ports, &port, &no, BPF_ANY) == 0) {
      is_taken_[port] = false;
    } else if (failed_number == 0) {
      failed_port = port;
      failed_number = errno;
    }
  }
  if (failed_number != 0) return error(fmt::format("UDP port {} is kept from the kernel still", failed_port), failed_number);
  return {};
}

Result<void> XdpSteering::expect_free(const std::string& interface) {
  uint32_t program = 0;
  const int rc = bpf_xdp_query_id(static_cast<int>(if_nametoindex(interface.c_str())), 0, &program);
  if (rc == 0 && program != 0) return other_program(interface);
  return {};
}

Result<void> XdpSteering::clear(const std::string& interface) {
  const unsigned index = if_nametoindex(interface.c_str());
  const int rc = bpf_xdp_detach(static_cast<int>(index), 0, nullptr);
  if (rc != 0) return Error{fmt::format("interface {}: XDP program of the driver: {}", interface, std::strerror(-rc))};
  return {};
}

}  // namespace weir::dataplane

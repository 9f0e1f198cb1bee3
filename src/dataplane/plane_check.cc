#include "dataplane/plane_check.h"

#include <fmt/format.h>
#include <rte_config.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "dataplane/device_arguments.h"
#include "dataplane/hugepage_files.h"
#include "dataplane/pcap_file.h"
#include "dataplane/placement.h"
#include "dataplane/port_plan.h"
#include "dataplane/replica_check.h"
#include "dataplane/socket_group.h"

namespace weir::dataplane {
namespace {

constexpr uint16_t kQueuesMax = RTE_MAX_QUEUES_PER_PORT;
constexpr uint16_t kTapQueuesMax = 16;
constexpr uint16_t kAfPacketQueuesMax = 16;
constexpr uint16_t kRingQueuesMax = 16;

/// A number behind `key` in a file such as /proc/meminfo, in KiB; 0: not there.
uint64_t kib_in(const char* path, const char* key) {
  FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return 0;
  char line[256];
  unsigned long long kib = 0;
  const std::string pattern = fmt::format("{}: %llu kB", key);
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, pattern.c_str(), &kib) == 1) break;
  std::fclose(file);
  return kib;
}

uint64_t number_in(const std::filesystem::path& path) {
  FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return 0;
  unsigned long long value = 0;
  if (std::fscanf(file, "%llu", &value) != 1) value = 0;
  std::fclose(file);
  return value;
}

bool is_mounted(const char* type) {
  FILE* const file = std::fopen("/proc/mounts", "re");
  if (file == nullptr) return false;
  char line[1024];
  bool found = false;
  const std::string word = fmt::format(" {} ", type);
  while (!found && std::fgets(line, sizeof line, file) != nullptr)
    found = std::strstr(line, word.c_str()) != nullptr;
  std::fclose(file);
  return found;
}

/// Files or interfaces that net_pcap reads, a queue each; 0: another driver.
size_t pcap_sources(const DeviceSpec& spec) {
  size_t sources = 0;
  if (spec.driver != "net_pcap") return 0;
  for (const char* key : {"rx_pcap", "rx_iface", "rx_iface_in", "iface"})
    sources += spec.values(key).size();
  return sources;
}

class Finder {
 public:
  Finder(const DataPlaneConfig& config, const Machine& machine)
      : config_(config), machine_(machine) {}

  std::vector<PlaneTrouble> find() && {
    if (config_.dpdk_ports.empty() && config_.socket_ports.empty()) add(PlaneKey::ports, 0, "no ports");
    if (config_.socket_ports.size() > Waiter::kFdsMax) {
      add(PlaneKey::ports, 0,
          fmt::format("{} kernel sockets, limit {}", config_.socket_ports.size(), Waiter::kFdsMax));
    }
    for (const unsigned cpu : config_.socket_lcores)
      if (!machine_.may_use_cpu(cpu)) add(PlaneKey::ports, 0, fmt::format("lcores of sockets: CPU {} cannot be used here", cpu));
    for (size_t i = 0; i < config_.dpdk_ports.size(); ++i) look_at(config_.dpdk_ports[i], i);
    for (InterfaceTrouble& trouble : find_interface_trouble(config_.dpdk_ports, machine_.interface))
      add(PlaneKey::device, trouble.port, std::move(trouble.what));
    for (MissingRight& missing : find_missing_rights(config_.dpdk_ports, config_.eal, machine_.rights))
      add(PlaneKey::device, missing.port, std::move(missing.what));
    if (!config_.dpdk_ports.empty()) {
      if (found_.empty()) place();
      look_at_memory();
    }
    return std::move(found_);
  }

 private:
  void add(PlaneKey key, size_t index, std::string what, bool may_pass = false) {
    found_.push_back({key, index, std::move(what), may_pass});
  }

  void look_at(const DpdkPort& port, size_t i) {
    const DeviceSpec spec = DeviceSpec::parse(port.device);
    if (spec.name.empty()) return add(PlaneKey::device, i, "no device");
    if (port.queues == 0) return add(PlaneKey::queues, i, "0 queues");
    if (std::string why = why_not_device(spec); !why.empty())
      return add(PlaneKey::device, i, fmt::format("{}: {}", spec.name, why));
    look_at_queues(port, spec, i);
    if (spec.is_pci) look_at_pci(spec, i);
    look_at_interfaces(spec, i);
    for (const std::string& path : spec.values("rx_pcap")) {
      const Result<PcapFile> file = look_at_pcap_file(path);
      if (!file) {
        add(PlaneKey::device, i, file.error().message);
      } else if (!file->has_packets && replays_for_ever(spec)) {
        add(PlaneKey::device, i, fmt::format("{}: no packets to replay for ever", path));
      }
    }
    if (spec.driver == "net_af_xdp" && !std::has_single_bit(rx_descriptors_of(port))) {
      add(PlaneKey::rx_descriptors, i,
          fmt::format("{} is not allowed: net_af_xdp wants a power of two", port.rx_descriptors));
    }
    if (port.mtu != 0 && !takes_mtu(spec))
      add(PlaneKey::device, i, fmt::format("mtu: {} goes by the MTU of its interface, if it has one (ip link set dev IFACE mtu {})", spec.driver, port.mtu));
    look_at_buffers(port, spec, i);
    if (port.exception.is_on()) look_at_exception(port, spec, i);
  }

  void look_at_exception(const DpdkPort& port, const DeviceSpec& spec, size_t i) {
    const std::string& name = port.exception.interface;
    const auto refuse = [&](std::string what) { add(PlaneKey::exception, i, std::move(what)); };
    if (std::string why = why_no_exceptions(spec); !why.empty()) return refuse(std::move(why));
    const auto [first, is_new] = exception_interfaces_.emplace(name, i);
    if (!is_new)
      return refuse(fmt::format("interface {} is port {}'s already", name, config_.dpdk_ports[first->second].name));
    const std::vector<std::string> own = spec.values("iface");
    if (spec.driver == "net_tap" && std::find(own.begin(), own.end(), name) != own.end())
      return refuse(fmt::format("interface {} is the device's own: name another", name));
    if (!machine_.may_make_taps) return refuse("/dev/net/tun is not there, or may not be opened (modprobe tun; DeviceAllow=)");
    const std::optional<InterfaceFacts> there = machine_.interface(name);
    if (there && !there->is_tap) {
      refuse(fmt::format("interface {} is there already, and is no TAP", name));
    } else if (!there && !machine_.rights.net_admin) {
      refuse(fmt::format("interface {}: who runs weir has no CAP_NET_ADMIN to make it (be root, AmbientCapabilities= in "
                         "the service, or make it beforehand: ip tuntap add {} mode tap user USER)",
                         name, name));
    }
  }

  void look_at_queues(const DpdkPort& port, const DeviceSpec& spec, size_t i) {
    const uint16_t queues = queues_of(port, spec);
    uint16_t limit = kQueuesMax;
    if (spec.driver == "net_tap") limit = kTapQueuesMax;
    if (spec.driver == "net_af_packet") limit = kAfPacketQueuesMax;
    if (spec.driver == "net_ring") limit = kRingQueuesMax;
    if (queues > limit) add(PlaneKey::queues, i, fmt::format("{} queues, limit {}", queues, limit));
    if (const uint32_t own = queues_in_device(spec); own != 0 && port.queues > 1 && port.queues != own) {
      add(PlaneKey::queues, i,
          fmt::format("queues: {}, and the device text has {}={}", port.queues, queues_argument(spec), own));
    }
    if (const size_t sources = pcap_sources(spec); sources != 0 && port.queues > sources) {
      add(PlaneKey::queues, i,
          fmt::format("{}: {} queues asked, it has {}: one for each file or interface", spec.name,
                      port.queues, sources));
    }
    if (port.lcores.size() > port.queues) {
      add(PlaneKey::lcores, i,
          fmt::format("{} lcores for {} queue{}", port.lcores.size(), port.queues,
                      port.queues == 1 ? "" : "s"));
    }
    look_at_cpus(port.lcores, PlaneKey::lcores, i);
    look_at_cpus(port.worker_lcores, PlaneKey::worker_lcores, i);
  }

  void look_at_cpus(const std::vector<unsigned>& cpus, PlaneKey key, size_t i) {
    for (const unsigned cpu : cpus)
      if (!machine_.may_use_cpu(cpu)) add(key, i, fmt::format("CPU {} cannot be used here", cpu));
  }

  void look_at_pci(const DeviceSpec& spec, size_t i) {
    std::error_code error;
    if (std::filesystem::exists("/sys/bus/pci/devices/" + spec.name, error)) return;
    add(PlaneKey::device, i, fmt::format("{}: no such device on this machine", spec.name));
  }

  void look_at_interfaces(const DeviceSpec& spec, size_t i) {
    const bool has_one = !interfaces_of(spec).empty();
    if (!has_one && (spec.driver == "net_af_packet" || spec.driver == "net_af_xdp"))
      add(PlaneKey::device, i, fmt::format("{}: iface=NAME is missing", spec.name));
    if (!has_one && spec.driver == "net_pcap" && spec.values("rx_pcap").empty())
      add(PlaneKey::device, i, fmt::format("{}: rx_pcap=FILE or iface=NAME is missing", spec.name));
  }

  void look_at_buffers(const DpdkPort& port, const DeviceSpec& spec, size_t i) {
    const uint32_t room = data_room(port, spec);
    const uint32_t room_max =
        spec.driver == "net_af_xdp" ? kAfXdpDataRoomOctets : kDataRoomOctetsMax;
    const uint32_t room_min = std::max(data_room_min(spec), kDataRoomOctetsMin);
    if (room_min > room_max) {
      add(PlaneKey::device, i,
          fmt::format("{}: frames of {} octets have no room in a buffer of {}", spec.name,
                      data_room_min(spec), room_max));
    } else if (room < room_min || room > room_max) {
      add(PlaneKey::data_room, i,
          fmt::format("data room of {} octets, allowed {} to {} with {}", room, room_min, room_max,
                      spec.is_pci ? spec.name : spec.driver));
    }
    if (const uint32_t least = pool_mbufs_min(port, spec); port.mbufs != 0 && port.mbufs < least) {
      add(PlaneKey::mbufs, i,
          fmt::format("{} are too few: rings and bursts of {} need at least {} (0: as many as are "
                      "needed)",
                      port.mbufs, spec.is_pci ? spec.name : spec.driver, least));
    }
  }

  void place() {
    if (config_.eal.main_lcore && !machine_.may_use_cpu(*config_.eal.main_lcore)) {
      add(PlaneKey::main_lcore, 0, fmt::format("CPU {} cannot be used here", *config_.eal.main_lcore));
    }
    std::vector<PortDemand> demands;
    for (const DpdkPort& port : config_.dpdk_ports) demands.push_back(demand_of(port));
    const auto placed = place_cores(demands, config_.eal.main_lcore, machine_.cpus, {}, config_.socket_lcores);
    if (!placed) add(PlaneKey::ports, 0, placed.error().message);
  }

  void look_at_memory() {
    uint64_t octets = kEalOctets;
    for (const DpdkPort& port : config_.dpdk_ports)
      octets += memory_octets(port, config_.eal.hugepages);
    const uint64_t asked = uint64_t{config_.eal.memory_mb} << 20;
    const auto mib = [](uint64_t n) { return n >> 20; };
    if (octets >= asked && found_.empty()) {
      add(PlaneKey::memory_mb, 0,
          fmt::format("{} MiB, and the ports' mbufs take about {} MiB", config_.eal.memory_mb,
                      mib(octets) + 1));
    }
    if (config_.eal.hugepages) {
      if (machine_.hugepage_octets == 0) {
        add(PlaneKey::hugepages, 0,
            "this machine has none reserved (scripts/hugepages/reserve.sh --count N; or hugepages: "
            "false)");
      } else if (asked > machine_.hugepage_octets) {
        add(PlaneKey::memory_mb, 0,
            fmt::format("{} MiB asked, {} MiB of hugepages are reserved", config_.eal.memory_mb,
                        mib(machine_.hugepage_octets)));
      } else if (asked > hugepage_octets_to_have()) {
        add(PlaneKey::memory_mb, 0,
            fmt::format("{} MiB asked, {} MiB of hugepages are free", config_.eal.memory_mb,
                        mib(hugepage_octets_to_have())),
            true);
      } else if (!config_.eal.file_prefix.empty() && !machine_.has_hugetlbfs) {
        add(PlaneKey::hugepages, 0,
            "no hugetlbfs is mounted, which file_prefix needs (mount -t hugetlbfs none /dev/hugepages)");
      }
      return;
    }
    // EAL takes what it is told and is killed later, when it uses it.
    if (machine_.memory_octets != 0 && asked > machine_.memory_octets) {
      add(PlaneKey::memory_mb, 0,
          fmt::format("{} MiB asked, this machine has {} MiB available in all",
                      config_.eal.memory_mb, mib(machine_.memory_octets)));
    } else if (machine_.memory_free_octets != 0 && asked > machine_.memory_free_octets) {
      add(PlaneKey::memory_mb, 0,
          fmt::format("{} MiB asked, {} MiB available", config_.eal.memory_mb,
                      mib(machine_.memory_free_octets)),
          true);
    }
  }

  /// Without a prefix EAL looks at no files.
  uint64_t hugepage_octets_to_have() const {
    return machine_.hugepage_free_octets + (config_.eal.file_prefix.empty() ? 0 : machine_.hugepage_abandoned_octets);
  }

  const DataPlaneConfig& config_;
  const Machine& machine_;
  std::map<std::string, size_t> exception_interfaces_;  // and their ports
  std::vector<PlaneTrouble> found_;
};

}  // namespace

Machine Machine::look() {
  Machine machine;
  machine.memory_octets = kib_in("/proc/meminfo", "MemTotal") << 10;
  machine.memory_free_octets = kib_in("/proc/meminfo", "MemAvailable") << 10;
  std::error_code error;
  std::filesystem::directory_iterator size("/sys/kernel/mm/hugepages", error);
  for (; !error && size != std::filesystem::directory_iterator(); size.increment(error)) {
    unsigned long long kib = 0;
    if (std::sscanf(size->path().filename().c_str(), "hugepages-%llukB", &kib) != 1) continue;
    machine.hugepage_octets += number_in(size->path() / "nr_hugepages") * (kib << 10);
    machine.hugepage_free_octets += number_in(size->path() / "free_hugepages") * (kib << 10);
  }
  machine.has_hugetlbfs = is_mounted("hugetlbfs");
  if (machine.has_hugetlbfs) machine.hugepage_abandoned_octets = abandoned_hugepage_octets();
  machine.may_make_taps = access("/dev/net/tun", R_OK | W_OK) == 0;
  machine.rights = Rights::of_this_process();
  machine.cpus = usable_cpus();
  machine.may_use_cpu = may_run_on;
  return machine;
}

Error PlaneTrouble::to_error(const DataPlaneConfig& config) const {
  const auto port = [&](const auto& ports) { return fmt::format("port {}: {}", ports[index].name, what); };
  switch (key) {
    case PlaneKey::device:
    case PlaneKey::queues:
    case PlaneKey::lcores:
    case PlaneKey::worker_lcores:
    case PlaneKey::rx_descriptors:
    case PlaneKey::mbufs:
    case PlaneKey::data_room: return Error{port(config.dpdk_ports)};
    case PlaneKey::exception:
      return Error{fmt::format("port {}: exception: {}", config.dpdk_ports[index].name, what)};
    case PlaneKey::socket: return Error{what};
    case PlaneKey::replicate: return Error{"replicate: " + what};
    case PlaneKey::memory_mb:
    case PlaneKey::hugepages:
    case PlaneKey::main_lcore: return Error{fmt::format("eal.{}: {}", name_of(key), what)};
    default: return Error{what};
  }
}

std::vector<PlaneTrouble> find_trouble(const DataPlaneConfig& config, const Machine& machine) {
  std::vector<PlaneTrouble> found = Finder(config, machine).find();
  for (ReplicaTrouble& trouble : find_replica_trouble(config, machine.rights))
    found.push_back({PlaneKey::replicate, trouble.target, std::move(trouble.what)});
  return found;
}

std::vector<PlaneTrouble> try_sockets(const DataPlaneConfig& config) {
  std::vector<PlaneTrouble> found;
  for (size_t i = 0; i < config.socket_ports.size(); ++i) {
    int number = 0;
    const auto opened = SocketGroup::open(config.socket_ports[i], {}, &number);
    if (!opened)
      found.push_back({PlaneKey::socket, i, opened.error().message, number == EADDRINUSE});
  }
  return found;
}

std::string why_without_end(const DataPlaneConfig& config) {
  if (!config.socket_ports.empty())
    return fmt::format("{} is a kernel socket", config.socket_ports.front().name);
  for (const DpdkPort& port : config.dpdk_ports) {
    const DeviceSpec spec = DeviceSpec::parse(port.device);
    if (!replays_files(spec)) return fmt::format("port {} replays no file", port.name);
    if (replays_for_ever(spec)) return fmt::format("port {} replays for ever (infinite_rx)", port.name);
  }
  return config.dpdk_ports.empty() ? "there is no port" : "";
}

}  // namespace weir::dataplane

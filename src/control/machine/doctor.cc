#include "control/machine/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <sstream>
#include <utility>

#include "base/clock.h"
#include "dataplane/device_name.h"
#include "service/log.h"

namespace weir::control {
namespace {

using nlohmann::json;
using Diagnosis = std::vector<DoctorFinding>;

constexpr uint64_t kKib = 1024, kMib = kKib * 1024;
constexpr uint64_t kStepRecentNs = 3600 * kNsPerSec;  // of the wall clock
constexpr const char* kIommuAdvice =
    "turn VT-d or AMD-Vi on in the firmware, and intel_iommu=on iommu=pt in the kernel's command line";

std::string list_of(const std::vector<unsigned>& numbers) {
  std::vector<std::string> words;
  for (const unsigned n : numbers) words.push_back(std::to_string(n));
  return service::joined(words);
}

/// As the kernel's command line and systemd want it.
std::string cpu_list_of(const std::vector<unsigned>& cpus) {
  std::string list;
  for (const unsigned cpu : cpus) {
    if (!list.empty()) list += ',';
    list += std::to_string(cpu);
  }
  return list;
}

std::vector<const PortConfig*> dpdk_ports(const ApplianceConfig& config) {
  std::vector<const PortConfig*> ports;
  for (const PortConfig& port : config.ports) {
    if (port.kind == PortKind::dpdk) ports.push_back(&port);
  }
  return ports;
}

std::set<unsigned> lcores_of(const ApplianceConfig& config) {
  std::set<unsigned> cpus;
  for (const PortConfig* port : dpdk_ports(config)) {
    cpus.insert(port->lcores.begin(), port->lcores.end());
    cpus.insert(port->worker_lcores.begin(), port->worker_lcores.end());
  }
  return cpus;
}

void look_at_hugepages(const HostFacts& facts, const ApplianceConfig& config, Diagnosis& out) {
  uint64_t total = 0, free = 0;
  for (const HugepageFacts& h : facts.hugepages) {
    total += h.total * h.page_kib * kKib;
    free += h.free * h.page_kib * kKib;
  }
  const std::string found = fmt::format("{} MiB reserved, {} MiB free", total / kMib, free / kMib);
  if (dpdk_ports(config).empty()) {
    return out.push_back({"hugepages", DoctorGrade::fine, found + "; socket ports need none", ""});
  }
  if (!config.eal.hugepages) {
    return out.push_back({"hugepages", DoctorGrade::note, found + ", and eal.hugepages is false",
                          "for a NIC at line rate: eal: {hugepages: true}"});
  }
  const uint64_t needed = uint64_t{config.eal.memory_mb} * kMib;
  if (free < needed) {
    // A running appliance has taken its own.
    const bool taken = total >= needed;
    return out.push_back(
        {"hugepages", taken ? DoctorGrade::note : DoctorGrade::wrong,
         fmt::format("{}; eal.memory_mb wants {} MiB{}", found, config.eal.memory_mb,
                     taken ? " (a running weir has its own already)" : ""),
         taken ? "/usr/lib/weir/hugepages/show.sh, where no weir runs: another program has them"
               : fmt::format("/usr/lib/weir/hugepages/reserve.sh --size 2M --count {} --persistent",
                             config.eal.memory_mb / 2 + config.eal.memory_mb % 2)});
  }
  out.push_back({"hugepages", DoctorGrade::fine, found, ""});
}

void look_at_devices(const HostFacts& facts, const ApplianceConfig& config, PciLookup pci, Diagnosis& out) {
  bool has_pci = false;
  for (const PortConfig* port : dpdk_ports(config)) {
    if (!dataplane::is_pci_address(port->device)) continue;
    has_pci = true;
    const std::string about = "port " + port->name;
    const PciFacts device = pci(port->device);
    if (!device.is_there) {
      out.push_back({about, DoctorGrade::wrong, fmt::format("there is no PCI device {}", port->device),
                     "/usr/lib/weir/nic/show.sh lists what there is"});
      continue;
    }
    if (device.driver != "vfio-pci" && device.driver != "uio_pci_generic" && device.driver != "igb_uio" &&
        !device.driver.starts_with("mlx")) {
      out.push_back({about, DoctorGrade::wrong,
                     fmt::format("{} belongs to {}", port->device,
                                 device.driver.empty() ? "no driver" : "the kernel's driver " + device.driver),
                     fmt::format("/usr/lib/weir/nic/bind.sh --persistent {}", port->device)});
    } else {
      out.push_back({about, DoctorGrade::fine, fmt::format("{} is bound to {}", port->device, device.driver), ""});
    }
    std::vector<unsigned> far;
    for (const auto* cpus : {&port->lcores, &port->worker_lcores}) {
      for (const unsigned cpu : *cpus) {
        const auto node = facts.node_of_cpu.find(cpu);
        if (device.node && node != facts.node_of_cpu.end() && node->second != *device.node) far.push_back(cpu);
      }
    }
    if (!far.empty()) {
      out.push_back({"numa", DoctorGrade::warning,
                     fmt::format("port {}: the NIC is on node {}, CPU {} of its lcores {} not", port->name,
                                 *device.node, list_of(far), far.size() == 1 ? "is" : "are"),
                     fmt::format("choose lcores of node {}: cat /sys/devices/system/node/node{}/cpulist",
                                 *device.node, *device.node)});
    }
  }
  if (!has_pci) return;
  if (!facts.has_vfio) {
    out.push_back({"vfio", DoctorGrade::wrong, "vfio-pci is not loaded",
                   "modprobe vfio-pci; echo vfio-pci > /etc/modules-load.d/vfio.conf"});
  }
  if (facts.has_iommu) {
    out.push_back({"iommu", DoctorGrade::fine, "the IOMMU is on", ""});
  } else if (facts.has_unsafe_vfio) {
    out.push_back({"iommu", DoctorGrade::note,
                   "there is none, and vfio goes without: the NIC may write to all of memory", kIommuAdvice});
  } else {
    out.push_back({"iommu", DoctorGrade::wrong, "there is none, or it is off: vfio-pci will refuse",
                   kIommuAdvice});
  }
}

void look_at_cpus(const HostFacts& facts, const ApplianceConfig& config, Diagnosis& out) {
  const std::set<unsigned> lcores = lcores_of(config);
  std::vector<unsigned> shared, slow;
  for (const unsigned cpu : lcores) {
    const auto& isolated = facts.isolated_cpus;
    if (std::find(isolated.begin(), isolated.end(), cpu) == isolated.end()) shared.push_back(cpu);
  }
  if (!lcores.empty() && !shared.empty()) {
    out.push_back({"cpu isolation", DoctorGrade::note,
                   fmt::format("CPU {} {} not isolated: the kernel runs other work there", list_of(shared),
                               shared.size() == 1 ? "is" : "are"),
                   fmt::format("isolcpus={0} nohz_full={0} in the kernel's command line",
                               cpu_list_of(shared))});
  } else {
    out.push_back({"cpu isolation", DoctorGrade::fine,
                   lcores.empty() ? "no lcores are named, so none need be isolated"
                                  : "lcores are isolated",
                   ""});
  }
  for (const auto& [cpu, governor] : facts.governors) {
    if (governor != "performance" && (lcores.empty() || lcores.contains(cpu))) slow.push_back(cpu);
  }
  if (!slow.empty()) {
    out.push_back({"governor", DoctorGrade::note,
                   fmt::format("CPU {} run{} under {}: the first packets of a burst meet a slow clock", list_of(slow),
                               slow.size() == 1 ? "s" : "", facts.governors.at(slow.front())),
                   "cpupower frequency-set -g performance"});
  } else {
    out.push_back({"governor", DoctorGrade::fine,
                   facts.governors.empty() ? "this machine has none to choose" : "performance", ""});
  }
  out.push_back({"encoder", facts.has_fast_encoder ? DoctorGrade::fine : DoctorGrade::note,
                 facts.has_fast_encoder ? "this CPU has AVX-512 VBMI2: the fast kernels are used"
                                        : "this CPU has no AVX-512 VBMI2: the portable kernels are used, at about half the speed",
                 facts.has_fast_encoder ? "" : "grep -c avx512_vbmi2 /proc/cpuinfo on others: Ice Lake, Zen 4 and what came later"});
}

void look_at_clock(const HostFacts& facts, Diagnosis& out) {
  if (facts.clock_is_synchronized == false) {
    out.push_back({"clock", DoctorGrade::warning,
                   "nothing keeps this machine's clock right: receive times, and what is told of exporters' clocks, are wrong",
                   "apt-get install chrony"});
  } else {
    out.push_back({"clock", facts.clock_is_synchronized ? DoctorGrade::fine : DoctorGrade::note,
                   facts.clock_is_synchronized ? "synchronised" : "cannot be asked",
                   facts.clock_is_synchronized ? "" : "timedatectl"});
  }
  if (!facts.clocksource.empty() && facts.clocksource != "tsc" && facts.clocksource != "kvm-clock" &&
      facts.clocksource != "arch_sys_counter") {
    out.push_back({"clocksource", DoctorGrade::warning,
                   facts.clocksource + ": each look at the clock is a trap", "clocksource=tsc in the kernel's command line"});
  }
}

void look_at_sockets(const HostFacts& facts, const ApplianceConfig& config, Diagnosis& out) {
  const auto plane = data_plane_config(config);
  uint64_t wanted = 0;
  for (const auto& socket : plane.socket_ports) {
    wanted = std::max<uint64_t>(wanted, socket.receive_buffer_octets == 0 ? dataplane::kReceiveBufferOctets
                                                                         : socket.receive_buffer_octets);
  }
  if (wanted == 0) return;
  if (facts.rmem_max != 0 && facts.rmem_max < wanted) {
    out.push_back({"socket buffers", DoctorGrade::warning,
                   fmt::format("net.core.rmem_max is {} octets, a listener wants {}: a burst overflows sooner",
                               facts.rmem_max, wanted),
                   fmt::format("echo 'net.core.rmem_max = {}' > /etc/sysctl.d/20-weir.conf && sysctl --system", wanted)});
  } else {
    out.push_back({"socket buffers", DoctorGrade::fine, fmt::format("net.core.rmem_max is {} octets", facts.rmem_max), ""});
  }
  if (facts.udp_buffer_errors != 0) {
    out.push_back({"kernel drops", DoctorGrade::note,
                   fmt::format("{} UDP datagrams of any program found a full buffer since the machine started",
                               facts.udp_buffer_errors),
                   "weirctl ports says which of them were Weir's: `missed`"});
  }
}

/// What is to be done about an interface that nothing comes by, or not all.
std::string port_advice(const std::string& trouble) {
  std::istringstream words(trouble);
  std::string first, name;
  words >> first >> name;
  if (first != "interface" || name.empty()) return "weirctl ports; ip link show";
  if (trouble.ends_with("is down")) return fmt::format("ip link set {} up", name);
  if (trouble.ends_with("has no carrier")) return fmt::format("ethtool {}: is the cable in, and its other end up?", name);
  if (trouble.find("receive queues") != std::string::npos)
    return "the number that it had (ethtool -L), or a configuration that serves them all, then systemctl restart weir (docs/PORTS.md#net_af_xdp)";
  if (trouble.find("made anew") != std::string::npos) return "systemctl restart weir";
  return fmt::format("ip link show {}", name);
}

/// What a device cannot do: what makes up for it.
std::string note_advice(const std::string& note) {
  static constexpr std::array<std::pair<std::string_view, const char*>, 9> kAdvice = {{
      {"NUMA node", "lcores of the device's node in that port (lscpu -e), more of its CPUs for weir, or the NIC in a slot of the other; buffers want hugepages there (hugepages/reserve.sh --node N)"},
      {"receive descriptors, and", "eal.memory_mb higher (weir check says what ports take): fewer descriptors mean shorter naps, and more CPU when idle"},
      {"time stamps", "compare time_received with what you know of; docs/PORTS.md says what is not verified"},
      {"RSS", "workers: N in that port keeps each exporter on one core; then systemctl restart weir (docs/PORTS.md#workers)"},
      {"rmem_max", "sysctl -w net.core.rmem_max=OCTETS, then systemctl restart weir"},
      {"no interrupts", "idle: adaptive costs the same here; vfio-pci (not UIO) has interrupts for each queue"},
      {"zero copy, not verified", "compare missed with ethtool -S; force_copy=1 in the device text goes without (docs/PORTS.md#net_af_xdp)"},
      {"no zero copy", "an interface whose driver has it, or the device itself by vfio-pci (docs/PORTS.md#net_af_xdp)"},
      {"count", "ip -s link and ethtool -S have the driver's own counters"},
  }};
  for (const auto& [word, advice] : kAdvice) {
    if (note.find(word) != std::string::npos) return advice;
  }
  return "weirctl ports; docs/PORTS.md says what devices can do";
}

void look_at_core_clock(const json& clock, Diagnosis& out) {
  const uint64_t steps = clock.at("steps"), losses = clock.at("losses");
  if (steps != 0) {
    // What was set right at the start stays so.
    const bool is_recent = clock.at("last_step_ago_ns").get<uint64_t>() < kStepRecentNs;
    out.push_back({"clock", is_recent ? DoctorGrade::warning : DoctorGrade::note,
                   fmt::format("the wall clock was set {} time{} while weir ran, last by {:+.3f} s: receive times jump there", steps,
                               steps == 1 ? "" : "s", static_cast<double>(clock.at("last_step_ns").get<int64_t>()) / 1e9),
                   "let chrony slew it (makestep only at the start)"});
  }
  const std::string why = clock.at("why").get<std::string>();
  if (why == "not_invariant") {
    out.push_back({"time stamp counter", DoctorGrade::note, "this CPU does not promise an even one: each burst asks the kernel for the time",
                   "of a virtual machine: pass the CPU's invtsc on"});
  } else if (losses != 0) {
    out.push_back({"time stamp counter", why == "given_up" ? DoctorGrade::warning : DoctorGrade::note,
                   fmt::format("disagreed with the kernel's clock {} time{}{}", losses, losses == 1 ? "" : "s",
                               why == "given_up" ? ", and is not used any more" : ""),
                   "dmesg | grep -i tsc; a migrated or suspended machine does it once"});
  }
}

void look_at_rights(const json& rights, Diagnosis& out) {
  const std::string user = rights.at("user").get<std::string>();
  if (rights.at("uid") == 0) {
    return out.push_back({"rights", DoctorGrade::note, "the running weir is root for good",
                          "user: weir in the configuration gives that up once ports are up; the service's unit starts as weir"});
  }
  std::vector<std::string> kept;
  for (const json& right : rights.at("kept"))
    kept.push_back(right.at("capability").get<std::string>() + " (" + right.at("why").get<std::string>() + ")");
  out.push_back({"rights", DoctorGrade::fine,
                 kept.empty() ? fmt::format("weir runs as {} without capabilities", user)
                              : fmt::format("weir runs as {}, and its control thread keeps {}", user, service::joined(kept)),
                 ""});
  std::vector<std::string> threads = rights.at("threads_with_more");
  if (!threads.empty()) {
    out.push_back({"rights", DoctorGrade::note, "threads that have capabilities: " + service::joined(threads),
                   "start it as root with `user`: then a library's have none, or at most what the control thread keeps"});
  }
}

}  // namespace

std::vector<DoctorFinding> diagnose_host(const HostFacts& facts, const ApplianceConfig& config,
                                         PciLookup pci) {
  Diagnosis out;
  look_at_hugepages(facts, config, out);
  look_at_devices(facts, config, pci, out);
  look_at_cpus(facts, config, out);
  look_at_clock(facts, out);
  look_at_sockets(facts, config, out);
  return out;
}

std::vector<DoctorFinding> diagnose_appliance(const nlohmann::json& status) {
  Diagnosis out;
  const auto text = [](const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  if (status.at("ready").get<bool>()) {
    out.push_back({"appliance", DoctorGrade::fine, fmt::format("weir {} runs and is ready", text(status.at("version"))), ""});
  } else {
    out.push_back({"appliance", DoctorGrade::wrong, "not ready: " + text(status.at("not_ready_because")), "weirctl ready; weirctl status"});
  }
  if (const auto rights = status.find("rights"); rights != status.end()) look_at_rights(*rights, out);
  for (const json& port : status.at("ports")) {
    const std::string about = "port " + text(port.at("name"));
    if (const std::string trouble = text(port.at("trouble")); !trouble.empty()) {
      out.push_back({about, DoctorGrade::wrong, trouble, port_advice(trouble)});
    }
    if (const json& exception = port.at("exception"); !exception.is_null() && !text(exception.at("trouble")).empty()) {
      out.push_back({about, DoctorGrade::wrong, text(exception.at("trouble")),
                     "nothing answers for the appliance's address on that wire: ip link show " +
                         text(exception.at("interface"))});
    }
    if (const json& exception = port.at("exception"); !exception.is_null() && exception.at("dropped") != 0) {
      out.push_back({about, DoctorGrade::warning,
                     fmt::format("interface {}: {} frames of the host's were dropped on their way to the wire",
                                 text(exception.at("interface")), text(exception.at("dropped"))),
                     "exception.to_wire_per_second higher, or 0; replicas by another interface, or a longer queue: ip link set " +
                         text(exception.at("interface")) + " txqueuelen 8000"});
    }
    // RSS that the device cannot do, counters that it has not.
    if (const std::string note = text(port.at("note")); !note.empty()) {
      const bool is_far = note.find("NUMA node") != std::string::npos;
      out.push_back({about, is_far ? DoctorGrade::warning : DoctorGrade::note, note, note_advice(note)});
    }
    const uint64_t missed = port.at("missed").is_null() ? 0 : port.at("missed").get<uint64_t>();
    const uint64_t packets = port.at("packets");
    if (missed != 0) {
      out.push_back({about, missed > packets / 1000 ? DoctorGrade::warning : DoctorGrade::note,
                     fmt::format("missed {} of {} packets", missed, missed + packets),
                     "more queues and lcores, rx_descriptors: 4096, or buffer_size of the listener"});
    }
  }
  if (status.contains("clock")) look_at_core_clock(status.at("clock"), out);
  for (const json& core : status.at("cores")) {
    const json& worker = core.at("worker");
    if (worker.is_null() || worker.at("full") == 0) continue;
    const uint64_t full = worker.at("full"), handed = worker.at("handed");
    out.push_back({text(core.at("serves")), full > handed / 1000 ? DoctorGrade::warning : DoctorGrade::note,
                   fmt::format("too far behind for {} of {} frames", full, full + handed),
                   "more workers, or a CPU of its own for each (worker_lcores)"});
  }
  for (const json& p : status.at("publishers")) {
    const std::string about = "publisher " + text(p.at("name"));
    if (text(p.at("state")) == "gone") continue;  // what it lost weirctl ledger says
    const std::string error = text(p.at("last_error"));
    const json& r = p.at("records");
    const uint64_t lost = r.at("failed").get<uint64_t>() + r.at("dropped").get<uint64_t>();
    if (!error.empty()) {
      out.push_back({about, DoctorGrade::wrong, error,
                     "weirctl publishers; it goes on by itself when the cause is gone: docs/DELIVERY.md"});
    }
    if (const std::string remark = p.value("remark", ""); !remark.empty()) {
      out.push_back({about, DoctorGrade::warning, remark,
                     "the others deliver; does the server, or the account, allow so many (nats_connections)?"});
    }
    if (lost != 0) {
      out.push_back({about, DoctorGrade::warning, fmt::format("{} records were lost", lost),
                     "weirctl ledger says why; drop_policy: spool keeps them on disk"});
    }
    if (error.empty() && lost == 0) {
      out.push_back({about, DoctorGrade::fine, fmt::format("{} records acknowledged, none lost", text(r.at("acknowledged"))), ""});
    }
  }
  return out;
}

}  // namespace weir::control

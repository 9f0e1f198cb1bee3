#include "dataplane/interface_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "dataplane/port_plan.h"

namespace weir::dataplane {
namespace {

/// An XDP socket takes what comes on its own receive queue only; the other queues' packets go to the
/// kernel without a word.
struct XdpUse {
  size_t first_port = 0;
  InterfaceFacts facts;
  std::map<uint32_t, size_t> port_of_queue;
  bool has_trouble = false;
};

/// A page less the kernel's headroom, its notes behind a frame, and the Ethernet header; some drivers take less.
constexpr uint32_t kXdpMtuMax = 4096 - 256 - 320 - 14;

/// What a port makes for itself alone: of two that name the same, one would never be given anything.
std::string own_thing(const DeviceSpec& spec) {
  const auto value = [&](const char* key, const char* fallback) {
    const std::vector<std::string> found = spec.values(key);
    return found.empty() ? std::string(fallback) : found.back();
  };
  if (spec.driver == "net_tap" && !spec.values("iface").empty()) return "interface " + value("iface", "");
  if (spec.driver == "net_vhost") return "socket " + value("iface", "");
  if (spec.driver == "net_memif")
    return fmt::format("socket {} with id {}", value("socket", "of the driver"), value("id", "0"));
  return {};
}

class Finder {
 public:
  Finder(std::span<const DpdkPort> ports, const InterfaceLookup& lookup)
      : ports_(ports), lookup_(lookup) {}

  std::vector<InterfaceTrouble> find() && {
    for (size_t i = 0; i < ports_.size(); ++i) look_at(i);
    for (const auto& [name, use] : xdp_) {
      look_at_cover(name, use);
      look_at_exceptions(name, use);
    }
    return std::move(found_);
  }

 private:
  void add(size_t port, std::string what) {
    found_.push_back({port, fmt::format("{}: {}", DeviceSpec::parse(ports_[port].device).name, what)});
  }

  void look_at(size_t i) {
    const DeviceSpec spec = DeviceSpec::parse(ports_[i].device);
    if (replays_files(spec)) return;
    if (const std::string own = own_thing(spec); !own.empty()) {
      const auto [first, is_new] = own_things_.emplace(own, i);
      if (!is_new) add(i, fmt::format("{} is port {}'s already", own, ports_[first->second].name));
    }
    for (const std::string& name : interfaces_of(spec)) {
      const std::optional<InterfaceFacts> facts = lookup_(name);
      if (!facts) {
        add(i, fmt::format("no interface {}", name));
      } else if (spec.driver == "net_af_xdp") {
        look_at_xdp(i, spec, name, *facts);
      } else if (const auto [first, is_new] = taps_.emplace(name, i); !is_new) {
        add(i, first->second == i
                   ? fmt::format("interface {} is named twice: each datagram would come twice", name)
                   : fmt::format("interface {} is read by port {} already: each datagram would come "
                                 "twice (queues: N spreads one port over several cores)",
                                 name, ports_[first->second].name));
      }
    }
  }

  void look_at_xdp(size_t i, const DeviceSpec& spec, const std::string& name,
                   const InterfaceFacts& facts) {
    if (facts.is_loopback) return add(i, fmt::format("interface {} is the loopback, which takes no "
                                                     "XDP socket",
                                                     name));
    XdpUse& use = xdp_.try_emplace(name, XdpUse{i, facts, {}, false}).first->second;
    const uint32_t start = first_queue(spec), count = queues_of(ports_[i], spec);
    const auto refuse = [&](std::string what) {
      use.has_trouble = true;
      add(i, std::move(what));
    };
    if (facts.mtu > kXdpMtuMax)
      return refuse(fmt::format("interface {} has an MTU of {}, and a driver takes an XDP program only where a frame fits into one page: up to some "
                                "{} (ip link set dev {} mtu 1500)",
                                name, facts.mtu, kXdpMtuMax, name));
    // XDP sees what is in the frame only: one of another VLAN would pass for one of none.
    if (facts.hides_vlan_tags && (!ports_[i].vlans.empty() || ports_[i].exception.vlan != 0))
      return refuse(fmt::format("interface {} takes VLAN tags off before AF_XDP sees them, and {} goes by them: ethtool -K {} rxvlan off", name,
                                ports_[i].vlans.empty() ? "exception.vlan" : "vlans", name));
    if (start >= facts.receive_queues || count > facts.receive_queues - start) {
      return refuse(fmt::format("queues {} to {} are asked, interface {} has {} (from 0)", start,
                                uint64_t{start} + count - 1, name, facts.receive_queues));
    }
    if (count > std::max(facts.combined_queues, 1u)) {
      return refuse(fmt::format(
          "{} queues in one port, and interface {} has {} combined ones, which the driver wants for "
          "that: a port for each, with start_queue=0, start_queue=1, …",
          count, name, facts.combined_queues));
    }
    for (uint32_t q = start; q < start + count; ++q) {
      const auto [first, is_new] = use.port_of_queue.emplace(q, i);
      if (!is_new) return refuse(fmt::format("queue {} of interface {} is served by port {} already", q,
                                             name, ports_[first->second].name));
    }
  }

  void look_at_cover(const std::string& name, const XdpUse& use) {
    const uint32_t queues = use.facts.receive_queues;
    if (use.has_trouble || use.port_of_queue.size() >= queues) return;
    const bool is_combined = use.facts.combined_queues == queues;
    add(use.first_port,
        fmt::format("interface {} has {} receive queues and {} of them would be served: what comes on "
                    "the others is not received (ethtool -L {} {} 1; or {})",
                    name, queues, use.port_of_queue.size(), name, is_combined ? "combined" : "rx",
                    is_combined ? fmt::format("queues: {}", queues)
                                : "a port for each queue, with start_queue=0, start_queue=1, …"));
  }

  /// An interface has one program. With an interface for what is no export traffic it gives its sockets everything, and
  /// what came by a port without one, or with another, would be lost to the host.
  void look_at_exceptions(const std::string& name, const XdpUse& use) {
    for (const auto& [queue, port] : use.port_of_queue) {
      if (!ports_[port].exception.is_on()) continue;
      const auto is_another = [own = port](const auto& served) { return served.second != own; };
      const auto other = std::find_if(use.port_of_queue.begin(), use.port_of_queue.end(), is_another);
      if (other == use.port_of_queue.end()) continue;
      return add(port, fmt::format("interface {} is port {}'s too: with an exception.interface a port must have all its queues, or what "
                                   "comes for the host on the others is lost ({}; or no exception)",
                                   name, ports_[other->second].name, one_port_for(name, use.facts)));
    }
  }
  static std::string one_port_for(const std::string& name, const InterfaceFacts& facts) {
    return facts.combined_queues == facts.receive_queues
               ? fmt::format("one port with queues: {}", facts.receive_queues)
               : fmt::format("one port, and one receive queue: ethtool -L {} rx 1", name);
  }

  std::span<const DpdkPort> ports_;
  const InterfaceLookup& lookup_;
  std::map<std::string, size_t> own_things_;
  std::map<std::string, size_t> taps_;  // interface, and the port that gets a copy of its packets
  std::map<std::string, XdpUse> xdp_;
  std::vector<InterfaceTrouble> found_;
};

}  // namespace

std::vector<InterfaceTrouble> find_interface_trouble(std::span<const DpdkPort> ports,
                                                     const InterfaceLookup& lookup) {
  return Finder(ports, lookup).find();
}

std::vector<InterfaceTrouble> find_interface_notes(std::span<const DpdkPort> ports) {
  std::map<std::string, std::vector<size_t>> xdp_ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    const DeviceSpec spec = DeviceSpec::parse(ports[i].device);
    if (spec.driver != "net_af_xdp") continue;
    for (const std::string& name : interfaces_of(spec)) xdp_ports[name].push_back(i);
  }
  std::vector<InterfaceTrouble> found;
  for (const auto& [name, sharing] : xdp_ports) {
    const bool joins = std::all_of(sharing.begin(), sharing.end(), [&](size_t i) {
      return ports[i].workers != 0 && ports[i].workers == ports[sharing.front()].workers &&
             !ports[i].worker_lcores.empty() && ports[i].worker_lcores == ports[sharing.front()].worker_lcores;
    });
    if (sharing.size() < 2 || joins) continue;
    for (const size_t i : sharing)
      found.push_back({i, fmt::format("other ports serve other queues of {}: one exporter's datagrams may meet several cores when its "
                                      "source port changes, unless all have the same worker_lcores",
                                      name)});
  }
  return found;
}

}  // namespace weir::dataplane

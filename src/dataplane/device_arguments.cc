#include "dataplane/device_arguments.h"

#include <fmt/format.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cctype>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

namespace weir::dataplane {
namespace {

enum class Kind : uint8_t {
  text,
  number,       // from, to
  flag,         // 0, 1
  yes_no,
  interface,    // there already; looked for elsewhere
  new_interface,
  mac,          // or `fixed`
  ring_node,    // NAME:NODE:CREATE|ATTACH
  file_to_read,
  file_to_write,
  socket_path,  // in a folder that is there
  role,
};

struct Argument {
  std::string_view key;
  Kind kind = Kind::text;
  uint32_t from = 0;
  uint32_t to = UINT32_MAX;
  bool may_repeat = false;
};

struct Driver {
  std::string_view name;
  std::span<const Argument> arguments;
};

constexpr uint32_t kAfPacketFrameOctetsMin = 128;  // with the kernel's own header
constexpr uint32_t kAfPacketFrameUnit = 16;
constexpr uint32_t kQueueNumberMax = 1024;

constexpr Argument kAfPacket[] = {{"iface", Kind::interface},
                                  {"qpairs", Kind::number, 1},
                                  {"blocksz", Kind::number, 1, 1u << 30},
                                  {"framesz", Kind::number, 1, 1u << 30},
                                  {"framecnt", Kind::number, 1, 1u << 24},
                                  {"qdisc_bypass", Kind::flag}};
constexpr Argument kAfXdp[] = {{"iface", Kind::interface},
                               {"start_queue", Kind::number},
                               {"queue_count", Kind::number, 1},
                               {"shared_umem", Kind::flag},
                               {"xdp_prog", Kind::file_to_read},
                               {"busy_budget", Kind::number, 0, UINT16_MAX},
                               {"force_copy", Kind::flag}};
constexpr Argument kPcap[] = {
    {"rx_pcap", Kind::text, 0, 0, true},  // looked into elsewhere
    {"tx_pcap", Kind::file_to_write, 0, 0, true},
    {"rx_iface", Kind::interface, 0, 0, true},
    {"rx_iface_in", Kind::interface, 0, 0, true},
    {"tx_iface", Kind::interface, 0, 0, true},
    {"iface", Kind::interface},
    {"phy_mac", Kind::flag},
    {"infinite_rx", Kind::flag}};
constexpr Argument kTap[] = {
    {"iface", Kind::new_interface}, {"mac", Kind::mac}, {"remote", Kind::interface}};
constexpr Argument kRing[] = {{"nodeaction", Kind::ring_node, 0, 0, true}};
constexpr Argument kNull[] = {
    {"size", Kind::number, 1}, {"copy", Kind::number}, {"no-rx", Kind::flag}};
constexpr Argument kMemif[] = {{"id", Kind::number},
                               {"role", Kind::role},
                               {"bsize", Kind::number, 1, UINT16_MAX},
                               {"rsize", Kind::number, 1, 14},
                               {"socket", Kind::text},
                               {"socket-abstract", Kind::yes_no},
                               {"mac", Kind::mac},
                               {"zero-copy", Kind::yes_no},
                               {"secret", Kind::text}};
constexpr Argument kVhost[] = {{"iface", Kind::socket_path},
                               {"queues", Kind::number, 1, kQueueNumberMax},
                               {"client", Kind::flag},
                               {"iommu-support", Kind::flag},
                               {"postcopy-support", Kind::flag},
                               {"tso", Kind::flag},
                               {"linear-buffer", Kind::flag},
                               {"ext-buffer", Kind::flag}};
constexpr Argument kVirtioUser[] = {{"path", Kind::text},
                                    {"mac", Kind::mac},
                                    {"cq", Kind::flag},
                                    {"queue_size", Kind::number, 1, 1u << 15},
                                    {"queues", Kind::number, 1, kQueueNumberMax},
                                    {"iface", Kind::text},
                                    {"server", Kind::flag},
                                    {"mrg_rxbuf", Kind::flag},
                                    {"in_order", Kind::flag},
                                    {"packed_vq", Kind::flag},
                                    {"speed", Kind::number},
                                    {"vectorized", Kind::flag}};
constexpr Argument kBonding[] = {{"slave", Kind::text, 0, 0, true},
                                 {"primary", Kind::text},
                                 {"mode", Kind::number, 0, 6},
                                 {"xmit_policy", Kind::text},
                                 {"agg_mode", Kind::text},
                                 {"socket_id", Kind::number},
                                 {"mac", Kind::mac},
                                 {"lsc_poll_period_ms", Kind::number},
                                 {"up_delay", Kind::number},
                                 {"down_delay", Kind::number}};
constexpr Driver kDrivers[] = {{"net_af_packet", kAfPacket}, {"net_af_xdp", kAfXdp},
                               {"net_pcap", kPcap},          {"net_tap", kTap},
                               {"net_ring", kRing},          {"net_null", kNull},
                               {"net_memif", kMemif},        {"net_vhost", kVhost},
                               {"net_virtio_user", kVirtioUser}, {"net_bonding", kBonding}};

void append(std::string& list, std::string_view word) {
  if (!list.empty()) list += ", ";
  list += word;
}

/// Decimal, whole, and nothing else.
std::optional<uint64_t> number_in(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

bool is_mac(std::string_view text) {
  if (text.size() != 17) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_right = i % 3 == 2 ? text[i] == ':' : std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
    if (!is_right) return false;
  }
  return true;
}

bool is_ring_node(std::string_view text) {
  const size_t first = text.find(':'), second = text.find(':', first + 1);
  if (first == 0 || first == std::string_view::npos || second == std::string_view::npos) return false;
  const std::string_view action = text.substr(second + 1);
  return number_in(text.substr(first + 1, second - first - 1)) && (action == "CREATE" || action == "ATTACH");
}

std::string why_not_folder_of(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return fmt::format("there is no folder {}", folder.string());
  if (access(folder.c_str(), W_OK | X_OK) != 0) return fmt::format("folder {} may not be written", folder.string());
  return {};
}

std::string why_not_file_to_write(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return "is a folder";
  if (!std::filesystem::exists(path, error)) return why_not_folder_of(path);
  return access(path.c_str(), W_OK) == 0 ? "" : "may not be written";
}

std::string why_not_new_interface(const std::string& name) {
  if (name.size() >= IFNAMSIZ) return fmt::format("is {} octets long, limit {}", name.size(), IFNAMSIZ - 1);
  if (name.find_first_of("/: \t") != std::string::npos) return "is no name of an interface";
  if (if_nametoindex(name.c_str()) != 0) return "is there already, and net_tap makes its own";
  return {};
}

std::string why_not_value(const Argument& argument, const std::string& value) {
  switch (argument.kind) {
    case Kind::text: return {};
    case Kind::number: {
      const std::optional<uint64_t> number = number_in(value);
      if (number && *number >= argument.from && *number <= argument.to) return {};
      if (argument.to == UINT32_MAX) return fmt::format("is not a number from {}", argument.from);
      return fmt::format("is not a number from {} to {}", argument.from, argument.to);
    }
    case Kind::flag: return value == "0" || value == "1" ? "" : "is neither 0 nor 1";
    case Kind::yes_no: return value == "yes" || value == "no" ? "" : "is neither yes nor no";
    case Kind::interface:
      if (value.size() < IFNAMSIZ) return {};
      return fmt::format("is {} octets long, limit {}", value.size(), IFNAMSIZ - 1);
    case Kind::new_interface: return why_not_new_interface(value);
    case Kind::mac: return value == "fixed" || is_mac(value) ? "" : "is not a MAC address";
    case Kind::ring_node: return is_ring_node(value) ? "" : "is not NAME:NODE:CREATE or NAME:NODE:ATTACH";
    case Kind::file_to_read: return access(value.c_str(), R_OK) == 0 ? "" : "cannot be read";
    case Kind::file_to_write: return why_not_file_to_write(value);
    case Kind::socket_path: return why_not_folder_of(value);
    case Kind::role: return value == "server" || value == "client" ? "" : "is neither server nor client";
  }
  return {};
}

std::string why_not_pair(const Driver& driver, const DeviceSpec& spec, std::string_view pair) {
  const size_t equals = pair.find('=');
  const std::string_view key = pair.substr(0, equals);
  const auto known = std::find_if(driver.arguments.begin(), driver.arguments.end(),
                                  [&](const Argument& argument) { return argument.key == key; });
  if (known == driver.arguments.end()) {
    std::string keys;
    for (const Argument& argument : driver.arguments) append(keys, argument.key);
    return fmt::format("{} has no argument `{}`; it takes {}", driver.name, key, keys);
  }
  if (equals == std::string_view::npos || equals + 1 == pair.size())
    return fmt::format("{} has no value", key);
  if (!known->may_repeat && spec.values(key).size() > 1)
    return fmt::format("{}= is there {} times, and may be once", key, spec.values(key).size());
  const std::string value(pair.substr(equals + 1));
  const std::string why = why_not_value(*known, value);
  return why.empty() ? why : fmt::format("{}={} {}", key, value, why);
}

/// The port has the name that the argument gives it, and Weir takes the one that the device is called.
std::string why_not_ring_nodes(const DeviceSpec& spec) {
  for (const std::string& node : spec.values("nodeaction")) {
    if (node.ends_with(":ATTACH"))
      return fmt::format("nodeaction={} takes a ring that is there, and no program has made one here yet", node);
    if (node.substr(0, node.find(':')) != spec.name) {
      return fmt::format("nodeaction={} makes a port of another name: write {}:NODE:CREATE", node, spec.name);
    }
  }
  return {};
}

std::string why_not_bond(const DeviceSpec& spec) {
  if (spec.values("slave").empty())
    return "slave=DEVICE is missing: a PCI address, or a virtual device that eal.extra_args makes";
  // LACP's own messages go out when the program sends, and Weir sends nothing.
  if (const auto mode = spec.values("mode"); !mode.empty() && mode.back() == "4")
    return "mode=4 (802.3ad) negotiates by sending, which Weir does not: nothing would be received";
  return {};
}

std::string why_not_rings(const DeviceSpec& spec) {
  const AfPacketRing ring = af_packet_ring(spec);
  const auto page = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  if (ring.frame_octets < kAfPacketFrameOctetsMin || ring.frame_octets % kAfPacketFrameUnit != 0) {
    return fmt::format("framesz={} is not a multiple of {} from {}", ring.frame_octets, kAfPacketFrameUnit,
                       kAfPacketFrameOctetsMin);
  }
  if (ring.block_octets % page != 0 || ring.block_octets % ring.frame_octets != 0) {
    return fmt::format("blocksz={} is not a multiple of a page ({}) and of framesz ({})", ring.block_octets,
                       page, ring.frame_octets);
  }
  const uint32_t of_a_block = ring.block_octets / ring.frame_octets;
  if (ring.frames % of_a_block != 0) {
    return fmt::format("framecnt={} is not a multiple of the {} frames in a block (blocksz/framesz)",
                       ring.frames, of_a_block);
  }
  return {};
}

/// The driver takes the first kind that it finds, and leaves the others aside.
std::string why_not_sources(const DeviceSpec& spec) {
  const bool has_files = !spec.values("rx_pcap").empty(), has_iface = !spec.values("iface").empty();
  const bool has_rx = !spec.values("rx_iface").empty() || !spec.values("rx_iface_in").empty();
  if (has_files + has_iface + has_rx > 1)
    return "rx_pcap=, iface= and rx_iface=/rx_iface_in= are there together: it would read one of them only";
  if (has_iface && (!spec.values("tx_pcap").empty() || !spec.values("tx_iface").empty()))
    return "iface= is for both ways: tx_pcap= and tx_iface= would be ignored";
  return {};
}

}  // namespace

std::string why_not_device(const DeviceSpec& spec) {
  if (spec.is_pci) return {};
  const auto driver = std::find_if(std::begin(kDrivers), std::end(kDrivers),
                                   [&](const Driver& known) { return known.name == spec.driver; });
  if (driver == std::end(kDrivers)) {
    std::string names;
    for (const Driver& known : kDrivers) append(names, known.name);
    return fmt::format("no such driver: a PCI address, or one of {}, and a number", names);
  }
  std::string_view rest = spec.arguments;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    if (std::string why = why_not_pair(*driver, spec, rest.substr(0, comma)); !why.empty()) return why;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  if (spec.driver == "net_af_packet") return why_not_rings(spec);
  if (spec.driver == "net_pcap") return why_not_sources(spec);
  if (spec.driver == "net_ring") return why_not_ring_nodes(spec);
  if (spec.driver == "net_bonding") return why_not_bond(spec);
  if (spec.driver == "net_vhost" && spec.values("iface").empty()) return "iface=SOCKET is missing";
  if (spec.driver == "net_virtio_user" && spec.values("path").empty()) return "path=SOCKET is missing";
  return {};
}

}  // namespace weir::dataplane

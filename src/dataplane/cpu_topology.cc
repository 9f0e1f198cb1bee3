#include "dataplane/cpu_topology.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>

namespace weir::dataplane {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<int> number_in(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return {};
  return value;
}

/// `0-2,8`, as the kernel writes it.
std::vector<unsigned> cpus_in(std::string_view text) {
  std::vector<unsigned> cpus;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const size_t dash = part.find('-');
    const std::optional<int> first = number_in(part);
    const std::optional<int> last = dash == std::string_view::npos ? first : number_in(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last >= CPU_SETSIZE) continue;
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<unsigned>(cpu));
  }
  return cpus;
}

/// A limit of this process's control group, or of one that it lies in.
bool has_quota(const fs::path& root) {
  const fs::path groups = root / "sys/fs/cgroup";
  if (const std::optional<int> us = number_in(first_line(groups / "cpu/cpu.cfs_quota_us")); us && *us > 0) return true;
  std::ifstream file(root / "proc/self/cgroup");
  std::string own = "/";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::/")) own = line.substr(3);
  fs::path at = fs::path(own).relative_path();
  for (int depth = 0; depth < 32; ++depth) {
    if (number_in(first_line(groups / at / "cpu.max"))) return true;  // else `max`, or there is none
    if (at.empty()) break;
    at = at.parent_path();
  }
  return false;
}

std::optional<unsigned> node_in(const fs::path& device) {
  const std::optional<int> node = number_in(first_line(device / "numa_node"));
  if (!node || *node < 0) return {};
  return static_cast<unsigned>(*node);
}

}  // namespace

CpuTopology CpuTopology::look(const fs::path& root) {
  CpuTopology found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/node", none)) {
    const std::string name = entry.path().filename();
    const std::optional<int> node = name.starts_with("node") ? number_in(std::string_view(name).substr(4)) : std::nullopt;
    if (!node) continue;
    for (const unsigned cpu : cpus_in(first_line(entry.path() / "cpulist"))) found.node_of_cpu[cpu] = static_cast<unsigned>(*node);
  }
  const fs::path cpus = root / "sys/devices/system/cpu";
  const std::vector<unsigned> online = cpus_in(first_line(cpus / "online"));
  found.online = online.size();
  for (const unsigned cpu : online) {
    const std::vector<unsigned> together =
        cpus_in(first_line(cpus / fmt::format("cpu{}", cpu) / "topology/thread_siblings_list"));
    if (!together.empty()) found.core_of_cpu[cpu] = together.front();
  }
  found.isolated = cpus_in(first_line(cpus / "isolated"));
  found.has_quota = dataplane::has_quota(root);
  return found;
}

std::optional<unsigned> CpuTopology::node_of(unsigned cpu) const {
  const auto at = node_of_cpu.find(cpu);
  if (at == node_of_cpu.end()) return {};
  return at->second;
}

size_t CpuTopology::nodes() const {
  std::set<unsigned> nodes;
  for (const auto& [cpu, node] : node_of_cpu) nodes.insert(node);
  return nodes.size();
}

std::optional<unsigned> node_of_pci(std::string_view address, const fs::path& root) {
  return node_in(root / "sys/bus/pci/devices" / address);
}

std::optional<unsigned> node_of_interface(std::string_view name, const fs::path& root) {
  return node_in(root / "sys/class/net" / name / "device");
}

}  // namespace weir::dataplane

// cpu_topology.h — What lies near what: CPUs and devices on NUMA nodes, CPUs that share a core, and what this process may
// use of them.
//
// Runs on:  start-up; reads small files under /proc and /sys.
// Failure:  what cannot be read is not known, and placement goes without it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::dataplane {

struct CpuTopology {
  std::map<unsigned, unsigned> node_of_cpu;
  std::map<unsigned, unsigned> core_of_cpu;  // by the first of the CPUs that share it
  std::vector<unsigned> isolated;            // from what the kernel spreads by itself
  size_t online = 0;                         // CPUs of the machine
  bool has_quota = false;                    // the process may use CPUs for part of the time only (cgroup)

  /// `root`: where / is, for tests.
  static CpuTopology look(const std::filesystem::path& root = "/");

  std::optional<unsigned> node_of(unsigned cpu) const;
  size_t nodes() const;
};

/// Of a PCI address, or of a kernel's interface.
std::optional<unsigned> node_of_pci(std::string_view address, const std::filesystem::path& root = "/");
std::optional<unsigned> node_of_interface(std::string_view name, const std::filesystem::path& root = "/");

}  // namespace weir::dataplane

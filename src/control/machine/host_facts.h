// host_facts.h — What a look at the machine tells of what a collector needs of it.
//
// Runs on:  any thread; reads small files under /proc and /sys, starts and writes nothing.
// Failure:  what cannot be read is not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weir::control {

struct HugepageFacts {
  unsigned node = 0;
  uint64_t page_kib = 0;
  uint64_t total = 0;
  uint64_t free = 0;
};

struct PciFacts {
  bool is_there = false;
  std::string driver;  // empty: none
  std::optional<unsigned> node;
};

struct HostFacts {
  std::vector<HugepageFacts> hugepages;
  bool has_iommu = false;
  bool has_vfio = false;  // vfio-pci is loaded
  bool has_unsafe_vfio = false;  // vfio without an IOMMU
  std::map<unsigned, unsigned> node_of_cpu;
  std::vector<unsigned> isolated_cpus;
  std::map<unsigned, std::string> governors;  // by CPU; none on most virtual machines
  std::string clocksource;
  std::optional<bool> clock_is_synchronized;
  bool has_fast_encoder = false;  // AVX-512 VBMI2
  uint64_t rmem_max = 0;          // net.core.rmem_max
  uint64_t udp_buffer_errors = 0;  // datagrams that found a socket's buffer full, since the machine started

  /// `root`: where / is, for tests.
  static HostFacts look(const std::filesystem::path& root = "/");
};

PciFacts pci_facts(const std::string& address, const std::filesystem::path& root = "/");

/// `0-2,8`: what the kernel's lists of CPUs say.
std::vector<unsigned> cpus_of_list(const std::string& text);

}  // namespace weir::control

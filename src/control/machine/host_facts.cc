#include "control/machine/host_facts.h"

#include <sys/timex.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace weir::control {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kCpusMax = 8192;  // of any list that is believed

std::string text_in(const fs::path& file) {
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

uint64_t number_in(const fs::path& file) { return number(text_in(file)).value_or(0); }

/// `node7` → 7.
std::optional<unsigned> number_behind(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  const auto value = number(std::string_view(name).substr(prefix.size()));
  if (!value || *value >= kCpusMax) return std::nullopt;
  return static_cast<unsigned>(*value);
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder, error)) entries.push_back(entry.path());
  return entries;
}

void look_at_nodes(const fs::path& nodes, HostFacts& facts) {
  for (const fs::path& folder : entries_of(nodes)) {
    const auto node = number_behind(folder.filename(), "node");
    if (!node) continue;
    for (const unsigned cpu : cpus_of_list(text_in(folder / "cpulist"))) facts.node_of_cpu[cpu] = *node;
    for (const fs::path& size : entries_of(folder / "hugepages")) {
      std::string name = size.filename();  // hugepages-2048kB
      if (name.size() > 2) name.resize(name.size() - 2);
      const std::string_view prefix = "hugepages-";
      const auto kib = name.starts_with(prefix) ? number(std::string_view(name).substr(prefix.size()))
                                                : std::nullopt;
      if (!kib) continue;
      facts.hugepages.push_back(
          {*node, *kib, number_in(size / "nr_hugepages"), number_in(size / "free_hugepages")});
    }
  }
}

/// A column of /proc/net/snmp, whose names stand a line above the numbers.
uint64_t udp_counter(const fs::path& file, std::string_view name) {
  std::ifstream in(file);
  std::string heads, values;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("Udp:")) continue;
    (heads.empty() ? heads : values) = line;
  }
  std::istringstream head(heads), value(values);
  for (std::string h, v; head >> h && value >> v;) {
    if (h == name) return number(v).value_or(0);
  }
  return 0;
}

std::optional<bool> synchronized_clock() {
  timex state{};
  const int status = adjtimex(&state);
  if (status == -1) return std::nullopt;
  return status != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

}  // namespace

std::vector<unsigned> cpus_of_list(const std::string& text) {
  std::vector<unsigned> cpus;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t dash = part.find('-');
    const auto first = number(std::string_view(part).substr(0, dash));
    const auto last = dash == std::string::npos ? first : number(std::string_view(part).substr(dash + 1));
    if (!first || !last || *last >= kCpusMax) continue;
    for (uint64_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<unsigned>(cpu));
  }
  return cpus;
}

PciFacts pci_facts(const std::string& address, const std::filesystem::path& root) {
  // lspci leaves out domain 0000.
  const std::string full = std::count(address.begin(), address.end(), ':') == 1 ? "0000:" + address : address;
  const fs::path device = root / "sys/bus/pci/devices" / full;
  std::error_code error;
  PciFacts facts;
  facts.is_there = fs::exists(device, error);
  if (const fs::path driver = fs::read_symlink(device / "driver", error); !error) facts.driver = driver.filename();
  // -1 where the machine has one node.
  if (const auto node = number(text_in(device / "numa_node"))) facts.node = static_cast<unsigned>(*node);
  return facts;
}

HostFacts HostFacts::look(const std::filesystem::path& root) {
  HostFacts facts;
  std::error_code error;
  const fs::path sys = root / "sys", proc = root / "proc";
  look_at_nodes(sys / "devices/system/node", facts);
  facts.has_iommu = !entries_of(sys / "class/iommu").empty();
  facts.has_vfio = fs::exists(sys / "module/vfio_pci", error);
  facts.has_unsafe_vfio =
      text_in(sys / "module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y";
  facts.isolated_cpus = cpus_of_list(text_in(sys / "devices/system/cpu/isolated"));
  for (const fs::path& folder : entries_of(sys / "devices/system/cpu")) {
    const auto cpu = number_behind(folder.filename(), "cpu");
    if (!cpu) continue;
    if (std::string governor = text_in(folder / "cpufreq/scaling_governor"); !governor.empty()) {
      facts.governors[*cpu] = std::move(governor);
    }
  }
  facts.clocksource = text_in(sys / "devices/system/clocksource/clocksource0/current_clocksource");
  facts.clock_is_synchronized = synchronized_clock();
  facts.has_fast_encoder = text_in(proc / "cpuinfo").find("avx512_vbmi2") != std::string::npos;
  facts.rmem_max = number_in(proc / "sys/net/core/rmem_max");
  facts.udp_buffer_errors = udp_counter(proc / "net/snmp", "RcvbufErrors");
  return facts;
}

}  // namespace weir::control

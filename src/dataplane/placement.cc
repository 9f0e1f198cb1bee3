#include "dataplane/placement.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace weir::dataplane {
namespace {

// The cores that serve CPUs named in the configuration; found again by the next port that names
// them.
class Builder {
 public:
  explicit Builder(Placement& placement) : placement_(placement) {}

  CorePlacement& named(unsigned cpu) {
    for (size_t i = 0; i < placement_.cores.size(); ++i)
      if (is_named_[i] && placement_.cores[i].cpu == cpu) return placement_.cores[i];
    return add(cpu, true);
  }
  CorePlacement& chosen(unsigned cpu) { return add(cpu, false); }

 private:
  CorePlacement& add(unsigned cpu, bool is_named) {
    is_named_.push_back(is_named);
    placement_.cores.push_back({.cpu = cpu, .queues = {}});
    return placement_.cores.back();
  }

  Placement& placement_;
  std::vector<bool> is_named_;
};

/// Which CPU comes next.
class CpuChooser {
 public:
  CpuChooser(std::span<const PortDemand> ports, unsigned main_cpu, std::span<const unsigned> usable,
             const CpuTopology& topology, std::span<const unsigned> named_elsewhere)
      : topology_(topology) {
    for (const unsigned cpu : usable) {
      const auto has = [cpu](std::span<const unsigned> cpus) { return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end(); };
      const bool is_named = has(named_elsewhere) || std::any_of(ports.begin(), ports.end(), [&](const PortDemand& port) {
        return has(port.lcores) || has(port.worker_lcores);
      });
      candidates_.push_back({.cpu = cpu, .is_main = cpu == main_cpu, .is_named = is_named, .is_isolated = has(topology.isolated)});
      if (is_named || cpu == main_cpu) ++busy_of_core_[core_of(cpu)];
    }
  }

  unsigned choose(std::optional<unsigned> node) {
    const auto rank = [&](const Candidate& c) {
      const std::optional<unsigned> own = topology_.node_of(c.cpu);
      const bool is_far = node && own && *own != *node;
      const auto busy = busy_of_core_.find(core_of(c.cpu));
      const bool is_shared = busy != busy_of_core_.end() && busy->second != 0;
      return std::tuple(c.used, c.is_main, c.is_named, is_far, !c.is_isolated, is_shared, c.cpu);
    };
    Candidate& best = *std::min_element(candidates_.begin(), candidates_.end(),
                                        [&](const Candidate& a, const Candidate& b) { return rank(a) < rank(b); });
    ++best.used;
    ++busy_of_core_[core_of(best.cpu)];
    return best.cpu;
  }

 private:
  struct Candidate {
    unsigned cpu = 0;
    bool is_main = false;
    bool is_named = false;
    bool is_isolated = false;
    unsigned used = 0;
  };
  unsigned core_of(unsigned cpu) const {
    const auto at = topology_.core_of_cpu.find(cpu);
    return at == topology_.core_of_cpu.end() ? cpu : at->second;
  }

  const CpuTopology& topology_;
  std::vector<Candidate> candidates_;
  std::map<unsigned, unsigned> busy_of_core_;
};

void note_crossing(Placement& placement, size_t place, const PortDemand& port, unsigned cpu, const CpuTopology& topology) {
  const std::optional<unsigned> own = topology.node_of(cpu);
  if (!port.node || !own || *own == *port.node) return;
  const NodeCrossing crossing{.port = place, .cpu = cpu, .cpu_node = *own, .port_node = *port.node};
  auto& all = placement.crossings;
  if (std::find(all.begin(), all.end(), crossing) == all.end()) all.push_back(crossing);
}

}  // namespace

Result<Placement> place_cores(std::span<const PortDemand> ports, std::optional<unsigned> main_cpu,
                              std::span<const unsigned> usable, const CpuTopology& topology,
                              std::span<const unsigned> named_elsewhere) {
  Placement placement;
  placement.main_cpu = main_cpu.value_or(usable.front());
  Builder builder(placement);
  CpuChooser chooser(ports, placement.main_cpu, usable, topology, named_elsewhere);
  for (size_t p = 0; p < ports.size(); ++p) {
    const PortDemand& port = ports[p];
    if (port.lcores.size() > port.queues)
      return Error{fmt::format("port {}: {} lcores for {} queue{}", port.name, port.lcores.size(),
                               port.queues, port.queues == 1 ? "" : "s")};
    const size_t first_core = placement.cores.size();
    for (uint16_t q = 0; q < port.queues; ++q) {
      CorePlacement* core;
      if (!port.lcores.empty()) {
        core = &builder.named(port.lcores[q % port.lcores.size()]);
      } else if (q < port.cores) {
        core = &builder.chosen(chooser.choose(port.node));
      } else {
        core = &placement.cores[first_core + q % port.cores];
      }
      core->queues.push_back({.port = p, .queue = q});
      note_crossing(placement, p, port, core->cpu, topology);
    }
    if (!port.worker_lcores.empty() && port.worker_lcores.size() != port.workers)
      return Error{fmt::format("port {}: {} worker_lcores for {} worker{}", port.name, port.worker_lcores.size(),
                               port.workers, port.workers == 1 ? "" : "s")};
    for (auto cpu = port.worker_lcores.begin(); cpu != port.worker_lcores.end(); ++cpu) {
      if (std::find(port.worker_lcores.begin(), cpu, *cpu) != cpu)
        return Error{fmt::format("port {}: CPU {} twice in worker_lcores", port.name, *cpu)};
    }
    for (uint16_t w = 0; w < port.workers; ++w) {
      CorePlacement& core =
          port.worker_lcores.empty() ? builder.chosen(chooser.choose(port.node)) : builder.named(port.worker_lcores[w]);
      core.works_as.push_back({.port = p, .worker = w});
      note_crossing(placement, p, port, core.cpu, topology);
    }
  }
  if (placement.cores.size() > kReceiveCoresMax)
    return Error{
        fmt::format("{} receive cores, limit {}", placement.cores.size(), kReceiveCoresMax)};
  return placement;
}

std::vector<unsigned> place_socket_threads(std::span<const unsigned> asked, size_t threads, const Placement& placement,
                                           std::span<const unsigned> usable, const CpuTopology& topology) {
  std::vector<unsigned> cpus;
  if (!asked.empty()) {
    for (size_t i = 0; i < threads; ++i) cpus.push_back(asked[i % asked.size()]);
    return cpus;
  }
  // CPUs that are isolated from everybody are not what this process was spared: it shares the others.
  const bool has_isolated = std::any_of(usable.begin(), usable.end(), [&](unsigned cpu) {
    return std::find(topology.isolated.begin(), topology.isolated.end(), cpu) != topology.isolated.end();
  });
  const size_t withheld = has_isolated ? 0 : topology.isolated.size();
  if (topology.has_quota || usable.size() + withheld >= topology.online) return {};
  const unsigned main_cpu = placement.cores.empty() ? usable.front() : placement.main_cpu;
  for (const unsigned cpu : usable) {
    const bool is_taken = std::any_of(placement.cores.begin(), placement.cores.end(),
                                      [cpu](const CorePlacement& core) { return core.cpu == cpu; });
    if (cpu != main_cpu && !is_taken && cpus.size() < threads) cpus.push_back(cpu);
  }
  return cpus.size() == threads ? cpus : std::vector<unsigned>{};
}

std::vector<unsigned> usable_cpus() {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0)
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

bool may_run_on(unsigned cpu) {
  if (cpu >= CPU_SETSIZE) return false;
  cpu_set_t before, wanted;
  if (pthread_getaffinity_np(pthread_self(), sizeof before, &before) != 0) return false;
  CPU_ZERO(&wanted);
  CPU_SET(cpu, &wanted);
  if (pthread_setaffinity_np(pthread_self(), sizeof wanted, &wanted) != 0) return false;
  pthread_setaffinity_np(pthread_self(), sizeof before, &before);
  return true;
}

}  // namespace weir::dataplane

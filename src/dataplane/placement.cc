#include "dataplane/placement.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>

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

}  // namespace

Result<Placement> place_cores(std::span<const PortDemand> ports, std::optional<unsigned> main_cpu,
                              std::span<const unsigned> usable) {
  Placement placement;
  placement.main_cpu = main_cpu.value_or(usable.front());

  // What no port named comes first, the main CPU last.
  std::vector<unsigned> order;
  const auto is_named = [&](unsigned cpu) {
    return std::any_of(ports.begin(), ports.end(), [&](const PortDemand& port) {
      return std::count(port.lcores.begin(), port.lcores.end(), cpu) +
                 std::count(port.worker_lcores.begin(), port.worker_lcores.end(), cpu) !=
             0;
    });
  };
  for (unsigned cpu : usable)
    if (cpu != placement.main_cpu && !is_named(cpu)) order.push_back(cpu);
  for (unsigned cpu : usable)
    if (cpu != placement.main_cpu && is_named(cpu)) order.push_back(cpu);
  order.push_back(placement.main_cpu);

  Builder builder(placement);
  size_t next = 0;
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
        core = &builder.chosen(order[next++ % order.size()]);
      } else {
        core = &placement.cores[first_core + q % port.cores];
      }
      core->queues.push_back({.port = p, .queue = q});
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
          port.worker_lcores.empty() ? builder.chosen(order[next++ % order.size()]) : builder.named(port.worker_lcores[w]);
      core.works_as.push_back({.port = p, .worker = w});
    }
  }
  if (placement.cores.size() > kReceiveCoresMax)
    return Error{
        fmt::format("{} receive cores, limit {}", placement.cores.size(), kReceiveCoresMax)};
  return placement;
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

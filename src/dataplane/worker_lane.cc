#include "dataplane/worker_lane.h"

#include <cassert>

namespace weir::dataplane {

bool Distributor::may_receive(bool is_patient) noexcept {
  for (const Outgoing& to : outgoing_)
    if ((is_patient || to.lane->worker_is_holding()) && !to.lane->has_room(kBurst)) return false;
  return true;
}

void Distributor::offer(const HandedFrame& frame, const IpAddress& source) noexcept {
  Outgoing& to = outgoing_[worker_of(source)];
  assert(to.count < kBurst);
  to.frames[to.count++] = frame;
}

size_t Distributor::end_burst(std::span<rte_mbuf*, kBurst> refused) noexcept {
  size_t count = 0;
  for (Outgoing& to : outgoing_) {
    if (to.count == 0) continue;
    const size_t taken = to.lane->give({to.frames.data(), to.count});
    for (size_t i = 0; i < to.count; ++i) {
      const HandedFrame& frame = to.frames[i];
      if (i < taken) {
        counters_.handed[frame.kind].increment();
        continue;
      }
      counters_.full[frame.kind].increment();
      refused[count++] = frame.mbuf;
    }
    to.count = 0;
  }
  return count;
}

}  // namespace weir::dataplane

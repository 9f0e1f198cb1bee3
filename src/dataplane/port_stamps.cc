#include "dataplane/port_stamps.h"

#include <fmt/format.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

namespace weir::dataplane {

void PortStamps::find(uint16_t port, std::string_view driver, Queues queues) {
  // net_pcap says nothing of being able to, and has what the file says.
  if (driver != "net_pcap" && !is_asked_) return;
  const int offset = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, nullptr);
  const int flag = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, nullptr);
  is_asked_ &= offset >= 0 && flag >= 0;
  if (offset < 0 || flag < 0) return;
  uint64_t ticks = 0;
  const StampKind kind = !is_asked_                       ? StampKind::file
                         : read_device_clock(port, ticks) ? StampKind::ticks
                                                          : StampKind::epoch;
  for (const std::unique_ptr<RxQueue>& queue : queues) {
    queue->stamp_offset = offset;
    queue->stamp_flag = uint64_t{1} << flag;
    queue->stamps.use(kind, kind == StampKind::ticks ? &clock_ : nullptr);
  }
}

void PortStamps::keep_time(uint16_t port, Queues queues, uint64_t steady_now_ns) noexcept {
  if (!is_asked_ || queues.front()->stamps.kind() != StampKind::ticks) return;
  clock_.step(steady_now_ns, [port](uint64_t& ticks) { return read_device_clock(port, ticks); });
}

std::string PortStamps::note(Queues queues) const {
  if (!is_asked_) return {};
  uint64_t refused = 0;
  for (const std::unique_ptr<RxQueue>& queue : queues) refused += queue->stamps.refused();
  const char* const by = queues.front()->stamps.kind() == StampKind::ticks ? "its own clock" : "a clock that PTP is to keep";
  if (refused == 0) return fmt::format("time stamps of the device, by {}, which are not verified on hardware", by);
  return fmt::format("time stamps of the device, by {}, which are not verified on hardware; {} were not credible, and the time of the burst stood in",
                     by, refused);
}

}  // namespace weir::dataplane

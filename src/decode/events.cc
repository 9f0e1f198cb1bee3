#include "decode/events.h"

#include "decode/decoder.h"

namespace weir::decode {

bool EventOutlet::emit(Event& event) noexcept {
  if (sink_ == nullptr) return true;
  event.at_ns = now_ns_;
  if (event.exporter_since_ns != 0) event.exporter_since_ns += wall_offset_ns_;
  const bool taken = sink_->on_event(event);
  (taken ? counters_.events : counters_.events_dropped).increment();
  return taken;
}

}  // namespace weir::decode

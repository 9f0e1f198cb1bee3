#include "dataplane/datagram_tap.h"

#include <algorithm>
#include <cstring>

namespace weir::dataplane {
namespace {

constexpr uint64_t kPacketOctetsMax = 65'535 + 40;
constexpr uint64_t kHeaderRoom = 60 + 8;  // the longest of IPv4, and UDP's

/// Longer headers, of IPv6 extensions, may make it too small; then what is missed is counted as for want of memory.
uint64_t octets_needed(const DatagramTape::Bounds& bounds) {
  const uint64_t datagrams = uint64_t{bounds.datagrams} + bounds.more_with_templates;
  const uint64_t packets = std::min<uint64_t>(bounds.payload_octets, datagrams * kPacketOctetsMax);
  return packets + datagrams * (sizeof(DatagramNote) + kHeaderRoom + alignof(DatagramNote));
}

}  // namespace

DatagramTape::DatagramTape(const Bounds& bounds, size_t octets_max)
    : bounds_(bounds),
      size_(std::min<uint64_t>(octets_needed(bounds), octets_max)),
      memory_(std::make_unique<uint8_t[]>(size_)) {}

void DatagramTape::record(const DatagramView& view, const DatagramOutcome& outcome) noexcept {
  const uint64_t wanted = bounds_.datagrams + (outcome.has_templates ? bounds_.more_with_templates : 0);
  if (datagrams_.value() >= wanted) return;  // what was asked for is there
  const size_t at = filled_.load(std::memory_order_relaxed);
  const size_t octets = (sizeof view.note + view.octets.size() + kAlign - 1) / kAlign * kAlign;
  // One that is missed is the last: a gap that only short datagrams fill would mislead.
  const bool is_beyond = view.note.payload_octets > bounds_.payload_octets - payload_octets_.value();
  if (missed_.value() != 0 || is_beyond || octets > size_ - at) {
    if (missed_.value() == 0) is_out_of_memory_.set(!is_beyond);
    missed_.increment();
    return;
  }
  uint8_t* const to = memory_.get() + at;
  DatagramNote note = view.note;
  note.has_templates = outcome.has_templates;
  std::memcpy(to, &note, sizeof note);
  if (!view.octets.empty()) std::memcpy(to + sizeof view.note, view.octets.data(), view.octets.size());
  filled_.store(at + octets, std::memory_order_release);
  payload_octets_.add(view.note.payload_octets);
  if (outcome.is_rejected) rejected_.increment();
  if (outcome.has_templates) with_templates_.increment();
  datagrams_.increment();
}

std::vector<DatagramView> DatagramTape::read() const {
  std::vector<DatagramView> views;
  const size_t end = filled_.load(std::memory_order_acquire);
  for (size_t at = 0; at < end;) {
    DatagramView view;
    std::memcpy(&view.note, memory_.get() + at, sizeof view.note);
    view.octets = {memory_.get() + at + sizeof view.note, view.note.kept_octets};
    views.push_back(view);
    at += (sizeof view.note + view.note.kept_octets + kAlign - 1) / kAlign * kAlign;
  }
  return views;
}

bool DatagramTap::matches(const Datagram& datagram, const DatagramOutcome& outcome) const noexcept {
  if (exporters.bits != 0 && !exporters.covers(datagram.source)) return false;
  if (listener && *listener != datagram.listener) return false;
  switch (wants) {
    case TapWants::rejected: return outcome.is_rejected;
    case TapWants::templates: return outcome.has_templates;
    default: return true;
  }
}

void DatagramTaps::offer(const Datagram& datagram, const Arrival& arrival,
                     const DatagramOutcome& outcome) const noexcept {
  for (size_t i = 0; i < count; ++i)
    if (taps[i].matches(datagram, outcome)) taps[i].tape->record(look_at(datagram, arrival), outcome);
}

}  // namespace weir::dataplane

#include "dataplane/replica_lane.h"

#include <cstring>
#include <new>
#include <utility>

namespace weir::dataplane {
namespace {

constexpr std::align_val_t kNoteAlign{alignof(ReplicaNote)};
static_assert(std::has_single_bit(ReplicaLane::kLaneOctets));

}  // namespace

void ReplicaLane::Free::operator()(uint8_t* memory) const noexcept { ::operator delete(memory, kNoteAlign); }

ReplicaLane::ReplicaLane(const ReplicaPlan& plan, Waker& consumer)
    : plan_(&plan),
      wanted_plan_(&plan),
      plan_in_use_(&plan),
      consumer_(consumer),
      octets_(static_cast<uint8_t*>(::operator new(kLaneOctets, kNoteAlign))) {}

/// A datagram lies in one piece: where it does not fit before the lane's end, it begins anew.
void ReplicaLane::copy(const Datagram& datagram, ReplicaMask targets) noexcept {
  const size_t octets = (sizeof(ReplicaNote) + datagram.payload.size() + sizeof(ReplicaNote) - 1) & ~(sizeof(ReplicaNote) - 1);
  size_t tail = tail_.load(std::memory_order_relaxed);
  const size_t to_end = kLaneOctets - (tail & (kLaneOctets - 1));
  const size_t skipped = octets > to_end ? to_end : 0;
  if (tail + skipped + octets - head_seen_ > kLaneOctets) {
    head_seen_ = head_.load(std::memory_order_acquire);
    if (tail + skipped + octets - head_seen_ > kLaneOctets) return count(no_room_, targets);
  }
  if (skipped != 0) {
    *note_at(tail) = {.octets = static_cast<uint32_t>(skipped)};
    tail += skipped;
  }
  ReplicaNote* const note = note_at(tail);
  *note = {.source = datagram.source,
           .octets = static_cast<uint32_t>(octets),
           .payload_octets = static_cast<uint16_t>(datagram.payload.size()),
           .source_port = datagram.source_port,
           .targets = targets};
  if (!datagram.payload.empty()) std::memcpy(note + 1, datagram.payload.data(), datagram.payload.size());
  tail_.store(tail + octets, std::memory_order_release);
  has_news_ = true;
}

const ReplicaNote* ReplicaLane::next(size_t& at) const noexcept {
  const size_t tail = tail_.load(std::memory_order_acquire);
  while (at != tail) {
    const ReplicaNote* const note = note_at(at);
    at += note->octets;
    if (note->targets != 0) return note;
  }
  return nullptr;
}

}  // namespace weir::dataplane

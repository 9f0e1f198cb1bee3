#include "dataplane/quarantine.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace weir::dataplane {

Quarantine::Quarantine() : rows_(kQuarantineRowsMax) { may_copy_.fill(kQuarantinePerReason); }

void Quarantine::copy(size_t reason, const Datagram& datagram, const Arrival& arrival) noexcept {
  --may_copy_[reason];
  const auto fault = static_cast<decode::Fault>(reason);
  QuarantinedDatagram& row =
      rows_[reason * kQuarantinePerReason + copied_[reason]++ % kQuarantinePerReason];
  const DatagramView view = look_at(datagram, arrival);
  row.reason = fault;
  row.note = view.note;
  row.note.kept_octets = static_cast<uint32_t>(std::min(view.octets.size(), kQuarantineOctets));
  if (row.note.kept_octets != 0)
    std::memcpy(row.octets.data(), view.octets.data(), row.note.kept_octets);
  counters_.copied[fault].increment();
}

bool Quarantine::answer_slice(QuarantineQuery& query) const noexcept {
  while (query.reason < kFaults) {
    const size_t reason = query.reason++;
    const size_t count = std::min<uint64_t>(copied_[reason], kQuarantinePerReason);
    if (count == 0) continue;
    assert(query.rows.size() - query.filled >= count);
    for (size_t i = 0; i < count; ++i)  // the oldest first
      query.rows[query.filled++] =
          rows_[reason * kQuarantinePerReason + (copied_[reason] - count + i) % kQuarantinePerReason];
    break;
  }
  return query.reason == kFaults;
}

}  // namespace weir::dataplane

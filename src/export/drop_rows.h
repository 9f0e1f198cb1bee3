// drop_rows.h — What a core's records were dropped for, by exporter and route, on its way to the control
// thread.
//
// Runs on:  add and flush: rx_lcore. take: control_thread.
// Bounds:   kDropRowsMax rows between two flushes; what finds no place counts under no exporter. Rows for
//           which the ring has no room wait for the next flush, so nothing is left out.
#pragma once

#include <array>
#include <cstdint>

#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "flow/export_header.h"

namespace weir::outbound {

/// Why a decoded record was not encoded.
#define WEIR_RECORD_DROPS(X) \
  X(no_buffer) X(record_too_large) X(filtered) X(rate_limited) X(dropped_by_rule) X(sampled_by_rule)
WEIR_NAMED_ENUM(RecordDrop, uint8_t, WEIR_RECORD_DROPS)

/// False where somebody wants it so.
constexpr bool is_loss(RecordDrop why) noexcept {
  return why != RecordDrop::filtered && why != RecordDrop::dropped_by_rule && why != RecordDrop::sampled_by_rule;
}

inline constexpr size_t kDropRowsMax = 256;

struct DropRow {
  IpAddress exporter;  // unspecified: of more than there was room for
  RouteId route;
  RecordDrop why = RecordDrop::count_;
  uint64_t records = 0;
};

class DropRows {
 public:
  void add(const IpAddress& exporter, RouteId route, RecordDrop why, uint64_t records) noexcept
      WEIR_RUNS_ON(rx_lcore) {
    for (size_t i = 0; i < count_; ++i) {
      DropRow& row = rows_[i];
      if (row.exporter == exporter && row.route == route && row.why == why) {
        row.records += records;
        return;
      }
    }
    if (count_ + kReserved < kDropRowsMax) {
      rows_[count_++] = {exporter, route, why, records};
    } else if (exporter != IpAddress{}) {
      add(IpAddress{}, RouteId{}, why, records);
    } else if (count_ < kDropRowsMax) {
      rows_[count_++] = {exporter, route, why, records};
    }
  }

  /// Hands the rows on, as far as there is room.
  void flush() noexcept WEIR_RUNS_ON(rx_lcore) {
    while (count_ != 0 && ring_.push(rows_[count_ - 1])) --count_;
  }

  bool take(DropRow& row) noexcept WEIR_RUNS_ON(control_thread) { return ring_.pop(row); }

 private:
  // Rows of no exporter always find a place: one for each reason.
  static constexpr size_t kReserved = static_cast<size_t>(RecordDrop::count_);

  std::array<DropRow, kDropRowsMax> rows_;
  size_t count_ = 0;
  SpscRing<DropRow> ring_{2 * kDropRowsMax};
};

}  // namespace weir::outbound

// loss_book.h — What a publisher lost, by exporter, route and reason.
//
// Runs on:  control_thread.
// Bounds:   kLossRowsMax rows; what finds no place is counted in one of no exporter for its route.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/ip_address.h"
#include "dataplane/ledger.h"
#include "export/outbound_batch.h"
#include "export/publisher.h"

namespace weir::control {

inline constexpr size_t kLossRowsMax = 8192;
inline constexpr size_t kLossRowsShown = 100;

struct LossRow {
  IpAddress exporter;  // unspecified: of more than the book can tell apart
  uint16_t route = 0;
  dataplane::Tally<outbound::DeliveryFailure> records;
};

class LossBook {
 public:
  void add(const outbound::OutboundBatch& batch, outbound::DeliveryFailure why);

  /// The rows of most records, at most kLossRowsShown.
  std::vector<LossRow> largest() const;
  size_t rows() const noexcept { return rows_.size(); }

 private:
  using Key = std::pair<IpAddress, uint16_t>;
  dataplane::Tally<outbound::DeliveryFailure>& row(const IpAddress& exporter, uint16_t route);

  std::map<Key, dataplane::Tally<outbound::DeliveryFailure>> rows_;
};

}  // namespace weir::control

#include "control/loss_book.h"

#include <algorithm>

namespace weir::control {

dataplane::Tally<outbound::DeliveryFailure>& LossBook::row(const IpAddress& exporter,
                                                           uint16_t route) {
  const auto found = rows_.find({exporter, route});
  if (found != rows_.end()) return found->second;
  return rows_[{rows_.size() < kLossRowsMax ? exporter : IpAddress{}, route}];
}

void LossBook::add(const outbound::OutboundBatch& batch, outbound::DeliveryFailure why) {
  uint64_t told = 0;
  for (const outbound::BatchOrigin& origin : batch.origin_room.first(batch.origins)) {
    row(origin.exporter, batch.route.value)[why] += origin.records;
    told += origin.records;
  }
  if (told < batch.records) row(IpAddress{}, batch.route.value)[why] += batch.records - told;
}

std::vector<LossRow> LossBook::largest() const {
  std::vector<LossRow> rows;
  rows.reserve(rows_.size());
  for (const auto& [key, records] : rows_) rows.push_back({key.first, key.second, records});
  const size_t shown = std::min(rows.size(), kLossRowsShown);
  std::partial_sort(
      rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end(),
      [](const LossRow& a, const LossRow& b) { return a.records.total() > b.records.total(); });
  rows.resize(shown);
  return rows;
}

}  // namespace weir::control

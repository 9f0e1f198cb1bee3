// loss_book.h — What was lost, by exporter, route and reason.
//
// Runs on:  control_thread.
// Bounds:   kLossRowsMax rows, and one of no exporter for each route, where the rest is counted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/ip_address.h"
#include "dataplane/ledger.h"
#include "flow/export_header.h"

namespace weir::control {

inline constexpr size_t kLossRowsMax = 8192;
inline constexpr size_t kLossRowsShown = 100;

template <class Reason>
struct LossRow {
  IpAddress exporter;  // unspecified: of more than the book can tell apart
  RouteId route;
  dataplane::Tally<Reason> records;
};

template <class Reason>
class LossBook {
 public:
  void add(const IpAddress& exporter, RouteId route, Reason why, uint64_t records) {
    const auto found = rows_.find({exporter, route.value});
    if (found != rows_.end()) {
      found->second[why] += records;
    } else {
      rows_[{rows_.size() < kLossRowsMax ? exporter : IpAddress{}, route.value}][why] += records;
    }
  }

  /// The rows of most records, at most kLossRowsShown.
  std::vector<LossRow<Reason>> largest() const {
    std::vector<LossRow<Reason>> rows;
    rows.reserve(rows_.size());
    for (const auto& [key, records] : rows_) {
      rows.push_back({key.first, RouteId{key.second}, records});
    }
    const size_t shown = std::min(rows.size(), kLossRowsShown);
    std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end(),
                      [](const auto& a, const auto& b) {
                        return a.records.total() > b.records.total();
                      });
    rows.resize(shown);
    return rows;
  }
  size_t rows() const noexcept { return rows_.size(); }

 private:
  std::map<std::pair<IpAddress, uint16_t>, dataplane::Tally<Reason>> rows_;
};

}  // namespace weir::control

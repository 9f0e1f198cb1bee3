// complete_sums.h — Sums are those of rows, whatever has become of either.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "store/rollups.h"
#include "store_database.h"

namespace weir::store {

/// Every view of every rollup says what its rows say.
inline void expect_complete(StoreDatabase& store, const std::string& when) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 3> kGrains = {{{"1m", 60'000'000}, {"1h", kMicrosPerHour}, {"1d", 24 * kMicrosPerHour}}};
  for (const RollupSpec& spec : rollup_specs()) {
    for (const auto& [grain, micros] : kGrains) {
      const std::string by = fmt::format("time, {}", spec.dimensions);
      const std::string of_rows = fmt::format(
          "SELECT make_timestamptz(epoch_us(time) // {0} * {0}) AS time, {1}, count(*)::HUGEINT AS f, sum(bytes_total) AS b, sum(packets_total) AS p,"
          " sum(bytes_raw) AS br, coalesce(sum(packets_raw), 0) AS pr FROM flow_rows{2} GROUP BY ALL",
          micros, spec.dimensions, spec.condition.empty() ? "" : fmt::format(" WHERE {}", spec.condition));
      const std::string of_view = fmt::format("SELECT {}, sum(flows) AS f, sum(bytes_total) AS b, sum(packets_total) AS p, sum(bytes_raw) AS br,"
                                              " sum(packets_raw) AS pr FROM rollup_{}_{} GROUP BY ALL",
                                              by, spec.name, grain);
      EXPECT_EQ(store.ask(fmt::format("SELECT count(*) FROM (({0} EXCEPT ALL {1}) UNION ALL ({1} EXCEPT ALL {0}))", of_rows, of_view)), "0\n")
          << spec.name << " " << grain << " " << when;
    }
  }
}

}  // namespace weir::store

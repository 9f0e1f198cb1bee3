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

/// A day of an address names each hour in which it has flows, and no other; rows that are not folded yet say it themselves.
inline void expect_hours_of_days(StoreDatabase& store, const std::string& when) {
  for (const std::string_view side : {"src", "dst"}) {
    const std::string key = fmt::format("epoch_us(time) // {} AS day, {}_endpoint_addr", 24 * kMicrosPerHour, side);
    const auto bits_of = [&](std::string_view rows) {
      return fmt::format("SELECT {}, 1 << extract(hour FROM time)::INTEGER AS hours FROM {} WHERE epoch_us(time) < (SELECT days FROM rollup_state)", key, rows);
    };
    const std::string by_day = fmt::format("SELECT day, {}_endpoint_addr, bit_or(hours) FROM", side);
    const std::string of_rows = fmt::format("{} ({}) GROUP BY ALL", by_day, bits_of("flow_rows"));
    const std::string of_days = fmt::format("{} (SELECT {}, hours FROM rolled_{}_1d UNION ALL {}) GROUP BY ALL", by_day, key, side, bits_of("flow_tail"));
    EXPECT_EQ(store.ask(fmt::format("SELECT count(*) FROM (({0} EXCEPT ALL {1}) UNION ALL ({1} EXCEPT ALL {0}))", of_rows, of_days)), "0\n") << side << " " << when;
  }
}

/// Every view of every rollup says what its rows say.
inline void expect_complete(StoreDatabase& store, const std::string& when) {
  expect_hours_of_days(store, when);
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

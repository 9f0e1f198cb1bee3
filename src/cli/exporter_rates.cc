#include "cli/exporter_rates.h"

#include <utility>

namespace weir::cli {

using nlohmann::json;

namespace {

/// A counter that began anew, after a restart, counts from zero.
double per_second(uint64_t before, uint64_t now, double seconds) {
  return static_cast<double>(now >= before ? now - before : now) / seconds;
}

}  // namespace

void ExporterRates::look(const json& rows) {
  std::map<std::string, Counted> next;
  for (const json& row : rows) {
    auto address = row.at("address").get<std::string>();
    Counted now{.taken_ns = row.at("taken_ns").get<uint64_t>(),
                .records = row.at("records").get<uint64_t>(),
                .datagrams = row.at("datagrams").at("received").get<uint64_t>(),
                .rate = {}};
    if (const auto then = exporters_.find(address); then != exporters_.end()) {
      const Counted& before = then->second;
      // The clock may have been set back.
      if (now.taken_ns > before.taken_ns) {
        const double seconds = static_cast<double>(now.taken_ns - before.taken_ns) / 1e9;
        now.rate = Rate{.records = per_second(before.records, now.records, seconds),
                        .datagrams = per_second(before.datagrams, now.datagrams, seconds)};
      } else if (now.taken_ns == before.taken_ns) {
        now.rate = before.rate;
      }
    }
    next.insert_or_assign(std::move(address), now);
  }
  exporters_ = std::move(next);
}

std::optional<ExporterRates::Rate> ExporterRates::of(const std::string& address) const {
  const auto found = exporters_.find(address);
  return found == exporters_.end() ? std::nullopt : found->second.rate;
}

}  // namespace weir::cli

#include "control/delivery/publisher_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"

namespace weir::control {

std::vector<Discrepancy> PublisherView::discrepancies() const {
  const uint64_t accounted_for =
      records_acknowledged + records_failed + records_dropped + records_spooled + records_in_flight;
  if (records_routed == accounted_for) return {};
  return {{"records", static_cast<int64_t>(records_routed - accounted_for)}};
}

namespace {

enum class Duration : uint8_t { told, left_out };

std::string standstill(uint64_t still_ns, Duration duration) {
  if (duration == Duration::left_out) return "takes nothing any more";
  return fmt::format("takes nothing since {} s", still_ns / kNsPerSec);
}

std::string of_publisher(const PublisherView& p, Duration duration) {
  if (!p.last_error.empty() || p.takes_nothing_ns == 0) return p.last_error;
  return standstill(p.takes_nothing_ns, duration);
}

std::string of_spool(const SpoolView& spool, Duration duration) {
  if (!spool.last_error.empty() || spool.takes_nothing_ns == 0) return spool.last_error;
  return "spool: " + standstill(spool.takes_nothing_ns, duration);
}

/// Both: while the broker is away, what ails the disk matters most.
std::string of_both(const PublisherView& p, Duration duration) {
  const std::string publishing = of_publisher(p, duration), disk = of_spool(p.spool, duration);
  if (publishing.empty() || disk.empty()) return publishing + disk;
  return fmt::format("{}; {}", publishing, disk);
}

}  // namespace

std::string PublisherView::publish_trouble() const { return of_publisher(*this, Duration::told); }

std::string PublisherView::trouble() const { return of_both(*this, Duration::told); }

std::string PublisherView::lasting_trouble() const { return of_both(*this, Duration::left_out); }

bool PublisherView::is_kept_on_disk() const noexcept {
  return policy == DropPolicy::spool && !spool.dir.empty() && spool.last_error.empty() &&
         spool.takes_nothing_ns == 0 && spool.octets < spool.octets_max;
}

namespace {

/// The largest of both.
void add_losses(PublisherView& row, const PublisherView& past) {
  for (const auto& then : past.losses) {
    const auto found = std::find_if(row.losses.begin(), row.losses.end(), [&](const auto& now) {
      return now.exporter == then.exporter && now.route == then.route;
    });
    if (found != row.losses.end()) {
      found->records += then.records;
    } else {
      row.losses.push_back(then);
    }
  }
  row.loss_rows = std::max<uint64_t>({row.loss_rows, past.loss_rows, row.losses.size()});
  std::sort(row.losses.begin(), row.losses.end(),
            [](const auto& a, const auto& b) { return a.records.total() > b.records.total(); });
  if (row.losses.size() > kLossRowsShown) row.losses.resize(kLossRowsShown);
}

void add_past(SpoolView& row, const SpoolView& past) {
  if (row.dir.empty()) row.dir = past.dir;
  row.records_restored += past.records_restored;
  row.records_replayed += past.records_replayed;
  row.batches_replayed += past.batches_replayed;
  row.failures += past.failures;
  row.records_expired += past.records_expired;
  row.records_damaged += past.records_damaged;
  row.octets_damaged += past.octets_damaged;
  row.records_left += past.records_left + past.records;
}

}  // namespace

void add_past(PublisherView& row, const PublisherView& past) {
  row.records_routed += past.records_routed;
  row.records_acknowledged += past.records_acknowledged;
  row.records_failed += past.records_failed;
  row.records_dropped += past.records_dropped;
  row.records_spooled += past.records_spooled;
  row.batches_acknowledged += past.batches_acknowledged;
  row.batches_duplicate += past.batches_duplicate;
  row.batches_failed += past.batches_failed;
  row.batches_dropped += past.batches_dropped;
  row.batches_spooled += past.batches_spooled;
  row.delivery += past.delivery;
  row.messages += past.messages;
  row.octets += past.octets;
  row.negative_acknowledgements += past.negative_acknowledgements;
  row.retries += past.retries;
  row.reconnects += past.reconnects;
  row.renewals += past.renewals;
  row.streams_created += past.streams_created;
  row.streams_extended += past.streams_extended;
  row.failures += past.failures;
  add_past(row.spool, past.spool);
  add_losses(row, past);
}

}  // namespace weir::control

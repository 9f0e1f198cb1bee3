// What the ingest thread shows of itself, between two steps; the sums that must hold.
#include <fmt/format.h>

#include <numeric>

#include "base/clock.h"
#include "store/ingest.h"

namespace weir::store {
namespace {

constexpr uint64_t kViewEveryNs = kNsPerSec / 4;

uint64_t sum_of(const feed::DeadTally& tally) noexcept { return std::accumulate(tally.begin(), tally.end(), uint64_t{0}); }

}  // namespace

uint64_t StoreBooks::messages_dead_total() const noexcept { return sum_of(messages_dead); }
uint64_t StoreBooks::records_dead_total() const noexcept { return sum_of(records_dead); }

std::string StoreBooks::discrepancy() const {
  const uint64_t messages = messages_stored + messages_repeated + messages_dead_total() + messages_returned + messages_in_hand;
  if (messages != messages_in) {
    return fmt::format("messages: {} in, {} accounted for: stored {}, repeated {}, dead {}, returned {}, in hand {}", messages_in,
                       messages, messages_stored, messages_repeated, messages_dead_total(), messages_returned, messages_in_hand);
  }
  const uint64_t records =
      rows + records_dropped + records_sampled_out + records_dead_total() + records_returned + records_in_flight;
  if (records != records_in) {
    return fmt::format(
        "records: {} in, {} accounted for: rows {}, dropped {}, sampled out {}, dead {}, returned {}, in flight {}", records_in,
        records, rows, records_dropped, records_sampled_out, records_dead_total(), records_returned, records_in_flight);
  }
  return {};
}

std::string StoreView::not_ready_because() const {
  if (std::string why = source.not_ready_because(); !why.empty()) return why;
  if (!committer.trouble.empty()) return "the store cannot be written: " + committer.trouble;
  if (!dead_trouble.empty()) return "dead letters: " + dead_trouble;
  if (!is_dead_connected) return "dead letters: not connected to NATS";
  return {};
}

void Ingest::publish_view(uint64_t now_ns) {
  next_view_ns_ = now_ns + kViewEveryNs;
  auto view = std::make_shared<StoreView>();
  view->taken_steady_ns = steady_clock_ns();
  view->started_ns = started_ns_;
  view->taken_ns = wall_clock_ns();
  view->is_stopping = is_stopping_;
  view->is_careful = suspects_ > 0;
  books_.remainders_cut = writer_.remainders_cut();
  view->books = books_;
  view->identities = {.sources = ledger_.sources(),
                      .ids = ledger_.ids(),
                      .runs_most = ledger_.runs_most(),
                      .sources_forgotten = ledger_.sources_forgotten(),
                      .ids_forgotten = ledger_.ids_forgotten()};
  // Where no message comes they go all the same.
  if (auto rules = rules_.read(); rules != rules_seen_) take_rules(std::move(rules));
  view->rules_version = rules_seen_->version;
  if (const rules::RuleSet* const rules = rules_seen_->rules.get(); rules != nullptr) {
    view->rules_name = rules->name();
    view->rules_hash = rules->hash();
  }
  view->source = feed::SourceView::of(*consumer_, config_.source.stream_name);
  if (names_ != nullptr) view->names = names_->view();
  view->is_dead_connected = dead_->counters().connected.value() != 0;
  view->dead_trouble = dead_->last_error();
  view->committer = *committer_.view();
  view->newest_row_us = newest_row_us_;
  view->oldest_open_ns = batch_ == nullptr ? 0 : now_ns - std::min(now_ns, batch_->opened_steady_ns);
  view->chunks = chunks_made_;
  view_.publish(std::move(view));
}

}  // namespace weir::store

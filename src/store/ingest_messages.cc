// Messages into rows, and rows into batches; what no row can be made of goes to flows.dead.<reason>.
#include <algorithm>
#include <cassert>

#include "base/clock.h"
#include "flow/flow_parser.h"
#include "store/ingest.h"

namespace weir::store {
namespace {

constexpr size_t kMessagesPerStep = 64;  // then commits and acknowledgements are looked at

/// A commit holds at most half of what may be in hand.
size_t messages_a_commit(const StoreConfig& config) noexcept {
  return std::max<size_t>(config.source.messages_in_hand / 2, 1);
}

bool has_too_many_records(std::span<const uint8_t> batch) noexcept {
  outbound::BatchWalk walk(batch);
  size_t records = 0;
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (++records > kRecordsMax) return true;
  }
  return false;
}

}  // namespace

bool Ingest::work(uint64_t now_ns) {
  if (feed::NamesReader::is_awaited(names_, now_ns - started_steady_ns_)) return false;
  bool did = false;
  now_us_ = static_cast<int64_t>(wall_clock_ns() / kNsPerUs);
  for (size_t i = 0; i < kMessagesPerStep && !waiting_.empty(); ++i) {
    const bool is_suspect = waiting_.front()->delivery.deliveries >= kSuspectFrom;
    if (is_suspect && batch_ != nullptr) must_seal_ = true;
    seal_if_due(now_ns);
    if (!may_read() || (is_suspect && commits_open_ > 0)) break;
    did = true;
    read_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    HeldMessage& message = *read_.back();
    message.place = read_.size() - 1;
    --waiting_of_[message.delivery.input];
    read(message);
    must_seal_ |= is_suspect && batch_ != nullptr;
    close_if_settled(message);
  }
  return did;
}

/// There is a batch that takes one more message.
bool Ingest::may_read() noexcept {
  if (must_seal_ || letters_open_ >= kLettersMax) return false;
  if (batch_ == nullptr) return !free_batches_.empty();
  return batch_->rows < config_.commit.rows && batch_->octets < kBatchOctetsMax && batch_->messages.size() < messages_a_commit(config_) &&
         batch_->hours.size() < kHoursMax;
}

/// The newest rules and names are for the whole message.
void Ingest::read(HeldMessage& message) {
  if (auto rules = rules_.read(); rules != rules_seen_) {
    take_rules(std::move(rules));
    next_view_ns_ = 0;
  }
  if (names_ != nullptr) {
    if (auto names = names_->table(); names != names_seen_) {
      names_seen_ = std::move(names);
      exporter_.forget();
    }
  }
  message.is_read = true;
  message.id = feed::id_of(message.delivery, config_.source.stream_name);
  const char* const id = message.delivery.message.header("Nats-Msg-Id");
  const MessageName name = name_of_message({.id = id == nullptr ? std::string_view() : std::string_view(id),
                                            .stream = config_.source.stream_name,
                                            .stream_created = consumer_->stream_created(),
                                            .stream_sequence = message.delivery.sequence});
  const bool is_known = ledger_.has(name);
  if (!is_known && message.delivery.deliveries > feed::kDeliveriesMax) return bury(message, feed::DeadReason::max_deliver);
  const auto dead = feed::open_message(message.delivery.message, config_.source.subjects[message.delivery.input].framing,
                                       message.source);
  if (dead) return bury(message, *dead);
  if (has_too_many_records(message.source.batch)) return bury(message, feed::DeadReason::undecodable);

  CommitBatch& batch = open_batch();
  batch.messages.push_back(&message);
  message.waits_for_commit = true;
  if (is_known) {
    message.is_repeated = true;
    // Whoever had it before may have died between the commit and its dead letters.
    look_for_dead(message);
  } else {
    if (ledger_.take(name) == Verdict::unsure) ++books_.messages_unsure;
    write_rows(message);
  }
  if (message.letters == 0) {
    message.delivery.message = {};
    message.source = {};
  }
}

void Ingest::write_rows(HeldMessage& message) {
  outbound::BatchWalk walk(message.source.batch);
  uint32_t index = 0, beyond = 0;
  for (outbound::BatchEntry entry; walk.next(entry); ++index) {
    ++books_.records_in;
    if (write_row(entry.message)) continue;
    message.letters < kRecordLettersMax ? bury_record(message, index, entry.message) : static_cast<void>(++beyond);
  }
  if (beyond != 0) bury_rest(message, beyond);
}

void Ingest::look_for_dead(HeldMessage& message) {
  outbound::BatchWalk walk(message.source.batch);
  uint32_t index = 0, beyond = 0;
  for (outbound::BatchEntry entry; walk.next(entry); ++index) {
    if (parse_flow(entry.message, flow_)) continue;
    ++books_.records_in;
    message.letters < kRecordLettersMax ? bury_record(message, index, entry.message) : static_cast<void>(++beyond);
  }
  if (beyond != 0) bury_rest(message, beyond);
}

/// False where it is no flow.
bool Ingest::write_row(std::span<const uint8_t> record) {
  if (!parse_flow(record, flow_)) return false;
  transform::Decisions decisions;
  // Questions join names; what rules say may depend on them.
  const transform::LentNames lent(flow_);
  const enrich::ExporterNames* const exporter = exporter_.find(names_seen_.get(), flow_[OctetsSlot::sampler_address]);
  if (exporter != nullptr) transform::give_names(flow_, *exporter);
  if (const rules::RuleSet* const rules = rules_seen_->rules.get(); rules != nullptr) {
    transform::Decisions::prefetch(flow_, rules_seen_->enrichment.get());
    rules->program().run(flow_, scratch_, rule_outcome_, rule_counts_);
    books_.rule_errors += rule_outcome_.errors;
    books_.labels_left_out += rule_outcome_.labels_left_out;
    if (rule_outcome_.is_dropped) {
      ++(rule_outcome_.is_sampled_out ? books_.records_sampled_out : books_.records_dropped);
      return true;
    }
    decisions.outcome = &rule_outcome_;
    decisions.program = &rules->program();
    decisions.local = rules->local_prefixes();
    if (rules->decision() != nullptr) decisions.decided = decided_by(rules->decision()->program, decisions);
  }
  decisions.look_up(flow_, rules_seen_->enrichment.get());
  if (exporter != nullptr) lent.take_back(flow_);
  RowTimes times = times_of(flow_, now_us_);
  // Rows of one message may not open tables without end.
  if (batch_->hours.size() >= kHoursOpenMax && batch_->find(hour_of(times.time)) == nullptr) times = {.time = now_us_, .is_replaced = true};
  books_.times_replaced += times.is_replaced ? 1 : 0;
  batch_->newest_us = std::max(batch_->newest_us, static_cast<uint64_t>(times.received));
  RowChunk& chunk = chunk_for(hour_of(times.time));
  const size_t beside = chunk.octets_beside();
  writer_.write(flow_, decisions, times, chunk);
  ++batch_->rows;
  // What decisions and enrichments say of a record may be a thousand times what it is.
  batch_->octets += std::max(record.size(), chunk.octets_beside() - beside);
  ++books_.records_in_flight;
  return true;
}

/// Empty, and counted, where it comes to nothing: the row is kept all the same.
std::string_view Ingest::decided_by(const rules::DecisionProgram& program, const transform::Decisions& decisions) {
  auto end = transform::DecisionEnd::written;
  const size_t octets = decision_writer_.write(program, flow_, decisions, {decided_.get(), kDecidedOctetsMax}, end);
  ++(end == transform::DecisionEnd::written ? books_.decisions : books_.decisions_missing);
  return {decided_.get(), octets};
}

// ------------------------------------------------------------------------------------ batches

RowChunk& Ingest::chunk_for(int64_t hour) {
  if (last_hour_ == nullptr || last_hour_->hour != hour) {
    HourRows* const found = batch_->find(hour);
    last_hour_ = found != nullptr ? found : &batch_->hours.emplace_back(HourRows{hour, {}});
  }
  if (last_hour_->chunks.empty() || last_hour_->chunks.back()->is_full()) {
    if (free_chunks_.empty()) {
      ++chunks_made_;
      free_chunks_.push_back(std::make_unique<RowChunk>());
    }
    last_hour_->chunks.push_back(std::move(free_chunks_.back()));
    free_chunks_.pop_back();
  }
  return *last_hour_->chunks.back();
}

CommitBatch& Ingest::open_batch() {
  if (batch_ == nullptr) {
    batch_ = free_batches_.back();
    free_batches_.pop_back();
    batch_->opened_steady_ns = steady_clock_ns();
  }
  return *batch_;
}

bool Ingest::seal_if_due(uint64_t now_ns) {
  if (batch_ == nullptr) return false;
  // It may have been opened after this step began.
  const bool is_due = must_seal_ || !may_read() || now_ns >= batch_->opened_steady_ns + config_.commit.interval_ms * kNsPerMs;
  return is_due && seal();
}

/// False where the writer has enough to do.
bool Ingest::seal() {
  if (batch_->number == 0) {
    last_number_ = std::max(last_number_ + 1, wall_clock_ns());
    batch_->number = last_number_;
  }
  if (commits_open_ >= 2) return false;
  batch_->identities = ledger_.changes();  // given once, so it must go
  [[maybe_unused]] const bool submitted = committer_.submit(batch_);
  assert(submitted && "two are open at most");
  ++commits_open_;
  batch_ = nullptr;
  last_hour_ = nullptr;
  must_seal_ = false;
  return true;
}

void Ingest::recycle(CommitBatch& batch) {
  for (HourRows& hour : batch.hours) {
    for (auto& chunk : hour.chunks) {
      if (free_chunks_.size() >= kFreeChunksMax) break;
      chunk->clear();
      free_chunks_.push_back(std::move(chunk));
    }
  }
  batch = CommitBatch();
  free_batches_.push_back(&batch);
}

// ------------------------------------------------------------------------------------ what no row can be made of

feed::DeadSource Ingest::source_of(const HeldMessage& message) const {
  return {.delivery = message.delivery,
          .id = message.id,
          .stream = config_.source.stream_name,
          .subject_prefix = config_.dead.subject_prefix,
          .payload_max = consumer_->payload_max()};
}

Ingest::Letter& Ingest::new_letter(HeldMessage& message, feed::DeadReason reason) {
  to_publish_.push_back(std::make_unique<Letter>());
  Letter& letter = *to_publish_.back();
  letter.message = &message;
  letter.reason = reason;
  ++message.letters;
  ++letters_open_;
  return letter;
}

void Ingest::bury(HeldMessage& message, feed::DeadReason reason) {
  message.dead = reason;
  Letter& letter = new_letter(message, reason);
  feed::write_dead_message(source_of(message), reason, letter, letter.as, letter.own_headers);
}

void Ingest::bury_record(HeldMessage& message, uint32_t index, std::span<const uint8_t> record) {
  Letter& letter = new_letter(message, feed::DeadReason::malformed_record);
  letter.records = 1;
  ++books_.records_in_flight;
  feed::write_dead_record(source_of(message), letter.reason, index, record, letter, letter.as, letter.own_headers);
}

/// Those of its records that have no letter of their own.
void Ingest::bury_rest(HeldMessage& message, uint32_t records) {
  Letter& letter = new_letter(message, feed::DeadReason::malformed_record);
  letter.records = records;
  books_.records_in_flight += records;
  feed::write_dead_message(source_of(message), letter.reason, letter, letter.as, letter.own_headers);
}

void Ingest::take_rules(std::shared_ptr<const RulesInUse> rules) {
  rules_seen_ = std::move(rules);
  const rules::RuleSet* const set = rules_seen_->rules.get();
  rule_counts_.assign(set == nullptr ? 0 : set->rules().size(), {});
  writer_.take_rules(set == nullptr ? nullptr : &set->program());
}

}  // namespace weir::store

// Records into events: the rules, the octets, and what no event can be made of.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <map>

#include "base/clock.h"
#include "etl/worker.h"
#include "flow/flow_parser.h"
#include "flow/sflow_discard_view.h"
#include "rules/sets.h"

namespace weir::etl {
namespace {

constexpr size_t kRecordsPerStep = 4096;  // then acknowledgements are looked at
constexpr size_t kHeadersReserve = 2048;  // ours, and those that the publisher adds

}  // namespace

bool EtlWorker::transform() {
  size_t budget = kRecordsPerStep;
  bool did = false;
  while (budget > 0) {
    if (current_ == nullptr) {
      current_ = next_job();
      if (current_ == nullptr) break;
      begin(*current_);
      did = true;
    }
    const size_t before = budget;
    if (!work(*current_, budget)) {
      did |= budget != before;
      break;
    }
    did = true;
    Job& job = *current_;
    current_ = nullptr;
    free_unpacked(job);
    close_if_settled(job);
  }
  return did;
}

/// The newest rules and names are for the whole message.
void EtlWorker::begin(Job& job) {
  auto rules = rules_.read();
  if (rules != rules_seen_) {
    take_rules(rules);
    next_view_ns_ = 0;
  }
  job.rules = std::move(rules);
  if (names_ != nullptr) job.names = names_->table();
  exporter_.forget();
  processed_ms_ = wall_clock_ns() / kNsPerMs;
  if (job.delivery.deliveries > feed::kDeliveriesMax) {
    job.dead = DeadReason::max_deliver;
    return;
  }
  job.dead = feed::open_message(job.delivery.message, config_.source.subjects[job.delivery.input].framing, job.source,
                                feed::Takes::flows_and_discards);
  job.unpacked_octets = job.source.own.capacity();
  unpacked_octets_ += job.unpacked_octets;
  if (!job.dead) job.walk = outbound::BatchWalk(job.source.batch);
}

/// Once nothing reads it any more, though what came of the message may not be published for long.
void EtlWorker::free_unpacked(Job& job) {
  if (!job.is_read || job.buried_open != 0 || job.unpacked_octets == 0) return;
  unpacked_octets_ -= job.unpacked_octets;
  job.unpacked_octets = 0;
  job.source = {};
  job.walk = outbound::BatchWalk({});
}

/// Reads on; false where there is no room for what would come of it, or the budget is used up.
bool EtlWorker::work(Job& job, size_t& budget) {
  while (!job.is_read) {
    if (!has_room()) return false;
    if (job.dead) {
      bury(job, *job.dead);
      job.is_read = true;
      return true;
    }
    if (budget == 0) return false;
    outbound::BatchEntry entry;
    if (!job.walk.next(entry)) {
      if (slice_records_ > 0) seal(job, job.next_index - 1);
      job.is_read = true;
      return true;
    }
    --budget;
    make_event(job, entry.message);
    ++job.next_index;
    if (config_.events.framing == EventFraming::single) {
      if (slice_records_ > 0) seal(job, job.next_index - 1);
    } else if (job.next_index % records_of_slice_ == 0) {
      end_slice(job);
    }
  }
  give_up_slice();  // something of the job was refused meanwhile
  return true;
}

/// For the worst that one record can need: it is too much for this buffer, then for its message, then for the next buffer.
bool EtlWorker::has_room() noexcept {
  if (free_outgoing_.size() < 3) return false;
  if (buffer_ == nullptr && !free_buffers_.empty()) {
    buffer_ = free_buffers_.back();
    free_buffers_.pop_back();
  }
  return free_buffers_.size() >= 2;
}

/// As a flow; of a discarded packet it is the packet's.
bool EtlWorker::read_record(const Job& job, std::span<const uint8_t> record) {
  discard_reason_.reset();
  if (!job.source.are_discards) return parse_flow(record, flow_);
  SflowDiscardView discard;
  if (!parse_sflow_discard(record, discard) || !parse_flow(discard.packet, flow_)) return false;
  discard_reason_ = discard.reason;
  return true;
}

void EtlWorker::make_event(Job& job, std::span<const uint8_t> record) {
  ++books_.records_in;
  if (!read_record(job, record)) return bury_record(job, DeadReason::malformed_record, record);
  const enrich::ExporterNames* const exporter = exporter_.find(job.names.get(), flow_[OctetsSlot::sampler_address]);
  if (exporter != nullptr) transform::give_names(flow_, *exporter);
  transform::Decisions decisions;
  decisions.exporter = exporter;
  const enrich::Enrichment* const known = job.rules->enrichment.get();
  const rules::RuleSet* const rules = job.rules->rules.get();
  if (rules == nullptr) {
    decisions.look_up(flow_, known);
    return write_event(job, decisions, record);
  }
  transform::Decisions::prefetch(flow_, known);
  rules->program().run(flow_, scratch_, rule_outcome_, rule_counts_);
  books_.rule_errors += rule_outcome_.errors;
  books_.labels_left_out += rule_outcome_.labels_left_out;
  decisions.outcome = &rule_outcome_;
  decisions.program = &rules->program();
  decisions.local = rules->local_prefixes();
  if (rule_outcome_.is_dropped) {
    ++rule_drops_[rule_outcome_.decided_by];
    ++(rule_outcome_.is_sampled_out ? books_.records_sampled_out : books_.records_dropped);
    return;
  }
  decisions.look_up(flow_, known);
  write_event(job, decisions, record);
}

void EtlWorker::write_event(Job& job, const transform::Decisions& decisions, std::span<const uint8_t> record) {
  transform::EventContext context;
  context.processed_ms = processed_ms_;
  context.stored_ms = job.delivery.stored_ns / kNsPerMs;
  context.message_id = job.id;
  context.index = job.next_index;
  context.decisions = decisions;
  context.discard_reason = discard_reason_;
  const bool as_lines = config_.events.framing == EventFraming::json;
  const size_t message_max = message_octets_max(job);
  const rules::DecisionFile* const decision = job.rules->decision();
  auto end = transform::DecisionEnd::written;
  for (;;) {
    const size_t begin = buffer_->used + slice_octets_;
    const size_t in_buffer = buffer_->capacity - begin;
    const size_t in_message = message_max - std::min(message_max, slice_octets_);
    const size_t room = std::min(in_buffer, in_message);
    auto* const at = reinterpret_cast<char*>(buffer_->octets.get() + begin);
    // The last octet is the line's end.
    const std::span<char> place = {at, room < 2 ? 0 : room - 1};
    const size_t octets = decision != nullptr ? decision_writer_.write(decision->program, flow_, decisions, place, end)
                          : place.empty()     ? 0
                                              : job.rules->writer.write(flow_, context, place);
    if (end == transform::DecisionEnd::no_value) return bury_record(job, DeadReason::no_decision, record, decision_writer_.without_value());
    if (octets != 0) {
      size_t all = octets;
      if (as_lines) at[all++] = '\n';
      slice_octets_ += all;
      ++slice_records_;
      ++books_.records_in_flight;
      books_.event_octets += all;
      return;
    }
    // Where a message ends must not depend on how full a buffer was: the next time, too, it has to be the same.
    if (in_buffer < in_message) {
      change_buffer();
    } else if (slice_records_ > 0) {
      seal(job, job.next_index - 1);
    } else {
      return bury_record(job, DeadReason::event_too_large, record);
    }
  }
}

/// What is left of the buffer is too small: what is begun in it goes on in another, of which has_room has seen two.
void EtlWorker::change_buffer() {
  EventBuffer* const full = buffer_;
  buffer_ = free_buffers_.back();
  free_buffers_.pop_back();
  std::memcpy(buffer_->octets.get(), full->octets.get() + full->used, slice_octets_);
  if (full->holders == 0) {
    full->used = 0;
    free_buffers_.push_back(full);
  }
}

/// The events behind what is used of the buffer become a message. It stands for the records of the source from the last seal to
/// `last_index`, whatever rules made of them: the next time, too, it has this id.
void EtlWorker::seal(Job& job, uint32_t last_index) {
  Outgoing& out = take_outgoing(job);
  out.buffer = buffer_;
  out.data = buffer_->octets.get() + buffer_->used;
  out.octets = static_cast<uint32_t>(slice_octets_);
  out.records = slice_records_;
  const bool alone = config_.events.framing == EventFraming::single;
  const uint32_t first_index = alone ? last_index : job.slice_index;
  out.as.id = job.id + '.' + std::to_string(first_index);
  if (!alone) out.as.id += '-' + std::to_string(last_index);
  out.is_decided = job.rules->decision() != nullptr;
  out.as.subject = out.is_decided ? config_.decisions.subject : config_.events.subject;
  out.own_headers.emplace_back("Weir-Kind", out.is_decided ? "decision" : "ocsf_event");
  out.own_headers.emplace_back("Weir-Framing", name_of(config_.events.framing));
  out.own_headers.emplace_back("Weir-Compression", name_of(config_.events.compression));
  out.own_headers.emplace_back("Weir-Records", std::to_string(slice_records_));
  ++buffer_->holders;
  buffer_->used += slice_octets_;
  slice_octets_ = 0;
  slice_records_ = 0;
  job.slice_index = last_index + 1;
  (out.is_decided ? to_publish_decisions_ : to_publish_).push_back(&out);
}

/// By how many records were read, which no rule, name or database changes: a message that is worked on again under others is cut in the
/// same places, and what was stored of it already is not stored once more (decision 0277).
void EtlWorker::end_slice(Job& job) {
  if (slice_records_ > 0) seal(job, job.next_index - 1);
  job.slice_index = job.next_index;
}

void EtlWorker::give_up_slice() {
  books_.records_in_flight -= slice_records_;
  books_.records_returned += slice_records_;
  slice_octets_ = 0;
  slice_records_ = 0;
}

size_t EtlWorker::message_octets_max(const Job& job) noexcept {
  const outbound::JetStreamPublisher& publisher = job.rules->decision() != nullptr ? *decisions_ : *events_;
  // While the library connects again it says 0.
  if (const size_t now = consumer_->payload_max(); now != 0) payload_max_ = now;
  size_t all = payload_max_;
  if (const uint64_t of_stream = publisher.stream_octets_max(); of_stream != 0) all = std::min<size_t>(all, of_stream);
  all = std::max<size_t>(all, 2 * kHeadersReserve);
  // Packing what does not pack adds to it.
  const size_t packing = config_.events.compression == outbound::Compression::none ? 0 : all / 128;
  return std::min<size_t>(config_.events.batch_bytes, all - kHeadersReserve - packing);
}

// ------------------------------------------------------------------------------------ what no event can be made of

Outgoing& EtlWorker::take_outgoing(Job& job) {
  assert(!free_outgoing_.empty());
  Outgoing& out = *free_outgoing_.back();
  free_outgoing_.pop_back();
  static_cast<outbound::OutboundBatch&>(out) = outbound::OutboundBatch();
  out.job = &job;
  out.buffer = nullptr;
  out.dead.reset();
  out.is_decided = false;
  out.own_headers.clear();
  out.replayed_as = &out.as;
  out.headers = &out.own_headers;
  ++job.open;
  return out;
}

feed::DeadSource EtlWorker::source_of(const Job& job) const {
  return {.delivery = job.delivery,
          .id = job.id,
          .stream = config_.source.stream_name,
          .subject_prefix = config_.dead.subject_prefix,
          .payload_max = consumer_->payload_max()};
}

void EtlWorker::bury(Job& job, DeadReason reason) {
  Outgoing& out = take_outgoing(job);
  feed::write_dead_message(source_of(job), reason, out, out.as, out.own_headers);
  to_publish_dead_.push_back(&out);
}

void EtlWorker::bury_record(Job& job, DeadReason reason, std::span<const uint8_t> record, std::string_view detail) {
  Outgoing& out = take_outgoing(job);
  ++job.buried_open;
  out.dead = reason;
  feed::write_dead_record(source_of(job), reason, job.next_index, record, out, out.as, out.own_headers, detail);
  ++books_.records_in_flight;
  to_publish_dead_.push_back(&out);
}

// ------------------------------------------------------------------------------------ rules

/// What rules did goes on being counted under their ids; of those that are gone, together.
void EtlWorker::take_rules(const std::shared_ptr<const RulesInUse>& rules) {
  const size_t count = rules->rules == nullptr ? 0 : rules->rules->rules().size();
  std::vector<rules::RuleCounts> counts(count);
  std::vector<uint64_t> drops(count, 0);
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < count; ++i) places.emplace(rules->rules->rules()[i].id, i);
  for (size_t i = 0; i < rule_counts_.size(); ++i) {
    const auto found = places.find(rules_seen_->rules->rules()[i].id);
    if (found == places.end()) {
      former_rules_.matched += rule_counts_[i].hits;
      former_rules_.errors += rule_counts_[i].errors;
      former_rules_.dropped += rule_drops_[i];
    } else {
      counts[found->second] = rule_counts_[i];
      drops[found->second] = rule_drops_[i];
    }
  }
  rule_counts_ = std::move(counts);
  rule_drops_ = std::move(drops);
  rules_seen_ = rules;
}

}  // namespace weir::etl

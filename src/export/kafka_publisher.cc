#include "export/kafka_publisher.h"

#include <algorithm>
#include <cassert>
#include <charconv>

#include "base/clock.h"

namespace weir::outbound {
namespace {

constexpr unsigned kMessageBits = 24;  // 16 M messages a batch: a record takes at least 2 octets
constexpr uint32_t kMessageMask = (1u << kMessageBits) - 1;
constexpr uint8_t kRefusalsMax = 5;            // a definite no, so often, is the answer
constexpr size_t kEnvelopeOctetsReserve = 1024;  // key, headers and the library's own, in message.max.bytes
constexpr uint64_t kHoldNs = 20 * kNsPerMs;
// Both together, and the second once more, are less than a stop waits for a publisher behind its deadline.
constexpr uint64_t kBegunMaxNs = 60 * kNsPerSec;      // for what is stored in part, or refused and tried again
constexpr uint64_t kAnswersMaxNs = 600 * kNsPerMs;  // of brokers, to what a dead producer had sent
constexpr uint64_t kPurgeMaxNs = 500 * kNsPerMs;    // for the reports of what was given up
constexpr int kDrainWaitMs = 1000;
constexpr uint64_t kGiveBackEveryNs = 250 * kNsPerMs;  // looks for what has waited too long

}  // namespace

Result<std::unique_ptr<Publisher>> make_kafka_publisher(KafkaPublisherConfig config) {
  auto made = KafkaPublisher::make(std::move(config));
  if (!made) return made.error();
  return std::unique_ptr<Publisher>(std::move(*made));
}

Result<std::unique_ptr<KafkaPublisher>> KafkaPublisher::make(KafkaPublisherConfig config) {
  if (config.subjects.read()->empty()) return Error{"no subject to publish on"};
  config.window_batches = std::max(config.window_batches, 1u);
  config.window_messages = std::max(config.window_messages, 1u);
  auto client = KafkaClient::make(config.kafka);
  if (!client) return client.error();
  return std::unique_ptr<KafkaPublisher>(new KafkaPublisher(std::move(config), std::move(*client)));
}

KafkaPublisher::KafkaPublisher(KafkaPublisherConfig config, std::unique_ptr<KafkaClient> client)
    : config_(std::move(config)),
      addressing_(config_.identity, config_.subjects),
      former_(config_.framing, config_.compression),
      client_(std::move(client)),
      backoff_(config_.retry_first_ms, config_.retry_max_ms, config_.identity.start_ns),
      slots_(config_.window_batches) {
  for (uint32_t i = config_.window_batches; i > 0; --i) free_.push_back(i - 1);
}

// ------------------------------------------------------------------------------------ the seam

bool KafkaPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  if (free_.empty()) return false;
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.batch = &batch;
  slot.open = slot.under_way = 0;
  slot.submitted_ns = steady_clock_ns();
  slot.doomed = DeliveryFailure::count_;
  slot.id = addressing_.id_of(batch);
  slot.topic = kafka_topic(config_.topic, addressing_.subject_of(batch));
  // Its records are of one exporter only where the subject asks for that.
  const bool is_of_one = split_of(addressing_.pattern_of(batch)).by_exporter && batch.replayed_as == nullptr;
  slot.key = is_of_one ? address_token(batch.exporter) : std::string();
  slot.messages.clear();
  undivided_.push_back(index);
  ++in_flight_;
  pump(steady_clock_ns(), outcomes);
  return true;
}

void KafkaPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  const size_t before = in_flight_;
  step(0, Draining::no, outcomes);
  if (wait_ms <= 0 || in_flight_ != before) return;
  step(wait_until_due(wait_ms), Draining::no, outcomes);
}

void KafkaPublisher::drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) {
  int wait_ms = 0;
  while (in_flight_ > 0) {
    step(wait_ms, Draining::yes, outcomes);
    const uint64_t deadline_ns = deadline_steady_ns.load(std::memory_order_acquire);
    const uint64_t now_ns = steady_clock_ns();
    if (now_ns >= deadline_ns) break;
    const uint64_t left_ms = (deadline_ns - now_ns) / kNsPerMs + 1;
    wait_ms = wait_until_due(static_cast<int>(std::min<uint64_t>(left_ms, kDrainWaitMs)));
  }
  if (in_flight_ == 0) return;
  // What has a report by now is stored, or is known not to be; the rest may be either.
  undivided_.clear();
  ready_.clear();
  delayed_ = {};
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].batch != nullptr) doom(i, DeliveryFailure::shutdown_deadline, outcomes);
  }
  purge(KafkaPurge::all, kPurgeMaxNs, outcomes);
  if (in_flight_ == 0) return;
  client_->close();  // its threads may be reading from batches
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].batch == nullptr) continue;
    settle(i, {slots_[i].batch, false, false, DeliveryFailure::shutdown_deadline}, outcomes);
  }
}

// --------------------------------------------------------------------------------- one step

void KafkaPublisher::step(int wait_ms, Draining draining, OutcomeSink& outcomes) {
  keep_open(steady_clock_ns(), outcomes);
  client_->perform(wait_ms);
  take_reports(outcomes);
  note_state();
  const uint64_t now_ns = steady_clock_ns();
  while (!delayed_.empty() && delayed_.top().at_ns <= now_ns) {
    uint32_t index = 0;
    Message* const message = find(delayed_.top().token, index);
    if (message != nullptr && message->state == MessageState::delayed) {
      message->state = MessageState::ready;
      ready_.push_back(delayed_.top().token);
    }
    delayed_.pop();
  }
  pump(now_ns, outcomes);
  give_back(now_ns, draining, outcomes);
}

/// What whoever submitted wants back. What the library has, it gives up where it did not send it yet.
void KafkaPublisher::give_back(uint64_t now_ns, Draining draining, OutcomeSink& outcomes) {
  const uint64_t patience = patience_ns();
  if (patience == kPatientForEver || now_ns < next_give_back_ns_) return;
  next_give_back_ns_ = now_ns + kGiveBackEveryNs;
  const bool is_away = counters_.connected.value() == 0;
  bool waits_for_library = false;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.batch == nullptr) continue;
    const bool need_not_wait = draining == Draining::yes && is_away && slot.batch->replayed_as != nullptr;
    // As MessageWindow has it: what is stored in part, or was refused, ends better where it is.
    const bool is_begun = slot.open < slot.messages.size() ||
                          std::any_of(slot.messages.begin(), slot.messages.end(), [](const Message& m) { return m.refusals != 0; });
    const bool is_overdue = !is_begun && (is_away || slot.under_way == 0)
                                ? is_older(waits_since_ns(*slot.batch, slot.submitted_ns), patience, now_ns)
                                : is_older(slot.submitted_ns, patience + (is_begun ? kBegunMaxNs : kAnswersMaxNs), now_ns);
    if (!need_not_wait && !is_overdue) continue;
    if (slot.messages.empty()) std::erase(undivided_, i);
    waits_for_library = waits_for_library || slot.under_way != 0;
    doom(i, is_away ? DeliveryFailure::not_connected : DeliveryFailure::timed_out, outcomes);
  }
  if (waits_for_library) client_->purge(KafkaPurge::waiting);
}

void KafkaPublisher::keep_open(uint64_t now_ns, OutcomeSink& outcomes) {
  if (client_->is_dead()) replace_producer(outcomes);
  if (client_->is_open() || now_ns < next_open_ns_) return;
  if (const auto opened = client_->open(); !opened) {
    trouble_.set("no producer can be made: " + opened.error().message);
    next_open_ns_ = now_ns + backoff_.wait_ns(++deaths_);
  }
}

void KafkaPublisher::purge(KafkaPurge what, uint64_t at_most_ns, OutcomeSink& outcomes) {
  client_->purge(what);
  const uint64_t give_up_ns = steady_clock_ns() + at_most_ns;
  while (under_way_ > 0 && steady_clock_ns() < give_up_ns) {
    client_->perform(20);
    take_reports(outcomes);
  }
}

/// Everything that has no report goes to the next one. Brokers answer to what they have got all the same:
/// what they say they have stored is not sent again.
void KafkaPublisher::replace_producer(OutcomeSink& outcomes) {
  const std::string why = client_->take_trouble();
  purge(KafkaPurge::waiting, kAnswersMaxNs, outcomes);
  if (under_way_ > 0) purge(KafkaPurge::all, kPurgeMaxNs, outcomes);
  client_->close();
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.batch == nullptr) continue;
    for (uint32_t m = 0; m < slot.messages.size(); ++m) {
      if (slot.messages[m].state != MessageState::under_way) continue;
      back_from_library(slot, slot.messages[m]);
      slot.messages[m].state = MessageState::ready;
      ready_.push_back(Token{i} << kMessageBits | m);
    }
    if (slot.doomed != DeliveryFailure::count_) doom(i, slot.doomed, outcomes);
  }
  trouble_.set("the producer failed and is made anew" + (why.empty() ? "" : ": " + why));
  counters_.reconnects.increment();
  next_open_ns_ = steady_clock_ns() + backoff_.wait_ns(++deaths_);
}

void KafkaPublisher::note_state() {
  const bool was_connected = counters_.connected.value() != 0;
  const bool is_connected = client_->is_connected();
  counters_.connected.set(is_connected ? 1 : 0);
  counters_.retries.set(own_retries_ + client_->retries());
  if (std::string trouble = client_->take_trouble(); !trouble.empty()) {
    trouble_.set(std::move(trouble));
  } else if (is_connected && !was_connected) {
    trouble_.clear();
  }
}

void KafkaPublisher::take_reports(OutcomeSink& outcomes) {
  for (KafkaReport report; client_->take_report(report);) on_report(report, outcomes);
}

void KafkaPublisher::on_report(const KafkaReport& report, OutcomeSink& outcomes) {
  uint32_t index = 0;
  Message* const message = find(report.token, index);
  assert(message != nullptr && message->state == MessageState::under_way);
  if (message == nullptr || message->state != MessageState::under_way) return;
  Slot& slot = slots_[index];
  back_from_library(slot, *message);
  const uint64_t now_ns = steady_clock_ns();
  using Result = KafkaReport::Result;
  if (report.result == Result::stored) {
    counters_.acknowledgements.increment();
    trouble_.clear();
    deaths_ = 0;
    message->state = MessageState::stored;
    if (--slot.open == 0) {
      settle(index, {slot.batch, true, false, DeliveryFailure::count_}, outcomes);
      return;
    }
  } else {
    counters_.negative_acknowledgements.increment();
    message->state = MessageState::ready;
    if (report.result != Result::given_up) trouble_.set("topic " + slot.topic + ": " + report.text);
    if (slot.doomed != DeliveryFailure::count_) {
      // Whatever it is now.
    } else if (report.result == Result::too_large) {
      slot.doomed = DeliveryFailure::too_large;
    } else if (report.result == Result::refused && ++message->refusals >= kRefusalsMax) {
      slot.doomed = DeliveryFailure::rejected;
    } else {
      delay(report.token, now_ns);
    }
  }
  if (slot.doomed != DeliveryFailure::count_) doom(index, slot.doomed, outcomes);
}

void KafkaPublisher::pump(uint64_t now_ns, OutcomeSink& outcomes) {
  while (client_->is_open() && !client_->is_dead() && now_ns >= hold_until_ns_ &&
         under_way_ < config_.window_messages) {
    if (!ready_.empty()) {
      const Token token = ready_.front();
      ready_.pop_front();
      if (!send(token, now_ns, outcomes)) return;
    } else if (!undivided_.empty()) {
      const uint32_t index = undivided_.front();
      undivided_.pop_front();
      Slot& slot = slots_[index];
      if (!divide(slot)) {
        trouble_.set("a record exceeds message.max.bytes, " +
                     std::to_string(client_->message_octets_max()));
        doom(index, DeliveryFailure::too_large, outcomes);
        continue;
      }
      for (uint32_t m = 0; m < slot.open; ++m) ready_.push_back(Token{index} << kMessageBits | m);
    } else {
      return;
    }
  }
}

// -------------------------------------------------------------------------------- one message

/// Makes a batch's messages; false when a record alone is too large.
bool KafkaPublisher::divide(Slot& slot) {
  const OutboundBatch& batch = *slot.batch;
  const size_t most = client_->message_octets_max();
  const size_t limit = most > 2 * kEnvelopeOctetsReserve ? most - kEnvelopeOctetsReserve : most / 2;
  if (!former_.divide(batch, {0, batch.octets, batch.records}, limit, slices_)) return false;
  // An empty batch is a message too: its submitter waits for an outcome.
  if (slices_.empty()) slices_.push_back({});
  slot.numbered = is_record_a_message(config_.framing) || slices_.size() > 1;
  slot.open = static_cast<uint32_t>(slices_.size());
  for (const MessageSlice& slice : slices_) slot.messages.push_back({slice});
  return slot.open <= kMessageMask;
}

bool KafkaPublisher::send(Token token, uint64_t now_ns, OutcomeSink& outcomes) {
  uint32_t index = 0;
  Message* const message = find(token, index);
  if (message == nullptr || message->state != MessageState::ready) return true;
  Slot& slot = slots_[index];
  if (slot.doomed != DeliveryFailure::count_) return true;
  const std::span<const uint8_t> payload = slot.batch->payload();
  const std::span<const uint8_t> octets = former_.form(*slot.batch, message->slice);
  const bool is_batchs_own = octets.empty() || (octets.data() >= payload.data() &&
                                                octets.data() < payload.data() + payload.size());
  const size_t formed_octets = is_batchs_own ? 0 : octets.size();
  if (formed_octets_ > 0 && formed_octets_ + formed_octets > kFormedOctetsMax) {
    ready_.push_front(token);
    return false;
  }
  const size_t id_octets = slot.id.size();
  if (slot.numbered) append_part_number(slot.id, message->slice, config_.framing);
  char records[12];
  const char* const records_end =
      std::to_chars(records, records + sizeof records, message->slice.records).ptr;
  const KafkaHeader headers[] = {
      {"Weir-Msg-Id", slot.id},
      {"Weir-Framing", name_of(former_.framing_of(slot.batch->kind))},
      {"Weir-Compression", name_of(former_.compression())},
      {"Weir-Records", {records, static_cast<size_t>(records_end - records)}},
      {"Weir-Kind", name_of(slot.batch->kind)},
  };
  // What is of the flow kind says nothing about it, as everywhere.
  const size_t header_count = std::size(headers) - (slot.batch->kind == RecordKind::flow ? 1 : 0);
  const KafkaSent sent = client_->send({.token = token,
                                        .topic = slot.topic.c_str(),
                                        .key = slot.key,
                                        .payload = octets,
                                        .is_passing = !is_batchs_own,
                                        .headers = {headers, header_count}});
  slot.id.resize(id_octets);
  switch (sent) {
    case KafkaSent::queued:
      counters_.messages.increment();
      counters_.octets.add(octets.size());
      if (message->attempts > 0) ++own_retries_;
      if (message->attempts < UINT32_MAX) ++message->attempts;
      message->state = MessageState::under_way;
      message->formed_octets = static_cast<uint32_t>(formed_octets);
      formed_octets_ += formed_octets;
      ++slot.under_way;
      ++under_way_;
      return true;
    case KafkaSent::full:
      hold_until_ns_ = now_ns + kHoldNs;
      ready_.push_front(token);
      return false;
    case KafkaSent::dead: ready_.push_front(token); return false;
    case KafkaSent::too_large: doom(index, DeliveryFailure::too_large, outcomes); return true;
    case KafkaSent::not_now:
    case KafkaSent::refused:
      if (message->attempts < UINT32_MAX) ++message->attempts;
      if (sent == KafkaSent::refused && ++message->refusals >= kRefusalsMax) {
        doom(index, DeliveryFailure::rejected, outcomes);
      } else {
        delay(token, now_ns);
      }
      return true;
  }
  return true;
}

/// The caller says what becomes of it.
void KafkaPublisher::back_from_library(Slot& slot, Message& message) noexcept {
  --slot.under_way;
  --under_way_;
  formed_octets_ -= message.formed_octets;
  message.formed_octets = 0;
}

void KafkaPublisher::delay(Token token, uint64_t now_ns) {
  uint32_t index = 0;
  Message& message = *find(token, index);
  message.state = MessageState::delayed;
  delayed_.push({now_ns + backoff_.wait_ns(message.attempts), token});
}

// ------------------------------------------------------------------------------------- slots

/// Fails it, once the library has nothing of it any more.
void KafkaPublisher::doom(uint32_t index, DeliveryFailure why, OutcomeSink& outcomes) {
  Slot& slot = slots_[index];
  if (slot.doomed == DeliveryFailure::count_) slot.doomed = why;
  if (slot.under_way == 0) settle(index, {slot.batch, false, false, slot.doomed}, outcomes);
}

void KafkaPublisher::settle(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes) {
  Slot& slot = slots_[index];
  // What the library still had of it went with the library.
  for (Message& message : slot.messages) {
    if (message.state == MessageState::under_way) back_from_library(slot, message);
  }
  slot.batch = nullptr;
  slot.messages.clear();
  free_.push_back(index);
  --in_flight_;
  outcomes.on_outcome(outcome);
}

KafkaPublisher::Message* KafkaPublisher::find(Token token, uint32_t& index) noexcept {
  const auto slot = static_cast<uint32_t>(token >> kMessageBits);
  const auto number = static_cast<uint32_t>(token) & kMessageMask;
  if (slot >= slots_.size() || slots_[slot].batch == nullptr || number >= slots_[slot].messages.size()) {
    return nullptr;
  }
  index = slot;
  return &slots_[slot].messages[number];
}

/// The part of `wait_ms` in which nothing falls due.
int KafkaPublisher::wait_until_due(int wait_ms) const noexcept {
  uint64_t due_ns = ~uint64_t{0};
  if (!delayed_.empty()) due_ns = delayed_.top().at_ns;
  if (!client_->is_open()) due_ns = std::min(due_ns, next_open_ns_);
  if (client_->is_dead()) due_ns = 0;
  const bool has_more = !ready_.empty() || !undivided_.empty();
  if (has_more && client_->is_open() && under_way_ < config_.window_messages) {
    due_ns = std::min(due_ns, hold_until_ns_);
  }
  const uint64_t now_ns = steady_clock_ns();
  if (due_ns <= now_ns) return 1;
  return static_cast<int>(
      std::min<uint64_t>((due_ns - now_ns) / kNsPerMs + 1, static_cast<uint64_t>(wait_ms)));
}

}  // namespace weir::outbound

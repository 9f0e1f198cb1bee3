#include "export/jetstream_publisher.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "export/batch_reader.h"

namespace weir::outbound {
namespace {

constexpr unsigned kMessageBits = 24;  // 16 M messages a batch: a record takes at least 2 octets
constexpr unsigned kGenerationBits = 28;
constexpr uint32_t kMessageMask = (1u << kMessageBits) - 1;
constexpr uint32_t kGenerationMask = (1u << kGenerationBits) - 1;
static_assert(kWindowBatchesMax << (kMessageBits + kGenerationBits) == 0,
              "the slot has the token's upper 12 bits");

constexpr uint64_t kConnectWaitMs = 500;     // between our own attempts, before jitter
constexpr uint64_t kCheckWaitFirstMs = 250;  // between looks at a stream that is not ready
constexpr uint64_t kCheckWaitMaxMs = 5000;
// A server removes the files of a stream that was deleted while it answers already: one of the same name that is
// made meanwhile loses its own with them, and takes nothing any more (nats-server 2.9.10).
constexpr uint64_t kDeletedWaitMs = 2000;
constexpr uint64_t kHoldMs = 20;              // after the library would not take a message
constexpr uint8_t kRejectionsMax = 5;         // a definite no, so often, is the answer
constexpr size_t kHeaderOctetsReserve = 512;  // our headers, which count towards max_payload
constexpr size_t kGatherFrom = 16;            // messages without an answer
constexpr std::chrono::microseconds kGatherFor{500};

// JetStream's own error codes.
constexpr int kOtherStream = 10060;  // Nats-Expected-Stream: another stream has the subject
constexpr int kMessageTooLarge = 10054;

}  // namespace

Result<std::unique_ptr<JetStreamPublisher>> JetStreamPublisher::make(JetStreamConfig config) {
  if (config.stream.name.empty() ||
      config.stream.name.find_first_of(". \t*>/\\") != std::string::npos) {
    return Error{"stream_name '" + config.stream.name +
                 "': a stream's name has no dot, blank, '*', '>' or slash, and is not empty"};
  }
  if (config.stream.replicas == 0) return Error{"stream_replicas 0: at least 1"};
  if (config.subjects.empty()) return Error{"no subject to publish on"};
  for (const std::string& subject : config.subjects) {
    if (subject.empty() || subject.find_first_of(" \t*>") != std::string::npos) {
      return Error{"subject '" + subject + "': no blanks, no wildcards, not empty"};
    }
    const auto& list = config.stream.subjects;
    const std::string pattern = stream_pattern(subject);
    const bool there = std::any_of(list.begin(), list.end(),
                                   [&](const std::string& p) { return covers(p, pattern); });
    if (!there) config.stream.subjects.push_back(pattern);
  }
  config.window_batches =
      std::clamp(config.window_batches, 1u, static_cast<uint32_t>(kWindowBatchesMax));
  config.window_messages = std::max(config.window_messages, 1u);
  auto client = NatsClient::make(config.nats);
  if (!client) return client.error();
  return std::unique_ptr<JetStreamPublisher>(
      new JetStreamPublisher(std::move(config), std::move(*client)));
}

JetStreamPublisher::JetStreamPublisher(JetStreamConfig config, std::unique_ptr<NatsClient> client)
    : config_(std::move(config)),
      addressing_(config_.identity, config_.subjects),
      former_(config_.framing, config_.compression),
      client_(std::move(client)),
      slots_(config_.window_batches),
      random_(config_.identity.start_ns | 1) {
  for (uint32_t i = config_.window_batches; i > 0; --i) free_.push_back(i - 1);
}

JetStreamPublisher::~JetStreamPublisher() = default;

// ------------------------------------------------------------------------------------ the seam

bool JetStreamPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  if (free_.empty()) return false;
  const uint64_t now = steady_clock_ns();
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.batch = &batch;
  slot.generation = (slot.generation + 1) & kGenerationMask;
  slot.open = slot.awaiting = 0;
  slot.numbered = slot.duplicate = false;
  slot.trouble = DeliveryFailure::not_connected;
  slot.submitted_ns = now;
  slot.id = addressing_.id_of(batch);
  slot.subject = addressing_.subject_of(batch);
  slot.messages.clear();
  undivided_.push_back(index);
  ++in_flight_;
  pump(now, outcomes);
  return true;
}

void JetStreamPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  const size_t before = in_flight_;
  uint64_t now = steady_clock_ns();
  step(now, kNoDeadline, outcomes);
  if (wait_ms <= 0 || in_flight_ != before) return;

  // Waits for an answer, but not past the next thing that is due.
  const uint64_t due = next_due_ns();
  now = steady_clock_ns();
  const uint64_t until_due_ms = due <= now ? 1 : (due - now) / kNsPerMs + 1;
  take_replies(static_cast<int>(std::min<uint64_t>(until_due_ms, static_cast<uint64_t>(wait_ms))),
               outcomes);
  step(steady_clock_ns(), kNoDeadline, outcomes);
}

void JetStreamPublisher::drain(const std::atomic<uint64_t>& deadline_steady_ns,
                               OutcomeSink& outcomes) {
  for (;;) {
    const uint64_t deadline_ns = deadline_steady_ns.load(std::memory_order_acquire);
    uint64_t now = steady_clock_ns();
    if (in_flight_ == 0 || now >= deadline_ns) break;
    step(now, deadline_ns, outcomes);
    if (in_flight_ == 0) break;
    now = steady_clock_ns();
    const uint64_t until = std::min(next_due_ns(), deadline_ns);
    if (until > now) {
      take_replies(static_cast<int>(std::min<uint64_t>((until - now) / kNsPerMs + 1, 1000)),
                   outcomes);
    }
  }
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].batch != nullptr) fail(i, DeliveryFailure::shutdown_deadline, outcomes);
  }
}

std::string JetStreamPublisher::last_error() const {
  {
    const std::lock_guard lock(error_mutex_);
    if (!last_error_.empty()) return last_error_;
  }
  return client_->renewal_trouble();
}

// --------------------------------------------------------------------------------- one step

void JetStreamPublisher::step(uint64_t now_ns, uint64_t deadline_ns, OutcomeSink& outcomes) {
  keep_connected(now_ns, deadline_ns);
  notice_disconnects();
  take_replies(0, outcomes);
  check_stream(now_ns);
  expire(now_ns, outcomes);
  pump(now_ns, outcomes);
}

void JetStreamPublisher::keep_connected(uint64_t now_ns, uint64_t deadline_ns) {
  // Not while it drains: a connection may take longer than is left.
  if (deadline_ns == kNoDeadline) client_->keep_fresh(now_ns);
  if (!client_->closed()) {
    if (!client_->connected()) {
      const std::string why = client_->last_trouble();
      set_trouble("NATS connection lost, reconnecting" + (why.empty() ? "" : ": " + why));
    }
    counters_.connected.set(client_->connected() ? 1 : 0);
    const uint64_t reconnects = client_->reconnects();
    counters_.reconnects.add(reconnects - reconnects_seen_);
    reconnects_seen_ = reconnects;
    return;
  }
  counters_.connected.set(0);
  const uint64_t longest_ns =
      static_cast<uint64_t>(config_.nats.connect_timeout_ms) * config_.nats.urls.size() * kNsPerMs;
  if (now_ns < next_connect_ns_) return;
  if (deadline_ns != kNoDeadline && now_ns + longest_ns > deadline_ns) return;
  if (const auto connected = client_->connect(); !connected) {
    set_trouble(connected.error().message);
    next_connect_ns_ = steady_clock_ns() + jittered(kConnectWaitMs * kNsPerMs);
    return;
  }
  counters_.connected.set(1);
  if (connects_++ > 0) counters_.reconnects.increment();
  stream_ready_ = may_publish_ = false;
  next_check_ns_ = hold_until_ns_ = 0;
}

/// Answers that were under way are lost with the connection: everything unanswered goes again.
void JetStreamPublisher::notice_disconnects() {
  counters_.renewals.set(client_->renewals());
  const uint64_t disconnects = client_->disconnects();
  if (disconnects == disconnects_seen_) return;
  disconnects_seen_ = disconnects;
  stream_ready_ = may_publish_ = false;
  next_check_ns_ = hold_until_ns_ = check_wait_ns_ = 0;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.batch == nullptr || slot.awaiting == 0) continue;
    slot.trouble = DeliveryFailure::not_connected;
    for (uint32_t m = 0; m < slot.messages.size(); ++m) {
      Message& message = slot.messages[m];
      if (message.state != MessageState::awaiting) continue;
      message.state = MessageState::queued;
      --slot.awaiting;
      --awaiting_;
      ready_.push_back(token_of(i, m));
    }
  }
}

void JetStreamPublisher::check_stream(uint64_t now_ns) {
  if (stream_ready_ || now_ns < next_check_ns_ || !client_->connected()) return;
  const StreamCheck check =
      ensure_stream(*client_, config_.stream, static_cast<int>(config_.api_timeout_ms));
  stream_ready_ = check.state == StreamCheck::State::ready;
  may_publish_ = check.state != StreamCheck::State::refused;
  if (check.created) counters_.streams_created.increment();
  if (check.extended) counters_.streams_extended.increment();
  if (stream_ready_) {
    stream_octets_max_ = check.message_octets_max;
    check_wait_ns_ = 0;
    clear_trouble();
    return;
  }
  set_trouble(check.trouble);
  check_wait_ns_ =
      std::clamp(check_wait_ns_ * 2, kCheckWaitFirstMs * kNsPerMs, kCheckWaitMaxMs * kNsPerMs);
  // The request itself may have taken its whole time-out: the wait starts at its end.
  next_check_ns_ = steady_clock_ns() + jittered(check_wait_ns_);
}

void JetStreamPublisher::take_replies(int wait_ms, OutcomeSink& outcomes) {
  client_->take_replies(replies_, wait_ms);
  if (wait_ms > 0 && !replies_.empty() && awaiting_ >= kGatherFrom) {
    // The server has enough to do: its next answers come together, not each by a wake-up of its own.
    std::this_thread::sleep_for(kGatherFor);
    client_->take_replies(replies_, 0);
  }
  for (const NatsReply& reply : replies_) on_reply(reply, outcomes);
  replies_.clear();
}

void JetStreamPublisher::expire(uint64_t now_ns, OutcomeSink& outcomes) {
  uint32_t index = 0;
  while (!deadlines_.empty()) {
    const Due due = deadlines_.front();
    const Message* message = find(due.token, index);
    const bool current = message != nullptr && message->state == MessageState::awaiting &&
                         message->due_ns == due.at_ns;
    if (current && due.at_ns > now_ns) break;
    deadlines_.pop_front();
    if (!current) continue;
    // The server refuses a publish without permission by an error of the connection, not an answer.
    const std::string why = client_->last_trouble();
    set_trouble("no acknowledgement of a message within " +
                std::to_string(config_.publish_timeout_ms) + " ms, sent again" +
                (why.empty() ? "" : ": " + why));
    delay(due.token, now_ns, DeliveryFailure::timed_out);
  }
  while (!delayed_.empty() && delayed_.top().at_ns <= now_ns) {
    const Token token = delayed_.top().token;
    delayed_.pop();
    Message* message = find(token, index);
    if (message == nullptr || message->state != MessageState::delayed) continue;
    message->state = MessageState::queued;
    ready_.push_back(token);
  }
  if (config_.retry_horizon_ms == 0) return;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].batch != nullptr &&
        now_ns - slots_[i].submitted_ns > config_.retry_horizon_ms * kNsPerMs) {
      fail(i, slots_[i].trouble, outcomes);
    }
  }
}

void JetStreamPublisher::pump(uint64_t now_ns, OutcomeSink& outcomes) {
  if (!may_publish_ || now_ns < hold_until_ns_ || !client_->connected()) return;
  while (awaiting_ < config_.window_messages && hold_until_ns_ <= now_ns && may_publish_) {
    if (!ready_.empty()) {
      const Token token = ready_.front();
      ready_.pop_front();
      send(token, now_ns, outcomes);
    } else if (!undivided_.empty()) {
      const uint32_t index = undivided_.front();
      undivided_.pop_front();
      // A slot in this list may have been failed, and even been taken again, meanwhile; only
      // one that has no messages yet is to be divided.
      if (slots_[index].batch == nullptr || !slots_[index].messages.empty()) continue;
      if (!divide(index)) fail(index, DeliveryFailure::too_large, outcomes);
    } else {
      return;
    }
  }
}

// -------------------------------------------------------------------------------- one message

/// What a message may hold beside our headers.
size_t JetStreamPublisher::message_octets_max() const noexcept {
  size_t limit = client_->payload_max();
  if (stream_octets_max_ != 0) limit = std::min<size_t>(limit, stream_octets_max_);
  const size_t reserve = kHeaderOctetsReserve + config_.stream.name.size();
  return limit > 2 * reserve ? limit - reserve : limit / 2;
}

/// Makes a batch's messages and queues them; false when a record alone is too large.
bool JetStreamPublisher::divide(uint32_t slot_index) {
  Slot& slot = slots_[slot_index];
  const OutboundBatch& batch = *slot.batch;
  slot.messages.clear();
  if (!former_.divide(batch, {0, batch.octets, batch.records}, message_octets_max(), slices_)) {
    return false;
  }
  // An empty batch is a message too: its submitter waits for an outcome.
  if (slices_.empty()) slices_.push_back({});
  assert(slices_.size() <= kMessageMask);
  slot.numbered = is_record_a_message(config_.framing) || slices_.size() > 1;
  slot.open = static_cast<uint32_t>(slices_.size());
  for (uint32_t m = 0; m < slot.open; ++m) {
    slot.messages.push_back({slices_[m]});
    ready_.push_back(token_of(slot_index, m));
  }
  return true;
}

/// The server came back with a smaller limit: puts the message's parts in its place; false where it has
/// none.
bool JetStreamPublisher::divide_further(Token token) {
  uint32_t index = 0;
  Message* message = find(token, index);
  Slot& slot = slots_[index];
  const size_t limit = std::min<size_t>(message_octets_max(), message->slice.octets - 1);
  if (is_record_a_message(former_.framing_of(slot.batch->kind)) ||
      !former_.divide(*slot.batch, message->slice, limit, slices_) || slices_.size() < 2 ||
      slot.messages.size() + slices_.size() > kMessageMask) {
    return false;
  }
  slot.numbered = true;
  slot.open += static_cast<uint32_t>(slices_.size()) - 1;
  message->state = MessageState::acknowledged;  // by its parts
  for (const MessageSlice& slice : slices_) {
    ready_.push_back(token_of(index, static_cast<uint32_t>(slot.messages.size())));
    slot.messages.push_back({slice});
  }
  return true;
}

/// Behind the batch's id.
void JetStreamPublisher::append_number(Slot& slot, const Message& message) const {
  if (!slot.numbered) return;
  slot.id += '.';
  slot.id += std::to_string(message.slice.first_record);
  if (is_record_a_message(config_.framing)) return;
  slot.id += '-';
  slot.id += std::to_string(message.slice.first_record + message.slice.records - 1);
}

void JetStreamPublisher::send(Token token, uint64_t now_ns, OutcomeSink& outcomes) {
  uint32_t index = 0;
  Message* message = find(token, index);
  if (message == nullptr || message->state != MessageState::queued) return;
  Slot& slot = slots_[index];
  const size_t id_octets = slot.id.size();
  append_number(slot, *message);
  char records[12];
  *std::to_chars(records, records + sizeof records - 1, message->slice.records).ptr = '\0';
  MessageHeader headers[6] = {
      {"Nats-Msg-Id", slot.id.c_str()},
      // The names are literals, so they end in a zero.
      {"Weir-Framing", name_of(former_.framing_of(slot.batch->kind)).data()},
      {"Weir-Compression", name_of(former_.compression()).data()},
      {"Weir-Records", records},
  };
  size_t header_count = 4;
  if (slot.batch->kind != RecordKind::flow) {
    headers[header_count++] = {"Weir-Kind", name_of(slot.batch->kind).data()};
  }
  if (config_.stream.overlap != SubjectOverlap::adopt) {
    // So that another stream that has taken our subject refuses instead of keeping it.
    headers[header_count++] = {"Nats-Expected-Stream", config_.stream.name.c_str()};
  }
  const std::span<const uint8_t> octets = former_.form(*slot.batch, message->slice);
  const Sent sent = client_->publish(slot.subject.c_str(), token, octets, {headers, header_count});
  slot.id.resize(id_octets);

  switch (sent) {
    case Sent::sent:
      counters_.messages.increment();
      counters_.octets.add(octets.size());
      if (message->attempts > 0) counters_.retries.increment();
      if (message->attempts < UINT16_MAX) ++message->attempts;
      message->state = MessageState::awaiting;
      message->due_ns = now_ns + config_.publish_timeout_ms * kNsPerMs;
      deadlines_.push_back({message->due_ns, token});
      ++slot.awaiting;
      ++awaiting_;
      return;
    case Sent::not_connected:
      ready_.push_front(token);
      hold_until_ns_ = now_ns + kHoldMs * kNsPerMs;
      return;
    case Sent::too_large:
      if (divide_further(token)) return;
      set_trouble("a message of " + std::to_string(octets.size()) +
                  " octets exceeds the server's max_payload " +
                  std::to_string(client_->payload_max()));
      fail(index, DeliveryFailure::too_large, outcomes);
      return;
    case Sent::refused:
      set_trouble("publish on " + slot.subject + ": " + client_->last_trouble());
      fail(index, DeliveryFailure::rejected, outcomes);
      return;
  }
}

void JetStreamPublisher::on_reply(const NatsReply& reply, OutcomeSink& outcomes) {
  Token token = 0;
  uint32_t index = 0;
  if (!NatsClient::token_of(reply, token)) return;
  Message* message = find(token, index);
  if (message == nullptr || message->state == MessageState::acknowledged) return;  // a late one

  PublishAck ack;
  if (reply.no_responders()) {
    ack.valid = true;
    ack.code = 503;
  } else {
    ack = parse_publish_ack(reply.body());
  }
  // Not an answer of JetStream: whoever sent it, the time-out decides.
  if (!ack.valid) return;

  if (!ack.positive) {
    counters_.negative_acknowledgements.increment();
    // A late refusal of an earlier attempt: the attempt now under way has its own answer.
    if (message->state == MessageState::awaiting) on_refusal(token, ack, outcomes);
    return;
  }
  counters_.acknowledgements.increment();
  Slot& slot = slots_[index];
  if (message->state == MessageState::awaiting) {
    --slot.awaiting;
    --awaiting_;
  }
  message->state = MessageState::acknowledged;
  slot.duplicate = slot.duplicate || ack.duplicate;
  // An acknowledgement is proof enough of the stream, also for a user who may not ask about it.
  if (!stream_ready_ && may_publish_) stream_ready_ = true;
  if (troubled_ && stream_ready_) clear_trouble();
  if (--slot.open == 0) {
    finish(index, {slot.batch, true, slot.duplicate, DeliveryFailure::count_}, outcomes);
  }
}

void JetStreamPublisher::on_refusal(Token token, const PublishAck& ack, OutcomeSink& outcomes) {
  uint32_t index = 0;
  Message& message = *find(token, index);
  const uint64_t now = steady_clock_ns();
  const std::string code = " (JetStream error " + std::to_string(ack.err_code) + ")";

  if (ack.description.empty() || ack.err_code == kOtherStream) {
    // Deleted under way, or its subject taken away: the look at the stream says which.
    set_trouble("stream " + config_.stream.name + " does not take what is published" +
                (ack.description.empty() ? std::string() : ": " + ack.description + code));
    // Without a reason nobody answers: it was there a moment ago, and is no more.
    const bool was_deleted = stream_ready_ && ack.description.empty();
    if (was_deleted) {
      next_check_ns_ = now + kDeletedWaitMs * kNsPerMs;
    } else if (!ack.description.empty()) {
      next_check_ns_ = std::min(next_check_ns_, now);
    }
    stream_ready_ = false;
    may_publish_ = ack.err_code != kOtherStream && may_publish_;
    delay(token, now, DeliveryFailure::no_stream);
    return;
  }
  set_trouble("stream " + config_.stream.name + ": " + ack.description + code);
  if (ack.err_code == kMessageTooLarge) {
    fail(index, DeliveryFailure::too_large, outcomes);
    return;
  }
  // 5xx says *not now* (no space, no leader); 4xx says *no*.
  if (ack.code >= 400 && ack.code < 500 && ++message.rejections >= kRejectionsMax) {
    fail(index, DeliveryFailure::rejected, outcomes);
    return;
  }
  delay(token, now, DeliveryFailure::rejected);
}

/// Sends it again later: each attempt waits twice as long as the one before.
void JetStreamPublisher::delay(Token token, uint64_t now_ns, DeliveryFailure why) {
  uint32_t index = 0;
  Message& message = *find(token, index);
  assert(message.state == MessageState::awaiting);
  Slot& slot = slots_[index];
  --slot.awaiting;
  --awaiting_;
  slot.trouble = why;
  const unsigned doublings =
      std::min<unsigned>(message.attempts > 0 ? message.attempts - 1u : 0u, 16);
  const uint64_t wait_ms =
      std::min<uint64_t>(uint64_t{config_.retry_first_ms} << doublings, config_.retry_max_ms);
  message.state = MessageState::delayed;
  message.due_ns = now_ns + jittered(wait_ms * kNsPerMs);
  delayed_.push({message.due_ns, token});
}

// ------------------------------------------------------------------------------------- slots

void JetStreamPublisher::finish(uint32_t slot_index, const Outcome& outcome,
                                OutcomeSink& outcomes) {
  Slot& slot = slots_[slot_index];
  awaiting_ -= slot.awaiting;
  slot.awaiting = 0;
  slot.batch = nullptr;
  slot.messages.clear();
  free_.push_back(slot_index);
  --in_flight_;
  outcomes.on_outcome(outcome);
}

void JetStreamPublisher::fail(uint32_t slot_index, DeliveryFailure why, OutcomeSink& outcomes) {
  // Its place among those not yet divided goes with it, so that the list stays within the window.
  if (slots_[slot_index].messages.empty()) std::erase(undivided_, slot_index);
  finish(slot_index, {slots_[slot_index].batch, false, false, why}, outcomes);
}

JetStreamPublisher::Token JetStreamPublisher::token_of(uint32_t slot_index,
                                                       uint32_t message) const noexcept {
  return Token{slot_index} << (kMessageBits + kGenerationBits) |
         Token{slots_[slot_index].generation} << kMessageBits | message;
}

/// The message that a token means; null when its batch is gone or was divided anew.
JetStreamPublisher::Message* JetStreamPublisher::find(Token token, uint32_t& slot_index) noexcept {
  const auto index = static_cast<uint32_t>(token >> (kMessageBits + kGenerationBits));
  const auto generation = static_cast<uint32_t>(token >> kMessageBits) & kGenerationMask;
  const auto number = static_cast<uint32_t>(token) & kMessageMask;
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  if (slot.batch == nullptr || slot.generation != generation || number >= slot.messages.size()) {
    return nullptr;
  }
  slot_index = index;
  return &slot.messages[number];
}

/// When poll has something to do even without an answer.
uint64_t JetStreamPublisher::next_due_ns() const noexcept {
  uint64_t due = kNoDeadline;
  if (!deadlines_.empty()) due = std::min(due, deadlines_.front().at_ns);
  if (!delayed_.empty()) due = std::min(due, delayed_.top().at_ns);
  if (client_->closed()) return std::min(due, next_connect_ns_);
  if (!client_->connected()) {
    // Nothing tells us that the library is connected again: look now and then.
    return std::min(due, steady_clock_ns() + kHoldMs * kNsPerMs);
  }
  if (!stream_ready_) due = std::min(due, next_check_ns_);
  if (may_publish_ && hold_until_ns_ != 0 && (!ready_.empty() || !undivided_.empty()) &&
      awaiting_ < config_.window_messages) {
    due = std::min(due, hold_until_ns_);
  }
  return due;
}

/// Between half and all of it, so that many collectors do not come back in step.
uint64_t JetStreamPublisher::jittered(uint64_t ns) noexcept {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return ns / 2 + random_ % (ns / 2 + 1);
}

void JetStreamPublisher::set_trouble(std::string text) {
  troubled_ = true;
  const std::lock_guard lock(error_mutex_);
  last_error_ = std::move(text);
}

void JetStreamPublisher::clear_trouble() {
  troubled_ = false;
  const std::lock_guard lock(error_mutex_);
  last_error_.clear();
}

}  // namespace weir::outbound

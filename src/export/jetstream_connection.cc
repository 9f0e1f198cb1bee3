#include "export/jetstream_connection.h"

#include <algorithm>
#include <cassert>
#include <charconv>

#include "base/clock.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kConnectWaitMs = 500;     // between our own attempts, before jitter
constexpr uint64_t kCheckWaitFirstMs = 250;  // between looks at a stream that is not ready
constexpr uint64_t kCheckWaitMaxMs = 5000;
// A server removes the files of a stream that was deleted while it answers already: one of the same name that is
// made meanwhile loses its own with them, and takes nothing any more (nats-server 2.9.10).
constexpr uint64_t kDeletedWaitMs = 2000;
constexpr uint64_t kGiveBackEveryNs = 50 * kNsPerMs;  // looks for what has waited too long
constexpr uint64_t kHoldMs = 20;                      // after the library would not take a message
constexpr uint8_t kRejectionsMax = 5;         // a definite no, so often, is the answer
constexpr size_t kHeaderOctetsReserve = 512;  // our headers, which count towards max_payload and max_msg_size
constexpr size_t kMessageHeadersMax = 24;

/// What the connection of this number has of what all may have together.
uint32_t share_of(uint32_t all, uint32_t number, uint32_t connections) noexcept {
  return all / connections + (number < all % connections ? 1 : 0);
}

// JetStream's own error codes.
constexpr int kOtherStream = 10060;  // Nats-Expected-Stream: another stream has the subject
constexpr int kMessageTooLarge = 10054;

}  // namespace

Result<std::unique_ptr<JetStreamConnection>> JetStreamConnection::make(const JetStreamConfig& config,
                                                                       PublisherCounters& counters,
                                                                       std::shared_ptr<Waker> waker, uint32_t number) {
  auto client = NatsClient::make(config.nats, std::move(waker));
  if (!client) return client.error();
  return std::unique_ptr<JetStreamConnection>(new JetStreamConnection(config, counters, std::move(*client), number));
}

JetStreamConnection::JetStreamConnection(const JetStreamConfig& config, PublisherCounters& counters,
                                         std::unique_ptr<NatsClient> client, uint32_t number)
    : config_(config),
      messages_max_(share_of(config.window_messages, number, config.connections)),
      addressing_(config.identity, config.subjects),
      stream_(config.stream),
      former_(config.framing, config.compression),
      client_(std::move(client)),
      counters_(counters),
      backoff_(config.retry_first_ms, config.retry_max_ms, config.identity.start_ns + number),
      window_(share_of(config.window_batches, number, config.connections)) {}

JetStreamConnection::~JetStreamConnection() = default;

// ------------------------------------------------------------------------------- its batches

void JetStreamConnection::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  const uint64_t now = steady_clock_ns();
  Slot& slot = window_.admit(batch, now);
  slot.id = addressing_.id_of(batch);
  slot.subject = addressing_.subject_of(batch);
  take_subjects();
  pump(now, outcomes);
}

bool JetStreamConnection::hand_over(JetStreamConnection& to, OutcomeSink& outcomes) {
  for (uint32_t i = 0; i < window_.slots(); ++i) {
    if (!window_.awaits_nothing(i)) continue;
    window_.move_to(to.window_, i);
    to.pump(steady_clock_ns(), outcomes);
    return true;
  }
  return false;
}

void JetStreamConnection::fail_all(DeliveryFailure why, OutcomeSink& outcomes) {
  for (uint32_t i = 0; i < window_.slots(); ++i) {
    if (window_.slot(i).batch != nullptr) fail(i, why, outcomes);
  }
}

std::string JetStreamConnection::away_trouble() const {
  std::string text = away_trouble_.text();
  return text.empty() ? client_->renewal_trouble() : text;
}

// --------------------------------------------------------------------------------- one step

/// Some may have been added: nothing goes until the stream has them.
void JetStreamConnection::take_subjects() {
  auto subjects = addressing_.subjects();
  if (subjects == subjects_seen_) return;
  subjects_seen_ = std::move(subjects);
  for (const std::string& subject : *subjects_seen_) {
    auto& list = stream_.subjects;
    const std::string pattern = stream_pattern(subject);
    const bool there = std::any_of(list.begin(), list.end(),
                                   [&](const std::string& p) { return covers(p, pattern); });
    if (!there) list.push_back(pattern);
  }
  stream_ready_ = may_publish_ = false;
  next_check_ns_ = 0;
}

void JetStreamConnection::step(const Step& step, OutcomeSink& outcomes) {
  const uint64_t begin_ns = steady_clock_ns();
  take_subjects();
  keep_connected(begin_ns, step);
  notice_disconnects();
  take_replies(outcomes);
  if (step.is_its_turn) check_stream(begin_ns);
  // All of that may have taken seconds: what is sent now has its whole time.
  const uint64_t now_ns = steady_clock_ns();
  expire(now_ns);
  pump(now_ns, outcomes);
  give_back(now_ns, step, outcomes);
}

void JetStreamConnection::keep_connected(uint64_t now_ns, const Step& step) {
  // Not while it drains: a connection may take longer than is left.
  if (step.is_its_turn && step.deadline_ns == kNoDeadline) client_->keep_fresh(now_ns);
  if (client_->closed()) {
    if (step.is_its_turn) connect(now_ns, step.deadline_ns);
    return;
  }
  if (!client_->connected()) {
    const std::string why = client_->last_trouble();
    note_away("NATS connection lost, reconnecting" + (why.empty() ? "" : ": " + why));
  }
  const uint64_t reconnects = client_->reconnects();
  counters_.reconnects.add(reconnects - reconnects_seen_);
  reconnects_seen_ = reconnects;
}

void JetStreamConnection::connect(uint64_t now_ns, uint64_t deadline_ns) {
  const uint64_t longest_ns =
      static_cast<uint64_t>(config_.nats.connect_timeout_ms) * config_.nats.urls.size() * kNsPerMs;
  if (now_ns < next_connect_ns_) return;
  if (deadline_ns != kNoDeadline && now_ns + longest_ns > deadline_ns) return;
  if (const auto connected = client_->connect(); !connected) {
    note_away(connected.error().message);
    next_connect_ns_ = steady_clock_ns() + backoff_.jittered(kConnectWaitMs * kNsPerMs);
    return;
  }
  if (connects_++ > 0) counters_.reconnects.increment();
  stream_ready_ = may_publish_ = false;
  next_check_ns_ = hold_until_ns_ = 0;
}

/// Answers that were under way are lost with the connection: everything unanswered goes again.
void JetStreamConnection::notice_disconnects() {
  const uint64_t renewals = client_->renewals();
  counters_.renewals.add(renewals - renewals_seen_);
  renewals_seen_ = renewals;
  const uint64_t disconnects = client_->disconnects();
  if (disconnects == disconnects_seen_) return;
  disconnects_seen_ = disconnects;
  stream_ready_ = may_publish_ = false;
  next_check_ns_ = hold_until_ns_ = check_wait_ns_ = 0;
  found_octets_max_ = 0;
  window_.queue_awaiting(DeliveryFailure::not_connected);
}

void JetStreamConnection::check_stream(uint64_t now_ns) {
  if (stream_ready_ || now_ns < next_check_ns_ || !client_->connected()) return;
  const StreamCheck check =
      ensure_stream(*client_, stream_, static_cast<int>(config_.api_timeout_ms));
  stream_ready_ = check.state == StreamCheck::State::ready;
  must_check_ = false;
  may_publish_ = check.state != StreamCheck::State::refused;
  if (check.created) counters_.streams_created.increment();
  if (check.extended) counters_.streams_extended.increment();
  if (stream_ready_) {
    stream_octets_max_ = check.message_octets_max != 0 ? check.message_octets_max : found_octets_max_;
    check_wait_ns_ = 0;
    note_well();
    return;
  }
  away_trouble_.clear();
  trouble_.set(check.trouble);
  check_wait_ns_ =
      std::clamp(check_wait_ns_ * 2, kCheckWaitFirstMs * kNsPerMs, kCheckWaitMaxMs * kNsPerMs);
  // The request itself may have taken its whole time-out: the wait starts at its end.
  next_check_ns_ = steady_clock_ns() + backoff_.jittered(check_wait_ns_);
}

/// What the stream said before is no news any more.
void JetStreamConnection::note_away(std::string why) {
  away_trouble_.set(std::move(why));
  trouble_.clear();
}

void JetStreamConnection::note_well() {
  away_trouble_.clear();
  trouble_.clear();
}

void JetStreamConnection::take_replies(OutcomeSink& outcomes) {
  client_->take_replies(replies_, 0);
  for (const NatsReply& reply : replies_) on_reply(reply, outcomes);
  replies_.clear();
}

void JetStreamConnection::expire(uint64_t now_ns) {
  while (const auto token = window_.take_timed_out(now_ns)) {
    // The server refuses a publish without permission by an error of the connection, not an answer.
    const std::string why = client_->last_trouble();
    trouble_.set("no acknowledgement of a message within " +
                 std::to_string(config_.publish_timeout_ms) + " ms, sent again" +
                 (why.empty() ? "" : ": " + why));
    delay(*token, now_ns, DeliveryFailure::timed_out);
  }
  window_.queue_due(now_ns);
}

void JetStreamConnection::give_back(uint64_t now_ns, const Step& step, OutcomeSink& outcomes) {
  const uint64_t patience = step.patience_ns;
  if (patience == kPatientForEver || now_ns < next_give_back_ns_) return;
  next_give_back_ns_ = now_ns + kGiveBackEveryNs;
  const bool is_away = !client_->connected() || !may_publish_;
  const uint64_t answers_ns = 2 * config_.publish_timeout_ms * kNsPerMs;
  for (uint32_t i = 0; i < window_.slots(); ++i) {
    const bool need_not_wait = step.deadline_ns != kNoDeadline && is_away && window_.is_idle_replay(i);
    if (need_not_wait || window_.is_overdue(i, now_ns, patience, answers_ns)) {
      fail(i, window_.slot(i).passing_trouble(), outcomes);
    }
  }
}

void JetStreamConnection::pump(uint64_t now_ns, OutcomeSink& outcomes) {
  if (!client_->connected()) return;
  while (may_publish_ && now_ns >= hold_until_ns_ && window_.awaiting() < messages_max_) {
    if (const auto token = window_.take_queued()) {
      send(*token, now_ns, outcomes);
    } else if (const auto index = window_.take_undivided()) {
      if (!window_.divide(*index, former_, message_octets_max())) {
        fail(*index, DeliveryFailure::too_large, outcomes);
      }
    } else {
      return;
    }
  }
}

// -------------------------------------------------------------------------------- one message

size_t JetStreamConnection::headers_octets_max() const noexcept {
  return kHeaderOctetsReserve + config_.stream.name.size();
}

/// What a message may hold beside our headers.
size_t JetStreamConnection::message_octets_max() const noexcept {
  size_t limit = client_->payload_max();
  if (stream_octets_max_ != 0) limit = std::min<size_t>(limit, stream_octets_max_);
  const size_t reserve = headers_octets_max();
  return limit > 2 * reserve ? limit - reserve : limit / 2;
}

/// Puts parts in the place of a message that the stream would not take; false where it has none.
bool JetStreamConnection::shrink(Token token) {
  const size_t octets = window_.find(token).message->slice.octets;
  size_t limit = message_octets_max();
  // Nobody tells the limit of a stream that we may not ask about: it is found by halving.
  const bool is_told = limit < octets;
  if (!is_told) limit = octets / 2;
  if (window_.divide_further(token, former_, limit)) {
    if (!is_told) stream_octets_max_ = found_octets_max_ = limit + headers_octets_max();
    return true;
  }
  if (!is_told && window_.divide_further(token, former_, octets - 1)) return true;
  trouble_.set("stream " + config_.stream.name + ": a message of " + std::to_string(octets) +
               " octets that cannot be divided exceeds its max_msg_size");
  return false;
}

void JetStreamConnection::send(Token token, uint64_t now_ns, OutcomeSink& outcomes) {
  const auto found = window_.find(token);
  if (found.message->was_too_large) {
    if (!shrink(token)) fail(found.index, DeliveryFailure::too_large, outcomes);
    return;
  }
  Slot& slot = *found.slot;
  const Message* const message = found.message;
  const size_t id_octets = slot.id.size();
  if (slot.numbered) append_part_number(slot.id, message->slice, config_.framing);
  char records[12];
  *std::to_chars(records, records + sizeof records - 1, message->slice.records).ptr = '\0';
  MessageHeader headers[kMessageHeadersMax] = {{"Nats-Msg-Id", slot.id.c_str()}};
  size_t header_count = 1;
  const auto add = [&](const char* name, const char* value) {
    assert(header_count < kMessageHeadersMax);
    headers[header_count++] = {name, value};
  };
  if (const BatchHeaders* const own = slot.batch->headers) {
    for (const auto& [name, value] : *own) add(name.c_str(), value.c_str());
  } else {
    // The names are literals, so they end in a zero.
    add("Weir-Framing", name_of(former_.framing_of(slot.batch->kind)).data());
    add("Weir-Compression", name_of(former_.compression()).data());
    add("Weir-Records", records);
    if (slot.batch->kind != RecordKind::flow) add("Weir-Kind", name_of(slot.batch->kind).data());
  }
  if (config_.stream.overlap != SubjectOverlap::adopt) {
    // So that another stream that has taken our subject refuses instead of keeping it.
    add("Nats-Expected-Stream", config_.stream.name.c_str());
  }
  const std::span<const uint8_t> octets = former_.form(*slot.batch, message->slice);
  const Sent sent = client_->publish(slot.subject.c_str(), token, octets, {headers, header_count});
  slot.id.resize(id_octets);

  switch (sent) {
    case Sent::sent:
      counters_.messages.increment();
      counters_.octets.add(octets.size());
      if (message->attempts > 0) counters_.retries.increment();
      window_.note_sent(token, now_ns + config_.publish_timeout_ms * kNsPerMs);
      return;
    case Sent::not_connected:
      window_.put_back(token);
      hold_until_ns_ = now_ns + kHoldMs * kNsPerMs;
      return;
    case Sent::too_large:
      // The server came back with a smaller limit.
      if (window_.divide_further(token, former_, message_octets_max())) return;
      trouble_.set("a message of " + std::to_string(octets.size()) +
                   " octets exceeds the server's max_payload " +
                   std::to_string(client_->payload_max()));
      fail(found.index, DeliveryFailure::too_large, outcomes);
      return;
    case Sent::refused:
      trouble_.set("publish on " + slot.subject + ": " + client_->last_trouble());
      fail(found.index, DeliveryFailure::rejected, outcomes);
      return;
  }
}

void JetStreamConnection::on_reply(const NatsReply& reply, OutcomeSink& outcomes) {
  Token token = 0;
  if (!NatsClient::token_of(reply, token)) return;
  const auto [slot, message, index] = window_.find(token);
  if (message == nullptr || message->state == State::acknowledged) return;  // a late one

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
    if (message->state == State::awaiting) on_refusal(token, ack, outcomes);
    return;
  }
  counters_.acknowledgements.increment();
  slot->duplicate = slot->duplicate || ack.duplicate;
  // An acknowledgement is proof enough of the stream, also for a user who may not ask about it; but not that it
  // has every subject, once it did not take one.
  if (!stream_ready_ && may_publish_ && !must_check_) stream_ready_ = true;
  if (stream_ready_) note_well();
  if (window_.note_acknowledged(token)) {
    finish(index, {slot->batch, true, slot->duplicate, DeliveryFailure::count_}, outcomes);
  }
}

void JetStreamConnection::on_refusal(Token token, const PublishAck& ack, OutcomeSink& outcomes) {
  const auto found = window_.find(token);
  Message& message = *found.message;
  const uint64_t now = steady_clock_ns();
  const std::string code = " (JetStream error " + std::to_string(ack.err_code) + ")";

  if (ack.description.empty() || ack.err_code == kOtherStream) {
    // Deleted under way, or its subject taken away: the look at the stream says which.
    trouble_.set("stream " + config_.stream.name + " does not take what is published" +
                 (ack.description.empty() ? std::string() : ": " + ack.description + code));
    // Without a reason nobody answers: it was there a moment ago, and is no more.
    const bool was_deleted = stream_ready_ && ack.description.empty();
    if (was_deleted) {
      next_check_ns_ = now + kDeletedWaitMs * kNsPerMs;
    } else if (!ack.description.empty()) {
      next_check_ns_ = std::min(next_check_ns_, now);
    }
    stream_ready_ = false;
    must_check_ = true;
    may_publish_ = ack.err_code != kOtherStream && may_publish_;
    delay(token, now, DeliveryFailure::no_stream);
    return;
  }
  trouble_.set("stream " + config_.stream.name + ": " + ack.description + code);
  if (ack.err_code == kMessageTooLarge) {
    // The stream takes less than when it was looked at last, or was never told of: what it takes now, its parts fit.
    message.was_too_large = true;
    stream_ready_ = false;
    must_check_ = true;
    next_check_ns_ = std::min(next_check_ns_, now);
    delay(token, now, DeliveryFailure::too_large);
    return;
  }
  // 5xx says *not now* (no space, no leader); 4xx says *no*.
  const bool is_definite = ack.code >= 400 && ack.code < 500;
  found.slot->was_refused |= is_definite;
  if (is_definite && ++message.rejections >= kRejectionsMax) {
    fail(found.index, DeliveryFailure::rejected, outcomes);
    return;
  }
  delay(token, now, DeliveryFailure::rejected);
}

/// Sends it again later: each attempt waits twice as long as the one before.
void JetStreamConnection::delay(Token token, uint64_t now_ns, DeliveryFailure why) {
  window_.delay(token, now_ns + backoff_.wait_ns(window_.find(token).message->attempts), why);
}

void JetStreamConnection::finish(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes) {
  window_.remove(index);
  outcomes.on_outcome(outcome);
}

void JetStreamConnection::fail(uint32_t index, DeliveryFailure why, OutcomeSink& outcomes) {
  finish(index, {window_.slot(index).batch, false, false, why}, outcomes);
}

uint64_t JetStreamConnection::next_due_ns(uint64_t patience_ns) const noexcept {
  uint64_t due = window_.next_due_ns();
  if (in_flight() > 0 && patience_ns != kPatientForEver) due = std::min(due, next_give_back_ns_);
  if (client_->closed()) return std::min(due, next_connect_ns_);
  if (!client_->connected()) {
    // Nothing tells us that the library is connected again: look now and then.
    return std::min(due, steady_clock_ns() + kHoldMs * kNsPerMs);
  }
  if (!stream_ready_) due = std::min(due, next_check_ns_);
  if (may_publish_ && hold_until_ns_ != 0 && window_.has_to_send() &&
      window_.awaiting() < messages_max_) {
    due = std::min(due, hold_until_ns_);
  }
  return due;
}

}  // namespace weir::outbound

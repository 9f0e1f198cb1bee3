#include "export/meta_publisher.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/clock.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kConnectWaitNs = 500 * kNsPerMs;  // between attempts
constexpr uint64_t kCheckWaitNs = kNsPerSec;         // between looks at a stream that is not ready
constexpr uint64_t kHoldNs = 50 * kNsPerMs;          // after the library would not take a message
constexpr size_t kRepliesPerPoll = 1024;
static_assert(std::has_single_bit(kMetaWindow), "the slot is the token's low bits");

}  // namespace

Result<std::unique_ptr<MetaPublisher>> MetaPublisher::make(MetaConfig config) {
  auto client = NatsClient::make(config.nats);
  if (!client) return client.error();
  return std::unique_ptr<MetaPublisher>(new MetaPublisher(std::move(config), std::move(*client)));
}

bool MetaPublisher::submit(MetaMessage& message) {
  if (in_flight_ == kMetaWindow) return false;
  for (Slot& slot : slots_) {
    if (slot.message != nullptr) continue;
    const uint64_t generation = slot.generation + 1;
    slot = {};
    slot.message = &message;
    slot.generation = generation;
    ++in_flight_;
    return true;
  }
  return false;
}

void MetaPublisher::poll(int wait_ms, MetaOutcomeSink& outcomes) {
  const uint64_t now_ns = steady_clock_ns();
  if (keep_connected(now_ns)) send_due(now_ns, outcomes);
  take_replies(wait_for_next_ms(wait_ms, steady_clock_ns()), outcomes);
}

/// Whether messages may be sent.
bool MetaPublisher::keep_connected(uint64_t now_ns) {
  client_->keep_fresh(now_ns);
  if (client_->closed()) {
    counters_.connected.set(0);
    if (now_ns < next_connect_ns_) return false;
    if (const auto connected = client_->connect(); !connected) {
      set_error(connected.error().message);
      next_connect_ns_ = steady_clock_ns() + kConnectWaitNs;
      return false;
    }
    stream_ready_ = false;
    next_check_ns_ = 0;
  }
  const uint64_t disconnects = client_->disconnects();
  if (disconnects != disconnects_seen_) {
    // Answers that were under way are lost with the connection.
    disconnects_seen_ = disconnects;
    stream_ready_ = false;
    next_check_ns_ = 0;
    for (Slot& slot : slots_) {
      slot.is_awaiting = false;
      slot.due_ns = 0;
    }
  }
  const bool connected = client_->connected();
  counters_.connected.set(connected ? 1 : 0);
  if (!connected) {
    const std::string why = client_->last_trouble();
    set_error("NATS connection lost, reconnecting" + (why.empty() ? "" : ": " + why));
    return false;
  }
  if (!stream_ready_ && now_ns >= next_check_ns_) {
    const StreamCheck check =
        ensure_stream(*client_, config_.stream, static_cast<int>(config_.api_timeout_ms));
    stream_ready_ = check.state == StreamCheck::State::ready;
    if (check.created) counters_.streams_created.increment();
    set_error(check.trouble);
    next_check_ns_ = steady_clock_ns() + kCheckWaitNs;
  }
  return stream_ready_;
}

void MetaPublisher::send_due(uint64_t now_ns, MetaOutcomeSink& outcomes) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.message == nullptr || slot.due_ns > now_ns) continue;
    if (slot.is_awaiting) {
      slot.is_awaiting = false;
      delay(slot, now_ns);
      continue;
    }
    const MessageHeader headers[] = {
        {"Nats-Msg-Id", slot.message->id.c_str()},
        {"Weir-Framing", "single"},
        {"Weir-Compression", "none"},
        {"Nats-Expected-Stream", config_.stream.name.c_str()},
    };
    const size_t header_count =
        std::size(headers) - (config_.stream.overlap == SubjectOverlap::adopt ? 1 : 0);
    const auto* octets = reinterpret_cast<const uint8_t*>(slot.message->payload.data());
    switch (client_->publish(slot.message->subject.c_str(), slot.generation * kMetaWindow + i,
                             {octets, slot.message->payload.size()}, {headers, header_count})) {
      case Sent::sent:
        counters_.messages.increment();
        if (slot.attempts++ > 0) counters_.retries.increment();
        slot.is_awaiting = true;
        slot.due_ns = now_ns + config_.publish_timeout_ms * kNsPerMs;
        break;
      case Sent::too_large:
        set_error(slot.message->subject + ": " + std::to_string(slot.message->payload.size()) +
                  " octets are more than the server takes (max_payload)");
        finish(slot, false, outcomes);
        break;
      case Sent::refused:
      case Sent::not_connected: slot.due_ns = now_ns + kHoldNs; return;
    }
  }
}

void MetaPublisher::take_replies(int wait_ms, MetaOutcomeSink& outcomes) {
  for (size_t n = 0; n < kRepliesPerPoll; ++n) {
    const NatsReply reply = client_->next_reply(n == 0 ? wait_ms : 0);
    if (!reply) return;
    uint64_t token = 0;
    if (!NatsClient::token_of(reply, token)) continue;
    Slot& slot = slots_[token % kMetaWindow];
    if (slot.message == nullptr || slot.generation != token / kMetaWindow) continue;
    const uint64_t now_ns = steady_clock_ns();
    if (reply.no_responders()) {
      // The stream is gone, or the subject belongs to none.
      stream_ready_ = false;
      next_check_ns_ = 0;
    } else if (const PublishAck ack = parse_publish_ack(reply.body()); ack.positive) {
      set_error({});
      finish(slot, true, outcomes);
      continue;
    } else {
      set_error(slot.message->subject +
                " refused: " + (ack.valid ? ack.description : "an answer that is none"));
      const bool is_definite = ack.code >= 400 && ack.code < 500;
      if (is_definite && ++slot.rejections >= kMetaRejectionsMax) {
        finish(slot, false, outcomes);
        continue;
      }
    }
    if (!slot.is_awaiting) continue;  // it waits to be sent again already
    slot.is_awaiting = false;
    delay(slot, now_ns);
  }
}

void MetaPublisher::delay(Slot& slot, uint64_t now_ns) const noexcept {
  const unsigned doublings = std::min(slot.attempts > 0 ? slot.attempts - 1 : 0u, 16u);
  const uint64_t wait_ms =
      std::min<uint64_t>(uint64_t{config_.retry_first_ms} << doublings, config_.retry_max_ms);
  slot.due_ns = now_ns + wait_ms * kNsPerMs;
}

void MetaPublisher::finish(Slot& slot, bool acknowledged, MetaOutcomeSink& outcomes) {
  MetaMessage& message = *slot.message;
  slot.message = nullptr;
  slot.is_awaiting = false;
  --in_flight_;
  (acknowledged ? counters_.acknowledged : counters_.failed).increment();
  outcomes.on_meta_outcome(message, acknowledged);
}

void MetaPublisher::give_up(MetaOutcomeSink& outcomes) {
  for (Slot& slot : slots_) {
    if (slot.message != nullptr) finish(slot, false, outcomes);
  }
}

/// How long an answer may be waited for before something is due.
int MetaPublisher::wait_for_next_ms(int wait_ms, uint64_t now_ns) const noexcept {
  uint64_t until_ns = now_ns + static_cast<uint64_t>(wait_ms) * kNsPerMs;
  if (stream_ready_ && client_->connected()) {
    for (const Slot& slot : slots_) {
      if (slot.message != nullptr) until_ns = std::min(until_ns, slot.due_ns);
    }
  }
  return until_ns <= now_ns ? 0 : static_cast<int>((until_ns - now_ns) / kNsPerMs + 1);
}

std::string MetaPublisher::last_error() const {
  {
    const std::lock_guard lock(error_mutex_);
    if (!last_error_.empty()) return last_error_;
  }
  return client_->renewal_trouble();
}

void MetaPublisher::set_error(std::string text) {
  const std::lock_guard lock(error_mutex_);
  last_error_ = std::move(text);
}

}  // namespace weir::outbound

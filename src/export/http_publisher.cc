#include "export/http_publisher.h"

#include <algorithm>
#include <cassert>

#include "base/clock.h"
#include "export/sflow_json.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kProbeToken = ~uint64_t{0};
constexpr uint8_t kRefusalsMax = 5;  // a definite no, so often, is the answer
constexpr int kDrainWaitMs = 1000;
constexpr uint32_t kPartOctetsMin = 4096;  // of a FlowBatch: some forty records

bool is_success(long status) { return status >= 200 && status < 300; }

/// The server, or the token, may change its mind.
bool is_passing(long status) {
  return status >= 500 || status == 401 || status == 408 || status == 425 || status == 429;
}

}  // namespace

Result<std::unique_ptr<HttpPublisher>> HttpPublisher::make(HttpPublisherConfig config) {
  // One less than there can be, so that no token is the probe's.
  config.window_batches = std::clamp(config.window_batches, 1u, static_cast<uint32_t>(kWindowBatchesMax - 1));
  auto client = HttpClient::make(config.http);
  if (!client) return client.error();
  return std::unique_ptr<HttpPublisher>(new HttpPublisher(std::move(config), std::move(*client)));
}

HttpPublisher::HttpPublisher(HttpPublisherConfig config, std::unique_ptr<HttpClient> client)
    : config_(std::move(config)),
      addressing_(config_.identity, config_.subjects),
      client_(std::move(client)),
      backoff_(config_.retry_first_ms, config_.retry_max_ms, config_.identity.start_ns),
      window_(config_.window_batches) {}

// ------------------------------------------------------------------------------------ the seam

bool HttpPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  if (window_.is_full()) return false;
  const uint64_t now_ns = steady_clock_ns();
  MessageWindow::Slot& slot = window_.admit(batch, now_ns);
  slot.id = addressing_.id_of(batch);
  slot.subject = addressing_.subject_of(batch);
  pump(now_ns, outcomes);
  return true;
}

void HttpPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  const size_t before = in_flight();
  step(Draining::no, outcomes);
  if (wait_ms <= 0 || in_flight() != before) return;
  client_->perform(wait_until_due(wait_ms));
  step(Draining::no, outcomes);
}

void HttpPublisher::drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) {
  while (in_flight() > 0) {
    step(Draining::yes, outcomes);
    const uint64_t deadline_ns = deadline_steady_ns.load(std::memory_order_acquire);
    const uint64_t now_ns = steady_clock_ns();
    if (in_flight() == 0 || now_ns >= deadline_ns) break;
    const uint64_t left_ms = (deadline_ns - now_ns) / kNsPerMs + 1;
    client_->perform(wait_until_due(static_cast<int>(std::min<uint64_t>(left_ms, kDrainWaitMs))));
  }
  client_->cancel_all();
  is_probing_ = false;
  for (uint32_t i = 0; i < window_.slots(); ++i) {
    OutboundBatch* const batch = window_.slot(i).batch;
    if (batch != nullptr) finish(i, {batch, false, false, DeliveryFailure::shutdown_deadline}, outcomes);
  }
  texts_.clear();
}

// --------------------------------------------------------------------------------- one step

void HttpPublisher::step(Draining draining, OutcomeSink& outcomes) {
  client_->perform(0);
  take_answers(outcomes);
  const uint64_t now_ns = steady_clock_ns();
  window_.queue_due(now_ns);
  pump(now_ns, outcomes);
  give_back(now_ns, draining, outcomes);
  probe(now_ns);
}

void HttpPublisher::give_back(uint64_t now_ns, Draining draining, OutcomeSink& outcomes) {
  const uint64_t patience = patience_ns();
  if (patience == kPatientForEver) return;
  const bool is_away = counters_.connected.value() == 0 || now_ns < hold_until_ns_;
  const uint64_t answers_ns = 2 * config_.http.timeout_ms * kNsPerMs;
  for (uint32_t i = 0; i < window_.slots(); ++i) {
    const bool need_not_wait = draining == Draining::yes && is_away && window_.is_idle_replay(i);
    if (!need_not_wait && !window_.is_overdue(i, now_ns, patience, answers_ns)) continue;
    const MessageWindow::Slot& slot = window_.slot(i);
    if (slot.awaiting == 0) {
      finish(i, {slot.batch, false, false, slot.passing_trouble()}, outcomes);
    } else {
      doomed_.emplace(i, slot.passing_trouble());
    }
  }
}

void HttpPublisher::take_answers(OutcomeSink& outcomes) {
  for (HttpAnswer answer; client_->take_answer(answer);) {
    if (answer.status != 0 || (answer.token == kProbeToken && answer.said.empty())) {
      if (counters_.connected.value() == 0 && was_connected_) counters_.reconnects.increment();
      counters_.connected.set(1);
      was_connected_ = true;
      probes_ = 0;
    } else {
      counters_.connected.set(0);
      trouble_.set(client_->server() + ": " + answer.said);
    }
    if (answer.token != kProbeToken) {
      on_answer(answer, outcomes);
      continue;
    }
    is_probing_ = false;
    next_probe_ns_ = steady_clock_ns() + backoff_.wait_ns(++probes_);
    if (counters_.connected.value() == 1 && in_flight() == 0) trouble_.clear();
  }
}

void HttpPublisher::on_answer(const HttpAnswer& answer, OutcomeSink& outcomes) {
  const auto [slot, message, index] = window_.find(answer.token);
  texts_.erase(answer.token);
  const uint32_t octets = message->slice.octets;
  const uint64_t now_ns = steady_clock_ns();
  if (is_success(answer.status)) {
    counters_.acknowledgements.increment();
    trouble_.clear();
    if (slot->numbered) taken_octets_ = std::max(taken_octets_, octets);
    if (octets >= refused_octets_) refused_octets_ = UINT32_MAX;  // it takes more than it did
    if (window_.note_acknowledged(answer.token)) {
      return finish(index, {slot->batch, true, false, DeliveryFailure::count_}, outcomes);
    }
  } else if (answer.status == 0) {
    delay(answer.token, now_ns, DeliveryFailure::not_connected);
  } else {
    counters_.negative_acknowledgements.increment();
    trouble_.set(client_->server() + ": status " + std::to_string(answer.status) +
                 (answer.said.empty() ? "" : ": " + answer.said));
    if (is_passing(answer.status)) {
      const uint64_t pause_secs = std::min(answer.retry_after_secs, config_.retry_after_max_secs);
      hold_until_ns_ = std::max(hold_until_ns_, now_ns + pause_secs * kNsPerSec);
      delay(answer.token, now_ns, DeliveryFailure::rejected);
    } else if (answer.status == 413) {
      refused_octets_ = std::min(refused_octets_, octets);
      if (taken_octets_ >= octets) taken_octets_ = 0;  // it takes less than it did
      const bool is_least = octets / 2 < kPartOctetsMin;
      if (is_least || !window_.divide_further(answer.token, former_, octets / 2 + kPartOctetsMin / 2)) {
        return doom(answer.token, DeliveryFailure::too_large, outcomes);
      }
    } else if (++message->rejections >= kRefusalsMax) {
      return doom(answer.token, DeliveryFailure::rejected, outcomes);
    } else {
      slot->was_refused = true;
      delay(answer.token, now_ns, DeliveryFailure::rejected);
    }
  }
  if (const auto doomed = doomed_.find(index); doomed != doomed_.end() && slot->awaiting == 0) {
    finish(index, {slot->batch, false, false, doomed->second}, outcomes);
  }
}

void HttpPublisher::pump(uint64_t now_ns, OutcomeSink& outcomes) {
  if (now_ns < hold_until_ns_) return;
  while (client_->under_way() < config_.http.requests_max) {
    if (const auto token = window_.take_queued()) {
      send(*token, outcomes);
    } else if (const auto index = window_.take_undivided()) {
      divide(*index);
    } else {
      return;
    }
  }
}

/// As one message, or in parts of a size that was taken before where it is as large as what was not.
void HttpPublisher::divide(uint32_t index) {
  const bool is_too_large = taken_octets_ != 0 && window_.slot(index).batch->octets >= refused_octets_;
  if (is_too_large && window_.divide(index, former_, taken_octets_)) return;
  [[maybe_unused]] const bool divided = window_.divide(index, former_, SIZE_MAX);
  assert(divided && "nothing is larger than that");
}

void HttpPublisher::send(Token token, OutcomeSink& outcomes) {
  const auto [slot, message, index] = window_.find(token);
  if (doomed_.contains(index)) return;
  const OutboundBatch& batch = *slot->batch;
  const MessageSlice& slice = message->slice;
  std::span<const uint8_t> body = batch.payload().subspan(slice.offset, slice.octets);
  const bool is_json = config_.format == StreamFormat::json;
  if (is_json) {
    std::string& text = texts_[token];
    if (append_json_lines(batch.kind, body, text).malformed != 0) {
      texts_.erase(token);
      return doom(token, DeliveryFailure::rejected, outcomes);
    }
    body = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  std::string id = slot->id;
  if (slot->numbered) append_part_number(id, slice, Framing::batch);
  const std::string headers[] = {
      is_json ? "Content-Type: application/x-ndjson" : "Content-Type: application/x-protobuf",
      "Idempotency-Key: " + id,
      is_json ? "Weir-Framing: json" : "Weir-Framing: batch",
      "Weir-Compression: none",
      "Weir-Records: " + std::to_string(slice.records),
      "Weir-Kind: " + std::string(name_of(batch.kind)),
      "Weir-Subject: " + slot->subject,
  };
  counters_.messages.increment();
  counters_.octets.add(body.size());
  if (message->attempts > 0) counters_.retries.increment();
  window_.note_sent(token, MessageWindow::kNoTimeOut);  // libcurl has its own
  client_->post(token, body, headers);
  counters_.renewals.set(client_->renewals());
}

/// Tells whether the server is there while nothing is to be sent to it.
void HttpPublisher::probe(uint64_t now_ns) {
  if (counters_.connected.value() == 1 || is_probing_ || in_flight() > 0 || now_ns < next_probe_ns_) {
    return;
  }
  is_probing_ = true;
  client_->probe(kProbeToken);
}

void HttpPublisher::delay(Token token, uint64_t now_ns, DeliveryFailure why) {
  window_.delay(token, now_ns + backoff_.wait_ns(window_.find(token).message->attempts), why);
}

/// Fails the batch, once nothing of it is under way any more.
void HttpPublisher::doom(Token token, DeliveryFailure why, OutcomeSink& outcomes) {
  const auto [slot, message, index] = window_.find(token);
  window_.give_up(token);
  const DeliveryFailure first = doomed_.emplace(index, why).first->second;
  if (slot->awaiting == 0) finish(index, {slot->batch, false, false, first}, outcomes);
}

void HttpPublisher::finish(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes) {
  doomed_.erase(index);
  window_.remove(index);
  outcomes.on_outcome(outcome);
}

/// The part of `wait_ms` in which nothing falls due.
int HttpPublisher::wait_until_due(int wait_ms) const noexcept {
  uint64_t due_ns = window_.next_due_ns();
  if (window_.has_to_send() && hold_until_ns_ != 0 && client_->under_way() < config_.http.requests_max) {
    due_ns = std::min(due_ns, hold_until_ns_);
  }
  const uint64_t now_ns = steady_clock_ns();
  if (due_ns <= now_ns) return 1;
  return static_cast<int>(std::min<uint64_t>((due_ns - now_ns) / kNsPerMs + 1, static_cast<uint64_t>(wait_ms)));
}

}  // namespace weir::outbound

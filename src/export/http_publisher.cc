#include "export/http_publisher.h"

#include <algorithm>

#include "base/clock.h"
#include "export/sflow_json.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kProbeToken = ~uint64_t{0};
constexpr uint8_t kRefusalsMax = 5;  // a definite no, so often, is the answer
constexpr int kDrainWaitMs = 1000;

bool is_success(long status) { return status >= 200 && status < 300; }

/// The server, or the token, may change its mind.
bool is_passing(long status) {
  return status >= 500 || status == 401 || status == 408 || status == 425 || status == 429;
}

}  // namespace

Result<std::unique_ptr<HttpPublisher>> HttpPublisher::make(HttpPublisherConfig config) {
  config.window_batches = std::max(config.window_batches, 1u);
  auto client = HttpClient::make(config.http);
  if (!client) return client.error();
  return std::unique_ptr<HttpPublisher>(new HttpPublisher(std::move(config), std::move(*client)));
}

HttpPublisher::HttpPublisher(HttpPublisherConfig config, std::unique_ptr<HttpClient> client)
    : config_(std::move(config)),
      addressing_(config_.identity, config_.subjects),
      client_(std::move(client)),
      backoff_(config_.retry_first_ms, config_.retry_max_ms, config_.identity.start_ns),
      slots_(config_.window_batches) {
  for (uint32_t i = config_.window_batches; i > 0; --i) free_.push_back(i - 1);
}

// ------------------------------------------------------------------------------------ the seam

bool HttpPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  if (free_.empty()) return false;
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.batch = &batch;
  slot.state = State::ready;
  slot.attempts = slot.refusals = 0;
  ready_.push_back(index);
  ++in_flight_;
  pump(steady_clock_ns(), outcomes);
  return true;
}

void HttpPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  const size_t before = in_flight_;
  step(outcomes);
  if (wait_ms <= 0 || in_flight_ != before) return;
  client_->perform(wait_until_due(wait_ms));
  step(outcomes);
}

void HttpPublisher::drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) {
  while (in_flight_ > 0) {
    step(outcomes);
    const uint64_t deadline_ns = deadline_steady_ns.load(std::memory_order_acquire);
    const uint64_t now_ns = steady_clock_ns();
    if (in_flight_ == 0 || now_ns >= deadline_ns) break;
    const uint64_t left_ms = (deadline_ns - now_ns) / kNsPerMs + 1;
    client_->perform(wait_until_due(static_cast<int>(std::min<uint64_t>(left_ms, kDrainWaitMs))));
  }
  client_->cancel_all();
  is_probing_ = false;
  ready_.clear();
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].batch == nullptr) continue;
    settle(i, {slots_[i].batch, false, false, DeliveryFailure::shutdown_deadline}, outcomes);
  }
}

// --------------------------------------------------------------------------------- one step

void HttpPublisher::step(OutcomeSink& outcomes) {
  client_->perform(0);
  take_answers(outcomes);
  const uint64_t now_ns = steady_clock_ns();
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.batch == nullptr || slot.state != State::delayed || slot.due_ns > now_ns) continue;
    slot.state = State::ready;
    ready_.push_back(i);
  }
  pump(now_ns, outcomes);
  probe(now_ns);
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
    if (counters_.connected.value() == 1 && in_flight_ == 0) trouble_.clear();
  }
}

void HttpPublisher::on_answer(const HttpAnswer& answer, OutcomeSink& outcomes) {
  const auto index = static_cast<uint32_t>(answer.token);
  Slot& slot = slots_[index];
  OutboundBatch* const batch = slot.batch;
  const uint64_t now_ns = steady_clock_ns();
  if (is_success(answer.status)) {
    counters_.acknowledgements.increment();
    trouble_.clear();
    settle(index, {batch, true, false, DeliveryFailure::count_}, outcomes);
    return;
  }
  if (answer.status == 0) {
    delay(index, now_ns);
    return;
  }
  counters_.negative_acknowledgements.increment();
  trouble_.set(client_->server() + ": status " + std::to_string(answer.status) +
               (answer.said.empty() ? "" : ": " + answer.said));
  if (is_passing(answer.status)) {
    const uint64_t pause_secs = std::min(answer.retry_after_secs, config_.retry_after_max_secs);
    hold_until_ns_ = std::max(hold_until_ns_, now_ns + pause_secs * kNsPerSec);
    delay(index, now_ns);
  } else if (answer.status == 413) {
    settle(index, {batch, false, false, DeliveryFailure::too_large}, outcomes);
  } else if (++slot.refusals >= kRefusalsMax) {
    settle(index, {batch, false, false, DeliveryFailure::rejected}, outcomes);
  } else {
    delay(index, now_ns);
  }
}

void HttpPublisher::pump(uint64_t now_ns, OutcomeSink& outcomes) {
  if (now_ns < hold_until_ns_) return;
  while (!ready_.empty() && client_->under_way() < config_.http.requests_max) {
    const uint32_t index = ready_.front();
    ready_.pop_front();
    send(index, outcomes);
  }
}

void HttpPublisher::send(uint32_t index, OutcomeSink& outcomes) {
  Slot& slot = slots_[index];
  OutboundBatch& batch = *slot.batch;
  std::span<const uint8_t> body = batch.payload();
  const bool is_json = config_.format == StreamFormat::json;
  if (is_json) {
    slot.body.clear();
    if (append_json_lines(batch.kind, body, slot.body).malformed != 0) {
      settle(index, {&batch, false, false, DeliveryFailure::rejected}, outcomes);
      return;
    }
    body = {reinterpret_cast<const uint8_t*>(slot.body.data()), slot.body.size()};
  }
  const std::string headers[] = {
      is_json ? "Content-Type: application/x-ndjson" : "Content-Type: application/x-protobuf",
      "Idempotency-Key: " + addressing_.id_of(batch),
      is_json ? "Weir-Framing: json" : "Weir-Framing: batch",
      "Weir-Compression: none",
      "Weir-Records: " + std::to_string(batch.records),
      "Weir-Kind: " + std::string(name_of(batch.kind)),
      "Weir-Subject: " + addressing_.subject_of(batch),
  };
  slot.state = State::under_way;
  counters_.messages.increment();
  counters_.octets.add(body.size());
  if (slot.attempts > 0) counters_.retries.increment();
  if (slot.attempts < UINT32_MAX) ++slot.attempts;
  client_->post(index, body, headers);
  counters_.renewals.set(client_->renewals());
}

/// Tells whether the server is there while nothing is to be sent to it.
void HttpPublisher::probe(uint64_t now_ns) {
  if (counters_.connected.value() == 1 || is_probing_ || in_flight_ > 0 || now_ns < next_probe_ns_) {
    return;
  }
  is_probing_ = true;
  client_->probe(kProbeToken);
}

void HttpPublisher::delay(uint32_t index, uint64_t now_ns) {
  Slot& slot = slots_[index];
  slot.state = State::delayed;
  slot.due_ns = now_ns + backoff_.wait_ns(slot.attempts);
  slot.body = std::string();  // made again when it is sent again
}

void HttpPublisher::settle(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes) {
  slots_[index].batch = nullptr;
  free_.push_back(index);
  --in_flight_;
  outcomes.on_outcome(outcome);
}

/// The part of `wait_ms` in which nothing falls due.
int HttpPublisher::wait_until_due(int wait_ms) const noexcept {
  uint64_t due_ns = ~uint64_t{0};
  for (const Slot& slot : slots_) {
    if (slot.batch != nullptr && slot.state == State::delayed) due_ns = std::min(due_ns, slot.due_ns);
  }
  if (!ready_.empty() && hold_until_ns_ != 0 && client_->under_way() < config_.http.requests_max) {
    due_ns = std::min(due_ns, hold_until_ns_);
  }
  const uint64_t now_ns = steady_clock_ns();
  if (due_ns <= now_ns) return 1;
  return static_cast<int>(std::min<uint64_t>((due_ns - now_ns) / kNsPerMs + 1, static_cast<uint64_t>(wait_ms)));
}

}  // namespace weir::outbound

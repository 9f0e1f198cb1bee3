#include "export/jetstream_publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/clock.h"

namespace weir::outbound {
namespace {

// Messages without an answer that keep a server busy for longer than we gather: of batches, and of records.
constexpr size_t kGatherFromBatches = 16;
constexpr size_t kGatherFromRecords = 512;
constexpr std::chrono::microseconds kGatherFor{500};

Result<void> check_names(const JetStreamConfig& config) {
  if (config.stream.name.empty() || config.stream.name.find_first_of(". \t*>/\\") != std::string::npos) {
    return Error{"stream_name '" + config.stream.name +
                 "': a stream's name has no dot, blank, '*', '>' or slash, and is not empty"};
  }
  if (config.stream.replicas == 0) return Error{"stream_replicas 0: at least 1"};
  const auto subjects = config.subjects.read();
  if (subjects->empty()) return Error{"no subject to publish on"};
  for (const std::string& subject : *subjects) {
    if (subject.empty() || subject.find_first_of(" \t*>") != std::string::npos) {
      return Error{"subject '" + subject + "': no blanks, no wildcards, not empty"};
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<JetStreamPublisher>> JetStreamPublisher::make(JetStreamConfig config) {
  if (auto checked = check_names(config); !checked) return checked.error();
  config.connections = std::clamp(config.connections, 1u, kJetStreamConnectionsMax);
  config.window_batches =
      std::clamp(config.window_batches, config.connections, static_cast<uint32_t>(kWindowBatchesMax));
  config.window_messages = std::max(config.window_messages, config.connections);
  std::unique_ptr<JetStreamPublisher> made(new JetStreamPublisher(std::move(config)));
  for (uint32_t i = 0; i < made->config_.connections; ++i) {
    auto connection = JetStreamConnection::make(made->config_, made->counters_, made->waker_, i);
    if (!connection) return connection.error();
    made->connections_.push_back(std::move(*connection));
  }
  return made;
}

JetStreamPublisher::JetStreamPublisher(JetStreamConfig config)
    : config_(std::move(config)),
      gather_from_(is_record_a_message(config_.framing) ? kGatherFromRecords : kGatherFromBatches) {}

JetStreamPublisher::~JetStreamPublisher() = default;

bool JetStreamPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  JetStreamConnection* const connection = with_room();
  if (connection == nullptr) return false;
  connection->submit(batch, outcomes);
  return true;
}

/// The next in turn that can publish; where none can, one to wait in.
JetStreamConnection* JetStreamPublisher::with_room() noexcept {
  JetStreamConnection* to_wait_in = nullptr;
  bool can_publish = false;
  for (size_t i = 0; i < connections_.size(); ++i) {
    const size_t at = (next_ + i) % connections_.size();
    JetStreamConnection& connection = *connections_[at];
    can_publish |= connection.can_publish();
    if (connection.is_full()) continue;
    if (connection.can_publish()) {
      next_ = at + 1;
      return &connection;
    }
    if (to_wait_in == nullptr) to_wait_in = &connection;
  }
  return can_publish ? nullptr : to_wait_in;
}

void JetStreamPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  const size_t before = in_flight();
  step(JetStreamConnection::kNoDeadline, outcomes);
  if (wait_ms <= 0 || in_flight() != before) return;

  // Waits for an answer, but not past the next thing that is due.
  const uint64_t due = next_due_ns();
  const uint64_t now = steady_clock_ns();
  const uint64_t until_due_ms = due <= now ? 1 : (due - now) / kNsPerMs + 1;
  await_replies(static_cast<int>(std::min<uint64_t>(until_due_ms, static_cast<uint64_t>(wait_ms))));
  step(JetStreamConnection::kNoDeadline, outcomes);
}

void JetStreamPublisher::drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) {
  for (;;) {
    const uint64_t deadline_ns = deadline_steady_ns.load(std::memory_order_acquire);
    if (in_flight() == 0 || steady_clock_ns() >= deadline_ns) break;
    step(deadline_ns, outcomes);
    if (in_flight() == 0) break;
    const uint64_t now = steady_clock_ns();
    const uint64_t until = std::min(next_due_ns(), deadline_ns);
    if (until > now) await_replies(static_cast<int>(std::min<uint64_t>((until - now) / kNsPerMs + 1, 1000)));
  }
  for (auto& connection : connections_) connection->fail_all(DeliveryFailure::shutdown_deadline, outcomes);
}

void JetStreamPublisher::step(uint64_t deadline_ns, OutcomeSink& outcomes) {
  turn_ = (turn_ + 1) % connections_.size();
  uint32_t able = 0;
  uint64_t connected = 0;
  for (size_t i = 0; i < connections_.size(); ++i) {
    JetStreamConnection& connection = *connections_[i];
    connection.step({deadline_ns, patience_ns(), i == turn_}, outcomes);
    connected += connection.connected() ? 1 : 0;
    able += connection.can_publish() ? 1 : 0;
  }
  counters_.connected.set(connected);
  if (able > 0 && able < connections_.size()) rescue_stranded(outcomes);
}

/// What waits in a connection that is away goes over those that are not.
void JetStreamPublisher::rescue_stranded(OutcomeSink& outcomes) {
  for (auto& from : connections_) {
    if (from->can_publish()) continue;
    while (from->in_flight() > 0) {
      JetStreamConnection* const to = with_room();
      // The last that could publish may have gone meanwhile: what is left would go round in circles.
      if (to == nullptr || !to->can_publish()) return;
      if (!from->hand_over(*to, outcomes)) break;
    }
  }
}

void JetStreamPublisher::await_replies(int wait_ms) {
  waker_->wait(wait_ms, [&] {
    return is_woken_.exchange(false, std::memory_order_acq_rel) ||
           std::any_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->has_replies(); });
  });
  is_woken_.exchange(false, std::memory_order_acq_rel);
  size_t awaiting = 0;
  bool has_replies = false;
  for (const auto& connection : connections_) {
    awaiting += connection->awaiting();
    has_replies |= connection->has_replies();
  }
  // The servers have enough to do: their next answers come together, not each by a wake-up of its own.
  if (has_replies && awaiting >= gather_from_) std::this_thread::sleep_for(kGatherFor);
}

void JetStreamPublisher::wake() noexcept {
  is_woken_.store(true, std::memory_order_release);
  waker_->wake();
}

size_t JetStreamPublisher::in_flight() const noexcept {
  size_t batches = 0;
  for (const auto& connection : connections_) batches += connection->in_flight();
  return batches;
}

uint64_t JetStreamPublisher::next_due_ns() const noexcept {
  uint64_t due = ~uint64_t{0};
  for (const auto& connection : connections_) due = std::min(due, connection->next_due_ns(patience_ns()));
  return due;
}

/// While others are up, one connection that is away is no reason to call the publisher away: it is a remark.
std::string JetStreamPublisher::last_error() const {
  for (const auto& connection : connections_) {
    if (std::string trouble = connection->trouble(); !trouble.empty()) return trouble;
  }
  std::string first;
  for (const auto& connection : connections_) {
    std::string trouble = connection->away_trouble();
    if (trouble.empty()) return {};
    if (first.empty()) first = std::move(trouble);
  }
  return first;
}

std::string JetStreamPublisher::remark() const {
  std::string first;
  size_t away = 0;
  for (size_t i = 0; i < connections_.size(); ++i) {
    const std::string trouble = connections_[i]->away_trouble();
    if (trouble.empty()) continue;
    if (++away == 1) first = fmt::format("connection {} of {}: {}", i + 1, connections_.size(), trouble);
  }
  return away < connections_.size() ? first : std::string();
}

}  // namespace weir::outbound

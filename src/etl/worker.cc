#include "etl/worker.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/clock.h"
#include "service/log.h"

namespace weir::etl {
namespace {

// What an event may take on average before a message of them ends elsewhere than after so many records: of what captures and exporters
// send they take 1.7 kB, 2.5 kB with everything that is known put to them.
constexpr uint32_t kEventOctetsAllowed = 3 * 1024;
constexpr size_t kEventRoom = 4 * transform::kEventOctetsMax;  // of a buffer, at least
constexpr size_t kBuffersMin = 4;
constexpr int kIdleWaitMs = 100;
constexpr int kOutcomeWaitMs = 5;  // what comes in meanwhile waits as long
constexpr uint32_t kGiveBackDelayMs = 5000;
constexpr int kFlushMs = 1000;
constexpr uint64_t kUnwantedMaxNs = 5 * kNsPerSec;

}  // namespace

Result<std::unique_ptr<EtlWorker>> EtlWorker::make(const EtlConfig& config, const Snapshot<RulesInUse>& rules,
                                                   const feed::NamesReader* names) {
  const uint64_t seed = wall_clock_ns();
  auto consumer = outbound::JetStreamConsumer::make(feed::consumer_config(config, kProgram));
  if (!consumer) return consumer.error();
  auto events = outbound::JetStreamPublisher::make(events_config(config, seed));
  if (!events) return events.error();
  auto decisions = outbound::JetStreamPublisher::make(decisions_config(config, seed + 2));
  if (!decisions) return decisions.error();
  auto dead = outbound::JetStreamPublisher::make(feed::dead_config(config, kProgram, seed + 1));
  if (!dead) return dead.error();
  return std::unique_ptr<EtlWorker>(
      new EtlWorker(config, rules, names, std::move(*consumer), std::move(*events), std::move(*decisions), std::move(*dead)));
}

EtlWorker::EtlWorker(const EtlConfig& config, const Snapshot<RulesInUse>& rules, const feed::NamesReader* names,
                     std::unique_ptr<outbound::JetStreamConsumer> consumer,
                     std::unique_ptr<outbound::JetStreamPublisher> events,
                     std::unique_ptr<outbound::JetStreamPublisher> decisions,
                     std::unique_ptr<outbound::JetStreamPublisher> dead)
    : config_(config),
      rules_(rules),
      names_(names),
      consumer_(std::move(consumer)),
      events_(std::move(events)),
      decisions_(std::move(decisions)),
      dead_(std::move(dead)),
      in_hand_of_(consumer_->inputs(), 0),
      redelivered_stale_(consumer_->inputs(), 0),
      records_of_slice_(std::max<uint32_t>(1, config_.events.batch_bytes / kEventOctetsAllowed)) {
  const size_t room = std::max<size_t>(2 * size_t{config_.events.batch_bytes}, kEventRoom);
  const size_t buffers = std::max<size_t>(config_.events.buffer_bytes / room, kBuffersMin);
  for (size_t i = 0; i < buffers; ++i) {
    free_buffers_.push_back(buffers_.emplace_back(std::make_unique<EventBuffer>(room)).get());
  }
  for (size_t i = 0; i < kOutgoingMax; ++i) {
    free_outgoing_.push_back(outgoing_.emplace_back(std::make_unique<Outgoing>()).get());
  }
}

EtlWorker::~EtlWorker() = default;

void EtlWorker::ask_to_stop() noexcept {
  stop_asked_.fetch_add(1, std::memory_order_release);
  consumer_->wake();
  events_->wake();
  decisions_->wake();
}

void EtlWorker::run() {
  started_ns_ = wall_clock_ns();
  started_steady_ns_ = steady_clock_ns();
  while (stop_asked_.load(std::memory_order_acquire) == 0) {
    if (!step()) wait();
  }
  stop();
}

// ------------------------------------------------------------------------------------ one step

/// Whoever asks how a reload went is told of what goes.
bool EtlWorker::has_new_rules() const { return current_ == nullptr && rules_.read() != rules_seen_; }

bool EtlWorker::step() {
  const uint64_t now_ns = steady_clock_ns();
  consumer_->step(now_ns);
  bool did = take_deliveries();
  ask_for_more(now_ns);
  did |= transform();
  let_go_of_decisions(now_ns);
  did |= publish();
  did |= close_jobs();
  prolong(now_ns);
  if (now_ns >= next_view_ns_ || has_new_rules()) publish_view(now_ns);
  return did;
}

void EtlWorker::wait() {
  if (events_->in_flight() > 0) {
    events_->poll(kOutcomeWaitMs, *this);
  } else if (decisions_->in_flight() > 0) {
    decisions_->poll(kOutcomeWaitMs, *this);
  } else if (dead_->in_flight() > 0) {
    dead_->poll(kOutcomeWaitMs, *this);
  } else {
    consumer_->take(taken_, closing_.empty() ? kIdleWaitMs : kOutcomeWaitMs);
  }
}

bool EtlWorker::take_deliveries() {
  consumer_->take(taken_, 0);
  const bool any = !taken_.empty();
  const uint64_t now_ns = steady_clock_ns();
  for (outbound::Delivery& delivery : taken_) {
    ++books_.messages_in;
    ++books_.messages_in_hand;
    books_.octets_in += delivery.message.body().size();
    if (delivery.deliveries > 1) ++books_.messages_redelivered;
    ++in_hand_of_[delivery.input];
    auto job = std::make_unique<Job>(std::move(delivery));
    suspects_ += job->is_suspect() ? 1 : 0;
    job->prolonged_ns = now_ns;
    waiting_.push_back(std::move(job));
  }
  taken_.clear();
  if (is_stopping_ && any) give_back_waiting();
  return any;
}

void EtlWorker::ask_for_more(uint64_t now_ns) {
  if (is_stopping_) return;
  is_careful_ = suspects_ > 0;
  for (size_t i = 0; i < consumer_->inputs(); ++i) {
    // The server goes on counting those that were purged: what is left when nobody has any is theirs.
    const outbound::ConsumerLook look = consumer_->look(i);
    uint64_t& stale = redelivered_stale_[i];
    stale = look.ack_pending == 0 ? look.redelivered : std::min(stale, look.redelivered);
    is_careful_ |= look.redelivered > stale;
  }
  const uint32_t window = is_careful_ ? 1 : config_.source.messages_in_hand;
  const auto share = std::max<uint32_t>(window / static_cast<uint32_t>(consumer_->inputs()), 1);
  for (uint32_t i = 0; i < consumer_->inputs(); ++i) {
    if (consumer_->outstanding(i, now_ns) != 0 || in_hand_of_[i] > share / 2) continue;
    consumer_->ask(i, share - in_hand_of_[i], now_ns);
  }
}

/// One that may be begun now; null where none may.
Job* EtlWorker::next_job() {
  if (waiting_.empty() || is_suspect_begun_) return nullptr;
  if (feed::NamesReader::is_awaited(names_, steady_clock_ns() - started_steady_ns_)) return nullptr;
  Job& job = *waiting_.front();
  if (job.is_suspect() && !begun_.empty()) return nullptr;
  // A few octets can be packed that unpack to many: those of one message are room for the next.
  if (unpacked_octets_ > config_.source.octets_in_hand) return nullptr;
  is_suspect_begun_ = job.is_suspect();
  job.place = begun_.size();
  begun_.push_back(std::move(waiting_.front()));
  waiting_.pop_front();
  job.id = feed::id_of(job.delivery, config_.source.stream_name);
  return &job;
}

/// Rules name a decision file, or did when something was begun that is not acknowledged yet.
bool EtlWorker::uses_decisions() const noexcept {
  return (rules_seen_ != nullptr && rules_seen_->decision() != nullptr) || decisions_->in_flight() > 0 || !to_publish_decisions_.empty();
}

/// Rules that name no decision file any more: what former ones made does not wait for ever for a stream that takes none of it. Its messages are
/// worked on again, by the rules that are there now.
void EtlWorker::let_go_of_decisions(uint64_t now_ns) {
  const bool is_waiting = decisions_->in_flight() > 0 || !to_publish_decisions_.empty();
  const bool is_unwanted = is_waiting && rules_.read()->decision() == nullptr;
  if (!is_unwanted || unwanted_since_ns_ == 0 || books_.decisions_acknowledged != decisions_seen_) {
    unwanted_since_ns_ = is_unwanted ? now_ns : 0;
    decisions_seen_ = books_.decisions_acknowledged;
    if (std::exchange(is_letting_go_, false)) decisions_->set_patience(outbound::kPatientForEver);
    return;
  }
  if (now_ns - unwanted_since_ns_ < kUnwantedMaxNs) return;
  if (!std::exchange(is_letting_go_, true)) {
    service::log_info("rules name no decision file any more, and stream {} does not take what former ones made: these flows go by the rules of now",
                      config_.decisions.stream.name);
    decisions_->set_patience(0);  // what was sent is waited for as long as an answer may take
  }
  for (Outgoing* out : to_publish_decisions_) on_outcome({out, false, false, outbound::DeliveryFailure::not_connected});
  to_publish_decisions_.clear();
}

bool EtlWorker::publish() {
  const uint64_t outcomes_before = outcomes_;
  for (const auto& [queue, publisher] : {std::pair(&to_publish_, events_.get()), std::pair(&to_publish_decisions_, decisions_.get()),
                                         std::pair(&to_publish_dead_, dead_.get())}) {
    while (!queue->empty() && publisher->submit(*queue->front(), *this)) queue->pop_front();
  }
  events_->poll(0, *this);
  if (uses_decisions()) decisions_->poll(0, *this);
  dead_->poll(0, *this);
  return outcomes_ != outcomes_before;
}

void EtlWorker::on_outcome(const outbound::Outcome& outcome) {
  ++outcomes_;
  auto& out = static_cast<Outgoing&>(*outcome.batch);
  Job& job = *out.job;
  if (!outcome.acknowledged) {
    const bool is_let_go = out.is_decided && is_letting_go_;
    if (!is_let_go && outcome.failure != outbound::DeliveryFailure::shutdown_deadline) {
      static service::LogLimit limit{5, 10 * kNsPerSec};
      service::log_limited(limit, service::LogLevel::warning,
                           "{}: a message is not published: {}; message {} is left to be delivered again", out.as.subject,
                           name_of(outcome.failure), job.id);
    }
    (is_let_go ? job.goes_again : job.has_failed) = true;
    job.is_read = true;  // what is left of it comes again, too
    books_.records_returned += out.records;
  } else if (out.dead) {
    books_.records_dead[static_cast<size_t>(*out.dead)] += out.records;
  } else if (out.buffer != nullptr) {
    (out.is_decided ? books_.decisions_acknowledged : books_.events_acknowledged) += out.records;
    ++books_.event_messages;
    if (outcome.duplicate) ++books_.event_messages_duplicate;
  }
  books_.records_in_flight -= out.records;
  if (EventBuffer* const buffer = out.buffer; buffer != nullptr && --buffer->holders == 0) {
    if (buffer != buffer_) {
      buffer->used = 0;
      free_buffers_.push_back(buffer);
    } else if (slice_octets_ == 0) {
      buffer->used = 0;
    }
  }
  if (out.dead) {
    --job.buried_open;
    free_unpacked(job);
  }
  free_outgoing_.push_back(&out);
  --job.open;
  close_if_settled(job);
}

// ------------------------------------------------------------------------------------ the end of a message

void EtlWorker::close_if_settled(Job& job) {
  if (&job != current_ && job.is_settled()) closing_.push_back(&job);
}

/// Out of those that are begun.
std::unique_ptr<Job> EtlWorker::take_out(Job& job) {
  const size_t place = job.place;
  begun_.back()->place = place;
  std::swap(begun_[place], begun_.back());
  auto taken = std::move(begun_.back());
  begun_.pop_back();
  return taken;
}

/// From its first record on, as if nothing of it had been begun.
void EtlWorker::work_again(Job& job) {
  free_unpacked(job);
  if (job.is_suspect()) is_suspect_begun_ = false;
  job.rules.reset();
  job.next_index = job.slice_index = 0;
  job.is_read = job.goes_again = false;
  waiting_.push_front(take_out(job));
}

bool EtlWorker::close_jobs() {
  bool did = false;
  while (!closing_.empty()) {
    Job& job = *closing_.back();
    if (job.goes_again && !job.has_failed && !is_stopping_) {
      closing_.pop_back();
      work_again(job);
      did = true;
      continue;
    }
    const uint32_t delay_ms = is_stopping_ ? give_back_delay_ms() : kGiveBackDelayMs;
    const bool told = job.has_failed || job.goes_again ? consumer_->give_back(job.delivery.message, delay_ms)
                                     : consumer_->acknowledge(job.delivery.message);
    if (!told) break;  // not connected just now
    closing_.pop_back();
    did = true;
    if (job.has_failed || job.goes_again) {
      ++books_.messages_returned;
    } else if (job.dead) {
      ++books_.messages_dead[static_cast<size_t>(*job.dead)];
    } else {
      ++books_.messages_done;
    }
    --books_.messages_in_hand;
    --in_hand_of_[job.delivery.input];
    if (job.is_suspect()) {
      --suspects_;
      is_suspect_begun_ = false;
      consumer_->look_soon();  // are there more of them?
    }
    take_out(job);
  }
  return did;
}

/// What takes long, whosever fault it is, is not given to somebody else meanwhile.
void EtlWorker::prolong(uint64_t now_ns) {
  if (now_ns < next_prolong_ns_) return;
  const uint64_t third_ns = uint64_t{config_.source.ack_wait_secs} * kNsPerSec / 3;
  next_prolong_ns_ = now_ns + third_ns / 8;
  const auto look = [&](Job& job) {
    if (now_ns - job.prolonged_ns < third_ns) return;
    if (consumer_->prolong(job.delivery.message)) job.prolonged_ns = now_ns;
  };
  for (const auto& job : waiting_) look(*job);
  for (const auto& job : begun_) look(*job);
}

// ------------------------------------------------------------------------------------ stop

/// Not at once while a request of ours is open: it would come straight back, and each time count as a delivery, until it is taken
/// for one that kills its worker.
uint32_t EtlWorker::give_back_delay_ms() noexcept {
  const uint64_t now_ns = steady_clock_ns();
  for (uint32_t i = 0; i < consumer_->inputs(); ++i) {
    if (consumer_->outstanding(i, now_ns) != 0) return outbound::JetStreamConsumer::kRequestMaxMs;
  }
  return is_stopping_ ? 0 : kGiveBackDelayMs;
}

void EtlWorker::give_back_waiting() {
  const uint32_t delay_ms = give_back_delay_ms();
  while (!waiting_.empty()) {
    // Where that cannot be said the server finds out by itself.
    consumer_->give_back(waiting_.front()->delivery.message, delay_ms);
    ++books_.messages_returned;
    --books_.messages_in_hand;
    --in_hand_of_[waiting_.front()->delivery.input];
    waiting_.pop_front();
  }
}

void EtlWorker::stop() {
  is_stopping_ = true;
  give_back_waiting();
  const uint64_t deadline_ns = steady_clock_ns() + config_.shutdown_deadline_ms * kNsPerMs;
  const auto is_over = [&] {
    return stop_asked_.load(std::memory_order_acquire) > 1 || steady_clock_ns() >= deadline_ns;
  };
  while (!begun_.empty() && !is_over()) {
    if (!step()) wait();
  }
  const std::atomic<uint64_t> now{0};
  if (current_ != nullptr) {
    Job& job = *current_;
    current_ = nullptr;
    give_up_slice();
    job.is_read = job.has_failed = true;
    close_if_settled(job);
  }
  // What they never took fails with what they had.
  for (auto* const queue : {&to_publish_, &to_publish_decisions_, &to_publish_dead_}) {
    for (Outgoing* out : *queue) on_outcome({out, false, false, outbound::DeliveryFailure::shutdown_deadline});
    queue->clear();
  }
  events_->drain(now, *this);
  decisions_->drain(now, *this);
  dead_->drain(now, *this);
  close_jobs();
  consumer_->flush(kFlushMs);
  // Without a connection nobody can be told: their time runs out.
  books_.messages_returned += begun_.size();
  books_.messages_in_hand -= begun_.size();
  begun_.clear();
  closing_.clear();
  publish_view(steady_clock_ns());
}

}  // namespace weir::etl

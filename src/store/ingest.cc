#include "store/ingest.h"

#include <algorithm>

#include "base/clock.h"
#include "service/log.h"

namespace weir::store {
namespace {

constexpr int kIdleWaitMs = 50;
constexpr int kCommitWaitMs = 10;  // what comes in, or is committed, ends it early
constexpr uint32_t kGiveBackDelayMs = 5000;
constexpr int kFlushMs = 1000;

}  // namespace

Result<std::unique_ptr<Ingest>> Ingest::make(const StoreConfig& config, const Snapshot<RulesInUse>& rules, Sink& sink,
                                             const feed::NamesReader* names) {
  auto consumer = outbound::JetStreamConsumer::make(feed::consumer_config(config, kProgram));
  if (!consumer) return consumer.error();
  auto dead = outbound::JetStreamPublisher::make(feed::dead_config(config, kProgram, wall_clock_ns()));
  if (!dead) return dead.error();
  auto stored = sink.identities();
  if (!stored) return stored.error();
  auto ingest = std::unique_ptr<Ingest>(new Ingest(config, rules, sink, names, std::move(*consumer), std::move(*dead)));
  for (const auto& source : stored->sources) {
    if (!ingest->ledger_.restore_source(source.source, source.runs)) {
      return Error{"what is known of the messages of " + source.source + " cannot be read: " + source.runs.substr(0, 100)};
    }
  }
  for (std::string& id : stored->ids) ingest->ledger_.restore_id(std::move(id));
  return ingest;
}

Ingest::Ingest(const StoreConfig& config, const Snapshot<RulesInUse>& rules, Sink& sink, const feed::NamesReader* names,
               std::unique_ptr<outbound::JetStreamConsumer> consumer, std::unique_ptr<outbound::JetStreamPublisher> dead)
    : config_(config),
      rules_(rules),
      names_(names),
      consumer_(std::move(consumer)),
      dead_(std::move(dead)),
      committer_(sink, [this] { consumer_->wake(); }),
      waiting_of_(consumer_->inputs(), 0),
      in_hand_of_(consumer_->inputs(), 0),
      redelivered_stale_(consumer_->inputs(), 0) {
  for (size_t i = 0; i + 1 < kBatchesMax; ++i) {
    free_batches_.push_back(batches_.emplace_back(std::make_unique<CommitBatch>()).get());
  }
}

Ingest::~Ingest() = default;

void Ingest::ask_to_stop() noexcept {
  stop_asked_.fetch_add(1, std::memory_order_release);
  consumer_->wake();
}

void Ingest::run() {
  started_ns_ = wall_clock_ns();
  started_steady_ns_ = steady_clock_ns();
  while (stop_asked_.load(std::memory_order_acquire) == 0) {
    if (!step()) wait();
  }
  stop();
}

// ------------------------------------------------------------------------------------ one step

bool Ingest::step() {
  const uint64_t now_ns = steady_clock_ns();
  consumer_->step(now_ns);
  bool did = take_deliveries();
  ask_for_more(now_ns);
  did |= take_commits();
  did |= work(now_ns);
  did |= seal_if_due(now_ns);
  did |= publish_letters();
  did |= close_messages();
  prolong(now_ns);
  // Whoever asks how a reload went is told of what goes.
  if (now_ns >= next_view_ns_ || rules_.read() != rules_seen_) publish_view(now_ns);
  return did;
}

void Ingest::wait() {
  if (dead_->in_flight() > 0) {
    dead_->poll(kCommitWaitMs, *this);
  } else {
    consumer_->take(taken_, batch_ != nullptr || commits_open_ > 0 ? kCommitWaitMs : kIdleWaitMs);
  }
}

bool Ingest::take_deliveries() {
  consumer_->take(taken_, 0);
  const bool any = !taken_.empty();
  const uint64_t now_ns = steady_clock_ns();
  for (outbound::Delivery& delivery : taken_) {
    ++books_.messages_in;
    ++books_.messages_in_hand;
    books_.octets_in += delivery.message.body().size();
    if (delivery.deliveries > 1) ++books_.messages_redelivered;
    if (delivery.deliveries >= kSuspectFrom) ++suspects_;
    ++in_hand_of_[delivery.input];
    ++waiting_of_[delivery.input];
    auto message = std::make_unique<HeldMessage>(std::move(delivery));
    message->prolonged_ns = now_ns;
    waiting_.push_back(std::move(message));
  }
  taken_.clear();
  if (is_stopping_ && any) give_back_waiting();
  return any;
}

void Ingest::ask_for_more(uint64_t now_ns) {
  if (is_stopping_) return;
  bool is_careful = suspects_ > 0;
  for (size_t i = 0; i < consumer_->inputs(); ++i) {
    // The server goes on counting those that were purged: what is left when nobody has any is theirs.
    const outbound::ConsumerLook look = consumer_->look(i);
    uint64_t& stale = redelivered_stale_[i];
    stale = look.ack_pending == 0 ? look.redelivered : std::min(stale, look.redelivered);
    is_careful |= look.redelivered > stale;
  }
  const auto unread_max = static_cast<uint32_t>(
      std::clamp<uint64_t>(config_.source.octets_in_hand / (256 << 10), 1, config_.source.messages_in_hand));
  if (!is_careful) window_ = unread_max;
  if (suspects_ > 0) window_ = 1;
  const auto inputs = static_cast<uint32_t>(consumer_->inputs());
  const uint32_t share = std::max<uint32_t>(std::min(window_, unread_max) / inputs, 1);
  const uint32_t held_max = std::max<uint32_t>(config_.source.messages_in_hand / inputs, 1);
  for (uint32_t i = 0; i < inputs; ++i) {
    if (consumer_->outstanding(i, now_ns) != 0 || waiting_of_[i] > share / 2 || in_hand_of_[i] >= held_max) continue;
    if (suspects_ > 0 && in_hand_of_[i] > 0) continue;
    consumer_->ask(i, std::min(share - waiting_of_[i], held_max - in_hand_of_[i]), now_ns);
    // Those that came were no suspects: twice as many.
    window_ = std::min(2 * window_, unread_max);
  }
}

bool Ingest::publish_letters() {
  const uint64_t outcomes_before = outcomes_;
  while (!to_publish_.empty() && dead_->submit(*to_publish_.front(), *this)) {
    letters_.push_back(std::move(to_publish_.front()));
    to_publish_.pop_front();
  }
  dead_->poll(0, *this);
  return outcomes_ != outcomes_before;
}

void Ingest::on_outcome(const outbound::Outcome& outcome) {
  ++outcomes_;
  auto& letter = static_cast<Letter&>(*outcome.batch);
  HeldMessage& message = *letter.message;
  if (!outcome.acknowledged) {
    if (outcome.failure != outbound::DeliveryFailure::shutdown_deadline) {
      static service::LogLimit limit{5, 10 * kNsPerSec};
      service::log_limited(limit, service::LogLevel::warning,
                           "{}: a message is not published: {}; message {} is left to be delivered again", letter.as.subject,
                           name_of(outcome.failure), message.id);
    }
    message.has_failed = true;
    books_.records_returned += letter.records;
  } else {
    books_.records_dead[static_cast<size_t>(letter.reason)] += letter.records;
  }
  books_.records_in_flight -= letter.records;
  --message.letters;
  --letters_open_;
  const auto under_way = std::find_if(letters_.begin(), letters_.end(), [&](const auto& l) { return l.get() == &letter; });
  if (under_way != letters_.end()) {
    std::swap(*under_way, letters_.back());
    letters_.pop_back();
  }
  close_if_settled(message);
}

bool Ingest::take_commits() {
  bool any = false;
  while (CommitBatch* const batch = committer_.take_done()) {
    any = true;
    --commits_open_;
    const bool is_committed = batch->committed_steady_ns != 0;
    books_.records_in_flight -= batch->rows;
    (is_committed ? books_.rows : books_.records_returned) += batch->rows;
    if (is_committed) newest_row_us_ = std::max(newest_row_us_, batch->newest_us);
    for (HeldMessage* message : batch->messages) {
      message->waits_for_commit = false;
      message->has_failed |= !is_committed;
      close_if_settled(*message);
    }
    recycle(*batch);
  }
  return any;
}

// ------------------------------------------------------------------------------------ the end of a message

void Ingest::close_if_settled(HeldMessage& message) {
  if (!message.is_settled()) return;
  message.delivery.message = {};
  message.source = {};
  closing_.push_back(&message);
}

bool Ingest::close_messages() {
  bool did = false;
  while (!closing_.empty()) {
    HeldMessage& message = *closing_.back();
    const bool told = message.has_failed ? consumer_->give_back(message.reply, give_back_delay_ms())
                                         : consumer_->acknowledge(message.reply);
    if (!told) break;  // not connected just now
    closing_.pop_back();
    did = true;
    if (message.has_failed) {
      ++books_.messages_returned;
    } else if (message.dead) {
      ++books_.messages_dead[static_cast<size_t>(*message.dead)];
    } else {
      ++(message.is_repeated ? books_.messages_repeated : books_.messages_stored);
    }
    --books_.messages_in_hand;
    --in_hand_of_[message.delivery.input];
    if (message.delivery.deliveries >= kSuspectFrom && --suspects_ == 0) consumer_->look_soon();
    const size_t place = message.place;
    read_.back()->place = place;
    std::swap(read_[place], read_.back());
    read_.pop_back();
  }
  return did;
}

/// What takes long, whosever fault it is, is not given to somebody else meanwhile.
void Ingest::prolong(uint64_t now_ns) {
  if (now_ns < next_prolong_ns_) return;
  const uint64_t third_ns = uint64_t{config_.source.ack_wait_secs} * kNsPerSec / 3;
  next_prolong_ns_ = now_ns + third_ns / 8;
  const auto look = [&](HeldMessage& message) {
    if (now_ns - message.prolonged_ns < third_ns) return;
    if (consumer_->prolong(message.reply)) message.prolonged_ns = now_ns;
  };
  for (const auto& message : waiting_) look(*message);
  for (const auto& message : read_) look(*message);
}

// ------------------------------------------------------------------------------------ stop

/// Not at once while a request of ours is open: it would come straight back, and each time count as a delivery.
uint32_t Ingest::give_back_delay_ms() noexcept {
  const uint64_t now_ns = steady_clock_ns();
  for (uint32_t i = 0; i < consumer_->inputs(); ++i) {
    if (consumer_->outstanding(i, now_ns) != 0) return outbound::JetStreamConsumer::kRequestMaxMs;
  }
  return is_stopping_ ? 0 : kGiveBackDelayMs;
}

void Ingest::give_back_waiting() {
  const uint32_t delay_ms = give_back_delay_ms();
  while (!waiting_.empty()) {
    HeldMessage& message = *waiting_.front();
    // Where that cannot be said the server finds out by itself.
    consumer_->give_back(message.reply, delay_ms);
    ++books_.messages_returned;
    --books_.messages_in_hand;
    --in_hand_of_[message.delivery.input];
    --waiting_of_[message.delivery.input];
    waiting_.pop_front();
  }
}

void Ingest::stop() {
  is_stopping_ = true;
  give_back_waiting();
  const uint64_t deadline_ns = steady_clock_ns() + config_.shutdown_deadline_ms * kNsPerMs;
  const auto is_over = [&] {
    return stop_asked_.load(std::memory_order_acquire) > 1 || steady_clock_ns() >= deadline_ns;
  };
  must_seal_ = batch_ != nullptr;
  while (!read_.empty() && !is_over()) {
    if (!step()) wait();
  }
  // What cannot be written now comes again: the writer gives it up.
  committer_.ask_to_stop();
  while (commits_open_ > 0) {
    if (!take_commits()) consumer_->take(taken_, kCommitWaitMs);
  }
  if (batch_ != nullptr) {
    books_.records_in_flight -= batch_->rows;
    books_.records_returned += batch_->rows;
    for (HeldMessage* message : batch_->messages) {
      message->waits_for_commit = false;
      message->has_failed = true;
      close_if_settled(*message);
    }
    batch_ = nullptr;
  }
  while (!to_publish_.empty()) {
    letters_.push_back(std::move(to_publish_.front()));
    to_publish_.pop_front();
    on_outcome({letters_.back().get(), false, false, outbound::DeliveryFailure::shutdown_deadline});
  }
  const std::atomic<uint64_t> now{0};
  dead_->drain(now, *this);
  close_messages();
  consumer_->flush(kFlushMs);
  // Without a connection nobody can be told: their time runs out.
  books_.messages_returned += read_.size() + taken_.size();
  books_.messages_in += taken_.size();
  books_.messages_in_hand -= read_.size();
  read_.clear();
  closing_.clear();
  publish_view(steady_clock_ns());
}

}  // namespace weir::store

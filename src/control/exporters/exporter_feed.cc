#include "control/exporters/exporter_feed.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cassert>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/thread_rights.h"

namespace weir::control {
namespace {

constexpr int kWaitMs = 100;  // for answers, or for something to publish

}  // namespace

ExporterFeed::ExporterFeed(ExporterFeedConfig config,
                           std::unique_ptr<outbound::MetaPublisher> publisher, PrintLine print)
    : config_(std::move(config)), publisher_(std::move(publisher)), print_(std::move(print)) {}

ExporterFeed::~ExporterFeed() {
  if (!thread_.joinable()) return;
  uint64_t not_draining = 0;
  drain_deadline_ns_.compare_exchange_strong(not_draining, steady_clock_ns());
  wake_thread();
  thread_.join();
}

void ExporterFeed::start() {
  is_started_ = publisher_ != nullptr;
  try_start();
}

/// Where no thread can be made just now it is tried again at the next step.
void ExporterFeed::try_start() {
  if (!is_started_ || thread_.joinable() || drain_deadline_ns_.load(std::memory_order_relaxed) != 0) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
  }
}

void ExporterFeed::wake_thread() noexcept {
  if (publisher_ == nullptr) return;
  work_ready_.wake();
  publisher_->wake();
}

bool ExporterFeed::step(ExporterDirectory& directory, uint64_t steady_now_ns) {
  try_start();
  bool moved = false;
  for (Decided decided; decided_.pop(decided); moved = true) {
    const auto it = items_.find(decided.message);
    assert(it != items_.end() && "each message is decided once");
    if (it->second->is_unprinted || (is_leaving_ && !decided.acknowledged)) {
      directory.put_back(it->second->exporter, steady_now_ns);
    } else {
      directory.published(it->second->exporter);
    }
    items_.erase(it);
  }
  if (drain_deadline_ns_.load(std::memory_order_relaxed) != 0) return moved;
  flowpb::ExporterInfo info;
  while (items_.size() < kFeedMessagesMax && directory.take_due(steady_now_ns, info)) {
    auto item = std::make_unique<Item>();
    item->exporter = address_of(info).value_or(IpAddress{});
    const std::string token = subject_token(item->exporter);
    item->message.subject = config_.subject_prefix + "." + token;
    item->message.id = fmt::format("{}.meta.{}.{}", config_.id_prefix, token, info.version());
    bool is_printed = true;
    if (print_) {
      std::string line;
      append_exporter_json_line(info, line);
      is_printed = print_(line);
    }
    moved = true;
    if (publisher_ == nullptr) {
      if (is_printed) {
        directory.published(item->exporter);
        continue;
      }
      directory.put_back(item->exporter, steady_now_ns);
      break;
    }
    item->is_unprinted = !is_printed;
    info.SerializeToString(&item->message.payload);
    outbound::MetaMessage* message = &item->message;
    items_.emplace(message, std::move(item));
    [[maybe_unused]] const bool pushed = offered_.push(message);
    assert(pushed && "the ring holds all items");
  }
  if (moved) wake_thread();
  return moved;
}

void ExporterFeed::begin_drain(uint64_t deadline_steady_ns) {
  uint64_t deadline_ns = std::max<uint64_t>(deadline_steady_ns, 1);
  const uint64_t before_ns = drain_deadline_ns_.load(std::memory_order_relaxed);
  if (before_ns != 0) deadline_ns = std::min(deadline_ns, before_ns);
  drain_deadline_ns_.store(deadline_ns, std::memory_order_release);
  if (is_started_ && !thread_.joinable()) finished_.store(true, std::memory_order_release);
  wake_thread();
}

void ExporterFeed::begin_leave(uint64_t deadline_steady_ns) {
  is_leaving_ = true;
  begin_drain(deadline_steady_ns);
}

void ExporterFeed::on_meta_outcome(outbound::MetaMessage& message, bool acknowledged) {
  [[maybe_unused]] const bool pushed = decided_.push({&message, acknowledged});
  assert(pushed && "the ring holds all items");
}

void ExporterFeed::run() {
  pthread_setname_np(pthread_self(), "pub-meta");
  RoleScope role(publisher_thread);
  give_up_capabilities_unless_root();
  publish_until_drained();
  finished_.store(true, std::memory_order_release);
}

void ExporterFeed::publish_until_drained() {
  outbound::MetaMessage* held = nullptr;  // taken from the ring, not yet by the publisher
  bool is_needed = false;  // where no exporter names anything, there is no connection and no stream
  for (;;) {
    while (held != nullptr || offered_.pop(held)) {
      if (!publisher_->submit(*held)) break;
      held = nullptr;
      is_needed = true;
    }
    const uint64_t deadline_ns = drain_deadline_ns_.load(std::memory_order_acquire);
    // What was offered before the drain began is seen here, or was taken above.
    const bool is_idle =
        held == nullptr && publisher_->in_flight() == 0 && offered_.size_approx() == 0;
    if (deadline_ns != 0 && (is_idle || steady_clock_ns() >= deadline_ns)) break;
    // Once it was needed it stays connected, so that trouble is seen before it matters again.
    if (is_needed) publisher_->poll(is_idle ? 0 : kWaitMs, *this);
    if (is_idle) {
      work_ready_.wait(kWaitMs, [this] {
        return offered_.size_approx() > 0 ||
               drain_deadline_ns_.load(std::memory_order_acquire) != 0;
      });
    }
  }
  publisher_->give_up(*this);
  while (held != nullptr || offered_.pop(held)) {
    on_meta_outcome(*held, false);
    held = nullptr;
  }
}

void add_past(ExporterFeedView& feed, const ExporterFeedView& past) {
  feed.acknowledged += past.acknowledged;
  feed.failed += past.failed;
  feed.messages += past.messages;
  feed.retries += past.retries;
  feed.streams_created += past.streams_created;
}

ExporterFeedView ExporterFeed::view(const ExporterDirectory& directory) const {
  ExporterFeedView v;
  v.waiting = directory.changed() + items_.size();
  if (publisher_ == nullptr) return v;
  const outbound::MetaCounters& c = publisher_->counters();
  v.is_on = true;
  v.connected = c.connected.value() != 0;
  v.last_error = publisher_->last_error();
  v.acknowledged = c.acknowledged.value();
  v.failed = c.failed.value();
  v.messages = c.messages.value();
  v.retries = c.retries.value();
  v.streams_created = c.streams_created.value();
  return v;
}

}  // namespace weir::control

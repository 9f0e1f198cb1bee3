#include "control/delivery/spool_thread.h"

#include <pthread.h>

#include <cassert>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/thread_rights.h"

namespace weir::control {

using outbound::OutboundBatch;
using outbound::Spool;
using outbound::SpoolAppend;
using outbound::SpoolEntry;

namespace {

constexpr int kIdleWaitMs = 100;       // also how often the spool looks at its clock
constexpr int kStoredPerTurnMax = 64;  // so that what is read back does not wait long

}  // namespace

SpoolThread::SpoolThread(std::string name, std::unique_ptr<Spool> spool,
                         outbound::Addressing addressing, size_t batches_in_all, Waker& on_news)
    : name_(std::move(name)),
      spool_(std::move(spool)),
      dir_(spool_->config().dir),
      octets_max_(spool_->config().octets_max),
      addressing_(std::move(addressing)),
      on_news_(on_news),
      to_store_(batches_in_all),
      stored_(batches_in_all) {
  for (ReplayBatch& batch : batches_) {
    batch.home = this;
    idle_.push_back(&batch);
  }
}

SpoolThread::~SpoolThread() {
  if (!thread_.joinable()) return;
  is_closing_.store(true, std::memory_order_release);
  work_ready_.wake();
  thread_.join();
}

Result<void> SpoolThread::start() {
  try {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), ("spool-" + name_).substr(0, 15).c_str());
      RoleScope role(spool_thread);
      give_up_capabilities_unless_root();
      run();
      has_ended_.store(true, std::memory_order_release);
      on_news_.wake();
    });
  } catch (const std::system_error& e) {
    return Error{"no thread can be made: " + e.code().message()};
  }
  return {};
}

bool SpoolThread::store(OutboundBatch* batch) noexcept {
  if (!to_store_.push(batch)) return false;
  work_ready_.wake();
  return true;
}

bool SpoolThread::take_stored(StoredBatch& stored) noexcept { return stored_.pop(stored); }

bool SpoolThread::take_replay(ReplayBatch*& batch) noexcept { return replays_.pop(batch); }

void SpoolThread::settle(ReplayBatch* batch, Settled how) noexcept {
  [[maybe_unused]] const bool pushed = returned_.push({batch, how});
  assert(pushed && "as many as there are batches");
  work_ready_.wake();
}

void SpoolThread::change_limits(const outbound::SpoolLimits& limits) {
  octets_max_ = limits.octets_max;
  limits_.publish(std::make_shared<const outbound::SpoolLimits>(limits));
  work_ready_.wake();
}

void SpoolThread::take_limits() {
  auto limits = limits_.read();
  if (limits == limits_seen_) return;
  limits_seen_ = std::move(limits);
  spool_->set_limits(*limits_seen_);
}

void SpoolThread::begin_close() noexcept {
  is_closing_.store(true, std::memory_order_release);
  work_ready_.wake();
}

std::string SpoolThread::last_error() const {
  const auto error = last_error_.read();
  return error ? *error : std::string();
}

void SpoolThread::run() {
  for (;;) {
    // Before the rings: what was put into them until it was set is seen below.
    const bool closing = is_closing_.load(std::memory_order_acquire);
    take_limits();
    bool moved = store_some();
    moved |= take_returned();
    if (closing) {
      if (moved) continue;
      break;
    }
    moved |= read_ahead();
    spool_->tick(steady_clock_ns());
    tell(spool_->last_error());
    if (moved) continue;
    work_ready_.wait(kIdleWaitMs, [this] {
      return to_store_.size_approx() > 0 || returned_.size_approx() > 0 ||
             is_closing_.load(std::memory_order_acquire);
    });
  }
  spool_->flush();
}

/// What is wrong with the spool; empty: nothing any more.
void SpoolThread::tell(std::string_view trouble) {
  if (trouble == told_) return;
  told_ = trouble;
  last_error_.publish(std::make_shared<const std::string>(told_.empty() ? std::string() : "spool: " + told_));
}

bool SpoolThread::store_some() {
  OutboundBatch* batch = nullptr;
  int n = 0;
  for (; n < kStoredPerTurnMax && to_store_.pop(batch); ++n) {
    const std::string id = addressing_.id_of(*batch);
    const std::string subject = addressing_.subject_of(*batch);
    SpoolEntry entry;
    entry.id = id;
    entry.subject = subject;
    entry.kind = batch->kind;
    entry.records = batch->records;
    entry.sealed_wall_ns = wall_clock_ns();
    entry.payload = batch->payload();
    const SpoolAppend result = spool_->append(entry);
    if (result == SpoolAppend::stored) counters_.stored_records.add(batch->records);
    tell(spool_->last_error());
    [[maybe_unused]] const bool pushed = stored_.push({batch, result});
    assert(pushed && "as many as there are batches");
  }
  if (n == 0) return false;
  on_news_.wake();
  return true;
}

bool SpoolThread::take_returned() {
  bool any = false;
  for (Returned returned; returned_.pop(returned); any = true) {
    if (returned.how == Settled::forget) {
      spool_->release(returned.batch->place);
      counters_.released_records.add(returned.batch->records);
    }
    idle_.push_back(returned.batch);
  }
  return any;
}

/// One batch a turn, so that storing goes before it.
bool SpoolThread::read_ahead() {
  if (idle_.empty() || spool_->is_empty()) return false;
  ReplayBatch& batch = *idle_.back();
  const auto given = spool_->take(batch.room, wall_clock_ns());
  if (!given) return false;
  idle_.pop_back();
  batch.place = given->place;
  batch.as.id = given->entry.id;
  batch.as.subject = given->entry.subject;
  batch.replayed_as = &batch.as;
  batch.kind = given->entry.kind;
  batch.records = given->entry.records;
  batch.data = batch.room.data() + (given->entry.payload.data() - batch.room.data());
  batch.octets = batch.capacity = static_cast<uint32_t>(given->entry.payload.size());
  batch.sealed_steady_ns = steady_clock_ns();
  batch.references = 0;
  [[maybe_unused]] const bool pushed = replays_.push(&batch);
  assert(pushed && "as many as there are batches");
  on_news_.wake();
  return true;
}

}  // namespace weir::control

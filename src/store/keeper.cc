#include "store/keeper.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "store/schema.h"

namespace weir::store {

namespace {

constexpr int64_t kMinute = 60 * kMicrosPerSecond;
constexpr int64_t kReadOnMicros = kMicrosPerSecond;  // files in doubt are read with pauses

std::array<int64_t, kKeeperTasks> intervals(const KeeperConfig& config) {
  std::array<int64_t, kKeeperTasks> every{};
  every.fill(kMinute);
  every[static_cast<size_t>(KeeperTask::fold)] = config.fold_every_micros;
  every[static_cast<size_t>(KeeperTask::look)] = 10 * kMicrosPerSecond;
  every[static_cast<size_t>(KeeperTask::expire)] = 60 * kMinute;
  return every;
}

/// Those that may find more of the same to do.
bool goes_on(KeeperTask task) noexcept {
  return task == KeeperTask::fold || task == KeeperTask::archive || task == KeeperTask::merge;
}

}  // namespace

Keeper::Keeper(Connection connection, const KeeperConfig& config, RetentionClock clock)
    : connection_(std::move(connection)), config_(config), history_(config.folder), watch_(history_.folder()), clock_(std::move(clock)) {
  const auto every = intervals(config);
  for (size_t i = 0; i < kKeeperTasks; ++i) schedule_[i].every_micros = every[i];
  current_.rollups = config.rollups;
  current_.history_micros = config.history_micros;
}

Result<std::unique_ptr<Keeper>> Keeper::make(Database& database, const KeeperConfig& config, int64_t now_micros) {
  auto connection = database.connect();
  if (!connection) return connection.error();
  auto saved = load_clock(*connection, now_micros);
  if (!saved) return saved.error();
  RetentionClock clock(std::move(*saved), config.boot, now_micros, config.steady_micros());
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(*connection), config, std::move(clock)));
  if (auto kept = keeper->keep_clock(); !kept) return kept.error();
  if (auto begun = keeper->watch_.begin(keeper->connection_); !begun) return begun.error();
  if (auto published = keeper->publish(); !published) return published.error();
  return keeper;
}

Result<void> Keeper::keep_clock() {
  if (auto saved = save_clock(connection_, clock_.state()); !saved) return saved;
  clock_kept_ = clock_.passed();
  return {};
}

bool Keeper::step(int64_t now_micros) {
  clock_.advance(now_micros, config_.steady_micros());
  if (watch_.has_suspicion()) schedule_of(KeeperTask::look).next_micros = 0;
  if (scrub_.is_verifying()) schedule_of(KeeperTask::scrub).next_micros = 0;
  bool has_more = false;
  bool has_run = false;
  for (size_t i = 0; i < kKeeperTasks; ++i) {
    Schedule& schedule = schedule_[i];
    // The clock was set back: what is due does not wait until it is there again.
    if (schedule.next_micros - now_micros > std::max(kRetryMicros, schedule.every_micros)) schedule.next_micros = now_micros;
    if (now_micros < schedule.next_micros) continue;
    const KeeperTask task{static_cast<uint8_t>(i)};
    KeeperTaskView& view = current_.tasks[i];
    const uint64_t begun_ns = steady_clock_ns();
    const auto done = run(task, now_micros);
    view.busy_ns += steady_clock_ns() - begun_ns;
    has_run = true;
    ++view.runs;
    schedule.next_micros = now_micros + schedule.every_micros;
    if (!done) {
      ++view.failures;
      view.trouble = done.error().message;
      schedule.next_micros = now_micros + std::max(kRetryMicros, schedule.every_micros);
      continue;
    }
    view.trouble = aside(task).trouble();
    view.done += *done;
    if (*done > 0 && goes_on(task)) {
      schedule.next_micros = now_micros;
      has_more = true;
    }
    if (task == KeeperTask::look && watch_.is_reading()) schedule.next_micros = now_micros + kReadOnMicros;
    if (task == KeeperTask::scrub) {
      if (scrub_.is_reading() || *done > 0) schedule.next_micros = now_micros + kReadOnMicros;
      has_more |= scrub_.is_verifying();
    }
  }
  if (has_run) {
    if (auto published = publish(); !published) current_.tasks[static_cast<size_t>(KeeperTask::look)].trouble = published.error().message;
  }
  return has_more;
}

Result<uint64_t> Keeper::run(KeeperTask task, int64_t now_micros) {
  switch (task) {
    case KeeperTask::fold: return fold(connection_);
    case KeeperTask::close: return close(now_micros);
    case KeeperTask::roll_up: return roll_up(connection_, std::min(now_micros, clock_.now() + kClockAheadMaxMicros));
    case KeeperTask::look: return watch_.look(connection_, config_.steady_micros());
    case KeeperTask::scrub: return scrub();
    case KeeperTask::archive: return archive(now_micros);
    case KeeperTask::merge: return merge(now_micros);
    case KeeperTask::retire: return retire();
    case KeeperTask::expire: return expire_rollups(connection_, clock_.now(), config_.rollups);
    case KeeperTask::count_: break;
  }
  return uint64_t{0};
}

/// How many files were read to their ends.
Result<uint64_t> Keeper::scrub() {
  const uint64_t octets = scrub_.is_verifying() ? UINT64_MAX : config_.scrub_octets_per_second;
  const uint64_t before = scrub_.view().files;
  std::vector<StateChange> changes;
  const auto read = scrub_.step(connection_, octets, steady_clock_ns() + kScrubBudgetNs, clock_.passed(), changes);
  if (auto changed = watch_.change(connection_, changes); !changed) return changed;
  if (!read) return read.error();
  return scrub_.view().files - before;
}

Result<uint64_t> Keeper::retire() {
  if (clock_.passed() - clock_kept_ >= kKeepClockMicros) {
    if (auto kept = keep_clock(); !kept) return kept.error();
  }
  if (config_.history_micros > 0) {
    const int64_t bound = clock_.now() - config_.history_micros;
    auto retired = history_.retire_before(connection_, hour_of(bound), clock_.passed());
    if (!retired) return retired;
  }
  return history_.remove_retired(connection_, clock_.passed(), config_.retired_micros);
}

/// One hour; where it cannot be done it is left for a while, and the next one's turn comes.
Result<uint64_t> Keeper::merge(int64_t now_micros) {
  const auto hours = history_.hours_to_merge(connection_);
  if (!hours) return hours.error();
  SetAside& failed = aside(KeeperTask::merge);
  failed.keep_only([&](int64_t hour) { return std::find(hours->begin(), hours->end(), hour) != hours->end(); });
  int tries = 0;
  for (const int64_t hour : *hours) {
    if (failed.has(hour, now_micros)) continue;
    const auto merged = history_.merge(connection_, hour, clock_.passed());
    if (merged) {
      failed.done(hour);
      return merged;
    }
    failed.failed(hour, merged.error().message, now_micros);
    ++current_.tasks[static_cast<size_t>(KeeperTask::merge)].failures;
    if (may_be_of_a_file(merged.error().message)) {
      const auto files = file_rows(connection_, fmt::format("state = 'kept' AND hour = {}", hour));
      if (!files) return files.error();
      watch_.doubt(*files);
      schedule_of(KeeperTask::look).next_micros = 0;
    }
    if (++tries == kAsideAStepMax) break;
  }
  return uint64_t{0};
}

/// How often each hour was written to, and since when no more.
Result<void> Keeper::look_at_writes(int64_t now_micros) {
  auto rows = connection_.query("SELECT hour, commits, is_open FROM flow_hours ORDER BY hour");
  if (!rows) return rows.error();
  std::map<int64_t, Writes> seen;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) break;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      const int64_t hour = chunk->at<int64_t>(0, row);
      const int64_t commits = chunk->at<int64_t>(1, row) / kAppendInCommits;  // whoever closes it writes nothing
      const auto before = writes_.find(hour);
      const bool is_same = before != writes_.end() && before->second.commits == commits;
      seen[hour] = {commits, is_same ? std::min(before->second.since_micros, now_micros) : now_micros, chunk->at<bool>(2, row)};
    }
  }
  writes_ = std::move(seen);
  return {};
}

Result<uint64_t> Keeper::close(int64_t now_micros) {
  if (auto looked = look_at_writes(now_micros); !looked) return looked.error();
  std::vector<int64_t> quiet;
  for (const auto& [hour, writes] : writes_) {
    if (writes.is_open && is_quiet(writes, now_micros)) quiet.push_back(hour);
  }
  return quiet.empty() ? Result<uint64_t>(uint64_t{0}) : close_folded(connection_, quiet);
}

Result<uint64_t> Keeper::archive(int64_t now_micros) {
  if (auto looked = look_at_writes(now_micros); !looked) return looked.error();
  SetAside& failed = aside(KeeperTask::archive);
  failed.keep_only([&](int64_t hour) { return writes_.count(hour) != 0; });
  int tries = 0;
  for (const auto& [hour, writes] : writes_) {
    if ((hour + 1) * kMicrosPerHour > now_micros - config_.recent_micros) break;  // and all behind it
    if (!is_quiet(writes, now_micros)) continue;
    if (failed.has(hour, now_micros)) continue;
    const auto done = history_.archive(connection_, hour, clock_.passed());
    if (!done) {
      failed.failed(hour, done.error().message, now_micros);
      ++current_.tasks[static_cast<size_t>(KeeperTask::archive)].failures;
      if (++tries == kAsideAStepMax) break;
      continue;
    }
    failed.done(hour);
    if (*done) return uint64_t{1};
  }
  return uint64_t{0};
}

Result<void> Keeper::publish() {
  auto rows = connection_.query(
      "SELECT (SELECT count(*) FROM flow_hours), count(*), coalesce(sum(octets), 0)::BIGINT, coalesce(sum(rows), 0)::BIGINT, "
      "count(*) FILTER (crc32c IS NULL), coalesce(min(checked) FILTER (checked > 0), 0) FROM history_files WHERE state = 'kept'");
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  const auto number = [&](size_t at) { return static_cast<uint64_t>(chunk->at<int64_t>(at, 0)); };
  current_.hours = number(0);
  current_.files = number(1);
  current_.file_octets = number(2);
  current_.file_rows = number(3);
  current_.files_without_sum = number(4);
  const auto read_first = chunk->at<int64_t>(5, 0);
  current_.unread_micros = read_first == 0 ? 0 : std::max<int64_t>(0, clock_.passed() - read_first);
  auto left_out = left_out_files(connection_);
  if (!left_out) return left_out.error();
  current_.left_out = std::move(*left_out);
  current_.watch = watch_.view();
  current_.scrub = scrub_.view();
  auto from = kept_from(connection_);
  if (!from) return from.error();
  current_.kept_from = *from;
  current_.clock_ahead_micros = clock_.behind();
  view_.publish(std::make_shared<const KeeperView>(current_));
  return {};
}

}  // namespace weir::store

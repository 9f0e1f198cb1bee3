#include "store/keeper.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/schema.h"

namespace weir::store {

namespace {

constexpr int64_t kMinute = 60 * kMicrosPerSecond;
constexpr size_t kSuspectsMax = 16;

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

Keeper::Keeper(Connection connection, const KeeperConfig& config)
    : connection_(std::move(connection)), config_(config), history_(config.folder) {
  const auto every = intervals(config);
  for (size_t i = 0; i < kKeeperTasks; ++i) schedule_[i].every_micros = every[i];
}

Result<std::unique_ptr<Keeper>> Keeper::make(Database& database, const KeeperConfig& config, int64_t now_micros) {
  auto connection = database.connect();
  if (!connection) return connection.error();
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(*connection), config));
  const auto broken = keeper->history_.check(keeper->connection_, now_micros);
  if (!broken) return broken.error();
  for (const std::string& text : *broken) keeper->name_broken(text);
  if (auto published = keeper->publish(); !published) return published.error();
  return keeper;
}

void Keeper::suspect(const std::string& path) {
  const std::lock_guard lock(suspects_lock_);
  if (suspects_.size() < kSuspectsMax && std::find(suspects_.begin(), suspects_.end(), path) == suspects_.end()) {
    suspects_.push_back(path);
  }
}

void Keeper::name_broken(const std::string& text) {
  if (current_.newly_broken.size() < kBrokenNamedMax) current_.newly_broken.push_back(text);
}

bool Keeper::step(int64_t now_micros) {
  {
    const std::lock_guard lock(suspects_lock_);
    if (!suspects_.empty()) schedule_[static_cast<size_t>(KeeperTask::look)].next_micros = 0;
  }
  bool has_more = false;
  bool has_run = false;
  for (size_t i = 0; i < kKeeperTasks; ++i) {
    Schedule& schedule = schedule_[i];
    // The clock was set back: what is due does not wait until it is there again.
    if (schedule.next_micros - now_micros > std::max(kRetryMicros, schedule.every_micros)) schedule.next_micros = now_micros;
    if (now_micros < schedule.next_micros) continue;
    const KeeperTask task{static_cast<uint8_t>(i)};
    KeeperTaskView& view = current_.tasks[i];
    const auto done = run(task, now_micros);
    has_run = true;
    ++view.runs;
    schedule.next_micros = now_micros + schedule.every_micros;
    if (!done) {
      ++view.failures;
      view.trouble = done.error().message;
      schedule.next_micros = now_micros + std::max(kRetryMicros, schedule.every_micros);
      continue;
    }
    view.trouble.clear();
    view.done += *done;
    if (*done > 0 && goes_on(task)) {
      schedule.next_micros = now_micros;
      has_more = true;
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
    case KeeperTask::roll_up: return roll_up(connection_, now_micros);
    case KeeperTask::look: return look(now_micros);
    case KeeperTask::archive: return archive(now_micros);
    case KeeperTask::merge: return history_.merge(connection_, now_micros);
    case KeeperTask::retire: {
      if (config_.history_micros > 0) {
        const auto newest = newest_micros();
        if (!newest) return newest.error();
        const int64_t bound = std::min(now_micros, *newest + kClockAheadMaxMicros) - config_.history_micros;
        auto retired = history_.retire_before(connection_, hour_of(bound), now_micros);
        if (!retired) return retired;
      }
      return history_.remove_retired(connection_, now_micros);
    }
    case KeeperTask::expire: return expire_rollups(connection_, now_micros, config_.rollups);
    case KeeperTask::count_: break;
  }
  return uint64_t{0};
}

Result<int64_t> Keeper::newest_micros() {
  auto rows = connection_.query("SELECT coalesce(max(hour), 0)::BIGINT FROM (SELECT hour FROM flow_hours UNION ALL SELECT hour FROM history_files)");
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  return (chunk->at<int64_t>(0, 0) + 1) * kMicrosPerHour;
}

Result<uint64_t> Keeper::look(int64_t now_micros) {
  std::vector<std::string> suspects;
  {
    const std::lock_guard lock(suspects_lock_);
    suspects.swap(suspects_);
  }
  uint64_t found = 0;
  for (const std::string& path : suspects) {
    const auto is_broken = history_.check_whole(connection_, path, now_micros);
    if (!is_broken) return is_broken.error();
    if (!*is_broken) continue;
    ++found;
    name_broken(path + ": it cannot be read");
  }
  const auto files = kept_files(connection_);
  if (!files) return files.error();
  if (std::all_of(files->begin(), files->end(), looks_whole)) return found;
  const auto broken = history_.check(connection_, now_micros);
  if (!broken) return broken.error();
  for (const std::string& text : *broken) name_broken(text);
  return found + broken->size();
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
      const int64_t commits = chunk->at<int64_t>(1, row);
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
  for (const auto& [hour, writes] : writes_) {
    if ((hour + 1) * kMicrosPerHour > now_micros - config_.recent_micros) break;  // and all behind it
    if (!is_quiet(writes, now_micros)) continue;
    const auto done = history_.archive(connection_, hour, now_micros);
    if (!done) return done.error();
    if (*done) return uint64_t{1};
  }
  return uint64_t{0};
}

Result<void> Keeper::publish() {
  auto rows = connection_.query(
      "SELECT (SELECT count(*) FROM flow_hours), count(*) FILTER (state = 'kept'), coalesce(sum(octets) FILTER (state = 'kept'), 0)::BIGINT, "
      "coalesce(sum(rows) FILTER (state = 'kept'), 0)::BIGINT, count(*) FILTER (state = 'broken') FROM history_files");
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  const auto number = [&](size_t at) { return static_cast<uint64_t>(chunk->at<int64_t>(at, 0)); };
  current_.hours = number(0);
  current_.files = number(1);
  current_.file_octets = number(2);
  current_.file_rows = number(3);
  current_.broken_files = number(4);
  view_.publish(std::make_shared<const KeeperView>(current_));
  return {};
}

}  // namespace weir::store

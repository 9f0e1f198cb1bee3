#include "store/file_watch.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/clock.h"
#include "store/parquet_file.h"
#include "store/schema.h"

namespace weir::store {

namespace {

constexpr size_t kSuspicionsMax = 16;
constexpr int64_t kRecheckMicros = 60'000'000;
constexpr int64_t kRecheckMaxMicros = 3600'000'000;
constexpr int64_t kAllPauseParts = 10;
constexpr std::string_view kSuffix = ".parquet";

/// Another one where it may have become another file.
std::string stamp_of(const std::string& path) {
  struct stat look {};
  if (stat(path.c_str(), &look) != 0) return "absent";
  return fmt::format("{}.{}.{}.{}.{}", look.st_ino, look.st_size, look.st_mtim.tv_sec, look.st_mtim.tv_nsec, look.st_ctim.tv_nsec);
}

}  // namespace

Result<void> FileWatch::begin(Connection& connection) {
  if (auto removed = remove_leftovers(connection); !removed) return removed;
  auto unknown = strangers(connection, folder_);
  if (!unknown) return unknown.error();
  view_.unknown = unknown->size();
  unknown->resize(std::min(unknown->size(), kFilesNamedMax));
  view_.unknown_named = std::move(*unknown);

  std::vector<StateChange> changes;
  if (auto looked = look_at_noted(connection, changes); !looked) return looked;
  const auto files = file_rows(connection, "state = 'kept' OR (state = 'broken' AND trouble <> '')");
  if (!files) return files.error();
  for (const FileRow& file : *files) {
    const auto trouble = end_trouble(connection, file);
    if (!trouble) continue;  // it says nothing of the file
    const bool is_kept = file.state == "kept";
    if (trouble->empty() != is_kept) changes.push_back({file.path, is_kept ? "broken" : "kept", *trouble});
  }
  const auto changed = change(connection, changes);
  if (!changed) return changed.error();
  return retry_conflicts(connection, [&] { return make_views(connection); });
}

void FileWatch::suspect(const std::string& words) {
  const std::lock_guard lock(lock_);
  if (suspicions_.size() < kSuspicionsMax) suspicions_.push_back(words);
}

bool FileWatch::has_suspicion() const {
  const std::lock_guard lock(lock_);
  return !suspicions_.empty();
}

void FileWatch::doubt(const std::vector<FileRow>& files) {
  for (const FileRow& file : files) {
    const bool is_next = std::any_of(to_read_.begin(), to_read_.end(), [&](const FileRow& other) { return other.path == file.path; });
    if (!is_next) to_read_.push_front(file);
  }
}

Result<uint64_t> FileWatch::change(Connection& connection, const std::vector<StateChange>& changes) {
  if (auto done = change_states(connection, changes); !done) return done.error();
  for (const StateChange& now : changes) {
    if (now.state == "kept") {
      ++view_.taken_back;
      rechecks_.erase(now.path);
    } else if (view_.newly_broken.size() < kFilesNamedMax) {
      view_.newly_broken.push_back(fmt::format("{}: {}", now.path, now.trouble));
    }
  }
  return uint64_t{changes.size()};
}

Result<uint64_t> FileWatch::look(Connection& connection, int64_t steady_micros) {
  const uint64_t until_ns = steady_clock_ns() + kWatchBudgetNs;
  if (auto taken = take_suspicions(connection, steady_micros); !taken) return taken.error();
  std::vector<StateChange> changes;
  auto looked = look_at_lengths(connection, changes);
  if (looked) looked = read_some(connection, until_ns, steady_micros, changes);
  if (looked) looked = look_at_broken(connection, until_ns, steady_micros, changes);
  // What was found counts, whatever stood in the way of more.
  auto changed = change(connection, changes);
  view_.in_doubt = to_read_.size();
  if (!looked) return looked.error();
  return changed;
}

Result<void> FileWatch::take_suspicions(Connection& connection, int64_t steady_micros) {
  std::vector<std::string> suspicions;
  {
    const std::lock_guard lock(lock_);
    suspicions.swap(suspicions_);
  }
  for (const std::string& words : suspicions) {
    const size_t begin = words.find(folder_ + "/");
    const size_t end = begin == std::string::npos ? begin : words.find(kSuffix, begin);
    if (end == std::string::npos) {
      wants_all_ |= may_be_of_a_file(words);
      continue;
    }
    const auto named = file_rows(connection, "state = 'kept' AND path = " + sql_text(words.substr(begin, end + kSuffix.size() - begin)));
    if (!named) return named.error();
    doubt(*named);
  }
  if (!wants_all_ || !to_read_.empty() || steady_micros < all_next_micros_) return {};
  auto all = file_rows(connection, "state = 'kept'");
  if (!all) return all.error();
  wants_all_ = false;
  to_read_.assign(all->rbegin(), all->rend());
  return {};
}

/// Those that whoever made views has left out already.
Result<void> FileWatch::look_at_noted(Connection& connection, std::vector<StateChange>& changes) {
  const auto files = file_rows(connection, "state = 'broken' AND trouble = ''");
  if (!files) return files.error();
  for (const FileRow& file : *files) {
    const auto trouble = end_trouble(connection, file);
    if (trouble) changes.push_back({file.path, trouble->empty() ? "kept" : "broken", *trouble});
  }
  return {};
}

Result<void> FileWatch::look_at_lengths(Connection& connection, std::vector<StateChange>& changes) {
  if (auto looked = look_at_noted(connection, changes); !looked) return looked;
  const auto files = kept_files(connection);
  if (!files) return files.error();
  for (const KeptFile& file : *files) {
    if (looks_whole(file)) continue;
    const auto rows = file_rows(connection, "state = 'kept' AND path = " + sql_text(file.path));
    if (!rows) return rows.error();
    for (const FileRow& row : *rows) {
      const auto trouble = end_trouble(connection, row);
      if (trouble && !trouble->empty()) changes.push_back({row.path, "broken", *trouble});
    }
  }
  return {};
}

Result<void> FileWatch::read_some(Connection& connection, uint64_t until_ns, int64_t steady_micros, std::vector<StateChange>& changes) {
  if (to_read_.empty()) return {};
  if (!reading_since_micros_) reading_since_micros_ = steady_micros;
  while (!to_read_.empty() && steady_clock_ns() < until_ns) {
    // It may have been merged or retired meanwhile.
    const auto kept = file_rows(connection, "state = 'kept' AND path = " + sql_text(to_read_.front().path));
    if (!kept) return kept.error();
    if (!kept->empty()) {
      const auto trouble = inside_trouble(connection, kept->front());
      if (!trouble) return trouble.error();  // again at the next look
      if (!trouble->empty()) changes.push_back({kept->front().path, "damaged", *trouble});
    }
    to_read_.pop_front();
  }
  if (to_read_.empty()) {
    all_next_micros_ = steady_micros + std::max(kRecheckMicros, kAllPauseParts * (steady_micros - *reading_since_micros_));
    reading_since_micros_.reset();
  }
  return {};
}

Result<void> FileWatch::look_at_broken(Connection& connection, uint64_t until_ns, int64_t steady_micros, std::vector<StateChange>& changes) {
  const auto files = file_rows(connection, "state = 'broken' OR state = 'damaged'");
  if (!files) return files.error();
  if (files->empty()) rechecks_.clear();
  for (const FileRow& file : *files) {
    if (steady_clock_ns() >= until_ns) break;
    Recheck& recheck = rechecks_[file.path];
    const std::string stamp = stamp_of(file.path);
    const bool is_new = recheck.stamp.empty();
    const bool is_other = !is_new && recheck.stamp != stamp;
    if (is_new || is_other) recheck.wait_micros = kRecheckMicros;
    recheck.stamp = stamp;
    if (is_new) recheck.next_micros = steady_micros + kRecheckMicros;
    if (!is_other && steady_micros < recheck.next_micros) continue;
    recheck.next_micros = steady_micros + recheck.wait_micros;
    recheck.wait_micros = std::min(2 * recheck.wait_micros, kRecheckMaxMicros);
    const auto trouble = file.state == "broken" ? end_trouble(connection, file) : inside_trouble(connection, file);
    if (trouble && trouble->empty()) changes.push_back({file.path, "kept", ""});
  }
  return {};
}

}  // namespace weir::store

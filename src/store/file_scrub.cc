#include "store/file_scrub.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "store/parquet_file.h"

namespace weir::store {

namespace {

constexpr uint64_t kBetweenLooksAtTheClock = 4 << 20;  // octets

}  // namespace

Result<void> FileScrub::begin_verify(Connection& connection) {
  const auto files = file_rows(connection, "state = 'kept'", "hour DESC, path");
  if (!files) return files.error();
  reading_.reset();
  to_verify_.clear();
  for (const FileRow& file : *files) to_verify_.push_back(file.path);
  view_.verify = {.number = wanted_, .is_over = false, .left = to_verify_.size()};
  return {};
}

/// Empty: nothing is due.
Result<std::string> FileScrub::next_path(Connection& connection, int64_t passed_micros) {
  if (!view_.verify.is_over) {
    if (!to_verify_.empty()) {
      std::string path = std::move(to_verify_.front());
      to_verify_.pop_front();
      return path;
    }
    view_.verify.is_over = true;
    return std::string();
  }
  const auto due = file_rows(connection, fmt::format("state = 'kept' AND (crc32c IS NULL OR checked <= {})", passed_micros - kScrubAgainMicros),
                             "crc32c IS NOT NULL, checked, hour DESC, path LIMIT 1");
  if (!due) return due.error();
  return due->empty() ? std::string() : due->front().path;
}

/// Its octets have been read to the end, or `read` says why they cannot be.
Result<void> FileScrub::end_file(Connection& connection, const Result<uint64_t>& read, int64_t passed_micros, std::vector<StateChange>& changes) {
  const std::unique_ptr<Reading> done = std::exchange(reading_, nullptr);
  view_.verify.left = to_verify_.size();
  // It may have been merged or retired meanwhile.
  const auto kept = file_rows(connection, "state = 'kept' AND path = " + sql_text(done->path));
  if (!kept) return kept.error();
  if (kept->empty()) return {};
  const FileRow& file = kept->front();
  Result<std::string> trouble = read ? Result<std::string>(trouble_of_sum(file, done->sum.sum())) : trouble_of_error(read.error());
  // Nobody knows what was written: what can be decoded is taken for it.
  if (read && !file.crc32c) trouble = inside_trouble(connection, file);
  if (!trouble) {
    if (!view_.verify.is_over) to_verify_.push_front(file.path);
    return trouble.error();
  }
  ++view_.files;
  if (!view_.verify.is_over) ++view_.verify.files;
  if (trouble->empty()) {
    if (!file.crc32c) ++view_.summed;
    return note_checked(connection, file.path, done->sum.sum(), passed_micros);
  }
  ++view_.damaged;
  if (!view_.verify.is_over) ++view_.verify.damaged;
  const auto of_end = end_trouble(connection, file);
  changes.push_back({file.path, of_end && !of_end->empty() ? "broken" : "damaged", *trouble});
  return {};
}

Result<void> FileScrub::step(Connection& connection, uint64_t octets_max, uint64_t until_ns, int64_t passed_micros, std::vector<StateChange>& changes) {
  if (wanted_ != view_.verify.number) {
    if (auto begun = begin_verify(connection); !begun) return begun;
  }
  // What was found is kept before anything else is read.
  for (uint64_t left = octets_max; left > 0 && changes.empty() && steady_clock_ns() < until_ns;) {
    if (reading_ == nullptr) {
      const auto path = next_path(connection, passed_micros);
      if (!path) return path.error();
      if (path->empty()) return {};
      reading_ = std::make_unique<Reading>(*path);
    }
    const auto read = reading_->sum.step(std::min(left, kBetweenLooksAtTheClock));
    if (read) {
      view_.octets += *read;
      if (!view_.verify.is_over) view_.verify.octets += *read;
      left -= std::min(left, *read);
      if (!reading_->sum.is_over()) continue;
    }
    if (auto ended = end_file(connection, read, passed_micros, changes); !ended) return ended;
  }
  return {};
}

}  // namespace weir::store

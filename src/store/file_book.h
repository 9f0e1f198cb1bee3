// file_book.h — What the database knows of files of older rows: the table history_files.
//
// Spec:     docs/STORE.md, "Files". A file's state goes making → kept → retired → no entry, or kept → broken or damaged → kept.
// Runs on:  whoever holds a Connection that may write; of one store one at a time.
// Failure:  an Error; nothing has changed then.
//
// An entry is there, committed, before its file is: so a file without one is never ours to remove. Only `making` files may be
// removed at once (whoever made them did not come to the end), and `retired` ones when nobody can be reading them any more.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/database.h"

namespace weir::store {

inline constexpr std::string_view kUnfinished = ".unfinished";
inline constexpr size_t kFilesNamedMax = 100;

struct FileRow {
  std::string path;
  int64_t hour = 0;
  int64_t rows = 0;
  int64_t octets = 0;
  std::string state;  // making; kept: in the views; retired; broken: its length or end is wrong; damaged: its inside is
  std::optional<uint32_t> crc32c{};  // of its octets; nothing: an older version wrote it, and it was not read through yet
};
/// Those that meet `condition`, by hour, and of an hour by when they became what they are.
Result<std::vector<FileRow>> file_rows(Connection& connection, const std::string& condition, const std::string& order = "hour, changed, path");

/// Files that cannot be read, and so what every answer lacks.
struct LeftOut {
  uint64_t files = 0;
  uint64_t rows = 0;
  int64_t from_hour = 0;           // the first of theirs
  int64_t until_hour = 0;          // behind the last
  std::vector<std::string> named;  // each with why, newest hour first; at most kFilesNamedMax
};
Result<LeftOut> left_out_files(Connection& connection);
/// From the first to before the last; nothing: without end.
struct TimeRange {
  std::optional<int64_t> from_micros;
  std::optional<int64_t> until_micros;
};
/// The same without names, of hours that have a part in one of `ranges`; in the transaction of a question it is what that question lacks.
Result<LeftOut> left_out_sums(Connection& connection, std::span<const TimeRange> ranges);
Result<LeftOut> left_out_sums(Connection& connection);
/// For people, in a line; empty where there is none.
std::string text_of(const LeftOut& left_out);
/// For programs: `files=2; rows=300; from=2025-11-08T00:00:00Z; to=2025-11-08T02:00:00Z`.
std::string header_of(const LeftOut& left_out);

/// Without `.` and symbolic links, and without a `/` at the end.
std::string canonical_folder(const std::string& folder);

/// At start, before anybody makes views: files whose entries name another folder, for it was moved or is spelt otherwise, are entered
/// under this one. An Error where they still lie in the other: then it is the configuration that is wrong.
Result<void> settle_folder(Connection& connection, const std::string& folder);

/// A file is about to be made: if nothing else becomes of it, `remove_leftovers` removes it.
Result<void> note_making(Connection& connection, const std::string& path, int64_t hour, int64_t passed_micros);
/// In the caller's transaction.
Result<void> note_kept(Connection& connection, const FileRow& file, int64_t passed_micros);
/// Its octets were read, and have this sum.
Result<void> note_checked(Connection& connection, const std::string& path, uint32_t crc32c, int64_t passed_micros);
struct StateChange {
  std::string path;
  std::string state;
  std::string trouble;
};
/// In a transaction of its own, with the views; nothing where there are none. What is taken back is the next that is read through.
Result<void> change_states(Connection& connection, const std::vector<StateChange>& changes);

/// Removes what was begun and not ended. After a commit that failed it is the database that says which of both it was.
Result<void> remove_leftovers(Connection& connection);

/// Files under `folder` that are named as ours and have no entry.
Result<std::vector<std::string>> strangers(Connection& connection, const std::string& folder);

}  // namespace weir::store

// sql_file.h — An answer as a file of Parquet: made in a folder of the store's own, and read from there piece by piece.
//
// Runs on:  a query's thread.
// Owns:     the file, which has no name any more once it is read and is gone at the end.
// Failure:  an Error in DuckDB's words, or the system's.
//
// DuckDB writes Parquet to files only, and a file's end says where its parts lie: nothing of it can go out before it is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/database.h"

namespace weir::store {

/// Below the folder for temporary files; empty where there is none.
std::string answers_folder(const DatabaseOptions& options);
/// Makes it, and removes what a process left that was ended.
void clear_answers(const std::string& folder);

class SqlFile {
 public:
  /// What a file has no rows for, in the metadata at its end (`weir_notes`, `weir_left_out`, `weir_truncated`); empty: nothing.
  struct Says {
    std::string notes;  // a list of texts, as JSON
    std::string left_out;
  };
  /// A name in `folder` that nobody has.
  SqlFile(const std::string& folder, Says says);
  ~SqlFile();
  SqlFile(const SqlFile&) = delete;
  SqlFile& operator=(const SqlFile&) = delete;

  /// The statement that writes what `sql`, one SELECT, answers: one more than `rows` where there are more.
  std::string statement(std::string_view sql, uint64_t rows) const;
  /// Makes it one of the first `rows`.
  Result<void> cut(Connection& connection, uint64_t rows);
  /// Piece by piece, until `take` says false.
  Result<void> read(const std::function<bool(std::string& piece)>& take);

 private:
  std::string options(bool is_cut) const;

  const Says says_;
  std::string path_;
  const std::string cut_path_;
};

}  // namespace weir::store

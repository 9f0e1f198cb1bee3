// parquet_file.h — One file of rows: written so that it is wholly there or not at all, and looked at.
//
// Spec:     docs/STORE.md, "Files". As Iceberg can adopt it: no unsigned types, a field id for each column.
// Runs on:  the keeper's thread, with its Connection.
// Failure:  an Error; then there may be an unfinished file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "store/columns.h"
#include "store/database.h"
#include "store/file_book.h"
#include "store/file_sum.h"

namespace weir::store {

/// What has just been done of a file's making or removal: between any two of them the program may be killed.
#define WEIR_FILE_STEPS(X) X(noted) X(written) X(named) X(synced) X(swapping) X(swapped) X(removed)
WEIR_NAMED_ENUM(FileStep, uint8_t, WEIR_FILE_STEPS)
using OnFileStep = std::function<void(FileStep)>;

/// Where `folder` has a new file of that hour.
std::string new_path(const std::string& folder, int64_t hour);

/// What a file is made of: a query, and those of our columns that it gives.
struct FileSource {
  std::string query;
  ColumnSet has = all_columns();
};

/// Writes the rows of a query, in our order and with every column, to `path`, and makes sure of them (fsync) before it has that name.
/// `replaces`: names of files whose rows are in it. What it has become.
Result<FileRow> write_file(Connection& connection, const std::string& folder, const std::string& path, const FileSource& source,
                           const std::vector<std::string>& replaces, const OnFileStep& on_step);

/// Why it is not what was written; empty: its length and its end say that it is. An Error is not about the file.
Result<std::string> end_trouble(Connection& connection, const FileRow& file);
/// The same of its octets; empty where their sum is not known, too.
Result<std::string> octets_trouble(const FileRow& file, ReadFrom from);
/// The same of every octet and every value in it.
Result<std::string> inside_trouble(Connection& connection, const FileRow& file);
/// Of octets that have been read, and of an error while they were.
std::string trouble_of_sum(const FileRow& file, uint32_t crc32c);
Result<std::string> trouble_of_error(const Error& error);

/// It may be a damaged file that a question ended with.
bool may_be_of_a_file(const std::string& message) noexcept;

}  // namespace weir::store

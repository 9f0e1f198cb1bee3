// file_stamp.h — What tells one state of a file from another without reading it.
//
// Runs on:  any thread that may wait for a disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t octets = 0;
  int64_t changed_ns = 0;  // what is in it
  int64_t status_ns = 0;   // or whose it is, who may read it: what was refused for that is read again
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
Result<FileStamp> stamp_of(const std::string& path);

/// A file as it was at a moment.
struct StampedFile {
  std::string path;
  std::string ending;              // of a folder's files of which the names are looked at; empty: it is looked at as a file
  std::optional<FileStamp> stamp;  // nothing: it is not there
  uint64_t names = 0;              // of those in the folder, and that there are no others
  friend bool operator==(const StampedFile&, const StampedFile&) = default;
};
/// Of all files that were read for something, each from before it was read.
using StampedFiles = std::vector<StampedFile>;

/// Adds a look at `path`; empty, or to nowhere: nothing.
void look_at(const std::string& path, StampedFiles* looks);
/// Adds a look at which files are in a folder: of those whose names end so. What an editor puts beside them is nobody's business.
void look_at_folder(const std::string& path, std::string_view ending, StampedFiles* looks);
/// The same files as they are now.
StampedFiles look_again(const StampedFiles& files);
/// The first that differs in two looks at the same files; empty: none.
std::string first_other(const StampedFiles& before, const StampedFiles& after);

}  // namespace weir

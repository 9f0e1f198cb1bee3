// file_stamp.h — What tells one state of a file from another without reading it.
//
// Runs on:  any thread that may wait for a disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
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

/// A file as it was at a moment; or a folder, which changes with what is in it.
struct StampedFile {
  std::string path;
  std::optional<FileStamp> stamp;  // nothing: it is not there, or neither a regular file nor a folder
  bool may_wait = false;           // neither of these: who reads it may wait for whoever writes it
  friend bool operator==(const StampedFile&, const StampedFile&) = default;
};
/// Of all files that were read for something, each from before it was read.
using StampedFiles = std::vector<StampedFile>;

/// Adds a look at `path`; empty, or to nowhere: nothing.
void look_at(const std::string& path, StampedFiles* looks);
/// The same files as they are now.
StampedFiles look_again(const StampedFiles& files);

}  // namespace weir

// rotating_file.h — A file that batches are appended to, set aside when it is large or old enough.
//
// Runs on:  publisher_thread.
// Owns:     the descriptor.
// Bounds:   keep_files of those set aside, where that is not 0: the oldest are removed.
// Failure:  an Error names the path. What is open stays open when a rotation or a reopening fails.
//
// `flows.jsonl` set aside at 16:00:00 UTC becomes `flows-20261120T160000.000Z.jsonl` beside it, so that
// names sort by time; only files of such names are ever removed. A file that is there when it is opened
// is continued, and what a crash cut off at its end is ended (JSON lines) or cut away (FlowBatch).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace weir::outbound {

/// What is in a file or stream. json: one object a line. flow_batch: FlowBatches one behind the other,
/// which together are one FlowBatch.
enum class StreamFormat : uint8_t { json, flow_batch };

struct FileConfig {
  std::string path;
  uint64_t rotate_bytes = 0;  // before it grows beyond; 0: whatever its size
  uint32_t rotate_secs = 0;   // when it is so old; 0: whatever its age
  uint32_t keep_files = 0;    // of those set aside; 0: all
};

class RotatingFile {
 public:
  RotatingFile(FileConfig config, StreamFormat format);
  ~RotatingFile();
  RotatingFile(const RotatingFile&) = delete;
  RotatingFile& operator=(const RotatingFile&) = delete;

  /// Whether it could be opened, as far as can be told without making or changing anything.
  static Result<void> check(const FileConfig& config);

  const std::string& path() const noexcept { return config_.path; }
  bool is_open() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }
  /// Takes all that is written or fails; a pipe or device may make a writer wait.
  bool is_regular() const noexcept { return is_regular_; }

  /// Opens it, or what has its name now in the place of what is open.
  Result<void> open();

  /// It should be set aside before `octets` more are written to it.
  bool rotation_due(uint64_t octets, uint64_t wall_ns) const noexcept;
  Result<void> rotate(uint64_t wall_ns);

  void on_written(uint64_t octets) noexcept { size_ += octets; }
  /// Removes the last octets; false where that cannot be done.
  bool take_back(uint64_t octets) noexcept;

 private:
  std::string trouble(const char* what, int error) const;
  Result<void> look_at_end(int fd, uint64_t& size);
  Result<std::string> set_aside(uint64_t wall_ns);
  void remove_oldest() const;

  const FileConfig config_;
  const StreamFormat format_;
  std::string folder_;  // ends in a slash, or is empty
  std::string stem_;
  std::string extension_;
  int fd_ = -1;
  bool is_regular_ = false;
  uint64_t size_ = 0;
  uint64_t made_wall_ns_ = 0;
  uint64_t last_stamp_ns_ = 0;
  uint64_t not_before_wall_ns_ = 0;  // a rotation that failed is tried again then
};

}  // namespace weir::outbound

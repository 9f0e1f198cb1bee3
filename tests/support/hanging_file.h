// hanging_file.h — A path whose opener hangs, as on a file system that is frozen: a FIFO without a reader.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace weir::test {

class HangingFile {
 public:
  explicit HangingFile(std::string path) : path_(std::move(path)) {
    if (::mkfifo(path_.c_str(), 0600) != 0) throw std::runtime_error("mkfifo failed");
  }
  ~HangingFile() {
    let_go();
    ::close(reader_);
  }
  HangingFile(const HangingFile&) = delete;
  HangingFile& operator=(const HangingFile&) = delete;

  /// Who hangs goes on, and finds that this is no file. The path is free.
  void let_go() {
    if (reader_ < 0) reader_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ::unlink(path_.c_str());
  }

 private:
  const std::string path_;
  int reader_ = -1;
};

}  // namespace weir::test

// silent_mount.h — A file system that answers nothing, as a network drive whose server is gone: whoever looks at a file below it waits.
//
// Wants root and FUSE. It is mounted in a namespace of the test, so that nothing is left of it when that dies: only programs that were begun after
// the first one see it.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace weir::test {

class SilentMount {
 public:
  /// Over a folder that is there. Without is_there: it cannot be had here.
  explicit SilentMount(std::string folder) : folder_(std::move(folder)), fd_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0 || !has_own_namespace()) return;
    const std::string options = "fd=" + std::to_string(fd_) + ",rootmode=40755,user_id=0,group_id=0";
    is_there_ = ::mount("silent", folder_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
  }
  ~SilentMount() { end(); }
  SilentMount(const SilentMount&) = delete;
  SilentMount& operator=(const SilentMount&) = delete;

  bool is_there() const noexcept { return is_there_; }
  /// Whoever waits gets an error, and the folder is what it was.
  void end() {
    if (std::exchange(is_there_, false)) ::umount2(folder_.c_str(), MNT_DETACH);
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  /// Once: programs that are begun afterwards are in it, and see what is mounted then.
  static bool has_own_namespace() {
    static const bool has = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return has;
  }

  const std::string folder_;
  int fd_;
  bool is_there_ = false;
};

}  // namespace weir::test

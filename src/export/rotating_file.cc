#include "export/rotating_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "export/batch_reader.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kRotateAgainNs = 10 * kNsPerSec;
constexpr int kSameNameMax = 1000;  // names that are taken, by a clock that was set back
constexpr size_t kStampOctets = std::string_view("20261120T160000.000Z").size();

std::string stamp_of(uint64_t wall_ns) {
  const auto seconds = static_cast<std::time_t>(wall_ns / kNsPerSec);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char day[24];
  char text[40];
  std::strftime(day, sizeof day, "%Y%m%dT%H%M%S", &utc);
  std::snprintf(text, sizeof text, "%s.%03uZ", day,
                static_cast<unsigned>(wall_ns % kNsPerSec / kNsPerMs));
  return text;
}

bool is_stamp(std::string_view text) {
  constexpr std::string_view kShape = "00000000T000000.000Z";
  static_assert(kShape.size() == kStampOctets);
  if (text.size() != kShape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool fits = kShape[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == kShape[i];
    if (!fits) return false;
  }
  return true;
}

/// When the file was made, where the file system knows; else now.
uint64_t birth_of(int fd) {
  struct statx s {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &s) != 0 || (s.stx_mask & STATX_BTIME) == 0) {
    return wall_clock_ns();
  }
  return static_cast<uint64_t>(s.stx_btime.tv_sec) * kNsPerSec + s.stx_btime.tv_nsec;
}

}  // namespace

RotatingFile::RotatingFile(FileConfig config, StreamFormat format)
    : config_(std::move(config)), format_(format) {
  const std::string& path = config_.path;
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  const size_t dot = path.rfind('.');
  const size_t end = dot == std::string::npos || dot <= name ? path.size() : dot;
  folder_ = path.substr(0, name);
  stem_ = path.substr(name, end - name);
  extension_ = path.substr(end);
}

RotatingFile::~RotatingFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::string RotatingFile::trouble(const char* what, int error) const {
  return "file " + config_.path + ": " + what + std::strerror(error);
}

Result<void> RotatingFile::check(const FileConfig& config) {
  const RotatingFile file(config, StreamFormat::json);
  struct stat status {};
  if (::stat(config.path.c_str(), &status) != 0) {
    if (errno != ENOENT) return Error{file.trouble("", errno)};
    const std::string folder = file.folder_.empty() ? "." : file.folder_;
    if (file.stem_.empty()) return Error{file.trouble("", EISDIR)};
    if (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
      return Error{file.trouble("", errno)};
    }
    return {};
  }
  if (S_ISDIR(status.st_mode)) return Error{file.trouble("", EISDIR)};
  if (::faccessat(AT_FDCWD, config.path.c_str(), W_OK, AT_EACCESS) != 0) {
    return Error{file.trouble("", errno)};
  }
  if (!S_ISREG(status.st_mode) && (config.rotate_bytes != 0 || config.rotate_secs != 0)) {
    return Error{"file " + config.path +
                 ": is no regular file, so it cannot be set aside (rotate_bytes, rotate_secs)"};
  }
  return {};
}

Result<void> RotatingFile::open() {
  const char* path = config_.path.c_str();
  struct stat status {};
  const bool is_there = ::stat(path, &status) == 0;
  // Reading, where it is allowed, is for the end of what is there already. Not of a pipe: its reader is
  // somebody else, and who waits for one to come would wait here.
  const int flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  const bool may_read = !is_there || S_ISREG(status.st_mode);
  int fd = ::open(path, flags | (may_read ? O_RDWR : O_WRONLY), 0640);
  if (fd < 0 && errno == EACCES && may_read) fd = ::open(path, flags | O_WRONLY, 0640);
  if (fd < 0) return Error{trouble("", errno)};
  const bool is_regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  uint64_t size = is_regular ? static_cast<uint64_t>(status.st_size) : 0;
  if (size > 0) {
    if (auto looked = look_at_end(fd, size); !looked) {
      ::close(fd);
      return looked.error();
    }
  }
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
  is_regular_ = is_regular;
  size_ = size;
  made_wall_ns_ = birth_of(fd);
  not_before_wall_ns_ = 0;
  return {};
}

/// A line without an end is ended; behind a part of a FlowBatch nothing could be read, so it goes.
Result<void> RotatingFile::look_at_end(int fd, uint64_t& size) {
  if (format_ == StreamFormat::json) {
    char last = '\n';
    const bool is_cut =
        ::pread(fd, &last, 1, static_cast<off_t>(size - 1)) == 1 && last != '\n';
    if (is_cut && ::write(fd, "\n", 1) != 1) return Error{trouble("", errno)};
    size += is_cut ? 1 : 0;
    return {};
  }
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return Error{trouble("cannot be read to find its end: ", errno)};
  ::madvise(at, size, MADV_SEQUENTIAL);
  const std::span<const uint8_t> whole(static_cast<const uint8_t*>(at), size);
  BatchWalk walk(whole);
  uint64_t intact = 0;
  for (BatchEntry entry; walk.next(entry);) {
    intact = static_cast<uint64_t>(entry.framed.data() + entry.framed.size() - whole.data());
  }
  ::munmap(at, size);
  if (intact == size) return {};
  if (intact == 0) {
    return Error{"file " + config_.path + ": what is there is no FlowBatch; nothing is added to it"};
  }
  if (::ftruncate(fd, static_cast<off_t>(intact)) != 0) {
    return Error{trouble("ends in a part of a FlowBatch that cannot be cut off: ", errno)};
  }
  size = intact;
  return {};
}

bool RotatingFile::rotation_due(uint64_t octets, uint64_t wall_ns) const noexcept {
  if (!is_regular_ || size_ == 0 || wall_ns < not_before_wall_ns_) return false;
  if (config_.rotate_bytes != 0 && size_ + octets > config_.rotate_bytes) return true;
  return config_.rotate_secs != 0 && wall_ns >= made_wall_ns_ + config_.rotate_secs * kNsPerSec;
}

Result<void> RotatingFile::rotate(uint64_t wall_ns) {
  not_before_wall_ns_ = wall_ns + kRotateAgainNs;
  const auto aside = set_aside(wall_ns);
  if (!aside) return aside.error();
  if (auto opened = open(); !opened) {
    // Its name again, so that the next try finds it.
    ::renameat2(AT_FDCWD, aside->c_str(), AT_FDCWD, config_.path.c_str(), RENAME_NOREPLACE);
    return opened.error();
  }
  // The clock that names files also tells their age, whatever the file system's says.
  made_wall_ns_ = wall_ns;
  if (config_.keep_files != 0) remove_oldest();
  return {};
}

Result<std::string> RotatingFile::set_aside(uint64_t wall_ns) {
  // Later than the one before, also within one millisecond, so that names keep their order.
  uint64_t stamp_ns = std::max(wall_ns, last_stamp_ns_ + kNsPerMs);
  for (int i = 0; i < kSameNameMax; ++i, stamp_ns += kNsPerMs) {
    std::string name = folder_ + stem_ + "-" + stamp_of(stamp_ns) + extension_;
    int failed = ::renameat2(AT_FDCWD, config_.path.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE);
    if (failed != 0 && errno == EINVAL && ::access(name.c_str(), F_OK) != 0) {
      failed = ::rename(config_.path.c_str(), name.c_str());  // a file system that knows no more
    }
    // Without a file of that name somebody has moved it, which comes to the same.
    if (failed == 0 || errno == ENOENT) {
      last_stamp_ns_ = stamp_ns;
      return name;
    }
    if (errno != EEXIST) return Error{trouble("cannot be set aside: ", errno)};
  }
  return Error{trouble("cannot be set aside: ", EEXIST)};
}

void RotatingFile::remove_oldest() const {
  const std::string folder = folder_.empty() ? "." : folder_;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (!listing) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name.size() == stem_.size() + 1 + kStampOctets + extension_.size() &&
        name.starts_with(stem_) && name[stem_.size()] == '-' && name.ends_with(extension_) &&
        is_stamp(name.substr(stem_.size() + 1, kStampOctets))) {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  for (size_t i = 0; i + config_.keep_files < names.size(); ++i) {
    ::unlink((folder_ + names[i]).c_str());
  }
}

bool RotatingFile::take_back(uint64_t octets) noexcept {
  struct stat status {};
  if (!is_regular_ || ::fstat(fd_, &status) != 0) return false;
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < octets || ::ftruncate(fd_, static_cast<off_t>(size - octets)) != 0) return false;
  size_ = size - octets;
  return true;
}

}  // namespace weir::outbound

#include "base/file_stamp.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace weir {

namespace {

FileStamp stamp_of(const struct stat& s) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  const auto ns = [](const timespec& t) { return t.tv_sec * kNsPerSecond + t.tv_nsec; };
  return {s.st_dev, s.st_ino, static_cast<uint64_t>(s.st_size), ns(s.st_mtim), ns(s.st_ctim)};
}

}  // namespace

Result<FileStamp> stamp_of(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  return stamp_of(s);
}

void look_at(const std::string& path, StampedFiles* looks) {
  if (looks == nullptr || path.empty()) return;
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) {
    looks->push_back({.path = path});
  } else if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) {
    looks->push_back({.path = path, .may_wait = true});
  } else {
    looks->push_back({.path = path, .stamp = stamp_of(s)});
  }
}

StampedFiles look_again(const StampedFiles& files) {
  StampedFiles now;
  for (const StampedFile& file : files) look_at(file.path, &now);
  return now;
}

}  // namespace weir

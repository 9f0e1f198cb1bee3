#include "base/file_stamp.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>

namespace weir {

namespace {

FileStamp stamp_of(const struct stat& s) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  const auto ns = [](const timespec& t) { return t.tv_sec * kNsPerSecond + t.tv_nsec; };
  return {s.st_dev, s.st_ino, static_cast<uint64_t>(s.st_size), ns(s.st_mtim), ns(s.st_ctim)};
}

/// The same for the same names in any order. Where it cannot be read: nothing is in it.
uint64_t names_in(const std::string& folder, std::string_view ending) {
  namespace fs = std::filesystem;
  uint64_t sum = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with('.') && name.ends_with(ending)) sum += std::hash<std::string>()(name) | 1;
  }
  return sum;
}

StampedFile look(const std::string& path, std::string_view ending) {
  StampedFile file{.path = path, .ending = std::string(ending), .stamp = {}, .names = 0};
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return file;
  file.stamp = stamp_of(s);
  if (ending.empty() || !S_ISDIR(s.st_mode)) return file;
  // Of the folder itself: whether it is another one. It changes with all that is put into it.
  file.stamp = FileStamp{.device = s.st_dev, .inode = s.st_ino};
  file.names = names_in(path, ending);
  return file;
}

}  // namespace

Result<FileStamp> stamp_of(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  return stamp_of(s);
}

void look_at(const std::string& path, StampedFiles* looks) { look_at_folder(path, {}, looks); }

void look_at_folder(const std::string& path, std::string_view ending, StampedFiles* looks) {
  if (looks != nullptr && !path.empty()) looks->push_back(look(path, ending));
}

StampedFiles look_again(const StampedFiles& files) {
  StampedFiles now;
  now.reserve(files.size());
  for (const StampedFile& file : files) now.push_back(look(file.path, file.ending));
  return now;
}

std::string first_other(const StampedFiles& before, const StampedFiles& after) {
  const auto [a, b] = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  return a != before.end() ? a->path : b != after.end() ? b->path : std::string();
}

}  // namespace weir

// Databases kept on disk by what they were made of.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "classify/pattern_compiler.h"
#include "rules/yaml_reader.h"

namespace weir::classify {
namespace {

constexpr std::string_view kSuffix = ".patterns";
constexpr size_t kFilesMax = 64;  // older ones go

std::string name_of(std::span<const Pattern> patterns) {
  rules::Digest digest;
  digest.add(pattern_engine());
  for (const Pattern& pattern : patterns) {
    digest.add(fmt::format("{} {} {}", pattern.flags, pattern.group, pattern.expression.size()));
    digest.add(pattern.expression);
  }
  return digest.hex() + std::string(kSuffix);
}

bool recall(const std::string& path, Databases& databases) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  const std::vector<uint8_t> octets{std::istreambuf_iterator<char>(file), {}};
  auto found = split_databases(octets);
  if (!found || found->empty()) return false;
  // The engine has a checksum of its own in each.
  for (const auto& database : *found)
    if (!PatternDatabase::load(database.database)) return false;
  databases = std::move(*found);
  return true;
}

/// The newest stay.
void make_room(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == kSuffix) files.emplace_back(entry.last_write_time(error), entry.path());
  }
  if (files.size() < kFilesMax) return;
  std::sort(files.begin(), files.end());
  for (size_t i = 0; i + kFilesMax <= files.size(); ++i) fs::remove(files[i].second, error);
}

/// What cannot be kept is compiled again next time: that is all.
void keep(const std::string& folder, const std::string& path, const Databases& databases) {
  std::vector<uint8_t> octets;
  for (const auto& database : databases) append_database(octets, database);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  make_room(folder);
  const std::string draft = fmt::format("{}.{}", path, getpid());
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return;
  size_t written = 0;
  while (written < octets.size()) {
    const ssize_t n = write(fd, octets.data() + written, octets.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  const bool whole = written == octets.size() && fsync(fd) == 0;
  if (close(fd) != 0 || !whole || std::rename(draft.c_str(), path.c_str()) != 0) unlink(draft.c_str());
}

}  // namespace

std::optional<PatternError> compile_or_recall(std::span<const Pattern> patterns, const std::string& folder,
                                              Databases& databases) {
  if (folder.empty()) return compile_apart(patterns, databases);
  const std::string path = folder + "/" + name_of(patterns);
  if (recall(path, databases)) return std::nullopt;
  if (auto error = compile_apart(patterns, databases)) return error;
  keep(folder, path, databases);
  return std::nullopt;
}

}  // namespace weir::classify

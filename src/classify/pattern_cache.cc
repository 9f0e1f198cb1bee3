// Databases kept on disk by what they were made of.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
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
// Raised when files look different, or patterns are compiled with other flags of the engine.
constexpr std::string_view kFormat = "weir patterns 2\n";

// A file: kFormat, the digest of what follows in hexadecimal digits, the databases as append_database writes them.

std::string digest_of(std::span<const uint8_t> octets) {
  rules::Digest digest;
  digest.add({reinterpret_cast<const char*>(octets.data()), octets.size()});
  return digest.hex();
}

std::string name_of(std::span<const Pattern> patterns) {
  rules::Digest digest;
  digest.add(kFormat);
  digest.add(pattern_engine());
  for (const Pattern& pattern : patterns) {
    digest.add(fmt::format("{} {} {}", pattern.flags, pattern.group, pattern.expression.size()));
    digest.add(pattern.expression);
  }
  return digest.hex() + std::string(kSuffix);
}

size_t groups_of(std::span<const Pattern> patterns) {
  size_t groups = 0;
  for (size_t i = 0; i < patterns.size(); ++i) groups += i == 0 || patterns[i].group != patterns[i - 1].group;
  return groups;
}

bool recall(const std::string& path, size_t groups, Databases& databases) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  const std::vector<uint8_t> octets{std::istreambuf_iterator<char>(file), {}};
  const std::string digest = digest_of({});
  const std::string_view text(reinterpret_cast<const char*>(octets.data()), octets.size());
  const size_t head = kFormat.size() + digest.size();
  if (text.size() < head || text.substr(0, kFormat.size()) != kFormat) return false;
  const auto body = std::span(octets).subspan(head);
  if (text.substr(kFormat.size(), digest.size()) != digest_of(body)) return false;
  auto found = split_databases(body);
  if (!found || found->size() != groups) return false;
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
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code none;  // it has gone meanwhile
    if (entry->path().extension() == kSuffix) files.emplace_back(entry->last_write_time(none), entry->path());
  }
  if (files.size() < kFilesMax) return;
  std::sort(files.begin(), files.end());
  for (size_t i = 0; i + kFilesMax <= files.size(); ++i) fs::remove(files[i].second, error);
}

bool write_all(int fd, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t n = write(fd, octets.data(), octets.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    octets.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// What went wrong; nothing where it is kept.
std::string keep(const std::string& folder, const std::string& path, const Databases& databases) {
  std::vector<uint8_t> body;
  for (const auto& database : databases) append_database(body, database);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  make_room(folder);
  const std::string draft = fmt::format("{}.{}", path, getpid());
  unlink(draft.c_str());  // of one that had this number and came to an end over it
  const auto trouble = [&] { return fmt::format("{}: {}", draft, std::strerror(errno)); };
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return trouble();
  const bool is_whole = write_all(fd, kFormat) && write_all(fd, digest_of(body)) &&
                        write_all(fd, {reinterpret_cast<const char*>(body.data()), body.size()}) && fsync(fd) == 0;
  std::string why = is_whole ? "" : trouble();
  if (close(fd) != 0 && why.empty()) why = trouble();
  if (why.empty() && std::rename(draft.c_str(), path.c_str()) != 0) why = trouble();
  if (!why.empty()) unlink(draft.c_str());
  return why;
}

}  // namespace

std::optional<PatternError> compile_or_recall(std::span<const Pattern> patterns, const PatternStore& cache,
                                              Databases& databases, std::string& trouble) {
  trouble.clear();
  if (cache.folder.empty()) return compile_apart(patterns, databases);
  const std::string path = cache.folder + "/" + name_of(patterns);
  if (recall(path, groups_of(patterns), databases)) return std::nullopt;
  if (auto error = compile_apart(patterns, databases)) return error;
  if (cache.is_written) trouble = keep(cache.folder, path, databases);
  return std::nullopt;
}

}  // namespace weir::classify

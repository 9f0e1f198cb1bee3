#include "service/thread_look.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

namespace weir::service {
namespace {

constexpr const char* kTasks = "/proc/self/task";

/// Nothing: errno says why.
std::optional<std::string> read_status(pid_t id) {
  const int fd = open(fmt::format("{}/{}/status", kTasks, id).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text;
  char some[4096];
  ssize_t n = 0;
  while ((n = read(fd, some, sizeof some)) > 0 || (n < 0 && errno == EINTR))
    if (n > 0) text.append(some, static_cast<size_t>(n));
  const int number = errno;
  close(fd);
  errno = number;
  return n == 0 ? std::optional(std::move(text)) : std::nullopt;
}

/// What follows `key` in its line; nullptr: there is no such line.
const char* value_of(const std::string& text, const char* key) {
  const size_t at = text.find(key);
  return at == std::string::npos ? nullptr : text.c_str() + at + std::strlen(key);
}

ThreadFacts facts_of(pid_t id, const std::string& text, uid_t uid) {
  ThreadFacts facts{.id = id, .name = fmt::format("thread {}", id)};
  // The name comes first, and the kernel writes a line's end in it as \n: nobody can write the others by it.
  if (const char* const name = value_of(text, "Name:\t"); name != nullptr) facts.name.assign(name, std::strcspn(name, "\n"));
  unsigned ids[4] = {};
  const char* const uids = value_of(text, "\nUid:");
  if (uids != nullptr && std::sscanf(uids, " %u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4)
    facts.is_of = std::all_of(std::begin(ids), std::end(ids), [&](unsigned own) { return own == uid; });
  unsigned long long bits = 0;
  const char* const permitted = value_of(text, "\nCapPrm:");
  if (permitted != nullptr && std::sscanf(permitted, " %llx", &bits) == 1) facts.permitted = bits;
  return facts;
}

}  // namespace

Result<std::vector<pid_t>> thread_ids() {
  const auto unseen = [](const char* why) { return Error{fmt::format("threads cannot be looked at: {}: {}", kTasks, why)}; };
  DIR* const folder = opendir(kTasks);
  if (folder == nullptr) return unseen(std::strerror(errno));
  std::vector<pid_t> ids;
  errno = 0;
  while (const dirent* const entry = readdir(folder)) {
    const pid_t id = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (id > 0) ids.push_back(id);
    errno = 0;
  }
  const int number = errno;
  closedir(folder);
  if (number != 0) return unseen(std::strerror(number));
  if (std::find(ids.begin(), ids.end(), gettid()) == ids.end()) return unseen("the one that looks is not there");
  return ids;
}

Result<std::vector<ThreadFacts>> look_at_threads(uid_t uid, pid_t besides) {
  const auto ids = thread_ids();
  if (!ids) return ids.error();
  std::vector<ThreadFacts> threads;
  for (const pid_t id : *ids) {
    if (id == besides) continue;
    if (const auto text = read_status(id); text)
      threads.push_back(facts_of(id, *text, uid));
    else if (errno != ENOENT && errno != ESRCH)  // else it has ended
      threads.push_back({.id = id, .name = fmt::format("thread {} (cannot be looked into: {})", id, std::strerror(errno)), .is_seen = false});
  }
  return threads;
}

std::vector<std::string> names_with_any(const std::vector<ThreadFacts>& threads) {
  std::vector<std::string> names;
  for (const ThreadFacts& thread : threads)
    if (thread.permitted != 0) names.push_back(thread.name);
  return names;
}

std::vector<std::string> ThreadWatch::look() {
  const auto threads = look_at_threads(geteuid(), gettid());
  if (!threads) return {threads.error().message};
  std::vector<std::string> names;
  std::vector<pid_t> have;
  for (const ThreadFacts& thread : *threads) {
    if (thread.permitted == 0) continue;
    have.push_back(thread.id);
    if (std::find(had_any_.begin(), had_any_.end(), thread.id) != had_any_.end()) names.push_back(thread.name);
  }
  had_any_ = std::move(have);
  return names;
}

}  // namespace weir::service

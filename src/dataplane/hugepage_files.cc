#include "dataplane/hugepage_files.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

namespace weir::dataplane {
namespace {

constexpr const char* kNames = "*map_*";  // of those that EAL takes away
constexpr uint64_t kBlockOctets = 512;    // of stat(2)

/// 0: somebody has it, or may have.
uint64_t octets_if_abandoned(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return 0;
  struct stat found {};
  const bool is_nobodys = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &found) == 0;
  close(fd);
  return is_nobodys ? static_cast<uint64_t>(found.st_blocks) * kBlockOctets : 0;
}

uint64_t octets_in(const std::filesystem::path& folder) {
  uint64_t octets = 0;
  std::error_code error;
  std::filesystem::directory_iterator file(folder, error);
  for (; !error && file != std::filesystem::directory_iterator(); file.increment(error))
    if (fnmatch(kNames, file->path().filename().c_str(), 0) == 0) octets += octets_if_abandoned(file->path());
  return octets;
}

}  // namespace

uint64_t abandoned_hugepage_octets(const std::string& mounts) {
  FILE* const file = std::fopen(mounts.c_str(), "re");
  if (file == nullptr) return 0;
  uint64_t octets = 0;
  char line[1024], folder[512], type[64];
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, "%*s %511s %63s", folder, type) == 2 && std::string(type) == "hugetlbfs") octets += octets_in(folder);
  std::fclose(file);
  return octets;
}

}  // namespace weir::dataplane

#include "base/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {

Result<std::string> read_unnamed_file(const std::string& path, size_t octets_max) {
  struct Descriptor {
    int fd;
    ~Descriptor() {
      if (fd >= 0) ::close(fd);
    }
  } const file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  struct stat about {};
  if (file.fd < 0 || ::fstat(file.fd, &about) != 0) return Error{std::strerror(errno)};
  if (!S_ISREG(about.st_mode)) return Error{S_ISDIR(about.st_mode) ? "is a folder" : "is no regular file"};
  std::string text;
  char some[64 * 1024];
  while (text.size() <= octets_max) {
    const ssize_t n = ::read(file.fd, some, sizeof some);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{std::strerror(errno)};
    if (n == 0) return text;
    text.append(some, static_cast<size_t>(n));
  }
  return Error{fmt::format("is larger than {} octets", octets_max)};
}

Result<std::string> read_file(const std::string& path, size_t octets_max) {
  auto text = read_unnamed_file(path, octets_max);
  if (!text) return Error{fmt::format("{}: {}", path, text.error().message)};
  return text;
}

}  // namespace weir

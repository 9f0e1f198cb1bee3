#include "control/state/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "decode/state_image.h"

namespace weir::control {
namespace {

constexpr char kMagic[8] = {'W', 'E', 'I', 'R', 'S', 'T', 'A', 'T'};
constexpr size_t kChecked = 16;  // behind the checksum

class File {
 public:
  explicit File(int fd) noexcept : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const noexcept { return fd_; }
  bool close() noexcept { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

Error error_of(const std::string& path, const char* what) {
  return Error{fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

bool write_all(int fd, std::span<const uint8_t> octets) noexcept {
  while (!octets.empty()) {
    const ssize_t n = ::write(fd, octets.data(), octets.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    octets = octets.subspan(static_cast<size_t>(n));
  }
  return true;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

}  // namespace

Result<StateFile> parse_state_file(std::span<const uint8_t> octets) {
  if (octets.size() < kStateFileHeaderOctets) {
    return Error{fmt::format("{} octets are too few for a header", octets.size())};
  }
  const uint8_t* p = octets.data();
  if (std::memcmp(p, kMagic, sizeof kMagic) != 0) return Error{"not a file of Weir's state"};
  if (const uint32_t version = load_be32(p + 8); version != kStateVersion) {
    return Error{fmt::format("version {}, and this Weir reads version {}", version, kStateVersion)};
  }
  if (const uint64_t size = load_be64(p + 16); size != octets.size()) {
    return Error{fmt::format("{} octets, and {} were written", octets.size(), size)};
  }
  if (crc32c(octets.subspan(kChecked)) != load_be32(p + 12)) {
    return Error{"damaged: the checksum is another"};
  }
  const auto records = octets.subspan(kStateFileHeaderOctets);
  return StateFile{{records.begin(), records.end()}, load_be64(p + 24)};
}

std::vector<uint8_t> state_file_header(std::span<const uint8_t> records, uint64_t written_ns) {
  std::vector<uint8_t> header(kStateFileHeaderOctets);
  uint8_t* p = header.data();
  std::memcpy(p, kMagic, sizeof kMagic);
  store_be32(p + 8, kStateVersion);
  store_be64(p + 16, kStateFileHeaderOctets + records.size());
  store_be64(p + 24, written_ns);
  const uint32_t of_header = crc32c(std::span<const uint8_t>(header).subspan(kChecked));
  store_be32(p + 12, crc32c(records, of_header));
  return header;
}

Result<std::optional<StateFile>> read_state_file(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<StateFile>{};
    return error_of(path, "cannot be opened");
  }
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return error_of(path, "cannot be read");
  if (!S_ISREG(status.st_mode)) return Error{path + ": not a file"};
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size > decode::kStateOctetsMax + kStateFileHeaderOctets) {
    return Error{fmt::format("{}: {} octets, limit {}", path, size,
                             decode::kStateOctetsMax + kStateFileHeaderOctets)};
  }
  std::vector<uint8_t> octets(size);
  size_t got = 0;
  while (got < octets.size()) {
    const ssize_t n = ::read(file.fd(), octets.data() + got, octets.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_of(path, "cannot be read");
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  octets.resize(got);
  Result<StateFile> parsed = parse_state_file(octets);
  if (!parsed) return Error{path + ": " + parsed.error().message};
  return std::optional<StateFile>(std::move(*parsed));
}

Result<void> write_state_file(const std::string& path, std::span<const uint8_t> records,
                              uint64_t written_ns) {
  const std::string beside = path + ".new";
  File file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (file.fd() < 0) return error_of(beside, "cannot be written");
  const std::vector<uint8_t> header = state_file_header(records, written_ns);
  if (!write_all(file.fd(), header) || !write_all(file.fd(), records) || ::fsync(file.fd()) != 0 ||
      !file.close()) {
    const Error error = error_of(beside, "cannot be written");
    ::unlink(beside.c_str());
    return error;
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return error_of(path, "cannot be replaced");
  // The new name is on the disk once the folder is.
  const File folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.fd() < 0 || ::fsync(folder.fd()) != 0) {
    return error_of(folder_of(path), "cannot be flushed");
  }
  return {};
}

Result<std::string> set_state_file_aside(const std::string& path) {
  const std::string aside = path + ".ignored";
  if (::rename(path.c_str(), aside.c_str()) != 0) return error_of(path, "cannot be renamed");
  return aside;
}

}  // namespace weir::control

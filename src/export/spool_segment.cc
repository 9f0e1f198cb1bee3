#include "export/spool_segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/byte_order.h"
#include "base/crc32c.h"

namespace weir::outbound {
namespace {

constexpr char kMagic[8] = {'W', 'E', 'I', 'R', 'S', 'P', 'O', 'L'};
constexpr size_t kChecked = 8;  // behind the length and the checksum

std::span<const uint8_t> octets_of(std::string_view text) noexcept {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Error error_of(const std::string& path, const char* what) {
  return Error{fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

/// So many octets from `offset` on, or fewer where the file ends or cannot be read.
size_t read_at(int fd, uint8_t* to, size_t octets, uint64_t offset) noexcept {
  size_t got = 0;
  while (got < octets) {
    const ssize_t n = ::pread(fd, to + got, octets - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  return got;
}

/// Writes all of `parts`, which are used up.
bool write_at(int fd, std::span<iovec> parts, uint64_t offset) noexcept {
  while (!parts.empty()) {
    const ssize_t n =
        ::pwritev(fd, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return false;
    offset += static_cast<uint64_t>(n);
    auto left = static_cast<size_t>(n);
    while (!parts.empty() && left >= parts.front().iov_len) {
      left -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts.front().iov_base = static_cast<uint8_t*>(parts.front().iov_base) + left;
      parts.front().iov_len -= left;
    }
  }
  return true;
}

iovec part_of(std::span<const uint8_t> octets) noexcept {
  return {const_cast<uint8_t*>(octets.data()), octets.size()};  // pwritev does not write there
}

}  // namespace

void write_spool_header(const SpoolEntry& entry,
                        std::span<uint8_t, kSpoolEntryHeaderOctets> header) {
  uint8_t* p = header.data();
  store_be32(p, static_cast<uint32_t>(entry.octets()));
  store_be32(p + 8, entry.records);
  p[12] = static_cast<uint8_t>(entry.kind);
  p[13] = static_cast<uint8_t>(entry.id.size());
  store_be16(p + 14, static_cast<uint16_t>(entry.subject.size()));
  store_be64(p + 16, entry.sealed_wall_ns);
  uint32_t sum = crc32c(header.subspan(kChecked));
  sum = crc32c(octets_of(entry.id), sum);
  sum = crc32c(octets_of(entry.subject), sum);
  store_be32(p + 4, crc32c(entry.payload, sum));
}

std::optional<SpoolEntrySize> spool_entry_size(std::span<const uint8_t> header) noexcept {
  if (header.size() < kSpoolEntryHeaderOctets) return {};
  const uint8_t* p = header.data();
  const SpoolEntrySize size{load_be32(p), load_be32(p + 8)};
  if (size.octets < kSpoolEntryHeaderOctets + uint32_t{p[13]} + load_be16(p + 14)) return {};
  if (size.octets > kSpoolEntryOctetsMax) return {};
  if (p[12] >= static_cast<uint8_t>(RecordKind::count_)) return {};
  return size;
}

std::optional<SpoolEntry> parse_spool_entry(std::span<const uint8_t> octets) noexcept {
  const std::optional<SpoolEntrySize> size = spool_entry_size(octets);
  if (!size || size->octets != octets.size()) return {};
  const uint8_t* p = octets.data();
  if (crc32c(octets.subspan(kChecked)) != load_be32(p + 4)) return {};
  const auto* texts = reinterpret_cast<const char*>(p + kSpoolEntryHeaderOctets);
  const size_t id = p[13];
  const size_t subject = load_be16(p + 14);
  return SpoolEntry{.id = {texts, id},
                    .subject = {texts + id, subject},
                    .kind = static_cast<RecordKind>(p[12]),
                    .records = size->records,
                    .sealed_wall_ns = load_be64(p + 16),
                    .payload = octets.subspan(kSpoolEntryHeaderOctets + id + subject)};
}

SpoolSegment::SpoolSegment(std::string path, int fd, uint64_t octets) noexcept
    : path_(std::move(path)), fd_(fd), octets_(octets) {}

SpoolSegment::SpoolSegment(SpoolSegment&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), octets_(other.octets_) {}

SpoolSegment& SpoolSegment::operator=(SpoolSegment&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(octets_, other.octets_);
  return *this;
}

SpoolSegment::~SpoolSegment() {
  if (fd_ >= 0) ::close(fd_);
}

Result<SpoolSegment> SpoolSegment::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) return error_of(path, "cannot be made");
  SpoolSegment segment(path, fd, kSpoolFileHeaderOctets);
  std::array<uint8_t, kSpoolFileHeaderOctets> header{};
  std::memcpy(header.data(), kMagic, sizeof kMagic);
  store_be32(header.data() + 8, kSpoolVersion);
  std::array<iovec, 1> parts{part_of(header)};
  if (!write_at(fd, parts, 0)) {
    Error error = error_of(path, "cannot be written");
    ::unlink(path.c_str());
    return error;
  }
  return segment;
}

Result<SpoolSegment> SpoolSegment::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return error_of(path, "cannot be opened");
  SpoolSegment segment(path, fd, 0);
  struct stat status {};
  if (::fstat(fd, &status) != 0) return error_of(path, "cannot be looked at");
  segment.octets_ = static_cast<uint64_t>(status.st_size);
  std::array<uint8_t, kSpoolFileHeaderOctets> header{};
  const size_t got = read_at(fd, header.data(), header.size(), 0);
  if (got == header.size() && std::memcmp(header.data(), kMagic, sizeof kMagic) == 0 &&
      load_be32(header.data() + 8) != kSpoolVersion) {
    return Error{fmt::format("{}: version {}, and this Weir reads version {}", path,
                             load_be32(header.data() + 8), kSpoolVersion)};
  }
  // A file that was begun and not written is a segment without entries, all of it damaged.
  if (got < header.size() || std::memcmp(header.data(), kMagic, sizeof kMagic) != 0 ||
      load_be32(header.data() + 12) != 0) {
    segment.octets_ = 0;
  }
  return segment;
}

Result<SpoolSegment::Contents> SpoolSegment::look_through(uint64_t offset, Check check) {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return error_of(path_, "cannot be looked at");
  const auto file_octets = static_cast<uint64_t>(status.st_size);
  Contents contents;
  uint64_t at = octets_ == 0 ? 0 : offset;
  const uint64_t end = octets_ == 0 ? 0 : file_octets;
  std::vector<uint8_t> room(kSpoolEntryHeaderOctets);
  while (at + kSpoolEntryHeaderOctets <= end) {
    room.resize(kSpoolEntryHeaderOctets);
    if (read_at(fd_, room.data(), room.size(), at) != room.size()) break;
    const std::optional<SpoolEntrySize> size = spool_entry_size(room);
    if (!size || size->octets > end - at) break;
    if (check == Check::checksums) {
      room.resize(size->octets);
      if (read_at(fd_, room.data(), room.size(), at) != room.size()) break;
      if (!parse_spool_entry(room)) break;
    }
    ++contents.entries;
    contents.records += size->records;
    contents.octets += size->octets;
    at += size->octets;
  }
  contents.damaged_octets = file_octets - std::min(at, file_octets);
  octets_ = at;
  return contents;
}

bool SpoolSegment::append(const SpoolEntry& entry) noexcept {
  std::array<uint8_t, kSpoolEntryHeaderOctets> header;
  write_spool_header(entry, header);
  std::array<iovec, 4> parts{part_of(header), part_of(octets_of(entry.id)),
                             part_of(octets_of(entry.subject)), part_of(entry.payload)};
  if (!write_at(fd_, parts, octets_)) {
    const int why = errno;
    // Whoever reads would find half an entry. Should that fail too, its checksum says so.
    [[maybe_unused]] const int cut = ::ftruncate(fd_, static_cast<off_t>(octets_));
    errno = why;
    return false;
  }
  octets_ += entry.octets();
  return true;
}

bool SpoolSegment::sync() noexcept { return ::fdatasync(fd_) == 0; }

std::optional<SpoolEntry> SpoolSegment::read(uint64_t offset, std::vector<uint8_t>& room) {
  if (offset + kSpoolEntryHeaderOctets > octets_) return {};
  room.resize(kSpoolEntryHeaderOctets);
  std::optional<SpoolEntry> entry;
  if (read_at(fd_, room.data(), room.size(), offset) == room.size()) {
    const std::optional<SpoolEntrySize> size = spool_entry_size(room);
    if (size && size->octets <= octets_ - offset) {
      room.resize(size->octets);
      if (read_at(fd_, room.data(), room.size(), offset) == room.size()) {
        entry = parse_spool_entry(room);
      }
    }
  }
  if (!entry) octets_ = offset;
  return entry;
}

}  // namespace weir::outbound

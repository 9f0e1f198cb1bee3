#include "dataplane/pcap_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace weir::dataplane {
namespace {

constexpr uint32_t kPcapMagicUs = 0xa1b2c3d4;
constexpr uint32_t kPcapMagicNs = 0xa1b23c4d;
constexpr uint32_t kPcapngSection = 0x0a0d0d0a;
constexpr uint32_t kPcapngByteOrder = 0x1a2b3c4d;
constexpr uint32_t kPcapngInterface = 1;
constexpr size_t kPcapHeaderOctets = 24;
constexpr size_t kPcapngBlocksMax = 16;  // looked at for the first interface

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  /// In a folder, where opening it waits for a writer; /dev/stdin may be one without a name.
  bool is_named_pipe(const struct stat& status) const {
    struct statfs system {};
    return S_ISFIFO(status.st_mode) && fstatfs(fd_, &system) == 0 && system.f_type != PIPEFS_MAGIC;
  }

  /// A 32-bit number in the file's byte order.
  std::optional<uint32_t> number(uint64_t offset, bool swapped) const {
    uint32_t value;
    if (pread(fd_, &value, sizeof value, static_cast<off_t>(offset)) != sizeof value) return {};
    return swapped ? __builtin_bswap32(value) : value;
  }

 private:
  int fd_;
};

std::optional<packet::LinkType> link_type(uint32_t libpcap_number) {
  switch (libpcap_number) {
    case 0: return packet::LinkType::null_loopback;
    case 1: return packet::LinkType::ethernet;
    case 12:
    case 14:
    case 101:
    case 228:
    case 229: return packet::LinkType::raw_ip;
    case 113: return packet::LinkType::linux_sll;
    case 276: return packet::LinkType::linux_sll2;
    default: return {};
  }
}

// The link type of the first interface; packets lie behind its block.
std::optional<uint32_t> pcapng_link(const File& file) {
  const std::optional<uint32_t> order = file.number(8, false);
  if (!order) return {};
  const bool swapped = *order != kPcapngByteOrder;
  uint64_t offset = 0;
  for (size_t i = 0; i < kPcapngBlocksMax; ++i) {
    const std::optional<uint32_t> type = file.number(offset, swapped);
    const std::optional<uint32_t> octets = file.number(offset + 4, swapped);
    if (!type || !octets || *octets < 12) return {};
    if (*type == kPcapngInterface) {
      const std::optional<uint32_t> link = file.number(offset + 8, swapped);
      if (!link) return {};
      return swapped ? *link >> 16 : *link & 0xffff;
    }
    offset += *octets;
  }
  return {};
}

}  // namespace

Result<PcapFile> look_at_pcap_file(const std::string& path) {
  const File file(path);
  if (!file.is_open()) return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  struct stat status {};
  if (fstat(file.fd(), &status) != 0)
    return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  if (S_ISDIR(status.st_mode)) return Error{fmt::format("{}: is a folder", path)};
  if (file.is_named_pipe(status))
    return Error{fmt::format("{}: is a named pipe, which every look would empty; rx_pcap=/dev/stdin takes a pipe", path)};
  if (!S_ISREG(status.st_mode)) return PcapFile{packet::LinkType::ethernet, true};  // a pipe, say

  const std::optional<uint32_t> magic = file.number(0, false);
  std::optional<uint32_t> link;
  PcapFile found;
  if (magic == kPcapMagicUs || magic == kPcapMagicNs) {
    link = file.number(20, false);
  } else if (magic == __builtin_bswap32(kPcapMagicUs) || magic == __builtin_bswap32(kPcapMagicNs)) {
    link = file.number(20, true);
  } else if (magic == kPcapngSection) {
    link = pcapng_link(file);
  }
  if (!link) return Error{fmt::format("{}: not a pcap or pcapng file", path)};
  *link &= 0x03ffffff;  // above are the length of a frame check sequence and reserved bits
  const std::optional<packet::LinkType> known = link_type(*link);
  if (!known) return Error{fmt::format("{}: link type {} is not supported", path, *link)};
  found.link = *known;
  found.has_packets =
      magic == kPcapngSection || static_cast<uint64_t>(status.st_size) > kPcapHeaderOctets;
  return found;
}

}  // namespace weir::dataplane

#include "store/file_sum.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/crc32c.h"

namespace weir::store {

namespace {

Error system_error(const std::string& path) { return Error{fmt::format("cannot read {}: {}", path, std::strerror(errno))}; }

}  // namespace

FileSum::FileSum(std::string path, ReadFrom from) : path_(std::move(path)), is_direct_(from == ReadFrom::disk) {}

FileSum::~FileSum() {
  if (fd_ >= 0) close(fd_);
}

Result<void> FileSum::open() {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | (is_direct_ ? O_DIRECT : 0));
  if (fd_ < 0 && errno == EINVAL && std::exchange(is_direct_, false)) fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) return system_error(path_);
  piece_ = std::make_unique_for_overwrite<Piece>();
  return {};
}

Result<uint64_t> FileSum::step(uint64_t octets_max) {
  if (fd_ < 0) {
    if (auto opened = open(); !opened) return opened.error();
  }
  uint64_t octets = 0;
  while (!is_over_ && octets < octets_max) {
    const uint64_t left = std::min(kSumPieceOctets, octets_max - octets);
    const uint64_t wanted = (left + kSumPageOctets - 1) / kSumPageOctets * kSumPageOctets;
    const ssize_t got = pread(fd_, piece_->octets.data(), wanted, static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    // Some file systems say only now that they do not know it, or want larger pages; and so it is behind a last page that is not whole.
    if (got < 0 && errno == EINVAL && std::exchange(is_direct_, false) && fcntl(fd_, F_SETFL, 0) == 0) continue;
    if (got < 0) return system_error(path_);
    is_over_ = got == 0;
    sum_ = crc32c({piece_->octets.data(), static_cast<size_t>(got)}, sum_);
    offset_ += static_cast<uint64_t>(got);
    octets += static_cast<uint64_t>(got);
  }
  return octets;
}

Result<uint32_t> sum_of_file(const std::string& path, ReadFrom from) {
  FileSum file(path, from);
  while (!file.is_over()) {
    if (auto read = file.step(kSumPieceOctets); !read) return read.error();
  }
  return file.sum();
}

}  // namespace weir::store

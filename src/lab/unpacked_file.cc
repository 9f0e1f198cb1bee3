#include "lab/unpacked_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

namespace weir::lab {

namespace {

constexpr size_t kPackedOctets = 1 << 16;
constexpr int kAnyGzip = 15 + 16;   // zlib's largest window; gzip's frame, not zlib's
constexpr int kZstdWindowLog = 27;  // 128 MiB

class Unpacker {
 public:
  explicit Unpacker(int fd) : fd_(fd) {}
  ~Unpacker() {
    if (packing_ == Packing::gzip) inflateEnd(&gzip_);
    ZSTD_freeDStream(zstd_);
    if (fd_ != STDIN_FILENO) close(fd_);
  }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  /// Looks at the first octets; false: no memory.
  bool begin() {
    while (held_ < 4 && fill()) {
    }
    static constexpr uint8_t kGzip[] = {0x1f, 0x8b}, kZstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (held_ >= 2 && std::memcmp(packed_.data(), kGzip, 2) == 0) {
      if (inflateInit2(&gzip_, kAnyGzip) != Z_OK) return false;
      packing_ = Packing::gzip;
    } else if (held_ >= 4 && std::memcmp(packed_.data(), kZstd, 4) == 0) {
      zstd_ = ZSTD_createDStream();
      if (zstd_ == nullptr) return false;
      ZSTD_DCtx_setParameter(zstd_, ZSTD_d_windowLogMax, kZstdWindowLog);
      packing_ = Packing::zstd;
    }
    return true;
  }

  ssize_t read(char* out, size_t octets) {
    if (octets == 0) return 0;
    for (;;) {
      if (used_ == held_ && !has_ended_) {
        used_ = held_ = 0;
        if (!fill() && failed_) return fail();
      }
      const bool is_dry = used_ == held_;
      if (packing_ == Packing::none) {
        const size_t n = std::min(octets, held_ - used_);
        std::memcpy(out, packed_.data() + used_, n);
        used_ += n;
        return static_cast<ssize_t>(n);
      }
      if (is_dry && is_between_) return 0;
      const ssize_t n = packing_ == Packing::gzip ? unpack_gzip(out, octets) : unpack_zstd(out, octets);
      if (n != 0) return n < 0 ? fail() : n;
      if (is_dry) return is_between_ ? 0 : fail();  // cut short
    }
  }

 private:
  enum class Packing : uint8_t { none, gzip, zstd };

  static ssize_t fail() {
    errno = EIO;
    return -1;
  }

  bool fill() {
    ssize_t n;
    do {
      n = ::read(fd_, packed_.data() + held_, packed_.size() - held_);
    } while (n < 0 && errno == EINTR);
    failed_ = n < 0;
    has_ended_ = n <= 0;
    if (n > 0) held_ += static_cast<size_t>(n);
    return n > 0;
  }

  ssize_t unpack_gzip(char* out, size_t octets) {
    if (is_between_) {
      if (has_begun_ && inflateReset2(&gzip_, kAnyGzip) != Z_OK) return -1;
      has_begun_ = true;
      is_between_ = false;
    }
    gzip_.next_in = packed_.data() + used_;
    gzip_.avail_in = static_cast<uInt>(held_ - used_);
    gzip_.next_out = reinterpret_cast<Bytef*>(out);
    gzip_.avail_out = static_cast<uInt>(std::min<size_t>(octets, 1u << 30));
    const uInt room = gzip_.avail_out;
    const int status = inflate(&gzip_, Z_NO_FLUSH);
    used_ = held_ - gzip_.avail_in;
    if (status == Z_STREAM_END) {
      is_between_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return -1;
    }
    return static_cast<ssize_t>(room - gzip_.avail_out);
  }

  ssize_t unpack_zstd(char* out, size_t octets) {
    ZSTD_inBuffer in{packed_.data(), held_, used_};
    ZSTD_outBuffer room{out, octets, 0};
    const size_t left = ZSTD_decompressStream(zstd_, &room, &in);
    if (ZSTD_isError(left)) return -1;
    is_between_ = left == 0;
    used_ = in.pos;
    return static_cast<ssize_t>(room.pos);
  }

  const int fd_;
  Packing packing_ = Packing::none;
  std::array<uint8_t, kPackedOctets> packed_;
  size_t used_ = 0, held_ = 0;
  bool has_ended_ = false;   // the file
  bool failed_ = false;
  bool is_between_ = true;   // two members of gzip or frames of zstd: there a file may end
  bool has_begun_ = false;   // the first member
  z_stream gzip_{};
  ZSTD_DStream* zstd_ = nullptr;
};

}  // namespace

Result<std::FILE*> open_unpacked(const std::string& path) {
  const int fd = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{path + ": " + std::strerror(errno)};
  auto unpacker = std::make_unique<Unpacker>(fd);
  if (!unpacker->begin()) return Error{path + ": no memory to unpack it"};
  cookie_io_functions_t calls{};
  calls.read = [](void* cookie, char* out, size_t octets) { return static_cast<Unpacker*>(cookie)->read(out, octets); };
  calls.close = [](void* cookie) {
    delete static_cast<Unpacker*>(cookie);
    return 0;
  };
  std::FILE* const file = fopencookie(unpacker.get(), "r", calls);
  if (file == nullptr) return Error{path + ": " + std::strerror(errno)};
  static_cast<void>(unpacker.release());  // the stream's
  return file;
}

}  // namespace weir::lab

// file_sum.h — The CRC-32C of a file's octets, piece by piece.
//
// Runs on:  any thread, one at a time.
// Bounds:   kSumPieceOctets in memory.
// Failure:  an Error that names the file; what was read before stays.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace weir::store {

inline constexpr uint64_t kSumPieceOctets = 256 << 10;
inline constexpr uint64_t kSumPageOctets = 4096;  // O_DIRECT takes places and lengths of whole ones

/// cache: as whoever reads the file just now sees it. disk: as it is when the kernel has forgotten it (O_DIRECT, where the file system
/// knows that), and without taking the place of what others read.
enum class ReadFrom : uint8_t { cache, disk };

class FileSum {
 public:
  FileSum(std::string path, ReadFrom from);
  ~FileSum();
  FileSum(const FileSum&) = delete;
  FileSum& operator=(const FileSum&) = delete;

  /// Reads on, at most `octets_max` octets and what fills a page of them; how many those were.
  Result<uint64_t> step(uint64_t octets_max);
  bool is_over() const noexcept { return is_over_; }
  /// Of what was read.
  uint32_t sum() const noexcept { return sum_; }

 private:
  struct alignas(kSumPageOctets) Piece {
    std::array<uint8_t, kSumPieceOctets> octets;
  };
  Result<void> open();

  const std::string path_;
  bool is_direct_;
  int fd_ = -1;
  uint64_t offset_ = 0;
  uint32_t sum_ = 0;
  bool is_over_ = false;
  std::unique_ptr<Piece> piece_;
};

/// Of the whole file.
Result<uint32_t> sum_of_file(const std::string& path, ReadFrom from);

}  // namespace weir::store

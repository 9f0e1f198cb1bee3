// slab.h — Memory reserved when a decoder is made, and blocks handed out of it.
//
// Runs on:  make at start; allocate and release on the decoder's thread.
// Bounds:   never more than was reserved. Blocks are powers of two of kBlockOctetsMin to
//           kBlockOctetsMax octets; neighbours that are free join again, so that no order of sizes
//           can cut the slab to pieces for good.
// Failure:  allocate returns null when nothing fits; the caller evicts or refuses, and counts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::decode {

/// Address space whose pages cost nothing until they are touched, and then read as zero.
class Reservation {
 public:
  Reservation() = default;
  ~Reservation();
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  /// False when the system refuses. At most once.
  [[nodiscard]] bool reserve(size_t octets) noexcept;
  uint8_t* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/// A buddy allocator.
class Slab {
 public:
  static constexpr unsigned kOrderMin = 8;
  static constexpr unsigned kOrderMax = 20;
  static constexpr size_t kBlockOctetsMin = size_t{1} << kOrderMin;
  static constexpr size_t kBlockOctetsMax = size_t{1} << kOrderMax;

  /// `octets` is rounded up to whole blocks of kBlockOctetsMax.
  [[nodiscard]] bool reserve(size_t octets) noexcept;

  /// Null when no block of that size is left. The content is undefined.
  void* allocate(size_t octets) noexcept;
  void release(void* block) noexcept;

  /// What `allocate(octets)` takes from the slab.
  static size_t block_octets_for(size_t octets) noexcept;
  size_t block_octets(const void* block) const noexcept;
  size_t allocated_octets() const noexcept { return allocated_; }

 private:
  struct FreeBlock {
    FreeBlock* prev;
    FreeBlock* next;
  };
  static constexpr uint8_t kFree = 0x80;

  static unsigned order_for(size_t octets) noexcept;
  size_t index_of(const void* block) const noexcept;
  FreeBlock* block_at(size_t index) const noexcept;
  void push_free(size_t index, unsigned order) noexcept;
  void unlink_free(size_t index, unsigned order) noexcept;

  Reservation blocks_;
  Reservation
      states_;  // an octet for each smallest block: order of the block that begins there | kFree
  size_t untouched_ = 0;  // octets from the front that were ever handed out, in largest blocks
  size_t allocated_ = 0;
  FreeBlock* free_[kOrderMax + 1] = {};
};

}  // namespace weir::decode

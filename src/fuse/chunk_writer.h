// chunk_writer.h — Octets of fixed length, one behind the other, as a form's chunks.
//
// Runs on:  the decoder's thread, when a template is compiled.
// Bounds:   the chunks given; what is beyond is counted and not written.
#pragma once

#include <algorithm>
#include <span>

#include "fuse/fused_form.h"

namespace weir::fuse {

/// Octets in chunks: those that are the same for all records, and those moved from them.
class ChunkWriter {
 public:
  explicit ChunkWriter(std::span<Chunk> chunks) noexcept : chunks_(chunks) {}

  void fix(size_t octet) noexcept {
    if (Chunk* const c = here(); c != nullptr) {
      c->fixed[at_ % kChunkOctets] = static_cast<uint8_t>(octet);
    }
    ++at_;
  }
  void fix_tag(Tag tag) noexcept {
    fix(tag.octets & 0xffu);
    if (tag.length == 2) fix(tag.octets >> 8);
  }
  void fix_varint(uint64_t v) noexcept {
    for (; v >= 0x80; v >>= 7) fix((v & 0x7f) | 0x80);
    fix(v);
  }
  void move(size_t offset, size_t octets) noexcept {
    for (size_t k = 0; k < octets; ++k, ++at_) {
      Chunk* const c = here();
      if (c == nullptr) continue;
      c->from[at_ % kChunkOctets] = static_cast<uint8_t>(offset + k);
      c->moved |= uint64_t{1} << (at_ % kChunkOctets);
    }
  }
  size_t octets() const noexcept { return at_; }
  bool fits() const noexcept { return at_ <= chunks_.size() * kChunkOctets; }
  /// How many chunks there are.
  uint8_t finish() noexcept {
    const size_t count = (at_ + kChunkOctets - 1) / kChunkOctets;
    for (size_t i = 0; i < count; ++i) {
      chunks_[i].octets = std::min(kChunkOctets, at_ - i * kChunkOctets);
    }
    return static_cast<uint8_t>(count);
  }

 private:
  Chunk* here() const noexcept {
    const size_t i = at_ / kChunkOctets;
    return i < chunks_.size() ? &chunks_[i] : nullptr;
  }
  const std::span<Chunk> chunks_;
  size_t at_ = 0;
};

}  // namespace weir::fuse

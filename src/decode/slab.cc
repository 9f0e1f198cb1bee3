#include "decode/slab.h"

#include <sys/mman.h>

#include <bit>
#include <cassert>

namespace weir::decode {

Reservation::~Reservation() {
  if (data_ != nullptr) munmap(data_, size_);
}

bool Reservation::reserve(size_t octets) noexcept {
  assert(data_ == nullptr);
  if (octets == 0) octets = 1;
  void* p = mmap(nullptr, octets, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return false;
  data_ = static_cast<uint8_t*>(p);
  size_ = octets;
  return true;
}

bool Slab::reserve(size_t octets) noexcept {
  octets = (octets + kBlockOctetsMax - 1) & ~(kBlockOctetsMax - 1);
  if (octets == 0) octets = kBlockOctetsMax;
  return blocks_.reserve(octets) && states_.reserve(octets >> kOrderMin);
}

unsigned Slab::order_for(size_t octets) noexcept {
  if (octets <= kBlockOctetsMin) return kOrderMin;
  return static_cast<unsigned>(std::bit_width(octets - 1));
}

size_t Slab::block_octets_for(size_t octets) noexcept { return size_t{1} << order_for(octets); }

size_t Slab::index_of(const void* block) const noexcept {
  return static_cast<size_t>(static_cast<const uint8_t*>(block) - blocks_.data()) >> kOrderMin;
}

Slab::FreeBlock* Slab::block_at(size_t index) const noexcept {
  return static_cast<FreeBlock*>(static_cast<void*>(blocks_.data() + (index << kOrderMin)));
}

size_t Slab::block_octets(const void* block) const noexcept {
  return size_t{1} << (states_.data()[index_of(block)] & ~kFree);
}

void Slab::push_free(size_t index, unsigned order) noexcept {
  FreeBlock* b = block_at(index);
  b->prev = nullptr;
  b->next = free_[order];
  if (b->next != nullptr) b->next->prev = b;
  free_[order] = b;
  states_.data()[index] = static_cast<uint8_t>(order | kFree);
}

void Slab::unlink_free(size_t index, unsigned order) noexcept {
  FreeBlock* b = block_at(index);
  if (b->prev != nullptr) {
    b->prev->next = b->next;
  } else {
    free_[order] = b->next;
  }
  if (b->next != nullptr) b->next->prev = b->prev;
}

void* Slab::allocate(size_t octets) noexcept {
  const unsigned wanted = order_for(octets);
  if (wanted > kOrderMax) return nullptr;
  unsigned order = wanted;
  while (order <= kOrderMax && free_[order] == nullptr) ++order;
  size_t index;
  if (order <= kOrderMax) {
    index = index_of(free_[order]);
    unlink_free(index, order);
  } else {
    if (untouched_ == blocks_.size()) return nullptr;
    index = untouched_ >> kOrderMin;
    untouched_ += kBlockOctetsMax;
    order = kOrderMax;
  }
  while (order > wanted) {
    --order;
    push_free(index + (size_t{1} << (order - kOrderMin)), order);
  }
  states_.data()[index] = static_cast<uint8_t>(wanted);
  allocated_ += size_t{1} << wanted;
  return block_at(index);
}

void Slab::release(void* block) noexcept {
  size_t index = index_of(block);
  unsigned order = states_.data()[index];
  assert(order >= kOrderMin && order <= kOrderMax);
  allocated_ -= size_t{1} << order;
  while (order < kOrderMax) {
    const size_t buddy = index ^ (size_t{1} << (order - kOrderMin));
    if (states_.data()[buddy] != (order | kFree)) break;
    unlink_free(buddy, order);
    states_.data()[index] = states_.data()[buddy] = 0;
    if (buddy < index) index = buddy;
    ++order;
  }
  push_free(index, order);
}

}  // namespace weir::decode

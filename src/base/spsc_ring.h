// spsc_ring.h — A bounded ring between exactly two threads.
//
// Runs on:  push and has_room on one thread, pop on another; size_approx anywhere.
// Bounds:   capacity is a power of two, fixed when made; a full ring refuses, and the caller counts.
// Failure:  push returns false when full, pop false when empty; nothing is changed then. Bursts say how many they
//           moved.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

namespace weir {

inline constexpr size_t kCacheLineBytes = 64;

template <class T>
class SpscRing {
  static_assert(std::is_trivially_copyable_v<T>, "a ring carries handles, not owners");

 public:
  /// At least `capacity_min` entries (rounded up to a power of two).
  explicit SpscRing(size_t capacity_min)
      : mask_(std::bit_ceil(capacity_min < 2 ? size_t{2} : capacity_min) - 1),
        slots_(std::make_unique<T[]>(mask_ + 1)) {}

  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  bool push(const T& item) noexcept {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) return false;
    }
    slots_[tail & mask_] = item;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  bool pop(T& item) noexcept {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) return false;
    }
    item = slots_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  /// As many of them as there is room for, from the first one on, seen all at once by the other side; how many.
  size_t push_burst(std::span<const T> items) noexcept {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail + items.size() - head_seen_ > capacity()) head_seen_ = head_.load(std::memory_order_acquire);
    const size_t count = std::min(items.size(), capacity() - (tail - head_seen_));
    for (size_t i = 0; i < count; ++i) slots_[(tail + i) & mask_] = items[i];
    if (count != 0) tail_.store(tail + count, std::memory_order_release);
    return count;
  }

  /// What there is, as far as `items` reaches; how many.
  size_t pop_burst(std::span<T> items) noexcept {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (tail_seen_ - head < items.size()) tail_seen_ = tail_.load(std::memory_order_acquire);
    const size_t count = std::min(items.size(), tail_seen_ - head);
    for (size_t i = 0; i < count; ++i) items[i] = slots_[(head + i) & mask_];
    if (count != 0) head_.store(head + count, std::memory_order_release);
    return count;
  }

  /// The pushing side: whether so many would all be taken now.
  bool has_room(size_t items) noexcept {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail + items - head_seen_ > capacity()) head_seen_ = head_.load(std::memory_order_acquire);
    return tail + items - head_seen_ <= capacity();
  }

  size_t capacity() const noexcept { return mask_ + 1; }

  /// Exact only while neither side is active.
  size_t size_approx() const noexcept {
    const size_t head = head_.load(std::memory_order_acquire);
    const size_t tail = tail_.load(std::memory_order_acquire);
    return tail >= head ? tail - head : 0;
  }

 private:
  const size_t mask_;
  const std::unique_ptr<T[]> slots_;
  alignas(kCacheLineBytes) std::atomic<size_t> tail_{0};
  size_t head_seen_ = 0;  // the producer's last look at head_
  alignas(kCacheLineBytes) std::atomic<size_t> head_{0};
  size_t tail_seen_ = 0;  // the consumer's last look at tail_
};

}  // namespace weir

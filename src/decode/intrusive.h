// intrusive.h — Lists and hash tables whose links lie in the nodes, so that neither ever allocates.
//
// Nodes belong to whoever made them. Chains rather than open addressing, because nodes leave all
// the time and leave no tombstones; the hash is seeded, so that chains cannot be made long from
// outside.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "decode/slab.h"

namespace weir::decode {

template <class T>
struct ListLink {
  T* prev = nullptr;
  T* next = nullptr;
};

template <class T, ListLink<T> T::*kLink>
class List {
 public:
  T* front() const noexcept { return front_; }
  T* back() const noexcept { return back_; }
  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  static T* next(const T* node) noexcept { return (node->*kLink).next; }
  static T* prev(const T* node) noexcept { return (node->*kLink).prev; }

  void push_back(T* node) noexcept {
    (node->*kLink) = {back_, nullptr};
    (back_ != nullptr ? (back_->*kLink).next : front_) = node;
    back_ = node;
    ++size_;
  }
  void erase(T* node) noexcept {
    ListLink<T>& link = node->*kLink;
    (link.prev != nullptr ? (link.prev->*kLink).next : front_) = link.next;
    (link.next != nullptr ? (link.next->*kLink).prev : back_) = link.prev;
    link = {};
    --size_;
  }
  void move_to_back(T* node) noexcept {
    if (node == back_) return;
    erase(node);
    push_back(node);
  }

 private:
  T* front_ = nullptr;
  T* back_ = nullptr;
  size_t size_ = 0;
};

inline uint64_t mix_hash(uint64_t h) noexcept {
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93ull;
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93ull;
  return h ^ (h >> 32);
}

/// T has members `uint64_t hash` and `T* hash_next`.
///
/// Linear hashing: while there are more nodes than half of the buckets an insert splits two buckets, and no insert pays for
/// more than their chains.
template <class T>
class HashChains {
 public:
  /// Buckets to begin with, and how many there may come to be; both rounded up to a power of two.
  [[nodiscard]] bool reserve(size_t buckets, size_t buckets_max = 0) noexcept {
    buckets_ = std::bit_ceil(std::max<size_t>(buckets, 16));
    buckets_max_ = std::max(buckets_, std::bit_ceil(buckets_max));
    mask_ = buckets_ - 1;
    return memory_.reserve(buckets_max_ * sizeof(T*));
  }
  template <class Match>
  T* find(uint64_t hash, Match match) const noexcept {
    for (T* n = *bucket(hash); n != nullptr; n = n->hash_next) {
      if (n->hash == hash && match(*n)) return n;
    }
    return nullptr;
  }
  void insert(T* node) noexcept {
    T** const head = bucket(node->hash);
    node->hash_next = *head;
    *head = node;
    ++size_;
    for (int i = 0; i < 2 && buckets_ < 2 * size_ && buckets_ < buckets_max_; ++i) split();
  }
  void erase(T* node) noexcept {
    T** at = bucket(node->hash);
    while (*at != node) at = &(*at)->hash_next;
    *at = node->hash_next;
    --size_;
  }
  size_t buckets() const noexcept { return buckets_; }

 private:
  T** heads() const noexcept { return static_cast<T**>(static_cast<void*>(memory_.data())); }
  /// Those that are not split yet have the nodes of two.
  T** bucket(uint64_t hash) const noexcept {
    const size_t at = hash & mask_;
    return heads() + (at < buckets_ ? at : at & (mask_ >> 1));
  }
  void split() noexcept {
    if (buckets_ > mask_) mask_ = 2 * mask_ + 1;  // all of them are: the next round
    const size_t added = buckets_++;
    T** stays = heads() + (added & (mask_ >> 1));
    T** goes = heads() + added;
    for (T *n = *stays, *following; n != nullptr; n = following) {
      following = n->hash_next;
      T**& end = (n->hash & mask_) == added ? goes : stays;
      *end = n;
      end = &n->hash_next;
    }
    *stays = *goes = nullptr;
  }

  Reservation memory_;
  size_t buckets_ = 0;
  size_t buckets_max_ = 0;
  size_t mask_ = 0;  // the least power of two that is not below buckets_, less one
  size_t size_ = 0;
};

}  // namespace weir::decode

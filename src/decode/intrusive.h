// intrusive.h — Lists and hash tables whose links lie in the nodes, so that neither ever allocates.
//
// Nodes belong to whoever made them. Chains rather than open addressing, because nodes leave all
// the time and leave no tombstones; the hash is seeded, so that chains cannot be made long from
// outside.
#pragma once

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
template <class T>
class HashChains {
 public:
  [[nodiscard]] bool reserve(size_t nodes_expected) noexcept {
    const size_t buckets = std::bit_ceil(nodes_expected < 16 ? size_t{16} : nodes_expected);
    mask_ = buckets - 1;
    return memory_.reserve(buckets * sizeof(T*));
  }
  template <class Match>
  T* find(uint64_t hash, Match match) const noexcept {
    for (T* n = bucket(hash); n != nullptr; n = n->hash_next) {
      if (n->hash == hash && match(*n)) return n;
    }
    return nullptr;
  }
  void insert(T* node) noexcept {
    T*& head = bucket(node->hash);
    node->hash_next = head;
    head = node;
  }
  void erase(T* node) noexcept {
    T** at = &bucket(node->hash);
    while (*at != node) at = &(*at)->hash_next;
    *at = node->hash_next;
  }

 private:
  T*& bucket(uint64_t hash) const noexcept {
    return static_cast<T**>(static_cast<void*>(memory_.data()))[hash & mask_];
  }
  Reservation memory_;
  size_t mask_ = 0;
};

}  // namespace weir::decode

// publisher_parts.h — What publishers that retry have in common: how long they wait, what they say, how parts are named.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "export/framing.h"
#include "export/outbound_batch.h"

namespace weir::outbound {

/// Waits that double from one attempt to the next, with jitter, so that many collectors do not come back
/// in step. One thread.
class Backoff {
 public:
  Backoff(uint32_t first_ms, uint32_t max_ms, uint64_t seed) noexcept
      : first_ms_(std::max(first_ms, 1u)), max_ms_(std::max(first_ms, max_ms)), random_(seed | 1) {}

  /// After so many attempts (from 1).
  uint64_t wait_ns(uint32_t attempts) noexcept {
    const unsigned doublings = std::min<uint32_t>(attempts > 0 ? attempts - 1 : 0, 16);
    const uint64_t wait_ms = std::min<uint64_t>(uint64_t{first_ms_} << doublings, max_ms_);
    return jittered(wait_ms * kNsPerMs);
  }
  /// Between half and all of it.
  uint64_t jittered(uint64_t ns) noexcept {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return ns / 2 + random_ % (ns / 2 + 1);
  }

 private:
  uint32_t first_ms_;
  uint32_t max_ms_;
  uint64_t random_;
};

/// Since when a batch waits, as Publisher::set_patience counts.
inline uint64_t waits_since_ns(const OutboundBatch& batch, uint64_t submitted_ns) noexcept {
  return batch.replayed_as != nullptr || batch.sealed_steady_ns == 0 ? submitted_ns : batch.sealed_steady_ns;
}

inline bool is_older(uint64_t since_ns, uint64_t than_ns, uint64_t now_ns) noexcept {
  return now_ns > since_ns && now_ns - since_ns > than_ns;
}

/// The last trouble in an operator's words. Set by one thread, read by any.
class Trouble {
 public:
  void set(std::string text) {
    is_set_ = true;
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  void clear() {
    if (!is_set_) return;
    is_set_ = false;
    const std::lock_guard lock(mutex_);
    text_.clear();
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  bool is_set_ = false;
  mutable std::mutex mutex_;
  std::string text_;
};

/// Behind a batch's id: which of its records a message holds. Parts of another division, after the limit changed,
/// are never taken for it.
inline void append_part_number(std::string& id, const MessageSlice& part, Framing framing) {
  id += '.';
  id += std::to_string(part.first_record);
  if (is_record_a_message(framing)) return;
  id += '-';
  id += std::to_string(part.first_record + part.records - 1);
}

}  // namespace weir::outbound

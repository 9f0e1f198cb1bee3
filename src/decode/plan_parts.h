// plan_parts.h — What the files that run a plan share.
//
// Runs on:  the decoder's thread.
#pragma once

#include <cstdint>

#include "base/byte_order.h"
#include "flow/flow_record.h"

namespace weir::decode {

/// The member of a record that lies at `offset`.
template <class T>
T& column(FlowRecord& record, uint16_t offset) noexcept {
  return *static_cast<T*>(static_cast<void*>(reinterpret_cast<uint8_t*>(&record) + offset));
}

inline uint32_t saturated(uint64_t v) noexcept {
  return v > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(v);
}

inline bool all_zero(const uint8_t* p, uint32_t octets) noexcept {
  uint8_t any = 0;
  for (uint32_t i = 0; i < octets; ++i) any |= p[i];
  return any == 0;
}

/// Six octets, or eight with two zeros before or behind them.
inline uint64_t mac_of_8(const uint8_t* p) noexcept {
  const uint64_t v = load_be64(p);
  if (v >> 48 == 0) return v;
  if ((v & 0xffff) == 0) return v >> 16;
  return v & 0xffff'ffff'ffffull;
}

inline uint32_t text_octets(const uint8_t* p, uint32_t octets) noexcept {
  while (octets != 0 && (p[octets - 1] == 0 || p[octets - 1] == ' ')) --octets;
  return octets;
}

}  // namespace weir::decode

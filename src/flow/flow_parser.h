// flow_parser.h — The octets of a flowpb.FlowMessage → a FlowView, in one pass and without an allocation.
//
// Spec:     protobuf encoding; proto/flow.proto. As protobuf's own readers: of a scalar that comes twice the last
//           counts, numbers of 32 bits are cut to them, repeated numbers may be packed or not, fields that are not
//           known, or have another wire type, are skipped. Text need not be UTF-8: whoever writes it looks.
// Runs on:  any thread. Pure.
// Bounds:   messages of at most kFlowMessageOctetsMax; each step consumes at least one octet; nothing outside the
//           message is read.
// Failure:  false for octets that are no message (groups, which proto3 never had, are none), and for messages of something else: there
//           are fields, and none of them is known.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "flow/flow_view.h"

namespace weir {

/// A record's flat part and all of a datagram's arena, each octet of which could become more than one here, fit
/// several times.
inline constexpr size_t kFlowMessageOctetsMax = 256 * 1024;

/// Fills `view`, which then points into `message`. On failure it holds what came before the fault.
bool parse_flow(std::span<const uint8_t> message, FlowView& view) noexcept;

/// The octets after a tag, and what is behind them.
struct WireCursor {
  const uint8_t* p;
  const uint8_t* end;

  bool at_end() const noexcept { return p == end; }
  /// Ten octets at most, as protobuf reads them; what is beyond 64 bits is dropped.
  bool varint(uint64_t& v) noexcept {
    v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (p == end) return false;
      const uint8_t octet = *p++;
      v |= shift < 64 ? uint64_t{octet & 0x7fu} << shift : 0;
      if (octet < 0x80) return true;
    }
    return false;
  }
  bool octets(std::string_view& out) noexcept {
    uint64_t length = 0;
    if (!varint(length) || length > static_cast<uint64_t>(end - p)) return false;
    out = {reinterpret_cast<const char*>(p), static_cast<size_t>(length)};
    p += length;
    return true;
  }
  /// What a field of `type` holds.
  bool skip(uint32_t type) noexcept {
    uint64_t number;
    std::string_view ignored;
    switch (type) {
      case 0: return varint(number);
      case 1: return fixed(8);
      case 2: return octets(ignored);
      case 5: return fixed(4);
      default: return false;
    }
  }

 private:
  bool fixed(size_t n) noexcept {
    if (static_cast<size_t>(end - p) < n) return false;
    p += n;
    return true;
  }
};

/// The number of a list's field.
uint32_t field_number(ListSlot slot) noexcept;

namespace detail {
template <class OnEntry>
void walk_list(const FlowView& view, ListSlot slot, OnEntry&& on_entry) {
  const ListRange range = view.lists[static_cast<size_t>(slot)];
  WireCursor at{view.message.data() + range.begin, view.message.data() + range.end};
  const uint32_t wanted = field_number(slot);
  while (!at.at_end()) {
    uint64_t key = 0;
    if (!at.varint(key)) return;
    if (key >> 3 != wanted ? !at.skip(key & 7) : !on_entry(static_cast<uint32_t>(key & 7), at)) return;
  }
}
}  // namespace detail

/// Calls `on_number(uint32_t)` for each entry of a list of numbers.
template <class OnNumber>
void for_each_number(const FlowView& view, ListSlot slot, OnNumber&& on_number) {
  detail::walk_list(view, slot, [&](uint32_t type, WireCursor& at) {
    uint64_t v = 0;
    if (type == 0) {
      if (!at.varint(v)) return false;
      on_number(static_cast<uint32_t>(v));
      return true;
    }
    std::string_view packed;
    if (type != 2) return at.skip(type);
    if (!at.octets(packed)) return false;
    const auto* p = reinterpret_cast<const uint8_t*>(packed.data());
    for (WireCursor in{p, p + packed.size()}; !in.at_end() && in.varint(v);) on_number(static_cast<uint32_t>(v));
    return true;
  });
}

/// Calls `on_octets(std::string_view)` for each entry of a list of addresses, texts or messages.
template <class OnOctets>
void for_each_octets(const FlowView& view, ListSlot slot, OnOctets&& on_octets) {
  detail::walk_list(view, slot, [&](uint32_t type, WireCursor& at) {
    std::string_view octets;
    if (type != 2) return at.skip(type);
    if (!at.octets(octets)) return false;
    on_octets(octets);
    return true;
  });
}

/// An entry of `unmapped`; false where its octets are no UnmappedElement.
struct UnmappedView {
  uint32_t enterprise = 0;
  uint32_t id = 0;
  std::string_view value;
};
bool parse_unmapped(std::string_view entry, UnmappedView& element) noexcept;

}  // namespace weir

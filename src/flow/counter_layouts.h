// counter_layouts.h — The blocks of counters that sFlow's counter samples are made of, as tables.
//
// Spec:     counter_tables.h; proto/sflow.proto has a message for each.
// Runs on:  any thread. Pure.
// Bounds:   each step of a walk consumes octets of the block; lists have at most
//           kCounterElementsMax elements.
//
// A block's values follow one another in XDR as the table has them; the i-th value is field i + 1 of
// the block's message. The decoder checks blocks by these tables, the encoder writes by them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/xdr.h"
#include "flow/counter_tables.h"

namespace weir {

inline constexpr uint32_t kCounterElementsMax = 64;

/// Whether a sample may hold several blocks of the kind.
enum class CounterBlocks : uint8_t { one, many };

struct CounterLayout {
  uint32_t format;  // as on the wire: the enterprise above the lower twelve bits
  uint32_t field;   // of flowpb.SflowCounters
  std::span<const CounterField> fields;
  size_t required;                        // so many every agent sends; the rest may be missing
  std::span<const CounterField> element;  // of the list that follows the fields; empty: none does
  CounterBlocks blocks;
};

namespace counter {

constexpr CounterLayout plain(uint32_t format, uint32_t field,
                              std::span<const CounterField> fields) {
  return {format, field, fields, fields.size(), {}, CounterBlocks::one};
}

}  // namespace counter

/// In the order of their fields.
inline constexpr CounterLayout kCounterLayouts[] = {
    counter::plain(1, 20, counter::kInterface),
    counter::plain(2, 21, counter::kEthernet),
    counter::plain(5, 22, counter::kVlan),
    counter::plain(6, 23, counter::kIeee80211),
    counter::plain(7, 24, counter::kLag),
    {10, 25, counter::kOptical, 4, counter::kLane, CounterBlocks::one},
    counter::plain(1001, 26, counter::kProcessor),
    counter::plain(1002, 27, counter::kRadio),
    {1003, 28, counter::kQueue, 13, {}, CounterBlocks::many},
    counter::plain(1004, 29, counter::kOpenflowPort),
    counter::plain(1005, 30, counter::kPortName),
    counter::plain(2000, 31, counter::kHost),
    {2001, 32, {}, 0, counter::kAdapter, CounterBlocks::one},
    counter::plain(2002, 33, counter::kHostParent),
    {2003, 34, counter::kHostCpu, counter::kHostCpuRequired, {}, CounterBlocks::one},
    counter::plain(2004, 35, counter::kHostMemory),
    counter::plain(2005, 36, counter::kHostDisk),
    counter::plain(2006, 37, counter::kNet),
    counter::plain(2100, 38, counter::kVirtualNode),
    counter::plain(2101, 39, counter::kVirtualCpu),
    counter::plain(2102, 40, counter::kVirtualMemory),
    counter::plain(2103, 41, counter::kVirtualDisk),
    counter::plain(2104, 42, counter::kNet),
    counter::plain(2203, 43, counter::kAppResources),
    counter::plain(2207, 44, counter::kOvsDatapath),
    counter::plain(3, 45, counter::kTokenRing),
    counter::plain(4, 46, counter::kVg),
    counter::plain(2007, 47, counter::kHostIp),
    counter::plain(2008, 48, counter::kHostIcmp),
    counter::plain(2009, 49, counter::kHostTcp),
    counter::plain(2010, 50, counter::kHostUdp),
    counter::plain(2105, 51, counter::kJvmRuntime),
    {2106, 52, counter::kJvmStatistics, counter::kJvmStatisticsRequired, {}, CounterBlocks::one},
    counter::plain(2201, 53, counter::kHttp),
    counter::plain(2202, 54, counter::kAppOperations),
    counter::plain(2204, 55, counter::kMemcache),
    counter::plain(2206, 56, counter::kAppWorkers),
    counter::plain(4413 << 12 | 1, 57, counter::kBstDevice),
    counter::plain(4413 << 12 | 3, 58, counter::kHwTables),
    counter::plain(5703 << 12 | 1, 59, counter::kGpu),
    counter::plain(4413 << 12 | 2, 60, counter::kBstPort),
    counter::plain(2200, 61, counter::kMemcached),
    counter::plain(2205, 62, counter::kVdi),
};

/// Null where the format is none of them.
constexpr const CounterLayout* counter_layout(uint32_t format) noexcept {
  for (const CounterLayout& layout : kCounterLayouts) {
    if (layout.format == format) return &layout;
  }
  return nullptr;
}

/// One value as the wire has it.
struct CounterValue {
  uint64_t number = 0;                // u32, i32 (sign-extended), u64, f32 (its bits), mac
  std::span<const uint8_t> octets{};  // macs (eight each), i32s (four each), uuid, text
};

inline CounterValue read_counter(XdrReader& in, CounterType type) noexcept {
  switch (type) {
    case CounterType::u32:
    case CounterType::f32: return {in.u32(), {}};
    case CounterType::i32: return {static_cast<uint64_t>(static_cast<int32_t>(in.u32())), {}};
    case CounterType::u64: return {in.u64(), {}};
    case CounterType::mac: {
      const auto octets = in.fixed(6);
      return {octets.empty() ? 0 : load_be(octets.data(), 6), {}};
    }
    case CounterType::macs:
    case CounterType::i32s: {
      const uint32_t count = in.u32();
      if (count > kCounterElementsMax) {
        in.fail();
        return {};
      }
      return {0, in.fixed((type == CounterType::macs ? 8 : 4) * count)};
    }
    case CounterType::uuid: return {0, in.fixed(16)};
    case CounterType::text: return {0, in.variable()};
  }
  return {};
}

/// Tells `visitor` the values of a block, in their order:
///   on_value(number, type, value); begin_element(number) and end_element() around each of a list's.
/// False where the block ends too early or a list is too long: what was told is not all.
/// `in.left()` is what the block has beyond that.
template <class Visitor>
bool walk_counters(const CounterLayout& layout, XdrReader& in, Visitor&& visitor) noexcept {
  const auto values = [&](std::span<const CounterField> fields, size_t required) {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i >= required && in.left() == 0) return true;
      const CounterValue value = read_counter(in, fields[i].type);
      if (!in.ok()) return false;
      visitor.on_value(static_cast<uint32_t>(i + 1), fields[i].type, value);
    }
    return true;
  };
  if (!values(layout.fields, layout.required)) return false;
  if (layout.element.empty()) return true;
  const uint32_t count = in.u32();
  if (!in.ok() || count > kCounterElementsMax) return false;
  for (uint32_t i = 0; i < count; ++i) {
    visitor.begin_element(static_cast<uint32_t>(layout.fields.size() + 1));
    if (!values(layout.element, layout.element.size())) return false;
    visitor.end_element();
  }
  return true;
}

}  // namespace weir

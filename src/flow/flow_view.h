// flow_view.h — One flow as whoever reads it from a broker sees it: numbers and views by place in a list.
//
// Spec:     proto/flow.proto. In proto3 what is 0 or empty is absent, and so it is here.
// Owns:     nothing: addresses, text and lists are views into the octets that it was parsed from.
//
// The lists are flow_record.h's, and what its records do not have because a whole datagram shares it. A place is a
// small number, so that rules name fields by it and a table can say what is done with each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "flow/flow_record.h"

namespace weir {

// X(member, field number). Of 64 bits, then of 32 (protobuf's uint32 and enumerations).
// clang-format off
#define WEIR_VIEW_NUMBERS_64(X)                                                         \
  X(time_received_ns, 110) X(time_flow_start_ns, 111) X(time_flow_end_ns, 112)          \
  X(src_mac, 27) X(dst_mac, 28) WEIR_BLOCK_COUNTERS(X)
#define WEIR_VIEW_NUMBERS_32(X)                                                         \
  X(type, 1) X(sequence_num, 4) X(etype, 30) X(proto, 20) X(observation_domain_id, 70)  \
  X(exporter_port, 1006) X(engine, 1007) X(sub_agent_id, 1020)                          \
  WEIR_BLOCK_BASIC(X) WEIR_BLOCK_SECOND(X) WEIR_BLOCK_HEADERS(X) WEIR_BLOCK_CONTEXT(X)  \
  WEIR_BLOCK_NAT(X) WEIR_BLOCK_RARE(X)
#define WEIR_VIEW_NUMBERS(X) WEIR_VIEW_NUMBERS_64(X) WEIR_VIEW_NUMBERS_32(X)
#define WEIR_VIEW_ADDRESSES(X) X(sampler_address, 11) X(exporter_address, 1005) WEIR_ADDRESSES(X)
#define WEIR_VIEW_TEXTS(X) X(protocol_name, 107) X(partition, 1035) X(site, 1036) WEIR_STRINGS(X)
#define WEIR_VIEW_OCTETS(X) WEIR_VIEW_ADDRESSES(X) WEIR_VIEW_TEXTS(X)
#define WEIR_VIEW_OCTET_LISTS(X) WEIR_ADDRESS_LISTS(X) WEIR_STRING_LISTS(X) X(unmapped, 1038)
#define WEIR_VIEW_LISTS(X) WEIR_NUMBER_LISTS(X) WEIR_VIEW_OCTET_LISTS(X)
// clang-format on

enum class NumberSlot : uint8_t { WEIR_VIEW_NUMBERS(WEIR_FIELD_NAME_) count_ };
enum class OctetsSlot : uint8_t { WEIR_VIEW_OCTETS(WEIR_FIELD_NAME_) count_ };
enum class ListSlot : uint8_t { WEIR_VIEW_LISTS(WEIR_FIELD_NAME_) count_ };

/// What a field is called, as in flow.proto.
std::string_view name_of(NumberSlot slot) noexcept;
std::string_view name_of(OctetsSlot slot) noexcept;
std::string_view name_of(ListSlot slot) noexcept;

/// Where in a message the entries of a list are; other fields may stand between them.
struct ListRange {
  uint32_t begin = 0;
  uint32_t end = 0;  // begin: there are none
};

struct FlowView {
  static constexpr size_t kNumbers = static_cast<size_t>(NumberSlot::count_);
  std::array<uint64_t, kNumbers> numbers;
  std::array<uint64_t, (kNumbers + 63) / 64> given;  // which of them the message has, a bit each
  std::array<std::string_view, static_cast<size_t>(OctetsSlot::count_)> octets;
  std::array<ListRange, static_cast<size_t>(ListSlot::count_)> lists;
  std::span<const uint8_t> message;  // what all of this points into

  uint64_t operator[](NumberSlot slot) const noexcept { return numbers[static_cast<size_t>(slot)]; }
  std::string_view operator[](OctetsSlot slot) const noexcept { return octets[static_cast<size_t>(slot)]; }
  bool has(ListSlot slot) const noexcept {
    const ListRange range = lists[static_cast<size_t>(slot)];
    return range.begin != range.end;
  }
};

}  // namespace weir

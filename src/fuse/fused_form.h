// fused_form.h — A template compiled further: from the octets of its records to those of FlowMessages.
//
// Spec:     decode/plan.h and export/encode_parts.h, one behind the other: what they write, in their order.
// Bounds:   records of kFusedRecordOctetsMax octets; a form takes kFormOctetsMax.
//
// A message is: what the datagram shares, two times, addresses, the protocol's chunk, integer fields, MACs. What has
// a fixed length (addresses with their tags) is moved in chunks of 64 octets; integers go eight at a time, each in a
// lane of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "decode/record_fuser.h"
#include "export/wire.h"

namespace weir::fuse {

using outbound::wire::Tag;

inline constexpr uint32_t kFusedRecordOctetsMax = 128;  // two registers
inline constexpr size_t kBlockLanes = 8;
inline constexpr size_t kLanesMax = 56;  // there are 50 columns of integers
inline constexpr size_t kBlocksMin = 2;   // the kernel's least, be they empty
inline constexpr size_t kAddressesMax = 8;
inline constexpr size_t kChunkOctets = 64;
inline constexpr size_t kTailOctetsMax = 256;  // of elements without a column
inline constexpr size_t kTailElementsMax = 24;
inline constexpr size_t kLaneBits = 42;  // what a lane holds beside its tag: six octets of seven bits

/// An integer field: big-endian octets of the record, or what all records of a set share.
struct Lane {
  uint16_t offset;
  uint8_t width;  // 0: shared
  uint8_t piece;  // of what is shared, by SharedPiece; kSharedPieces: a field's alone
  Tag tag;
};

/// Eight lanes as the AVX-512 kernel wants them.
struct LaneBlock {
  uint8_t from[64];  // for each octet of the lanes: which of the record
  uint16_t tags[kBlockLanes];
  uint64_t filled;  // octets of the lanes, a bit each
};

/// 64 octets that are the same for all records but for those moved from them.
struct Chunk {
  uint8_t from[kChunkOctets];
  uint8_t fixed[kChunkOctets];
  uint64_t moved;
  uint64_t octets;  // how many of them count
};

/// Octets of the record that go to octet `to` of the tail.
struct TailMove {
  uint16_t offset;
  uint16_t octets;
  uint16_t to;
  uint16_t unused;
};

struct Address {
  uint16_t offset;
  uint16_t octets;  // 4 or 16
  Tag tag;
};

struct Mac {
  uint16_t offset;
  uint16_t unused;
  Tag tag;
};

enum class TimesForm : uint8_t { shared, uptime, milliseconds, seconds };
/// What says the EtherType: the template, an octet with the IP version, two octets with the type itself.
enum class FamilyForm : uint8_t { ipv4, ipv6, by_version, by_etype };

/// How records of ICMP differ: by nothing that a form knows, by type and code in the port that they go to, or by ports
/// that are none beside elements for type and code.
enum class IcmpForm : uint8_t { odd, in_port, named };

/// Integers of a record: of most, and of those of ICMP.
enum LaneSet : uint8_t { kPorts, kIcmp, kLaneSets };

/// What all records of a set share beside the prefix: lanes that are no field's.
enum SharedPiece : uint8_t { kRate, kRateSource, kTimeSource, kSharedPieces };

/// Where those lanes of a set are.
struct SharedLanes {
  uint8_t at[kSharedPieces];
  uint8_t count;  // of all lanes of the set
};

struct FusedForm {
  uint32_t record_octets;
  uint16_t start_offset;  // of times
  uint16_t end_offset;
  uint16_t family_offset;
  uint16_t proto_offset;
  TimesForm times;
  FamilyForm family;
  bool has_proto;
  uint8_t time_source;  // flowpb's number, where the times are the record's
  IcmpForm icmp;
  uint8_t block_count;  // of each set
  uint8_t chunk_count;
  uint8_t address_count;
  uint8_t mac_count;
  uint8_t v6_count;
  uint8_t tail_chunk_count;
  uint8_t tail_move_count;
  uint8_t rate_width;  // of a sampling rate that each record has; 0: none
  uint16_t rate_offset;
  uint8_t sampler_width;  // of the id of a sampler, likewise
  uint16_t sampler_offset;
  uint16_t tail_octets;
  uint16_t unmapped_octets;  // that the elements of the tail take of the arena
  uint16_t src_port_offset;  // of ICMP's record
  uint16_t dst_port_offset;
  uint16_t type_offset;
  uint16_t code_offset;
  SharedLanes shared[kLaneSets];
  Address addresses[kAddressesMax];
  Mac macs[2];
  uint16_t v6_offsets[kAddressesMax];
  // Start and end, each in two lanes, as the AVX-512 kernel cuts them.
  uint64_t times_filled;
  uint8_t times_from[64];

  // Behind the struct, the portable kernel's: lanes by set.
  const Lane* lanes(LaneSet set) const noexcept {
    return at<Lane>(sizeof(FusedForm)) + (set == kIcmp ? shared[kPorts].count : 0);
  }
  // then its tail: whole chunks of fixed octets, and moves over them.
  const TailMove* tail_moves() const noexcept {
    return at<TailMove>(sizeof(FusedForm) +
                        (shared[kPorts].count + size_t{shared[kIcmp].count}) * sizeof(Lane));
  }
  const uint8_t* tail() const noexcept {
    return reinterpret_cast<const uint8_t*>(tail_moves() + tail_move_count);
  }
  // Or the AVX-512 kernel's: chunks of addresses, of the tail, and blocks by set.
  const Chunk* chunks() const noexcept { return at<Chunk>(sizeof(FusedForm)); }
  const LaneBlock* blocks() const noexcept {
    return at<LaneBlock>(sizeof(FusedForm) + (chunk_count + size_t{tail_chunk_count}) * sizeof(Chunk));
  }

 private:
  template <class T>
  const T* at(size_t octets) const noexcept {
    return reinterpret_cast<const T*>(reinterpret_cast<const uint8_t*>(this) + octets);
  }
};
static_assert(sizeof(FusedForm) % 8 == 0 && sizeof(Lane) == 8 && sizeof(TailMove) == 8 && sizeof(LaneBlock) % 8 == 0 &&
              sizeof(Chunk) % 8 == 0);

inline constexpr size_t kBlocksMax = kLanesMax / kBlockLanes;
inline constexpr size_t kAddressOctetsMax = kAddressesMax * (2 + 1 + 16);
inline constexpr size_t kChunksMax = (kAddressOctetsMax + kChunkOctets - 1) / kChunkOctets;
inline constexpr size_t kTailChunksMax = kTailOctetsMax / kChunkOctets;
inline constexpr size_t kFormOctetsMax = sizeof(FusedForm) +
                                         kLaneSets * kBlocksMax * sizeof(LaneBlock) +
                                         (kChunksMax + kTailChunksMax) * sizeof(Chunk);

inline const FusedForm& form_of(std::span<const uint8_t> octets) noexcept {
  return *reinterpret_cast<const FusedForm*>(octets.data());
}

static_assert(sizeof(FusedForm) + kLaneSets * kLanesMax * sizeof(Lane) +
                  kTailElementsMax * sizeof(TailMove) + kTailOctetsMax <=
              kFormOctetsMax);

/// Compiles `plan` for one kernel or the other into `out`, 8-aligned; 0 octets where `verdict` says why not.
size_t compile_form(const decode::Plan& plan, Kernel kernel, std::span<uint8_t, kFormOctetsMax> out,
                    decode::FuseVerdict& verdict) noexcept;

/// NetFlow v5's records.
size_t compile_netflow_v5(Kernel kernel, std::span<uint8_t, kFormOctetsMax> out) noexcept;

}  // namespace weir::fuse

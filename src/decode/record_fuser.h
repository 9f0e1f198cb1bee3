// record_fuser.h — Records that lie in the datagram as their template says, for who needs no FlowRecords of them.
//
// Runs on:  the decoder's thread.
// Failure:  none: what a fuser refuses, all records or one of them, goes the ordinary way.
//
// The ordinary way, octets → FlowRecord → octets, is the specification. A fuser may stand in for it where nobody
// looks at the records: it is given the same octets, times and rate, and a reader for each record that its own
// form cannot express.
#pragma once

#include <cstdint>
#include <span>

#include "base/named_enum.h"
#include "decode/plan.h"
#include "flow/export_header.h"

namespace weir::decode {

/// Whether a template's records go straight to wire octets, and if not, why. Of those that do, some carry elements that
/// have no column.
// clang-format off
#define WEIR_FUSE_VERDICTS(X)                                                          \
  X(fused) X(fused_with_elements) X(left_out) X(switched_off) X(variable_length) X(record_too_long) \
  X(texts_or_lists)                                                                    \
  X(both_address_families) X(times_to_choose)                                          \
  X(column_filled_twice) X(unusual_width) X(no_ip_version) X(elements_kept_raw)
// clang-format on
WEIR_NAMED_ENUM(FuseVerdict, uint8_t, WEIR_FUSE_VERDICTS)

/// Why records go the ordinary way although there is a form of them: no kernel can write what they share.
// clang-format off
#define WEIR_FUSE_REFUSALS(X)                                                          \
  X(none) X(rates_by_interface) X(samplers_in_turn) X(override_beside_rates)           \
  X(rate_too_large) X(no_uptime) X(times_out_of_range)
// clang-format on
WEIR_NAMED_ENUM(FuseRefusal, uint8_t, WEIR_FUSE_REFUSALS)

/// Both in one octet.
struct FuseState {
  FuseVerdict verdict;
  FuseRefusal refusal;

  constexpr uint8_t octet() const noexcept {
    return static_cast<uint8_t>(static_cast<unsigned>(refusal) << 4 | static_cast<unsigned>(verdict));
  }
  static constexpr FuseState of(uint8_t octet) noexcept {
    return {static_cast<FuseVerdict>(octet & 0xf), static_cast<FuseRefusal>(octet >> 4)};
  }
};
static_assert(static_cast<size_t>(FuseVerdict::count_) <= 16 && static_cast<size_t>(FuseRefusal::count_) <= 16);

/// Of which templates records go to the fuser.
enum class Fusing : uint8_t { none, without_elements, all };

/// Reads a record the ordinary way.
class RecordReader {
 public:
  /// Overwrites `record`, and what is in the arena.
  virtual void read(const uint8_t* octets, FlowRecord& record) noexcept = 0;

 protected:
  ~RecordReader() = default;
};

/// Records of one layout, one behind the other.
struct LaidOutRecords {
  const ExportHeader& header;
  ListenerId listener;
  const TimeBase& times;
  RateResolver::Rate rate;        // of all of them, or of what names no sampler
  const RateResolver* rates;      // of samplers that records name
  SamplerKind sampler;
  std::span<const uint8_t> form;  // RecordFuser::compile's; empty: NetFlow v5
  const uint8_t* octets;
  uint32_t count;
  const uint8_t* arena;  // the reader's
  RecordReader& reader;
};

class RecordFuser {
 public:
  /// Aligned as a FuseForm's octets must be: to 8.
  struct Compiled {
    FuseVerdict verdict = FuseVerdict::left_out;
    std::span<const uint8_t> form;  // until the next call; a multiple of 8 octets
  };
  virtual Compiled compile(const Plan& plan) noexcept = 0;
  /// Takes all records (`none`) or none of them.
  virtual FuseRefusal on_laid_out(const LaidOutRecords& records) noexcept = 0;

 protected:
  ~RecordFuser() = default;
};

}  // namespace weir::decode

// record_fuser.h — Records that lie in the datagram as their template says, for who needs no FlowRecords of them.
//
// Runs on:  the decoder's thread.
// Failure:  none: what a fuser does not take, all records or one of them, goes the ordinary way.
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
  X(fused) X(fused_with_elements) X(left_out) X(variable_length) X(record_too_long)     \
  X(texts_or_lists)                                                                    \
  X(both_address_families) X(times_to_choose)                                          \
  X(column_filled_twice) X(unusual_width) X(no_ip_version) X(elements_kept_raw)
// clang-format on
WEIR_NAMED_ENUM(FuseVerdict, uint8_t, WEIR_FUSE_VERDICTS)

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
  bool has_elements;              // without a column
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
  /// Takes all records or none: false where they must go the ordinary way.
  virtual bool on_laid_out(const LaidOutRecords& records) noexcept = 0;

 protected:
  ~RecordFuser() = default;
};

}  // namespace weir::decode

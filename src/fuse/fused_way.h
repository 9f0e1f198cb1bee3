// fused_way.h — From the octets of exported records straight to those of a batch, where nobody needs FlowRecords.
//
// Spec:     the ordinary way: decoder, FlowRecord, encoder, batcher. Batches, counters and ledgers are the same.
// Runs on:  rx_lcore; one a core. No allocation after create.
// Owns:     room for a form that is being compiled, and the form of NetFlow v5.
//
// The room can be left out of the build (-Dfuse=disabled); then there is none to create.
#pragma once

#include <memory>

#include "base/thread_roles.h"
#include "decode/record_fuser.h"
#include "export/batcher.h"

namespace weir::fuse {

class FusedWay {
 public:
  struct Added {
    decode::FuseRefusal refusal;
    uint32_t fused = 0;  // of the records, straight to wire octets: neither the ordinary way nor dropped
  };

  /// Null where the build has none, or there is no memory.
  static std::unique_ptr<FusedWay> create(Kernel kernel = best_kernel());
  virtual ~FusedWay() = default;

  /// RecordFuser's.
  virtual decode::RecordFuser::Compiled compile(const decode::Plan& plan) noexcept = 0;
  /// Puts the records into the open batches of `route`, or none of them.
  virtual Added add(const decode::LaidOutRecords& records, RouteId route,
                    outbound::Batcher& batcher) noexcept WEIR_RUNS_ON(rx_lcore) = 0;
};

}  // namespace weir::fuse

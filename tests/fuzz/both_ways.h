// both_ways.h — What a target's decoder is given, by FlowRecords and by fused forms as well: the same must come out.
//
// Oracles: those of fuse/two_ways.h, by the portable kernel and by the best one in turn.
//
// Each input has exporters of its own, so that none depends on those before; now and then both ways are made anew.
#pragma once

#include <memory>

#include "fuse/two_ways.h"

namespace weir::fuse {

class BothWays {
 public:
  /// With limits and listeners as there.
  explicit BothWays(const decode::DecoderConfig& like) : config_(like) {
    config_.limits.exporters_max = kExportersMax;
    // Forms take octets, too: where those are short, templates go earlier.
    config_.limits.template_octets_total = 64 << 20;
    // So does what waits, of exporters that are of no interest any more.
    config_.limits.pending_octets_total *= kInputs;
    config_.events = nullptr;
  }

  void decode(const Datagram& d) {
    if (!has_forms_) return;
    if (ways_ == nullptr) make();
    ways_->decode(d);
  }
  /// Of an input.
  void end() {
    if (ways_ == nullptr) return;
    ways_->finish();
    fused += ways_->fused() - fused_before_;
    fused_before_ = ways_->fused();
    if (++inputs_ % kInputs == 0) ways_.reset();
  }
  uint64_t fused = 0;  // records that went by forms

 private:
  static constexpr uint32_t kInputs = 16;
  static constexpr uint32_t kExportersMax = 4 * kInputs;  // an input has four at most

  void make() {
    fused_before_ = 0;
    TwoWaysConfig c;
    is_portable_ = !is_portable_;
    c.kernel = is_portable_ ? Kernel::portable : best_kernel();
    c.decoder = config_;
    c.batcher.buffers = 4;
    c.batcher.batch_octets = 4096;
    ways_ = std::make_unique<TwoWays>(c);
  }

  const bool has_forms_ = FusedWay::create() != nullptr;  // in this build
  decode::DecoderConfig config_;
  std::unique_ptr<TwoWays> ways_;
  uint32_t inputs_ = 0;
  uint64_t fused_before_ = 0;
  bool is_portable_ = false;
};

}  // namespace weir::fuse

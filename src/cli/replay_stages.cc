#include "cli/replay_stages.h"

#include <time.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "dataplane/pipeline.h"
#include "lab/replay_rewrite.h"
#include "packet/frame.h"

namespace weir::cli {

using lab::ReplayFrame;

namespace {

constexpr uint64_t kOctetsMax = 20u << 20;
constexpr int kPasses = 5;
constexpr uint32_t kFramesABurst = 32;

class Nowhere final : public RecordSink {
 public:
  void on_records(const RecordBurst&) noexcept override {}
};

uint64_t thread_cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * kNsPerSec + static_cast<uint64_t>(t.tv_nsec);
}

/// Frames as a round makes them, so that no stage takes them for repetitions.
class Rounds {
 public:
  explicit Rounds(const lab::ReplayFrames& frames) : rewriter_(frames, 1) {
    uint64_t octets = 0;
    for (const ReplayFrame& frame : frames.frames()) {
      if (octets + frame.octets > kOctetsMax && !frames_.empty()) break;
      frames_.push_back(&frame);
      records_ += frame.records;
      octets += frame.octets;
    }
    octets_.resize(octets);
  }
  uint64_t records() const noexcept { return records_; }

  /// CPU ns that `take` needs for the frames of a round, the best of kPasses after one that warms up.
  template <class Take, class Between>
  uint64_t best_of(Take take, Between between) {
    uint64_t best = std::numeric_limits<uint64_t>::max();
    for (uint64_t round = 0; round <= kPasses; ++round) {
      const uint64_t wall_ns = wall_clock_ns();
      uint8_t* at = octets_.data();
      for (const ReplayFrame* frame : frames_) {
        rewriter_.write(*frame, 0, round, wall_ns, at);
        at += frame->octets;
      }
      const uint64_t began = thread_cpu_ns();
      const uint8_t* from = octets_.data();
      uint32_t in_burst = 0;
      for (const ReplayFrame* frame : frames_) {
        take(std::span<const uint8_t>(from, frame->octets), wall_ns);
        from += frame->octets;
        if (++in_burst != kFramesABurst) continue;
        between();
        in_burst = 0;
      }
      between();
      const uint64_t took = thread_cpu_ns() - began;
      if (round != 0) best = std::min(best, took);
    }
    return best;
  }

 private:
  const lab::ReplayRewriter rewriter_;
  std::vector<const ReplayFrame*> frames_;
  std::vector<uint8_t> octets_;
  uint64_t records_ = 0;
};

}  // namespace

Result<ReplayStages> measure_stages(const control::ApplianceConfig& config, const lab::ReplayFrames& frames) {
  Rounds rounds(frames);
  ReplayStages stages{.records = rounds.records()};
  if (stages.records == 0) return stages;
  const auto each = [&](uint64_t ns) { return static_cast<double>(ns) / static_cast<double>(stages.records); };
  constexpr auto kEthernet = packet::LinkType::ethernet;

  uint64_t payload_octets = 0;  // so that no compiler leaves the parsing out
  stages.parse = each(rounds.best_of(
      [&](std::span<const uint8_t> frame, uint64_t) { payload_octets += packet::parse_frame(frame, kEthernet).payload.size(); },
      [] {}));
  if (payload_octets == 0) return Error{"no frame has a payload"};

  dataplane::PipelineConfig plane = control::data_plane_config(config).pipeline;
  plane.decoder.listeners.resize(1);
  auto decoder = decode::Decoder::create(plane.decoder);
  if (!decoder) return decoder.error();
  Nowhere nowhere;
  stages.decode = each(rounds.best_of(
                      [&](std::span<const uint8_t> frame, uint64_t wall_ns) {
                        const packet::FrameView view = packet::parse_frame(frame, kEthernet);
                        if (view.verdict != packet::FrameVerdict::udp) return;
                        (*decoder)->decode({.payload = view.payload,
                                            .source = view.src,
                                            .source_port = view.src_port,
                                            .local_port = view.dst_port,
                                            .listener = {},
                                            .received_ns = wall_ns},
                                           nowhere);
                      },
                      [] {})) -
                  stages.parse;
  decoder->reset();

  auto pipeline = dataplane::Pipeline::create(plane);
  if (!pipeline) return pipeline.error();
  const auto all = rounds.best_of(
      [&](std::span<const uint8_t> frame, uint64_t wall_ns) {
        const RoleScope role(rx_lcore);
        (*pipeline)->on_frame(frame, kEthernet, wall_ns);
      },
      [&] {
        {
          const RoleScope role(rx_lcore);
          (*pipeline)->poll(steady_clock_ns(), wall_clock_ns());
        }
        const RoleScope role(control_thread);
        outbound::OutboundBatch* batch = nullptr;
        while ((*pipeline)->batcher().take_sealed(batch)) (*pipeline)->batcher().give_back(batch);
      });
  stages.encode = each(all) - stages.parse - stages.decode;
  return stages;
}

}  // namespace weir::cli

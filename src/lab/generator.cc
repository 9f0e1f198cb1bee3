#include "lab/generator.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"

namespace weir::lab {
namespace {

constexpr size_t kBatchDatagrams = 64;
constexpr uint64_t kFailuresInARowMax = 100;        // then nothing gets through, and we stop
constexpr uint64_t kNapMaxNs = 100 * kNsPerMs;      // so that `stop` is seen soon
constexpr uint64_t kUnpacedStepNs = 10 * kNsPerUs;  // of made-up time without a rate

void sleep_ns(uint64_t ns) {
  const timespec t{static_cast<time_t>(ns / kNsPerSec), static_cast<long>(ns % kNsPerSec)};
  nanosleep(&t, nullptr);
}

/// How far time has come: on the clock, or by what was made.
class Pace {
 public:
  Pace(uint64_t rate, bool real_time) : rate_(rate), real_(real_time) {}

  /// Of all the time, also what a sender that is slower than its rate was behind.
  uint64_t elapsed_ns() const { return real_ ? steady_clock_ns() - began_ : made_up_ns(made_); }
  /// Datagrams that may go now, at most `most`; 0 after a nap.
  size_t due(size_t most) {
    if (!real_) return 1;  // each has a time of its own
    if (rate_ == 0) return most;
    const uint64_t elapsed = steady_clock_ns() - counted_from_;
    const uint64_t allowed = 1 + scaled(elapsed, rate_, kNsPerSec);
    if (allowed <= made_) {
      sleep_ns(std::min(scaled(made_, kNsPerSec, rate_) - elapsed + 1, kNapMaxNs));
      return 0;
    }
    const uint64_t behind = allowed - made_;
    // Who was held up does not make up for all of it in one burst.
    const uint64_t burst = std::max<uint64_t>(rate_ / 10, kBatchDatagrams);
    if (behind > burst) counted_from_ += scaled(behind - burst, kNsPerSec, rate_);
    return std::min<uint64_t>(behind, most);
  }
  void made(uint64_t datagrams) { made_ += datagrams; }

 private:
  static uint64_t scaled(uint64_t value, uint64_t times, uint64_t over) {
    return value / over * times + value % over * times / over;  // both below 10^9: no overflow
  }
  uint64_t made_up_ns(uint64_t datagrams) const {
    return rate_ == 0 ? datagrams * kUnpacedStepNs : scaled(datagrams, kNsPerSec, rate_);
  }

  const uint64_t rate_;
  const bool real_;
  const uint64_t began_ = steady_clock_ns();
  uint64_t counted_from_ = began_;  // what the rate allows; later than the beginning for who was held up
  uint64_t made_ = 0;
};

}  // namespace

GeneratorReport generate(const GeneratorConfig& config, Destination& destination,
                         const std::atomic<bool>& stop) {
  GeneratorReport report;
  std::vector<ExporterModel> exporters;
  exporters.reserve(config.exporters);
  for (uint32_t i = 0; i < config.exporters; ++i) {
    ExporterModelConfig one = config.exporter;
    one.index = i;
    one.start_ns = config.start_ns;
    exporters.emplace_back(one);
  }

  std::vector<OutgoingDatagram> batch(kBatchDatagrams);
  Pace pace(config.rate, destination.in_real_time());
  uint64_t with_flows = 0;
  uint64_t failures_in_a_row = 0;
  uint32_t turn = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    const uint64_t elapsed = pace.elapsed_ns();
    if (config.duration_ns != 0 && elapsed >= config.duration_ns) break;
    if (config.count != 0 && with_flows >= config.count) break;
    const size_t due = pace.due(batch.size());
    size_t made = 0;
    while (made < due && (config.count == 0 || with_flows < config.count)) {
      OutgoingDatagram& out = batch[made++];
      out.exporter = turn;
      out.time_ns = config.start_ns + elapsed;
      exporters[turn].next(out.time_ns, out.content);
      if (out.content.templates == 0) {  // else its flows come next
        ++with_flows;
        turn = turn + 1 == config.exporters ? 0 : turn + 1;
      }
    }
    if (made == 0) continue;
    const uint64_t failed_before = report.failed;
    const uint64_t sent_before = report.datagrams;
    destination.send({batch.data(), made}, report);
    pace.made(made);
    failures_in_a_row =
        report.datagrams > sent_before ? 0 : failures_in_a_row + report.failed - failed_before;
    if (failures_in_a_row >= kFailuresInARowMax) break;
  }
  destination.finish(report);
  report.elapsed_ns = pace.elapsed_ns();
  return report;
}

}  // namespace weir::lab

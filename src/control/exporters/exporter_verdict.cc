#include "control/exporters/exporter_verdict.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/clock.h"

namespace weir::control {
namespace {

constexpr uint64_t kSilentNs = 5 * 60 * kNsPerSec;  // longer than any usual export interval
constexpr int64_t kSkewMaxNs = 10 * static_cast<int64_t>(kNsPerSec);
constexpr uint64_t kRejectedShare = 100;  // one in so many datagrams is worth a word, as is
constexpr uint64_t kLostShare = 100;      // one missing of so many

std::string_view about_rejected(decode::DatagramError error) {
  // Of TCP sessions only.
  if (error == decode::DatagramError::truncated_message)
    return "its TCP session ended within a message: does it restart, or does a firewall or NAT on the way cut its sessions?";
  return "does it send another protocol to this port?";
}

/// By a TCP session a template comes once (RFC 7011 §8).
std::string_view about_missing(const decode::ExporterStats& e) {
  if (e.session_domains != 0)
    return "over TCP it has to send each template first, when its session begins; have it open a new session";
  return "have it send templates more often (every 60 seconds)";
}

}  // namespace

std::vector<ExporterVerdict> verdicts_of(const decode::ExporterStats& e, const ExporterActivity& recent,
                                         uint64_t now_ns) {
  std::vector<ExporterVerdict> found;
  if (e.last_seen_ns != 0 && now_ns > e.last_seen_ns + kSilentNs) {
    found.push_back({ExporterTrouble::silent,
                     fmt::format("silent for {} minutes: is it up, and does it still export to here?",
                                 (now_ns - e.last_seen_ns) / (60 * kNsPerSec))});
  }
  // What our own rate refuses is missing by its sequence numbers, too.
  const bool is_bounded = e.last_error == decode::DatagramError::rate_limited && recent.datagrams_rejected > 0;
  if (is_bounded) {
    found.push_back({ExporterTrouble::rejected,
                     fmt::format("{} of {} datagrams were refused in the last {} minutes, the last one as beyond "
                                 "limits.packets_per_second_per_exporter: raise that, or have it send less",
                                 recent.datagrams_rejected, recent.datagrams, kRecentMinutes)});
  } else if (recent.datagrams_rejected * kRejectedShare > recent.datagrams) {
    const std::string_view why =
        e.last_error == decode::DatagramError::count_ ? "" : name_of(e.last_error);
    found.push_back({ExporterTrouble::rejected,
                     fmt::format("{} of {} datagrams were rejected in the last {} minutes, the last one as {}: {}",
                                 recent.datagrams_rejected, recent.datagrams, kRecentMinutes, why, about_rejected(e.last_error))});
  }
  if (recent.template_evictions > 0 || (e.templates_max != 0 && e.templates * 10 > e.templates_max * 9)) {
    found.push_back({ExporterTrouble::templates_full,
                     fmt::format("{} of {} templates, {} made room for others in the last {} minutes: raise max_templates",
                                 e.templates, e.templates_max, recent.template_evictions, kRecentMinutes)});
  } else if (recent.template_misses > 0 && recent.template_hits < recent.template_misses * 9) {
    found.push_back({ExporterTrouble::templates_missing,
                     fmt::format("{} of {} data sets came without template in the last {} minutes: {}",
                                 recent.template_misses, recent.template_hits + recent.template_misses, kRecentMinutes,
                                 about_missing(e))});
  }
  const uint64_t expected = recent.records + recent.datagrams;  // whichever of the two its numbers count
  if (!is_bounded && recent.sequence_lost * kLostShare > expected) {
    found.push_back({ExporterTrouble::sequence_loss,
                     fmt::format("{} are missing by its sequence numbers in the last {} minutes: look for drops on the "
                                 "way, and at missed of the ports",
                                 recent.sequence_lost, kRecentMinutes)});
  }
  if (recent.clock_implausible > 0) {
    found.push_back({ExporterTrouble::clock_not_set,
                     fmt::format("its clock was not set in {} datagrams in the last {} minutes: give it NTP",
                                 recent.clock_implausible, kRecentMinutes)});
  } else if (e.clock_samples > 0 && std::abs(e.clock_skew_ns) > kSkewMaxNs) {
    found.push_back({ExporterTrouble::clock_wrong,
                     fmt::format("its clock is {} seconds {}: give it NTP",
                                 std::abs(e.clock_skew_ns) / static_cast<int64_t>(kNsPerSec),
                                 e.clock_skew_ns > 0 ? "behind" : "ahead")});
  }
  if (recent.samples_dropped > 0) {
    found.push_back({ExporterTrouble::samples_dropped,
                     fmt::format("it had to drop {} samples itself in the last {} minutes: sample less often (a larger "
                                 "sampling rate)",
                                 recent.samples_dropped, kRecentMinutes)});
  }
  return found;
}

}  // namespace weir::control

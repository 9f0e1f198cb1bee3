// payload_gate.h — Which databases a payload need be scanned with, by its first octets and its ports.
//
// Runs on:  made on any thread; candidates: rx_lcore.
// Bounds:   kGateGroupsMax groups of patterns; beyond, patterns share one.
//
// PERF: a scan costs 15 ns however little there is to find, and one with all the shipped patterns 100 (perf/bench_classify).
// Most of what is sampled begins as nothing in particular: then four loads say so.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "classify/pattern_head.h"
#include "classify/port_set.h"

namespace weir::classify {

inline constexpr size_t kGateGroupsMax = 64;
inline constexpr size_t kGatePortsMax = 4;  // ranges of a group that are looked at; with more, any port

/// One place where patterns look: their database, and whose they are.
struct Lookout {
  std::unique_ptr<const PatternDatabase> database;  // null: no pattern looks here
  std::vector<uint16_t> rules;                      // by pattern
  uint32_t width_max = UINT32_MAX;                  // of matches
  bool is_utf8 = false;                             // what is scanned has to be UTF-8: on other octets the engine says anything
};

/// Patterns that are met by their ways, one octet after the other.
///
/// PERF: what the engine takes 20 to 50 ns for is a handful of comparisons (bench_classify, sflow_all_known).
class ExactMatch {
 public:
  void add(uint16_t pattern, const std::vector<std::vector<OctetRange>>& ways);
  /// Tells `found` of each pattern that is met, once.
  template <class Found>
  void find(std::span<const uint8_t> payload, Found found) const noexcept {
    const OctetRange* step = steps_.data();
    uint32_t last = UINT32_MAX;
    for (const Way& way : ways_) {
      const OctetRange* const end = step + way.octets;
      bool is_met = payload.size() >= way.octets && last != way.pattern;
      for (const uint8_t* octet = payload.data(); is_met && step != end; ++step, ++octet)
        is_met = *octet >= step->first && *octet <= step->last;
      step = end;
      if (!is_met) continue;
      last = way.pattern;
      found(way.pattern);
    }
  }

 private:
  struct Way {
    uint16_t pattern;
    uint16_t octets;
  };
  std::vector<Way> ways_;  // those of one pattern together
  std::vector<OctetRange> steps_;
};

/// Patterns that are scanned for together.
struct GateGroup {
  Lookout lookout;
  std::optional<ExactMatch> exact;  // in the database's place, where all of them can be met so
  bool is_anchored = false;               // matches begin where the payload does: what is beyond their width makes none
};

class PayloadGate {
 public:
  PayloadGate() {
    for (auto& place : admits_) place.fill(0);
    port_hints_.fill(0);
  }
  /// Its patterns' heads; none: a payload may begin with anything.
  /// `ports`: one of them is at either end; none, or more than there is room for: any.
  void add(GateGroup group, std::span<const std::optional<PatternHead>> heads, std::span<const PortRange> ports);

  std::vector<GateGroup>& groups() noexcept { return groups_; }
  const std::vector<GateGroup>& groups() const noexcept { return groups_; }

  /// A bit each of the groups whose patterns could begin so.
  uint64_t candidates(std::span<const uint8_t> payload, uint32_t src_port, uint32_t dst_port) const noexcept {
    uint64_t found = ~uint64_t{0};
    // PERF: nearly all payloads have these four, and no loop is needed to ask so.
    if (payload.size() >= kHeadOctets) [[likely]] {
      static_assert(kHeadOctets == 4);
      found = admits_[0][payload[0]] & admits_[1][payload[1]] & admits_[2][payload[2]] & admits_[3][payload[3]];
    } else {
      for (size_t i = 0; i < payload.size(); ++i) found &= admits_[i][payload[i]];
    }
    if (found == 0) return 0;
    found &= port_hints_[src_port & 255] | port_hints_[dst_port & 255];
    for (uint64_t left = found & with_ports_; left != 0; left &= left - 1) {
      const auto group = static_cast<size_t>(std::countr_zero(left));
      const Ports& ports = ports_[group];
      bool has_one = false;
      for (uint32_t i = 0; i < ports.count; ++i) has_one |= ports.ranges[i].has_either(src_port, dst_port);
      if (!has_one) found &= ~(uint64_t{1} << group);
    }
    return found;
  }

 private:
  std::array<std::array<uint64_t, 256>, kHeadOctets> admits_;
  /// PERF: together and small: most are looked at and few are met (a bitmap each missed the caches).
  struct Ports {
    std::array<PortRange, kGatePortsMax> ranges;
    uint32_t count = 0;
  };
  std::array<Ports, kGateGroupsMax> ports_;
  std::array<uint64_t, 256> port_hints_;  // by the low octet of either port: groups that could be for it
  uint64_t with_ports_ = 0;
  std::vector<GateGroup> groups_;
};

}  // namespace weir::classify

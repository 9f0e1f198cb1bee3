// sflow_writer.h — A made-up switch: its sFlow datagrams, with headers of sampled packets and counters of interfaces.
//
// Spec:     sFlow version 5 (sflow.org, July 2004) §5.
#pragma once

#include <map>
#include <span>

#include "lab/flow_details.h"
#include "lab/sflow_builder.h"

namespace weir::lab {

inline constexpr size_t kSampledHeaderOctets = 128;
inline constexpr size_t kSflowHeaderOctets = 28;  // of an agent with an IPv4 address
inline constexpr uint32_t kFrameCheckOctets = 4;
inline constexpr size_t kCounterSampleOctets = 128;  // at most
inline constexpr uint32_t kCountersEveryDatagrams = 4;

/// One packet of the flow as it was on the wire, cut to kSampledHeaderOctets: Ethernet, VLAN, IP, TCP, UDP or ICMP; GRE
/// and VXLAN carry such a packet. `octets` is the whole frame without its checksum.
struct SampledFrame {
  Octets header;
  uint32_t octets = 0;
};
SampledFrame sampled_frame(const ExportedFlow& flow);

class SflowWriter {
 public:
  struct Config {
    Extras extras;
    uint32_t sampling = 1;
    IpAddress agent;
  };
  explicit SflowWriter(const Config& config) : config_(config) {}

  bool counters_due() const noexcept { return config_.extras.counters && datagrams_ % kCountersEveryDatagrams == 0; }
  /// Of the flow's sample.
  size_t octets_of(const ExportedFlow& flow) const;
  Octets write(uint32_t uptime_ms, std::span<const ExportedFlow> flows);

 private:
  struct Source {  // an interface
    uint32_t samples = 0;
    uint32_t counter_samples = 0;
    uint64_t octets = 0;
    uint32_t packets = 0;
  };
  std::vector<sflow::FlowRecord> records_of(const ExportedFlow& flow) const;
  void add_sample(SflowBuilder& builder, const ExportedFlow& flow);
  void add_counters(SflowBuilder& builder);

  const Config config_;
  uint32_t datagrams_ = 0;
  uint32_t counter_turn_ = 0;
  std::map<uint32_t, Source> sources_;  // kUplinks + kAccessInterfaces at most
};

}  // namespace weir::lab

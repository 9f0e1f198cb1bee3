// sflow_builder.h — sFlow version 5 datagrams, built sample by sample for tests.
//
// Spec:     sFlow Version 5 (sflow.org, July 2004) §5.
// Failure:  none: a builder writes what it is told, wrong counts and lengths included.
//
//     const Octets datagram = SflowBuilder{}
//         .agent("192.0.2.9")
//         .flow({.sampling_rate = 1000, .records = {sflow::raw_header(frame)}})
//         .build();
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lab/frame_builder.h"
#include "lab/message_builder.h"

namespace weir::lab {

/// Enterprise 0's; another enterprise goes above the lower twelve bits.
namespace sflow {

inline constexpr uint32_t kHeaderEthernet = 1;
inline constexpr uint32_t kHeaderIpv4 = 11;
inline constexpr uint32_t kHeaderIpv6 = 12;
inline constexpr uint32_t kHeaderMpls = 13;

/// Filled up to a multiple of four octets.
Octets padded(const Octets& octets);
/// XDR's opaque and string: the length, then the octets.
Octets opaque(const Octets& octets);
inline Octets string(std::string_view s) { return opaque(text(s)); }
Octets address(std::string_view text);  // its type, then the octets
Octets words(const std::vector<uint32_t>& values);
/// Their number, then the values.
Octets list(const std::vector<uint32_t>& values);

/// A flow record: type, length, body.
struct FlowRecord {
  uint32_t type = 0;
  Octets body;
  std::optional<uint32_t> length{};
};

/// `header` is what was sampled of a frame of `frame_octets` (0: as many as the header has).
FlowRecord raw_header(const Octets& header, uint32_t frame_octets = 0,
                      uint32_t protocol = kHeaderEthernet);
FlowRecord extended_switch(uint32_t src_vlan, uint32_t dst_vlan);
FlowRecord extended_router(std::string_view next_hop, uint32_t src_mask, uint32_t dst_mask);

struct Gateway {
  std::string_view next_hop = "192.0.2.254";
  uint32_t as = 0;
  uint32_t src_as = 0;
  uint32_t src_peer_as = 0;
  std::vector<std::vector<uint32_t>> segments{};
  std::vector<uint32_t> communities{};
};
FlowRecord extended_gateway(const Gateway& gateway);

}  // namespace sflow

struct SflowInterface {
  uint32_t format = 0;  // two bits
  uint32_t value = 0;
};

struct SflowFlowSample {
  uint32_t sequence = 1;
  uint32_t source_class = 0;
  uint32_t source_index = 1;
  uint32_t sampling_rate = 0;
  uint32_t pool = 0;
  uint32_t drops = 0;
  SflowInterface input{};
  SflowInterface output{};
  std::vector<sflow::FlowRecord> records{};
  std::optional<uint32_t> record_count{};
};

/// Counter blocks are written as flow records are: type, length, body.
struct SflowCounterSample {
  uint32_t sequence = 1;
  uint32_t source_class = 0;
  uint32_t source_index = 1;
  std::vector<sflow::FlowRecord> blocks{};
  std::optional<uint32_t> block_count{};
};

struct SflowDiscardSample {
  uint32_t sequence = 1;
  uint32_t source_class = 0;
  uint32_t source_index = 1;
  uint32_t drops = 0;
  uint32_t input = 0;
  uint32_t output = 0;
  uint32_t reason = 0;
  std::vector<sflow::FlowRecord> records{};
  std::optional<uint32_t> record_count{};
};

class SflowBuilder {
 public:
  SflowBuilder& version(uint32_t v) {
    version_ = v;
    return *this;
  }
  SflowBuilder& agent(std::string_view text) {
    agent_ = sflow::address(text);
    return *this;
  }
  /// The address with its type, as it is.
  SflowBuilder& agent_octets(Octets octets) {
    agent_ = std::move(octets);
    return *this;
  }
  SflowBuilder& sub_agent(uint32_t v) {
    sub_agent_ = v;
    return *this;
  }
  SflowBuilder& sequence(uint32_t v) {
    sequence_ = v;
    return *this;
  }
  SflowBuilder& uptime_ms(uint32_t v) {
    uptime_ms_ = v;
    return *this;
  }
  /// Default: the samples added.
  SflowBuilder& count(uint32_t v) {
    count_ = v;
    return *this;
  }
  SflowBuilder& flow(const SflowFlowSample& sample);
  SflowBuilder& expanded_flow(const SflowFlowSample& sample);
  SflowBuilder& counters(const SflowCounterSample& sample);
  SflowBuilder& expanded_counters(const SflowCounterSample& sample);
  SflowBuilder& discard(const SflowDiscardSample& sample);
  /// Any sample; the length is the body's unless told.
  SflowBuilder& sample(uint32_t type, const Octets& body, std::optional<uint32_t> length = {});
  SflowBuilder& raw(const Octets& octets) {
    append(samples_, octets);
    return *this;
  }
  Octets build() const;

 private:
  uint32_t version_ = 5;
  Octets agent_ = sflow::address("192.0.2.9");
  uint32_t sub_agent_ = 0;
  uint32_t sequence_ = 1;
  uint32_t uptime_ms_ = 10'000'000;
  uint32_t added_ = 0;
  std::optional<uint32_t> count_;
  Octets samples_;
};

}  // namespace weir::lab

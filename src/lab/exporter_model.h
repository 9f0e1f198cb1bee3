// exporter_model.h — One exporter as it would behave: its clock, its sequence numbers, its
// templates and datagrams full of made-up flows.
//
// Spec:     NetFlow v5 as Cisco documents it; RFC 3954; RFC 7011.
// Bounds:   a datagram holds at most kFlowsPerDatagramMax flows (v5: 30).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lab/message_builder.h"
#include "lab/traffic.h"

namespace weir::lab {

enum class ExportProtocol : uint8_t { netflow_v5, netflow_v9, ipfix };

inline constexpr uint32_t kFlowsPerDatagramMax = 400;  // 400 IPv6 flows still fit a UDP datagram

struct ExporterModelConfig {
  ExportProtocol protocol = ExportProtocol::netflow_v5;
  /// Flows in a datagram; 0: as many as fit into datagram_octets.
  uint32_t flows = 0;
  uint32_t datagram_octets = 1472;  // 1500 less the IPv4 and UDP headers
  uint32_t sampling = 0;            // 1 in this many packets; 0: not sampled and not said
  uint64_t seed = 1;
  uint32_t index = 0;     // of the exporter: makes source id, engine id and its flows its own
  uint64_t start_ns = 0;  // since the epoch; the exporter booted an hour earlier
  /// v9 and IPFIX: templates and options come first and again after so many datagrams.
  uint32_t template_refresh_datagrams = 200;
};

struct ExportDatagram {
  std::vector<uint8_t> octets;
  uint32_t records = 0;          // flows
  uint32_t options_records = 0;  // what the sampler does
  uint32_t templates = 0;        // not 0: a datagram of templates, without flows
};

class ExporterModel {
 public:
  explicit ExporterModel(const ExporterModelConfig& config);

  /// The next datagram, sent at `now_ns`, into `datagram`, whose memory is used again.
  void next(uint64_t now_ns, ExportDatagram& datagram);
  /// Whether the next datagram brings templates.
  bool templates_due() const noexcept;

 private:
  struct Now {
    uint64_t ns;
    uint32_t uptime_ms;
  };
  Now at(uint64_t now_ns) const noexcept;
  void gather_flows();
  size_t octets_of(const Flow& flow) const noexcept;
  void write_v5(Now now, ExportDatagram& datagram);
  void write_templates(Now now, ExportDatagram& datagram);
  void write_data(Now now, ExportDatagram& datagram);

  ExporterModelConfig config_;
  TrafficModel traffic_;
  std::vector<Flow> flows_;        // of the datagram being made
  std::optional<Flow> left_over_;  // did not fit into the one before
  uint32_t sequence_ = 0;          // v5, IPFIX: records so far; v9: datagrams so far
  uint32_t since_templates_ = 0;   // datagrams
  bool templates_sent_ = false;
};

}  // namespace weir::lab

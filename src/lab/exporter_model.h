// exporter_model.h — One exporter as it would behave: its clock, its sequence numbers, its
// templates and datagrams full of made-up flows.
//
// Spec:     NetFlow v5 as Cisco documents it; RFC 3954; RFC 7011; sFlow version 5.
// Bounds:   a datagram holds at most kFlowsPerDatagramMax flows (v5: 30).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lab/flow_details.h"
#include "lab/flow_fields.h"
#include "lab/message_builder.h"
#include "lab/options_records.h"
#include "lab/sflow_writer.h"
#include "lab/traffic.h"

namespace weir::lab {

inline constexpr uint32_t kFlowsPerDatagramMax = 400;  // fewer where their datagram would not be one of UDP
inline constexpr size_t kUdpPayloadOctetsMax = 65'507;

struct ExporterModelConfig {
  ExportProtocol protocol = ExportProtocol::netflow_v5;
  /// Flows in a datagram; 0: as many as fit into datagram_octets.
  uint32_t flows = 0;
  uint32_t datagram_octets = 1472;  // 1500 less the IPv4 and UDP headers
  uint32_t sampling = 0;            // 1 in this many packets; 0: not sampled and not said
  Extras extras{};
  uint64_t seed = 1;
  uint32_t index = 0;     // of the exporter: makes source id, engine id and its flows its own
  uint64_t start_ns = 0;  // since the epoch; the exporter booted an hour earlier
  /// v9 and IPFIX: templates and options come first and again after so many datagrams.
  uint32_t template_refresh_datagrams = 200;
  /// Templates that come again have their fields in another order, as of a router that was configured anew.
  bool templates_change = false;
};

/// 192.0.2.1 on, beyond 254 exporters in 198.18.0.0/15.
IpAddress exporter_address_v4(uint32_t index) noexcept;

struct ExportDatagram {
  std::vector<uint8_t> octets;
  uint32_t records = 0;          // flows
  uint32_t options_records = 0;  // of samplers and interfaces
  uint32_t templates = 0;        // not 0: a datagram of templates, without flows
  uint32_t counter_samples = 0;
  // As the records say them, before sampling. NAT events have none; of sFlow they are the sampled frames.
  uint64_t flow_octets = 0;
  uint64_t flow_packets = 0;
};

class ExporterModel {
 public:
  explicit ExporterModel(const ExporterModelConfig& config);

  /// The next datagram, sent at `now_ns`, into `datagram`, whose memory is used again.
  void next(uint64_t now_ns, ExportDatagram& datagram);
  /// Whether the next datagram brings templates.
  bool templates_due() const noexcept;
  /// Those of the datagram made last; its records are in this order by kind of record.
  std::span<const ExportedFlow> flows() const noexcept { return flows_; }

 private:
  struct Now {
    uint64_t ns;
    uint32_t uptime_ms;
  };
  Now at(uint64_t now_ns) const noexcept;
  enum class Due : uint8_t { templates, interfaces, flows };
  bool has_templates() const noexcept;
  void gather_flows();
  size_t octets_of(const ExportedFlow& flow) const;
  size_t octets_before_flows() const noexcept;
  void count_flows(ExportDatagram& datagram) const;
  OptionsWanted options() const;
  void write_v5(Now now, ExportDatagram& datagram);
  void write_sflow(Now now, ExportDatagram& datagram);
  void change_templates();
  void write_templates(Now now, Due what, ExportDatagram& datagram);
  void write_data(Now now, ExportDatagram& datagram);
  uint8_t* put_sets(Now now, uint8_t* to) const;

  ExporterModelConfig config_;
  TrafficModel traffic_;
  Random details_;
  std::vector<FlowTemplate> templates_;  // by RecordKind
  SflowWriter sflow_;
  std::vector<ExportedFlow> flows_;        // of the datagram being made
  std::optional<ExportedFlow> left_over_;  // did not fit into the one before
  uint32_t sequence_ = 0;                  // v5, IPFIX: records so far; v9: datagrams so far
  uint32_t since_templates_ = 0;           // datagrams
  Due due_ = Due::templates;
};

}  // namespace weir::lab

// generator.h — Exporters at work: their datagrams, at a rate, to a UDP address, by TCP sessions or into a capture.
//
// Bounds:   kExportersMax exporters; a count, a duration or `stop` ends it.
// Failure:  Error where nothing can be sent at all; what fails on the way is counted in the report.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/ip_address.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "lab/exporter_model.h"

namespace weir::lab {

inline constexpr uint32_t kExportersMax = 65'000;

/// What left, and what did not.
struct GeneratorReport {
  uint64_t datagrams = 0;           // all of them
  uint64_t template_datagrams = 0;  // of these, those with templates in place of flows
  uint64_t records = 0;             // flows
  uint64_t options_records = 0;
  uint64_t counter_samples = 0;
  uint64_t flow_octets = 0;  // as the records say, before sampling
  uint64_t flow_packets = 0;
  uint64_t octets = 0;  // of UDP payload
  uint64_t failed = 0;  // datagrams that the system did not take
  /// Datagrams known to have met a closed port; they count as sent, because they left.
  uint64_t refused = 0;
  std::string first_error;  // of the failed and the refused
  uint64_t elapsed_ns = 0;

  bool complete() const noexcept { return failed == 0 && refused == 0; }
};

struct OutgoingDatagram {
  ExportDatagram content;
  uint32_t exporter = 0;
  uint64_t time_ns = 0;  // since the epoch
};

/// Takes datagrams and says in `report` what became of each.
class Destination {
 public:
  virtual ~Destination() = default;
  virtual void send(std::span<const OutgoingDatagram> batch, GeneratorReport& report) = 0;
  /// What can only be known after the last one.
  virtual void finish(GeneratorReport& report) = 0;
  /// Whether time passes by itself, or is made up so that the exporters' clocks go at the rate.
  virtual bool in_real_time() const noexcept = 0;
};

/// `host_port`: an address or a name, `192.0.2.1:2055`, `[2001:db8::1]:2055`, `localhost:2055`.
/// Several exporters have addresses of their own only where the target is in 127.0.0.0/8: they send
/// from 127.1.0.1 on. `exporters` is reduced to 1 elsewhere.
Result<std::unique_ptr<Destination>> open_udp_destination(const std::string& host_port,
                                                          uint32_t& exporters);

/// By a TCP session of each exporter, which only IPFIX has (RFC 7011 §10.4). Towards 127.0.0.0/8 from addresses as
/// above, elsewhere all from ours. A session that ends is not opened again: what it would have had is counted as failed.
Result<std::unique_ptr<Destination>> open_session_destination(const std::string& host_port, uint32_t exporters);

/// A pcap of Ethernet frames to `target` from 192.0.2.1 on (beyond 254 exporters 198.18.0.0/15, and
/// under IPv6 2001:db8::1 on). `path` "-" is standard output.
Result<std::unique_ptr<Destination>> open_capture_destination(const std::string& path,
                                                              const SocketAddress& target);

struct GeneratorConfig {
  ExporterModelConfig exporter;  // index and start_ns are set for each
  uint32_t exporters = 1;
  uint64_t count = 0;        // datagrams with flows; 0: no bound
  uint64_t duration_ns = 0;  // 0: no bound
  uint64_t rate = 1000;      // datagrams a second, templates included, up to 10^9; 0: unpaced
  uint64_t start_ns = 0;     // since the epoch
};

/// Runs until the count is reached, the duration is over or `stop` is set.
GeneratorReport generate(const GeneratorConfig& config, Destination& destination,
                         const std::atomic<bool>& stop);

}  // namespace weir::lab

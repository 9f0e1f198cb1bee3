// export_header.h — What all records of one export datagram share.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ip_address.h"
#include "flow/flow_record.h"

namespace weir {

/// A listener, by its place in the configuration's list.
struct ListenerId {
  uint16_t value = 0;
  friend bool operator==(ListenerId, ListenerId) = default;
};

/// Where sealed batches go (a subject, a set of publishers), by its place in the list of routes.
struct RouteId {
  uint16_t value = 0;
  friend bool operator==(RouteId, RouteId) = default;
};

/// One received UDP payload, or one IPFIX Message of a TCP session. Valid until the call that it is given to returns.
struct Datagram {
  std::span<const uint8_t> payload;
  IpAddress source;          // the exporter
  uint16_t source_port = 0;  // host order
  uint16_t local_port = 0;
  ListenerId listener;
  uint64_t received_ns = 0;  // since the epoch
  uint32_t session = 0;      // of a core's transport sessions; 0: by UDP, which has none
  uint64_t aged_ns = 0;      // by the clock that state ages by (Moment); 0: received_ns

  uint64_t age_time_ns() const noexcept { return aged_ns != 0 ? aged_ns : received_ns; }
};

struct ExportHeader {
  FlowType type = FlowType::unknown;
  uint32_t sequence_num = 0;
  uint64_t time_received_ns = 0;
  IpAddress sampler_address;  // the exporter; for sFlow the agent
  IpAddress
      exporter_address;  // the datagram's source; encoded only where it is not sampler_address
  uint32_t exporter_port = 0;
  uint32_t observation_domain_id = 0;
  uint32_t engine = 0;  // NetFlow v5: engine type << 8 + engine id
  uint32_t sub_agent_id = 0;
  std::string_view partition;  // configuration's; outlives the batch
  std::string_view site;
};

/// Records of one datagram on their way through the stages: at most kBurstRecords.
struct RecordBurst {
  const ExportHeader& header;
  std::span<FlowRecord> records;
  // What the records' ArenaRefs point into: kArenaOctets, and where stage_arena is not null that behind them.
  const uint8_t* arena = nullptr;
  ListenerId listener;
  const uint8_t* packets = nullptr;  // what the records' PayloadRefs count from
  // For stages that add to records: kStageArenaOctets, directly behind the arena. Null: there is none.
  uint8_t* stage_arena = nullptr;
};

inline constexpr size_t kBurstRecords = 32;  // 16 KiB of records: they stay in L1

struct SflowCounters;
struct SflowDiscard;

/// Takes what the decoder reads. Runs on the decoder's thread; keeps nothing of what it is given.
class RecordSink {
 public:
  virtual void on_records(const RecordBurst& burst) noexcept = 0;
  // Who takes flows only need not know of these.
  virtual void on_counters(const SflowCounters&) noexcept {}
  virtual void on_discard(const SflowDiscard&) noexcept {}

 protected:
  ~RecordSink() = default;
};

}  // namespace weir

// config.h — What `weir-etl run` goes by: one struct, its schema, and how it is read.
//
// Runs on:  start-up.
// Failure:  an Error whose message has one line a mistake: file:line:column, key, value, what is allowed.
//
// The keys of the file are the names of the members. `weir-etl check-config --keys` prints them all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "feed/settings.h"
#include "service/config_reader.h"

namespace weir::etl {

using feed::InputConfig;
using feed::SecurityMode;
using feed::StartAt;
using feed::StreamSettings;

#define WEIR_EVENT_FRAMINGS(X) X(json) X(single)
WEIR_NAMED_ENUM(EventFraming, uint8_t, WEIR_EVENT_FRAMINGS)

struct EventsConfig {
  std::string subject = "flows.ocsf.network_activity";
  EventFraming framing = EventFraming::json;
  outbound::Compression compression = outbound::Compression::none;
  uint32_t batch_bytes = 512 * 1024;
  uint64_t buffer_bytes = 64ull << 20;
  StreamSettings stream = {.name = "events_ocsf"};
};

/// What a decision file makes of flows: no events, so neither their subject nor their stream.
struct DecisionsConfig {
  std::string subject = "flows.decisions";
  StreamSettings stream = {.name = "flows_decisions"};
};

struct OcsfConfig {
  std::string product_name = "Weir";
  std::string product_vendor;
  std::string cloud_provider = "on_prem";
  int32_t timezone_offset = 0;  // minutes
  bool community_id = true;
  bool observables = false;
};

struct EtlConfig : feed::FeedSettings {
  EtlConfig() {
    source.consumer = "weir-etl";
    control_socket.path = "/run/weir-etl/control.sock";
  }

  std::string rules;  // empty: none
  enrich::EnrichConfig enrichment;
  feed::NamesConfig names;
  OcsfConfig ocsf;
  EventsConfig events;
  DecisionsConfig decisions;
};

struct LoadedConfig {
  EtlConfig config;
  service::Origins origins;
  std::vector<std::string> warnings;
};

const service::Schema<EtlConfig>& etl_schema();

/// Reads the file, applies `environment` (`NAME=value` each) and checks the whole.
Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment);
/// The same of text; `name` stands for the file in messages.
Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment);

/// Every value with where it came from, secrets masked, and what would run.
std::string describe(const LoadedConfig& loaded);
/// All keys as a Markdown table.
std::string describe_keys();

/// `seed`: for the jitter of waits.
outbound::JetStreamConfig events_config(const EtlConfig& config, uint64_t seed);
/// Divided, packed and held as events are.
outbound::JetStreamConfig decisions_config(const EtlConfig& config, uint64_t seed);

inline constexpr const char* kProgram = "weir-etl";

}  // namespace weir::etl

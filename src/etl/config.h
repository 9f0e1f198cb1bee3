// config.h — What `weir-etl run` goes by: one struct, its schema, and how it is read.
//
// Runs on:  start-up.
// Failure:  an Error whose message has one line a mistake: file:line:column, key, value, what is allowed.
//
// The keys of the file are the names of the members. `weir-etl check-config --keys` prints them all.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/named_enum.h"
#include "base/result.h"
#include "export/framing.h"
#include "export/jetstream_consumer.h"
#include "export/jetstream_publisher.h"
#include "service/config_reader.h"
#include "service/http_server.h"
#include "service/log.h"

namespace weir::etl {

#define WEIR_ETL_SECURITY_MODES(X) X(none) X(tls) X(mtls)
WEIR_NAMED_ENUM(SecurityMode, uint8_t, WEIR_ETL_SECURITY_MODES)

/// Relative names are taken in cert_dir.
struct TlsFilesConfig {
  std::string cert_file;
  std::string key_file;
  std::string ca_file;  // empty: whom the system trusts
};

struct SecurityConfig {
  SecurityMode mode = SecurityMode::none;
  std::string cert_dir;
  std::string server_name;  // empty: the host of nats_url
  TlsFilesConfig tls;
};

/// What is consumed. `framing`: of messages without headers; nothing: as they look (auto).
struct InputConfig {
  std::string subject = "flows.raw.*";
  std::optional<outbound::Framing> framing;
};

#define WEIR_START_AT(X) X(all) X(new_only)
WEIR_NAMED_ENUM(StartAt, uint8_t, WEIR_START_AT)

struct SourceConfig {
  std::string stream_name = "events";
  std::string consumer = "weir-etl";  // instances with the same share the work
  std::vector<InputConfig> subjects = {InputConfig{}};
  StartAt start = StartAt::all;
  uint32_t ack_wait_secs = 30;
  uint32_t max_ack_pending = 4096;
  uint32_t messages_in_hand = 256;
  uint64_t octets_in_hand = 64ull << 20;
};

#define WEIR_EVENT_FRAMINGS(X) X(json) X(single)
WEIR_NAMED_ENUM(EventFraming, uint8_t, WEIR_EVENT_FRAMINGS)

struct StreamSettings {
  std::string name;
  uint64_t max_bytes = 10ull << 30;
  uint32_t max_age_secs = 0;  // 0: no limit
  uint32_t replicas = 1;
  outbound::StreamStorage storage = outbound::StreamStorage::file;
  uint32_t duplicate_window_secs = 120;
};

struct EventsConfig {
  std::string subject = "flows.ocsf.network_activity";
  EventFraming framing = EventFraming::json;
  outbound::Compression compression = outbound::Compression::none;
  uint32_t batch_bytes = 512 * 1024;
  uint64_t buffer_bytes = 64ull << 20;
  StreamSettings stream = {.name = "events_ocsf"};
};

struct DeadConfig {
  std::string subject_prefix = "flows.dead";
  StreamSettings stream = {.name = "flows_dead", .max_bytes = 1ull << 30};
};

struct OcsfConfig {
  std::string product_name = "Weir";
  std::string product_vendor;
  std::string cloud_provider = "on_prem";
  bool observables = false;
};

struct ControlSocketConfig {
  std::string path = "/run/weir-etl/control.sock";  // empty: none
  uint32_t mode = 0660;
  std::string group;
  std::string admin_group;
};

struct EtlConfig {
  std::string nats_url = "nats://127.0.0.1:4222";  // several with commas
  std::string nats_creds_file;
  std::string nats_nkey_file;
  std::string nats_user;
  std::string nats_password;
  std::string nats_token;
  SecurityConfig security;

  SourceConfig source;
  std::string rules;  // empty: none
  OcsfConfig ocsf;
  EventsConfig events;
  DeadConfig dead;
  uint32_t publish_timeout_ms = 5000;

  ControlSocketConfig control_socket;
  std::string metrics_addr;  // `127.0.0.1:50047`; empty: none
  service::LogConfig log;
  uint32_t shutdown_deadline_ms = 10'000;
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

/// What the machine must have for it: certificates and credentials that can be read, sockets that can be bound. Warnings, or
/// what is wrong.
Result<std::vector<std::string>> check_files(const EtlConfig& config);

/// Every value with where it came from, secrets masked, and what would run.
std::string describe(const LoadedConfig& loaded);
/// All keys as a Markdown table.
std::string describe_keys();

std::span<const char* const> process_environment() noexcept;

outbound::NatsConfig nats_config(const EtlConfig& config);
outbound::ConsumerConfig consumer_config(const EtlConfig& config);
/// `seed`: for the jitter of waits.
outbound::JetStreamConfig events_config(const EtlConfig& config, uint64_t seed);
outbound::JetStreamConfig dead_config(const EtlConfig& config, uint64_t seed);
service::HttpServerConfig http_server_config(const EtlConfig& config);

}  // namespace weir::etl

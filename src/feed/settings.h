// settings.h — The part of a configuration that every program has which consumes flows: servers, protection, what is consumed, where
// goes what cannot be read, the sockets for operators.
//
// Runs on:  start-up and reload.
// Failure:  what cannot work together is said at the place of its key.
//
// A program's own struct is derived from FeedSettings; add_feed_keys puts their keys into its schema, check_feed finds what no
// single key can say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "enrich/enrichment.h"
#include "export/framing.h"
#include "export/jetstream_consumer.h"
#include "export/jetstream_publisher.h"
#include "service/config_findings.h"
#include "service/config_reader.h"
#include "service/http_server.h"
#include "service/log.h"

namespace weir::feed {

#define WEIR_FEED_SECURITY_MODES(X) X(none) X(tls) X(mtls)
WEIR_NAMED_ENUM(SecurityMode, uint8_t, WEIR_FEED_SECURITY_MODES)

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
  std::string consumer;  // what the consumers' names begin with
  std::vector<InputConfig> subjects = {InputConfig{}};
  StartAt start = StartAt::all;
  uint32_t ack_wait_secs = 30;
  uint32_t max_ack_pending = 4096;
  uint32_t messages_in_hand = 256;
  uint64_t octets_in_hand = 64ull << 20;
};

struct StreamSettings {
  std::string name;
  uint64_t max_bytes = 10ull << 30;
  uint32_t max_age_secs = 0;  // 0: no limit
  uint32_t replicas = 1;
  outbound::StreamStorage storage = outbound::StreamStorage::file;
  uint32_t duplicate_window_secs = 120;
};

struct DeadConfig {
  std::string subject_prefix = "flows.dead";
  StreamSettings stream = {.name = "flows_dead", .max_bytes = 1ull << 30};
};

/// Names of exporters and of what they have.
struct NamesConfig {
  std::string stream_name = "flow_meta";  // empty: none
  std::string subject = "flows.meta.*";
};
const service::Schema<NamesConfig>& names_schema();

/// Where what is known of addresses comes from (docs/ENRICHMENT.md).
const service::Schema<enrich::EnrichConfig>& enrichment_schema();
/// For "What would run": a line a file.
std::string describe(const enrich::EnrichConfig& enrichment);

struct ControlSocketConfig {
  std::string path;  // empty: none
  uint32_t mode = 0660;
  std::string group;
  std::string admin_group;
};

struct FeedSettings {
  std::string nats_url = "nats://127.0.0.1:4222";  // several with commas
  std::string nats_creds_file;
  std::string nats_nkey_file;
  std::string nats_user;
  std::string nats_password;
  std::string nats_token;
  SecurityConfig security;

  SourceConfig source;
  DeadConfig dead;
  uint32_t publish_timeout_ms = 5000;
  uint32_t watch_files_secs = 2;  // 0: not

  ControlSocketConfig control_socket;
  std::string metrics_addr;  // `127.0.0.1:50047`; empty: none
  service::LogConfig log;
  uint32_t shutdown_deadline_ms = 10'000;
};

/// Goes without a restart.
inline constexpr const char* kWatchKey = "watch_files_secs";

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────

const service::Schema<StreamSettings>& stream_schema();
/// Only the keys' documentation differs between programs.
struct FeedWords {
  std::string made_of_flows;  // `What cannot be decoded, or made an event of`
  std::string program;        // `weir-etl`
};
service::ValueType<std::string> plain_subject();

namespace detail {
service::ValueType<std::string> nats_urls();
service::ValueType<std::string> socket_address_or_none();
const service::Schema<SecurityConfig>& security_schema();
const service::Schema<SourceConfig>& source_schema();
const service::Schema<service::LogConfig>& log_schema();
service::Schema<DeadConfig> dead_schema(const FeedWords& words);
service::Schema<ControlSocketConfig> control_socket_schema(const FeedWords& words);
}  // namespace detail

/// Before the program's own keys: from where.
template <class T>
void add_source_keys(service::Schema<T>& schema) {
  using service::any_text;
  using service::Secrecy;
  using Text = std::string T::*;
  schema
      .key("nats_url", static_cast<Text>(&T::nats_url), detail::nats_urls(),
           "The NATS servers. NATS_URL in the environment sets it too.", {Secrecy::url, "NATS_URL"})
      .key("nats_creds_file", static_cast<Text>(&T::nats_creds_file), any_text(),
           "NATS credentials file (JWT and seed); empty: none.")
      .key("nats_nkey_file", static_cast<Text>(&T::nats_nkey_file), any_text(), "File with the NKey seed of a user; empty: none.")
      .key("nats_user", static_cast<Text>(&T::nats_user), any_text(), "User; empty: none.")
      .key("nats_password", static_cast<Text>(&T::nats_password), any_text(), "The user's password; better in the environment.",
           {Secrecy::secret, ""})
      .key("nats_token", static_cast<Text>(&T::nats_token), any_text(), "Token; better in the environment; empty: none.",
           {Secrecy::secret, ""})
      .object("security", static_cast<SecurityConfig T::*>(&T::security), detail::security_schema(),
              "Protection of the connections to NATS.")
      .object("source", static_cast<SourceConfig T::*>(&T::source), detail::source_schema(), "Where flows come from.");
}

/// Behind them: where goes what cannot be read, and what operators have. `words` is taken at the first call for a T.
template <class T>
void add_operation_keys(service::Schema<T>& schema, const FeedWords& words) {
  static const auto dead = detail::dead_schema(words);
  static const auto control_socket = detail::control_socket_schema(words);
  schema.object("dead", static_cast<DeadConfig T::*>(&T::dead), dead, "Where goes " + words.made_of_flows + ".")
      .key("publish_timeout_ms", static_cast<uint32_t T::*>(&T::publish_timeout_ms),
           service::duration<uint32_t>(1'000'000, 10, 600'000),
           "How long an acknowledgement may take before a message is sent again.")
      .key(kWatchKey, static_cast<uint32_t T::*>(&T::watch_files_secs), service::duration<uint32_t>(kNsPerSec, 0, 3600),
           "How often files of rules and enrichment are looked at: what somebody has written anew goes without a reload, once it was the same "
           "in two looks. 0: never.")
      .object("control_socket", static_cast<ControlSocketConfig T::*>(&T::control_socket), control_socket, "For operators.")
      .key("metrics_addr", static_cast<std::string T::*>(&T::metrics_addr), detail::socket_address_or_none(),
           "Where /metrics, /healthz and /readyz are served over TCP; empty: nowhere.")
      .object("log", static_cast<service::LogConfig T::*>(&T::log), detail::log_schema(), "The log.")
      .key("shutdown_deadline_ms", static_cast<uint32_t T::*>(&T::shutdown_deadline_ms),
           service::duration<uint32_t>(1'000'000, 0, 600'000), "How long a stop may take until what is begun is done.");
}

// ── what no single key can say ───────────────────────────────────────────────────────────────────

/// Completes and checks servers, protection and credentials.
void check_connection(FeedSettings& settings, service::Findings& findings);
/// `flows_twice`: what two subjects with messages in common would do: `whose flows would become events twice`.
void check_source(const FeedSettings& settings, std::string_view flows_twice, service::Findings& findings);
/// Nothing that is published is consumed again. `key` is the subject's.
void check_not_consumed(const FeedSettings& settings, const std::string& key, std::string_view subject, service::Findings& findings);
/// A stream that is published to. `path` is its object's.
void check_stream(const FeedSettings& settings, const StreamSettings& stream, const std::string& path, service::Findings& findings);

/// What the machine must have for it: certificates and credentials that can be read, sockets that can be bound. Warnings, or
/// what is wrong.
Result<std::vector<std::string>> check_files(const FeedSettings& settings);

// ── what is made of it ───────────────────────────────────────────────────────────────────────────

outbound::NatsConfig nats_config(const FeedSettings& settings, const std::string& program);
outbound::ConsumerConfig consumer_config(const FeedSettings& settings, const std::string& program);
outbound::StreamConfig stream_config(const StreamSettings& settings, std::string subject);
/// `seed`: for the jitter of waits.
outbound::JetStreamConfig dead_config(const FeedSettings& settings, const std::string& program, uint64_t seed);
service::HttpServerConfig http_server_config(const FeedSettings& settings);

}  // namespace weir::feed

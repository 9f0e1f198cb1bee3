#include "etl/config.h"

#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "export/nats_credentials.h"
#include "rules/rule_set.h"
#include "service/config_text.h"
#include "transform/decisions.h"

namespace weir::etl {
namespace {

/// `a,b` → {a, b}; the schema has checked each.
std::vector<std::string> split_urls(const std::string& list) {
  std::vector<std::string> urls;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) urls.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return urls;
}

bool demands_tls(const std::string& url) { return url.rfind("tls://", 0) == 0; }

std::string in_folder(const std::string& folder, const std::string& name) {
  if (folder.empty() || name.empty() || name.front() == '/') return name;
  return folder.back() == '/' ? folder + name : folder + "/" + name;
}

/// Says what is wrong at the place of the key, or of the nearest thing that it stands in.
class Findings {
 public:
  Findings(const service::Origins& origins, service::ConfigReport& report) : origins_(origins), report_(report) {}
  void error(const std::string& path, std::string_view what) {
    if (!report_.has_error_at(path)) report_.error(place_of(path), path, what);
  }
  void warning(const std::string& path, std::string_view what) { report_.warning(place_of(path), path, what); }
  bool is_said(const std::string& path) const { return origins_.count(path) != 0; }

 private:
  service::Origin place_of(std::string path) const {
    while (!path.empty()) {
      if (const auto found = origins_.find(path); found != origins_.end()) return found->second;
      const size_t cut = path.find_last_of(".[");
      path.resize(cut == std::string::npos ? 0 : cut);
    }
    return {};
  }
  const service::Origins& origins_;
  service::ConfigReport& report_;
};

void check_connection(EtlConfig& config, Findings& findings) {
  const auto urls = split_urls(config.nats_url);
  const bool wants_tls = std::any_of(urls.begin(), urls.end(), demands_tls);
  SecurityConfig& security = config.security;
  if (wants_tls && security.mode == SecurityMode::none) {
    if (findings.is_said("security.mode")) {
      findings.error("security.mode", "none contradicts tls:// in nats_url; allowed: tls, mtls, or nats://");
    } else {
      security.mode = SecurityMode::tls;
    }
  }
  for (const char* key : {"security.cert_dir", "security.server_name", "security.tls.ca_file"}) {
    if (security.mode == SecurityMode::none && findings.is_said(key)) {
      findings.warning(key, "means nothing with security.mode none");
    }
  }
  for (const auto& [key, file] : {std::pair{"security.tls.cert_file", security.tls.cert_file},
                                  std::pair{"security.tls.key_file", security.tls.key_file}}) {
    if (security.mode == SecurityMode::mtls && file.empty()) {
      findings.error(key, "is missing; mode mtls needs our certificate and its private key");
    } else if (security.mode != SecurityMode::mtls && !file.empty()) {
      findings.warning(key, fmt::format("means nothing with security.mode {}", name_of(security.mode)));
    }
  }
  std::vector<std::string> ways;
  if (config.nats_url.find('@') != std::string::npos) ways.emplace_back("a user in nats_url");
  for (const auto& [key, value] :
       {std::pair{"nats_creds_file", config.nats_creds_file}, std::pair{"nats_nkey_file", config.nats_nkey_file},
        std::pair{"nats_user", config.nats_user}, std::pair{"nats_token", config.nats_token}}) {
    if (!value.empty()) ways.emplace_back(key);
  }
  if (ways.size() > 1) {
    findings.error("nats_url", fmt::format("{}: only one of them can say who we are", service::joined(ways)));
  }
  if (!config.nats_password.empty() && config.nats_user.empty()) findings.error("nats_password", "is set without nats_user");
}

void check_source(const EtlConfig& config, Findings& findings) {
  const SourceConfig& source = config.source;
  if (source.subjects.empty() || source.subjects.size() > outbound::kConsumerInputsMax) {
    findings.error("source.subjects", fmt::format("{} subjects; allowed: 1 to {}", source.subjects.size(),
                                                  outbound::kConsumerInputsMax));
  }
  for (size_t i = 0; i < source.subjects.size(); ++i) {
    const std::string& subject = source.subjects[i].subject;
    const std::string path = fmt::format("source.subjects[{}].subject", i);
    for (size_t j = 0; j < i; ++j) {
      const std::string& other = source.subjects[j].subject;
      if (outbound::overlap(subject, other)) {
        findings.error(path, fmt::format("{} and {} have subjects in common, whose flows would become events twice", subject, other));
      } else if (outbound::consumer_name("", subject) == outbound::consumer_name("", other)) {
        findings.error(path, fmt::format("{} and {} would have consumers of one name", subject, other));
      }
    }
    for (const auto& [key, ours] : {std::pair{"events.subject", config.events.subject},
                                    std::pair{"dead.subject_prefix", config.dead.subject_prefix + ".*"}}) {
      if (outbound::overlap(subject, ours)) {
        findings.error(key, fmt::format("{} would be consumed again by source.subjects ({})", ours, subject));
      }
    }
  }
  if (source.messages_in_hand > source.max_ack_pending) {
    findings.error("source.messages_in_hand", fmt::format("{} exceeds source.max_ack_pending ({}), which all instances share",
                                                          source.messages_in_hand, source.max_ack_pending));
  }
}

void check_streams(const EtlConfig& config, Findings& findings) {
  const StreamSettings* streams[] = {&config.events.stream, &config.dead.stream};
  const char* keys[] = {"events.stream", "dead.stream"};
  for (size_t i = 0; i < 2; ++i) {
    const std::string path = fmt::format("{}.name", keys[i]);
    if (streams[i]->name == config.source.stream_name) {
      findings.error(path, fmt::format("{} is the stream that is consumed", streams[i]->name));
    }
    if (streams[i]->duplicate_window_secs <= config.source.ack_wait_secs) {
      findings.warning(fmt::format("{}.duplicate_window_secs", keys[i]),
                       fmt::format("{} s is not longer than source.ack_wait_secs ({} s): what an instance had published "
                                   "before it died may be stored twice",
                                   streams[i]->duplicate_window_secs, config.source.ack_wait_secs));
    }
  }
  if (config.events.stream.name == config.dead.stream.name) {
    findings.error("dead.stream.name", "is the stream of events; both take other subjects and limits");
  }
  if (outbound::overlap(config.events.subject, config.dead.subject_prefix + ".*")) {
    findings.error("dead.subject_prefix", fmt::format("events.subject ({}) lies under it", config.events.subject));
  }
  if (config.events.framing == EventFraming::single && config.events.compression != outbound::Compression::none &&
      findings.is_said("events.compression")) {
    findings.warning("events.compression", "single events pack badly; framing json packs many at once");
  }
}

Result<LoadedConfig> finish(LoadedConfig loaded, service::ConfigReport& report) {
  Findings findings(loaded.origins, report);
  check_connection(loaded.config, findings);
  check_source(loaded.config, findings);
  check_streams(loaded.config, findings);
  if (!report.ok()) return report.to_error();
  loaded.warnings = report.warnings();
  return loaded;
}

outbound::StreamConfig stream_config(const StreamSettings& settings, std::string subject) {
  outbound::StreamConfig stream;
  stream.name = settings.name;
  stream.subjects = {std::move(subject)};
  stream.storage = settings.storage;
  stream.max_bytes = settings.max_bytes;
  stream.max_age_ns = uint64_t{settings.max_age_secs} * kNsPerSec;
  stream.replicas = settings.replicas;
  stream.duplicate_window_ns = uint64_t{settings.duplicate_window_secs} * kNsPerSec;
  return stream;
}

}  // namespace

Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment) {
  auto document = service::parse_config_document(text, name);
  if (!document) return document.error();
  LoadedConfig loaded;
  service::ConfigReport report;
  service::ReadContext context{report, loaded.origins};
  etl_schema().read(&loaded.config, *document, "", context);
  etl_schema().read_environment(&loaded.config, environment, context);
  return finish(std::move(loaded), report);
}

Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment) {
  const auto text = service::read_config_file(path);
  if (!text) return text.error();
  return read_config(*text, path, environment);
}

std::span<const char* const> process_environment() noexcept {
  size_t count = 0;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  return {environ, count};
}

Result<std::vector<std::string>> check_files(const EtlConfig& config) {
  using Kind = outbound::TlsFinding::Kind;
  std::vector<std::string> warnings;
  std::string errors;
  const auto refuse = [&](const std::string& what) { errors += (errors.empty() ? "" : "\n") + what; };
  const outbound::NatsConfig nats = nats_config(config);
  for (const auto& found : outbound::inspect_tls_files(nats.tls, wall_clock_ns() / kNsPerSec)) {
    const std::string line = "security.tls: " + found.text;
    found.kind == Kind::unusable ? refuse(line) : warnings.push_back(line);
  }
  if (!nats.creds_file.empty()) {
    if (const auto read = outbound::read_credentials_file(nats.creds_file); !read) {
      refuse("nats_creds_file: " + read.error().message);
    }
  }
  if (!nats.nkey_file.empty()) {
    if (const auto read = outbound::read_user_seed(nats.nkey_file); !read) refuse("nats_nkey_file: " + read.error().message);
  }
  for (const auto& [key, file] :
       {std::pair{"nats_creds_file", nats.creds_file}, std::pair{"nats_nkey_file", nats.nkey_file}}) {
    if (file.empty() || !outbound::is_readable_by_others(file)) continue;
    warnings.push_back(fmt::format("{}: {} can be read by every user of this machine (chmod o-rwx)", key,
                                   service::printable(file)));
  }
  if (!config.rules.empty()) {
    if (const auto rules = rules::RuleSet::read(config.rules, transform::event_targets()); !rules) {
      refuse("rules: " + rules.error().message);
    }
  }
  for (const auto& trouble : service::find_listen_trouble(http_server_config(config))) {
    using Key = service::ListenTrouble::Key;
    const char* key = trouble.key == Key::unix_path     ? "control_socket.path"
                      : trouble.key == Key::unix_group  ? "control_socket.group"
                      : trouble.key == Key::admin_group ? "control_socket.admin_group"
                                                        : "metrics_addr";
    const std::string line = fmt::format("{}: {}", key, trouble.what);
    trouble.may_pass ? warnings.push_back(line) : refuse(line);
  }
  if (!errors.empty()) return Error{errors};
  return warnings;
}

std::string describe(const LoadedConfig& loaded) {
  const EtlConfig& config = loaded.config;
  std::string out = "Values and where they come from:\n\n" +
                    service::describe_values(etl_schema(), &config, loaded.origins) + "\nWhat would run:\n\n";
  for (const InputConfig& input : config.source.subjects) {
    out += fmt::format("  {} of stream {} by the durable consumer {}, at most {} messages in hand\n", input.subject,
                       config.source.stream_name, outbound::consumer_name(config.source.consumer, input.subject),
                       config.source.messages_in_hand);
  }
  out += config.rules.empty() ? "  no rules: each flow becomes an event\n"
                              : fmt::format("  rules of {}\n", service::printable(config.rules));
  out += fmt::format("  events to {} in stream {}, {}\n", config.events.subject, config.events.stream.name,
                     config.events.framing == EventFraming::json ? "lines of JSON" : "each a message");
  out += fmt::format("  what no event can be made of to {}.<reason> in stream {}\n", config.dead.subject_prefix,
                     config.dead.stream.name);
  out += config.control_socket.path.empty() ? "  no control socket\n"
                                            : fmt::format("  control socket {}\n", service::printable(config.control_socket.path));
  out += config.metrics_addr.empty() ? "  no metrics over TCP\n" : fmt::format("  metrics at http://{}/metrics\n", config.metrics_addr);
  return out;
}

std::string describe_keys() { return service::describe_keys(etl_schema().document()); }

// ------------------------------------------------------------------------------------ what is made of it

outbound::NatsConfig nats_config(const EtlConfig& config) {
  outbound::NatsConfig nats;
  nats.urls = split_urls(config.nats_url);
  nats.name = "weir-etl";
  nats.creds_file = config.nats_creds_file;
  nats.nkey_file = config.nats_nkey_file;
  nats.user = config.nats_user;
  nats.password = config.nats_password;
  nats.token = config.nats_token;
  const SecurityConfig& security = config.security;
  if (security.mode == SecurityMode::none) return nats;
  const bool mutual = security.mode == SecurityMode::mtls;
  nats.tls.mode = mutual ? outbound::TlsMode::mtls : outbound::TlsMode::tls;
  nats.tls.ca_file = in_folder(security.cert_dir, security.tls.ca_file);
  if (mutual) {
    nats.tls.cert_file = in_folder(security.cert_dir, security.tls.cert_file);
    nats.tls.key_file = in_folder(security.cert_dir, security.tls.key_file);
  }
  nats.tls.server_name = security.server_name;
  return nats;
}

outbound::ConsumerConfig consumer_config(const EtlConfig& config) {
  outbound::ConsumerConfig c;
  c.nats = nats_config(config);
  c.stream = config.source.stream_name;
  c.name = config.source.consumer;
  for (const InputConfig& input : config.source.subjects) c.subjects.push_back(input.subject);
  c.only_new = config.source.start == StartAt::new_only;
  c.ack_wait_ms = config.source.ack_wait_secs * 1000;
  c.max_ack_pending = config.source.max_ack_pending;
  c.octets_asked_max = config.source.octets_in_hand;
  return c;
}

outbound::JetStreamConfig events_config(const EtlConfig& config, uint64_t seed) {
  outbound::JetStreamConfig c;
  c.nats = nats_config(config);
  c.stream = stream_config(config.events.stream, config.events.subject);
  c.subjects = {config.events.subject};
  c.compression = config.events.compression;
  c.identity = {"weir-etl", seed};
  c.publish_timeout_ms = config.publish_timeout_ms;
  c.window_batches = config.events.framing == EventFraming::single ? 4096 : 256;
  return c;
}

outbound::JetStreamConfig dead_config(const EtlConfig& config, uint64_t seed) {
  outbound::JetStreamConfig c;
  c.nats = nats_config(config);
  c.stream = stream_config(config.dead.stream, config.dead.subject_prefix + ".*");
  // Each has a subject of its own; this one says which the stream must have.
  c.subjects = {config.dead.subject_prefix + ".max_deliver"};
  c.identity = {"weir-etl", seed};
  c.publish_timeout_ms = config.publish_timeout_ms;
  return c;
}

service::HttpServerConfig http_server_config(const EtlConfig& config) {
  return {.unix_path = config.control_socket.path,
          .unix_mode = config.control_socket.mode,
          .unix_group = config.control_socket.group,
          .admin_group = config.control_socket.admin_group,
          .tcp_address = config.metrics_addr};
}

}  // namespace weir::etl

#include "feed/settings.h"

#include <algorithm>

#include "base/clock.h"
#include "export/nats_credentials.h"
#include "service/config_text.h"

namespace weir::feed {
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

}  // namespace

void check_connection(FeedSettings& settings, service::Findings& findings) {
  const auto urls = split_urls(settings.nats_url);
  const bool wants_tls = std::any_of(urls.begin(), urls.end(), demands_tls);
  SecurityConfig& security = settings.security;
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
  if (settings.nats_url.find('@') != std::string::npos) ways.emplace_back("a user in nats_url");
  for (const auto& [key, value] :
       {std::pair{"nats_creds_file", settings.nats_creds_file}, std::pair{"nats_nkey_file", settings.nats_nkey_file},
        std::pair{"nats_user", settings.nats_user}, std::pair{"nats_token", settings.nats_token}}) {
    if (!value.empty()) ways.emplace_back(key);
  }
  if (ways.size() > 1) {
    findings.error("nats_url", fmt::format("{}: only one of them can say who we are", service::joined(ways)));
  }
  if (!settings.nats_password.empty() && settings.nats_user.empty()) findings.error("nats_password", "is set without nats_user");
}

void check_not_consumed(const FeedSettings& settings, const std::string& key, std::string_view published,
                        service::Findings& findings) {
  for (const InputConfig& input : settings.source.subjects) {
    if (!outbound::overlap(input.subject, published)) continue;
    return findings.error(key, fmt::format("{} would be consumed again by source.subjects ({})", published, input.subject));
  }
}

void check_source(const FeedSettings& settings, std::string_view flows_twice, service::Findings& findings) {
  const SourceConfig& source = settings.source;
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
        findings.error(path, fmt::format("{} and {} have subjects in common, {}", subject, other, flows_twice));
      } else if (outbound::consumer_name("", subject) == outbound::consumer_name("", other)) {
        findings.error(path, fmt::format("{} and {} would have consumers of one name", subject, other));
      }
    }
  }
  check_not_consumed(settings, "dead.subject_prefix", settings.dead.subject_prefix + ".*", findings);
  if (source.messages_in_hand > source.max_ack_pending) {
    findings.error("source.messages_in_hand", fmt::format("{} exceeds source.max_ack_pending ({}), which all instances share",
                                                          source.messages_in_hand, source.max_ack_pending));
  }
}

void check_stream(const FeedSettings& settings, const StreamSettings& stream, const std::string& path,
                  service::Findings& findings) {
  if (stream.name == settings.source.stream_name) {
    findings.error(path + ".name", fmt::format("{} is the stream that is consumed", stream.name));
  }
  if (stream.duplicate_window_secs <= settings.source.ack_wait_secs) {
    findings.warning(path + ".duplicate_window_secs",
                     fmt::format("{} s is not longer than source.ack_wait_secs ({} s): what an instance had published "
                                 "before it died may be stored twice",
                                 stream.duplicate_window_secs, settings.source.ack_wait_secs));
  }
}

Result<std::vector<std::string>> check_files(const FeedSettings& settings) {
  using Kind = outbound::TlsFinding::Kind;
  std::vector<std::string> warnings;
  std::string errors;
  const auto refuse = [&](const std::string& what) { errors += (errors.empty() ? "" : "\n") + what; };
  const outbound::NatsConfig nats = nats_config(settings, "");
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
  for (const auto& trouble : service::find_listen_trouble(http_server_config(settings))) {
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

outbound::NatsConfig nats_config(const FeedSettings& settings, const std::string& program) {
  outbound::NatsConfig nats;
  nats.urls = split_urls(settings.nats_url);
  nats.name = program;
  nats.creds_file = settings.nats_creds_file;
  nats.nkey_file = settings.nats_nkey_file;
  nats.user = settings.nats_user;
  nats.password = settings.nats_password;
  nats.token = settings.nats_token;
  const SecurityConfig& security = settings.security;
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

outbound::ConsumerConfig consumer_config(const FeedSettings& settings, const std::string& program) {
  outbound::ConsumerConfig c;
  c.nats = nats_config(settings, program);
  c.stream = settings.source.stream_name;
  c.name = settings.source.consumer;
  for (const InputConfig& input : settings.source.subjects) c.subjects.push_back(input.subject);
  c.only_new = settings.source.start == StartAt::new_only;
  c.ack_wait_ms = settings.source.ack_wait_secs * 1000;
  c.max_ack_pending = settings.source.max_ack_pending;
  c.octets_asked_max = settings.source.octets_in_hand;
  return c;
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

outbound::JetStreamConfig dead_config(const FeedSettings& settings, const std::string& program, uint64_t seed) {
  outbound::JetStreamConfig c;
  c.nats = nats_config(settings, program);
  c.stream = stream_config(settings.dead.stream, settings.dead.subject_prefix + ".*");
  // Each has a subject of its own; this one says which the stream must have.
  c.subjects = {settings.dead.subject_prefix + ".max_deliver"};
  c.identity = {program, seed};
  c.publish_timeout_ms = settings.publish_timeout_ms;
  return c;
}

service::HttpServerConfig http_server_config(const FeedSettings& settings) {
  return {.unix_path = settings.control_socket.path,
          .unix_mode = settings.control_socket.mode,
          .unix_group = settings.control_socket.group,
          .admin_group = settings.control_socket.admin_group,
          .tcp_address = settings.metrics_addr};
}

}  // namespace weir::feed

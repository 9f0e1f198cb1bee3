#include "control/config/config_security.h"

#include <algorithm>

#include "base/clock.h"
#include "export/nats_credentials.h"

namespace weir::control {
namespace {

/// `a,b` → {a, b}; the configuration has checked each.
std::vector<std::string> split_urls(const std::string& list) {
  std::vector<std::string> urls;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) urls.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return urls;
}

bool any_url(const ApplianceConfig& config, bool (*has)(const std::string&)) {
  const auto urls = split_urls(config.nats_url);
  return std::any_of(urls.begin(), urls.end(), has);
}

bool demands_tls(const std::string& url) { return url.rfind("tls://", 0) == 0; }
bool names_user(const std::string& url) { return url.find('@') != std::string::npos; }

std::string in_folder(const std::string& folder, const std::string& name) {
  if (folder.empty() || name.empty() || name.front() == '/') return name;
  return folder.back() == '/' ? folder + name : folder + "/" + name;
}

const char* path_of(outbound::TlsFile file) {
  switch (file) {
    case outbound::TlsFile::ca: return "security.tls.ca_file";
    case outbound::TlsFile::certificate: return "security.tls.cert_file";
    case outbound::TlsFile::key: break;
  }
  return "security.tls.key_file";
}

}  // namespace

bool publishes_to_nats(const ApplianceConfig& config) noexcept {
  return std::any_of(config.publishers.begin(), config.publishers.end(),
                     [](const auto& p) { return p.kind == PublisherKind::jetstream; });
}

outbound::NatsConfig nats_config(const ApplianceConfig& config) {
  outbound::NatsConfig nats;
  nats.urls = split_urls(config.nats_url);
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

void complete_security(ApplianceConfig& config, const service::Origins& origins) {
  if (config.security.mode == SecurityMode::none && origins.count("security.mode") == 0 &&
      any_url(config, demands_tls)) {
    config.security.mode = SecurityMode::tls;
  }
}

void check_security(const ApplianceConfig& config, const service::Origins& origins,
                    Findings& findings) {
  if (!publishes_to_nats(config)) return;
  const SecurityConfig& security = config.security;
  if (security.mode == SecurityMode::none && any_url(config, demands_tls)) {
    findings.error("security.mode", {"security.mode", "nats_url"},
                   "none contradicts tls:// in nats_url; allowed: tls, mtls, or nats://");
  }
  const auto said = [&](const char* key, const std::string& value) {
    return !value.empty() && origins.count(key) != 0;
  };
  const struct {
    const char* path;
    const std::string& value;
    bool is_used;
  } keys[] = {
      {"security.cert_dir", security.cert_dir, security.mode != SecurityMode::none},
      {"security.server_name", security.server_name, security.mode != SecurityMode::none},
      {"security.tls.ca_file", security.tls.ca_file, security.mode != SecurityMode::none},
      {"security.tls.cert_file", security.tls.cert_file, security.mode == SecurityMode::mtls},
      {"security.tls.key_file", security.tls.key_file, security.mode == SecurityMode::mtls},
  };
  for (const auto& key : keys) {
    if (key.is_used || !said(key.path, key.value)) continue;
    findings.warning(key.path,
                     fmt::format("means nothing with security.mode {}", name_of(security.mode)));
  }
  if (security.mode == SecurityMode::mtls) {
    for (const auto* path : {"security.tls.cert_file", "security.tls.key_file"}) {
      const bool is_key = path == std::string_view("security.tls.key_file");
      if (!(is_key ? security.tls.key_file : security.tls.cert_file).empty()) continue;
      findings.error(path, {"security.mode", path},
                     "is missing; mode mtls needs our certificate and its private key");
    }
  }

  // Servers take one of them; of several the client library would choose silently.
  std::string ways;
  size_t count = 0;
  const auto add = [&](const char* name, bool is_set) {
    if (!is_set) return;
    ways += (count++ == 0 ? "" : ", ") + std::string(name);
  };
  add("a user in nats_url", any_url(config, names_user));
  add("nats_creds_file", !config.nats_creds_file.empty());
  add("nats_nkey_file", !config.nats_nkey_file.empty());
  add("nats_user", !config.nats_user.empty());
  add("nats_token", !config.nats_token.empty());
  if (count > 1) {
    findings.error("nats_url", {"nats_url"},
                   fmt::format("{}: only one of them can say who we are", ways));
  }
  if (!config.nats_password.empty() && config.nats_user.empty()) {
    findings.error("nats_password", {"nats_user"}, "is set without nats_user");
  }
}

bool check_security_files(const ApplianceConfig& config, InUse in_use, Findings& findings) {
  if (!publishes_to_nats(config)) return true;
  using Kind = outbound::TlsFinding::Kind;
  const outbound::NatsConfig nats = nats_config(config);
  const uint64_t now_s = wall_clock_ns() / kNsPerSec;
  bool is_usable = true;
  const auto refuse = [&](const char* path, const std::string& what) {
    is_usable = false;
    findings.error(path, {}, what);
  };
  const auto over = [&](const char* path, const std::string& what) {
    if (in_use == InUse::warn) {
      findings.error(path, {}, what);
    } else {
      findings.warning(path, what + "; a file that is replaced is taken without a restart");
    }
  };
  for (const auto& found : outbound::inspect_tls_files(nats.tls, now_s)) {
    const char* path = path_of(found.file);
    switch (found.kind) {
      case Kind::unusable: refuse(path, found.text); break;
      case Kind::expired:
      case Kind::not_yet_valid: over(path, found.text); break;
      case Kind::expires_soon:
      case Kind::unlikely:
      case Kind::readable_by_others: findings.warning(path, found.text); break;
    }
  }
  if (!nats.creds_file.empty()) {
    const auto read = outbound::read_credentials_file(nats.creds_file);
    if (!read) {
      refuse("nats_creds_file", read.error().message);
    } else if (read->expires_at != 0 && read->expires_at <= now_s) {
      over("nats_creds_file", fmt::format("credentials file {}: the user's JWT has expired",
                                          nats.creds_file));
    }
  }
  if (!nats.nkey_file.empty()) {
    const auto read = outbound::read_user_seed(nats.nkey_file);
    if (!read) refuse("nats_nkey_file", read.error().message);
  }
  for (const auto& [path, file] : {std::pair{"nats_creds_file", nats.creds_file},
                                   std::pair{"nats_nkey_file", nats.nkey_file}}) {
    if (file.empty() || !outbound::is_readable_by_others(file)) continue;
    findings.warning(path, fmt::format("{} can be read by every user of this machine (chmod o-rwx)",
                                       service::printable(file)));
  }
  return is_usable;
}

}  // namespace weir::control

#include "export/nats_options.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nats/nats.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <charconv>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "export/nats_credentials.h"

namespace weir::outbound {
namespace {

constexpr int kSignedTriesMax = 3;  // in vain once in sixteen million

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────

// The client library makes its TLS context when it is told to be secure, and offers of it only what
// trusts the system's CAs as well, waits in a handshake without end, and takes no chain from memory.
// So the context is caught when it is made, and set up here.
thread_local SSL_CTX* newest_context = nullptr;

void on_new_context(void* context, void*, CRYPTO_EX_DATA*, int, long, void*) {
  newest_context = static_cast<SSL_CTX*>(context);
}

/// Where a context keeps its time-out, in milliseconds.
int time_out_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, on_new_context, nullptr, nullptr);
  return index;
}

/// The library takes an IPv6 address for a name, with its brackets.
void correct_address(SSL* ssl) {
  X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
  const char* host = X509_VERIFY_PARAM_get0_host(expected, 0);
  const std::string_view text = host != nullptr ? host : "";
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return;
  const std::string address(text.substr(1, text.size() - 2));
  // Where it is no address, the name with the brackets stays, which no certificate has.
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, address.c_str()) == 1) {
    X509_VERIFY_PARAM_set1_host(expected, nullptr, 0);
  }
}

/// The library's socket blocks during the handshake: a peer that falls silent must not hold us.
void bound_waiting(const SSL* ssl) {
  const int fd = SSL_get_fd(ssl);
  if (fd < 0 || (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) return;
  const auto ms = reinterpret_cast<intptr_t>(
      SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), time_out_index()));
  const timeval wait{ms / 1000, ms % 1000 * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

void on_handshake(const SSL* ssl, int where, int) {
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  correct_address(const_cast<SSL*>(ssl));
  bound_waiting(ssl);
}

Result<void> use_tls(natsOptions* options, const NatsConfig& config) {
  const auto material = read_tls_files(config.tls);
  if (!material) return material.error();
  const int index = time_out_index();
  newest_context = nullptr;
  natsStatus s = natsOptions_SetSecure(options, true);
  SSL_CTX* context = std::exchange(newest_context, nullptr);
  if (s == NATS_OK && !config.tls.server_name.empty()) {
    s = natsOptions_SetExpectedHostname(options, config.tls.server_name.c_str());
  }
  if (s != NATS_OK) return Error{"NATS client library: TLS: " + text_of_nats(s)};
  if (context == nullptr) return Error{"NATS client library: it made no TLS context"};
  SSL_CTX_set_ex_data(context, index,
                      reinterpret_cast<void*>(intptr_t{config.connect_timeout_ms}));
  SSL_CTX_set_info_callback(context, on_handshake);
  return use_tls_material(context, *material);
}

// ── who we are ───────────────────────────────────────────────────────────────────────────────────

/// Paths that the client library keeps pointers to. As many as configurations name.
const char* keep(const std::string& path) {
  static std::mutex mutex;
  static std::set<std::string> kept;
  const std::lock_guard lock(mutex);
  return kept.insert(path).first->c_str();
}

/// Reads the seed anew each time: it may have been replaced.
natsStatus sign_nonce(char** error, unsigned char** signature, int* size, const char* nonce,
                      void* path) {
  auto seed = read_user_seed(static_cast<const char*>(path));
  if (!seed) {
    *error = ::strdup(seed.error().message.c_str());
    return NATS_ERR;
  }
  const natsStatus s = nats_Sign(seed->c_str(), nonce, signature, size);
  OPENSSL_cleanse(seed->data(), seed->size());
  return s;
}

/// The library writes these between quotes as they are.
std::string in_json(const std::string& text) {
  const std::string quoted =
      nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

Result<void> use_credentials(natsOptions* options, const NatsConfig& config) {
  natsStatus s = NATS_OK;
  const char* what = "credentials file";
  if (!config.creds_file.empty()) {
    if (const auto read = read_credentials_file(config.creds_file); !read) return read.error();
    s = natsOptions_SetUserCredentialsFromFiles(options, config.creds_file.c_str(), nullptr);
  }
  if (s == NATS_OK && !config.nkey_file.empty()) {
    what = "NKey";
    auto seed = read_user_seed(config.nkey_file);
    if (!seed) return seed.error();
    const auto user = public_key_of_seed(*seed);
    OPENSSL_cleanse(seed->data(), seed->size());
    if (!user) return user.error();
    s = natsOptions_SetNKey(options, user->c_str(), sign_nonce,
                            const_cast<char*>(keep(config.nkey_file)));
  }
  if (s == NATS_OK && !config.user.empty()) {
    what = "user";
    s = natsOptions_SetUserInfo(options, in_json(config.user).c_str(),
                                in_json(config.password).c_str());
  }
  if (s == NATS_OK && !config.token.empty()) {
    what = "token";
    s = natsOptions_SetToken(options, in_json(config.token).c_str());
  }
  if (s == NATS_OK) return {};
  return Error{fmt::format("NATS client library: {}: {}", what, text_of_nats(s))};
}

/// What a certificate that was refused is refused for: the library says
/// `…handshake error: 10:certificate has expired:depth=0:cert=/CN=a:issuer=/CN=b`.
std::string explain_verification(std::string_view said, const NatsConfig& config) {
  constexpr std::string_view kBefore = "handshake error: ";
  const size_t at = said.find(kBefore);
  if (at == std::string_view::npos) return {};
  said.remove_prefix(at + kBefore.size());
  int code = 0;
  const auto number = std::from_chars(said.data(), said.data() + said.size(), code);
  if (number.ec != std::errc{} || number.ptr == said.data() + said.size() || *number.ptr != ':') {
    return {};
  }
  said.remove_prefix(static_cast<size_t>(number.ptr - said.data()) + 1);
  const auto field = [said](std::string_view name) -> std::string_view {
    const size_t begin = said.find(name);
    if (begin == std::string_view::npos) return "?";
    const std::string_view rest = said.substr(begin + name.size());
    // A name may hold a colon; what follows is the next field.
    size_t end = rest.size();
    for (const std::string_view next : {":cert=", ":issuer=", ":depth="}) {
      end = std::min(end, rest.find(next));
    }
    return rest.substr(0, end);
  };
  const std::string_view reason = said.substr(0, said.find(':'));
  const std::string_view whose = field("cert=");
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format("the server's certificate has expired ({})", whose);
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("the server's certificate is not valid yet ({}); is this machine's clock "
                         "right?",
                         whose);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format("the server's certificate ({}) names another host{}; where that is meant, "
                         "say so by security.server_name",
                         whose,
                         code == X509_V_ERR_HOSTNAME_MISMATCH
                             ? fmt::format(" than {}", field("expected="))
                             : " than that address");
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: {
      const std::string trusted = config.tls.ca_file.empty()
                                      ? "a CA that this system trusts"
                                      : "a CA of " + config.tls.ca_file;
      return fmt::format("the server's certificate ({}, issued by {}) is not of {}: {}{}", whose,
                         field("issuer="), trusted, reason,
                         config.tls.mode == TlsMode::none
                             ? "; the server demands TLS: set security.mode and security.tls"
                             : "");
    }
    default: break;
  }
  return fmt::format("the server's certificate ({}) is refused: {}", whose, reason);
}

}  // namespace

void OptionsDeleter::operator()(natsOptions* options) const noexcept {
  natsOptions_Destroy(options);
}

Result<OptionsPtr> make_nats_options(const NatsConfig& config) {
  if (config.urls.empty()) return Error{"nats_url: no server given"};
  natsOptions* raw = nullptr;
  if (const natsStatus s = natsOptions_Create(&raw); s != NATS_OK) {
    return Error{"NATS client library: " + text_of_nats(s)};
  }
  OptionsPtr options(raw);

  std::vector<const char*> servers;
  for (const std::string& url : config.urls) servers.push_back(url.c_str());
  if (const natsStatus s =
          natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size()));
      s != NATS_OK) {
    return Error{"nats_url " + urls_without_secrets(config.urls) + ": " + text_of_nats(s)};
  }
  if (const auto used = use_credentials(raw, config); !used) return used.error();
  if (config.tls.mode != TlsMode::none) {
    if (const auto used = use_tls(raw, config); !used) return used.error();
  }

  struct Setting {
    const char* name;
    natsStatus status;
  };
  const Setting settings[] = {
      {"name", natsOptions_SetName(raw, config.name.c_str())},
      {"connect time-out", natsOptions_SetTimeout(raw, config.connect_timeout_ms)},
      {"write deadline", natsOptions_SetWriteDeadline(raw, config.write_deadline_ms)},
      {"ping interval", natsOptions_SetPingInterval(raw, config.ping_interval_ms)},
      {"pings out", natsOptions_SetMaxPingsOut(raw, 2)},
      // The defaults give up after 60 attempts and answer OK for what they only buffer.
      {"reconnects", natsOptions_SetMaxReconnect(raw, -1)},
      {"reconnect buffer", natsOptions_SetReconnectBufSize(raw, 0)},
      {"reconnect wait", natsOptions_SetReconnectWait(raw, config.reconnect_wait_ms)},
      {"reconnect jitter", natsOptions_SetReconnectJitter(raw, config.reconnect_jitter_ms,
                                                          2 * config.reconnect_jitter_ms)},
      // A request that is waiting for a lost connection's answer would wait its whole time-out.
      {"fail on disconnect", natsOptions_SetFailRequestsOnDisconnect(raw, true)},
  };
  for (const Setting& setting : settings) {
    if (setting.status != NATS_OK) {
      return Error{std::string("NATS client option ") + setting.name + ": " +
                   text_of_nats(setting.status)};
    }
  }
  return options;
}

std::vector<std::string> files_of(const NatsConfig& config) {
  std::vector<std::string> files{config.creds_file, config.nkey_file};
  if (config.tls.mode != TlsMode::none) files.push_back(config.tls.ca_file);
  if (config.tls.mode == TlsMode::mtls) {
    files.push_back(config.tls.cert_file);
    files.push_back(config.tls.key_file);
  }
  std::erase(files, std::string());
  return files;
}

// nats.c before 3.8 sends no signature where that begins with a zero octet, as one of 256 does. Another try
// is another nonce, and so another signature.
int connect_to_nats(natsConnection** connection, natsOptions* options, const NatsConfig& config) {
  const bool signs = !config.creds_file.empty() || !config.nkey_file.empty();
  natsStatus s = NATS_OK;
  for (int tries = signs ? kSignedTriesMax : 1; tries > 0; --tries) {
    ERR_clear_error();  // what the TLS library had to say before
    s = natsConnection_Connect(connection, options);
    if (s != NATS_CONNECTION_AUTH_FAILED) break;
  }
  return s;
}

std::string explain_failed_connect(int status, const NatsConfig& config) {
  const std::string said = text_of_nats(status);
  const bool has_tls = config.tls.mode != TlsMode::none;
  if (status == NATS_SECURE_CONNECTION_WANTED) {
    return "the server offers no TLS, which security.mode demands; nothing was sent";
  }
  if (const std::string words = explain_verification(said, config); !words.empty()) return words;
  // An alert of the server comes behind the handshake, as the answer to our first words.
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  if (reason != nullptr && std::strstr(reason, "alert") != nullptr) {
    const char* ours = config.tls.mode == TlsMode::mtls
                           ? "the server refuses our certificate: "
                           : "the server ended the TLS handshake (if it wants a certificate: "
                             "security.mode mtls): ";
    return std::string(ours) + reason;
  }
  if (said.find("handshake error") != std::string::npos) {
    if (said.find("(null)") != std::string::npos) {
      return fmt::format("no answer to the TLS handshake within {} ms", config.connect_timeout_ms);
    }
    return said;
  }
  if (has_tls && status != NATS_NO_SERVER && status != NATS_CONNECTION_AUTH_FAILED &&
      said.find("PONG") != std::string::npos) {
    return said + (config.tls.mode == TlsMode::mtls
                       ? ": the server may not accept our certificate"
                       : ": the server may want a certificate (security.mode mtls)");
  }
  return said;
}

}  // namespace weir::outbound

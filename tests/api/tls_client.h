// tls_client.h — A TLS client that a test leads step by step: sessions that it takes up again, and goodbyes without closing.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "service/raw_client.h"

namespace weir::api {

class TlsClient {
 public:
  struct Session {
    struct Free {
      void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
    };
    std::unique_ptr<SSL_SESSION, Free> session;
  };

  /// `cert`, `key`: files, or empty. `session`: of an earlier connection, or null.
  TlsClient(uint16_t port, const std::string& cert, const std::string& key, int version, SSL_SESSION* session = nullptr)
      : raw_(service::RawClient::tcp(port)), context_(SSL_CTX_new(TLS_client_method())), ssl_(nullptr) {
    SSL_CTX_set_max_proto_version(context_, version);
    if (!cert.empty()) SSL_CTX_use_certificate_chain_file(context_, cert.c_str());
    if (!key.empty()) SSL_CTX_use_PrivateKey_file(context_, key.c_str(), SSL_FILETYPE_PEM);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, raw_.fd());
    if (session != nullptr) SSL_set_session(ssl_, session);
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  bool is_resumed() const { return SSL_session_reused(ssl_) == 1; }
  Session session() const { return {decltype(Session::session)(SSL_get1_session(ssl_))}; }
  bool send(std::string_view octets) { return SSL_write(ssl_, octets.data(), static_cast<int>(octets.size())) > 0; }
  /// What comes first, at most 4096 octets.
  std::string read() {
    char octets[4096];
    const int n = SSL_read(ssl_, octets, sizeof octets);
    return n > 0 ? std::string(octets, static_cast<size_t>(n)) : std::string();
  }
  /// close_notify; the connection stays.
  void say_goodbye() { SSL_shutdown(ssl_); }

 private:
  service::RawClient raw_;
  SSL_CTX* const context_;
  SSL* ssl_;
  bool connected_ = false;
};

}  // namespace weir::api

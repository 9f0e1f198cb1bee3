// http_server.h — HTTP/1.1 for programs and people of a network: unix socket, TCP, TLS; answers that take long stall no other.
//
// Spec:     RFC 9110, RFC 9112; TLS 1.2 and 1.3.
// Runs on:  api_thread, which it starts.
// Bounds:   connections_max; kHeaderOctetsMax, kBodyOctetsMax; deadlines for whole requests and each piece of an answer.
// Failure:  400, 401, 403, 404, 405, 413, 421, 431 as HTTP has them. What cannot be bound or read is an Error that names it.
//
// Why not service/http_server.h: that one is for operators beside a data plane. Its handlers answer at once, and it has
// neither TLS nor anybody whom it must ask who he is. docs/decisions/0186.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/http.h"
#include "api/tokens.h"
#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace weir::api {

inline constexpr size_t kHeaderOctetsMax = 16 * 1024;
inline constexpr size_t kBodyOctetsMax = 256 * 1024;
inline constexpr auto kRequestDeadline = std::chrono::seconds(10);  // from its first octet awaited to its last
inline constexpr auto kIdleDeadline = std::chrono::seconds(60);     // between two requests
inline constexpr auto kPieceDeadline = std::chrono::seconds(30);    // of an answer, over slow links

struct ServerConfig {
  std::string unix_path;  // empty: none
  uint32_t unix_mode = 0660;
  std::string unix_group;
  std::string tcp_address;  // `127.0.0.1:50049`; empty: none
  std::string cert_file;    // with key_file: TLS
  std::string key_file;
  std::string client_ca_file;  // clients must show a certificate of one of these
  std::vector<std::string> cors_origins;
  uint32_t connections_max = 256;
};

/// What cannot be used of it, a line each, by the names of the configuration's keys.
std::string trouble_of(const ServerConfig& config, const Tokens& tokens);
/// Whether `tcp_address` can be reached from this machine alone.
bool is_loopback(const std::string& tcp_address);

struct ServerBooks {
  uint64_t connections = 0;  // open
  uint64_t accepted = 0;
  uint64_t refused = 0;  // beyond connections_max
  uint64_t unauthorized = 0;
  std::map<std::pair<std::string, unsigned>, uint64_t> answers;  // by route and status
};

class HttpServer {
 public:
  /// Binds. `tokens`: asked for each request over TCP; empty: nobody has to show one.
  static Result<std::unique_ptr<HttpServer>> make(boost::asio::io_context& io, const ServerConfig& config, std::vector<Route> routes,
                                                  std::shared_ptr<const Tokens> tokens);
  virtual ~HttpServer() = default;
  virtual uint16_t tcp_port() const noexcept = 0;
  /// On the io_context's thread.
  virtual const ServerBooks& books() const noexcept = 0;
  /// Certificates and tokens as they are now; null: those that are known stay. What cannot be read leaves the old ones.
  virtual Result<void> reload(std::shared_ptr<const Tokens> tokens) = 0;
};

}  // namespace weir::api

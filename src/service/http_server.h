// http_server.h — HTTP/1.1 on a unix socket and on TCP: one thread, bounded, for operators only.
//
// Runs on:  its own http_thread; handlers run there and read immutable snapshots.
// Bounds:   kConnectionsMax connections a socket, kHeaderOctetsMax, kBodyOctetsMax, deadlines for whole requests and
//           answers, and for each piece of a streamed one. Of more connections one that does nothing makes room for
//           the next; where all are at work it is answered 503.
// Failure:  400 not HTTP or a parameter that the route has not, 404 no such route, 405 wrong method, 413 body and 431 header too large,
//           403 not for this peer, 500 a handler threw. What cannot be bound is an Error that names it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::service {

inline constexpr size_t kConnectionsMax =
    32;  // each of the unix socket and TCP: neither starves the other
inline constexpr size_t kHeaderOctetsMax = 16 * 1024;
inline constexpr size_t kBodyOctetsMax = 1024 * 1024;
inline constexpr auto kRequestDeadline =
    std::chrono::seconds(3);  // from its first octet awaited to its last
inline constexpr auto kAnswerDeadline = std::chrono::seconds(10);  // large ones over slow links
inline constexpr auto kHttpTurnEvery = std::chrono::milliseconds(500);
inline constexpr auto kStreamLookEvery = std::chrono::milliseconds(50);  // what people take for at once

struct HttpRequest {
  std::string method;
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> query;  // decoded
  std::string body;
  std::string tail;       // decoded: what stands for the route's `{name}`
  bool local = false;     // came over the unix socket
  uint32_t peer_uid = 0;  // of a local peer
  uint32_t peer_gid = 0;
  bool may_read = false;  // as the configuration's groups have it
  bool may_change = false;
};

/// A body that comes into being while it is sent: looked at every kStreamLookEvery, and not while the client has not
/// taken what was last appended. Destroyed when it has ended or the client has gone, on the server's thread or, at its
/// end, on the one that ends it.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  /// Appends what there is to say now, which may be nothing. False when that was the last of it.
  virtual bool next(std::string& out) = 0;
  /// Fields behind the body, each with \r\n at its end; asked for once, when that has been said. HTTP/1.0 has none.
  virtual std::string trailer() { return {}; }
};

class HttpLater;

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::shared_ptr<HttpStream> stream = {};  // behind `body`, until it ends
  std::shared_ptr<HttpLater> later = {};    // instead of all else: who knows it, once he does
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// An answer of which not even the status is known yet: looked at as a stream is, until there is one, and destroyed then or when the client
/// has gone.
class HttpLater {
 public:
  virtual ~HttpLater() = default;
  /// Without `later`.
  virtual std::optional<HttpResponse> look() = 0;
};

/// Errors are `{"error": "what is wrong"}`.
HttpResponse http_error(unsigned status, std::string_view message);

/// Whom a route answers, on the unix socket; others get 403.
enum class HttpAccess : uint8_t { read, admin };

struct HttpRoute {
  std::string method;
  std::string path;  // exact, or with one segment `{name}`: /v1/exporters/{address}
  bool also_on_tcp = false;  // only metrics and health
  std::function<HttpResponse(const HttpRequest&)> handle;
  HttpAccess access = HttpAccess::read;
  // Of the query. Others are refused, but on routes that are also on TCP, where probes and scrapers add their own.
  std::vector<std::string> parameters = {};
};

struct HttpServerConfig {
  std::string unix_path;  // empty: none
  uint32_t unix_mode = 0660;
  std::string unix_group;   // empty: unchanged. Who reads: its members, and whoever may change something
  // Who may change something: root, the process's own user, and this group's members, as the kernel tells
  // them of a connection.
  std::string admin_group;
  std::string tcp_address;  // `0.0.0.0:50046`, `[::1]:9090`; empty: none
};

/// What of a configuration cannot be listened on.
struct ListenTrouble {
  enum class Key : uint8_t { unix_path, unix_group, admin_group, tcp_address };
  Key key;
  std::string what;
  bool may_pass = false;  // another program holds it just now
};

/// Looks without keeping anything.
std::vector<ListenTrouble> find_listen_trouble(const HttpServerConfig& config);

class HttpServer {
 public:
  /// Binds and starts the thread. A unix socket left by a dead process is replaced; one that
  /// answers is an Error.
  static Result<std::unique_ptr<HttpServer>> start(const HttpServerConfig& config,
                                                   std::vector<HttpRoute> routes);
  virtual ~HttpServer() = default;                 // stops the thread, removes the unix socket
  virtual uint16_t tcp_port() const noexcept = 0;  // what was bound, for `:0`
  /// When its thread last turned, by the steady clock: it does so at least every kHttpTurnEvery unless something holds it.
  virtual uint64_t turned_steady_ns() const noexcept = 0;
};

}  // namespace weir::service

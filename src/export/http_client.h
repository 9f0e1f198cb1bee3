// http_client.h — Several POST requests under way at once, on one thread: libcurl behind a small face.
//
// Runs on:  the thread that uses it; wake on any.
// Owns:     connections, kept open between requests. A body stays where it is until its answer was taken
//           or cancel_all.
// Bounds:   requests_max under way, each for at most timeout_ms; kSaidOctetsMax of an answer are kept.
// Failure:  make names the file or the part of the URL that is wrong. A request always comes back as one
//           HttpAnswer; status 0 says that none came from the server, and `said` why.
//
// Certificates are verified. Redirections are not followed: they would carry the token elsewhere. The
// token's file is read again when it has changed, certificates at each new connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "export/tls_files.h"

namespace weir::outbound {

inline constexpr size_t kSaidOctetsMax = 160;

struct HttpConfig {
  std::string url;         // http:// or https://
  std::string token_file;  // of the bearer token; empty: none is sent
  std::string ca_file;     // empty: the system's certificates
  std::string cert_file;   // of this client; empty: none
  std::string key_file;
  uint32_t requests_max = 8;
  uint32_t timeout_ms = 5000;
};

struct HttpAnswer {
  uint64_t token = 0;
  long status = 0;
  uint32_t retry_after_secs = 0;  // what the server asks for
  bool timed_out = false;
  std::string said;  // the beginning of what the server said, printable; or why it said nothing
};

class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> make(HttpConfig config);
  ~HttpClient();

  size_t under_way() const noexcept;
  /// The URL's host and port: what can be shown of it.
  const std::string& server() const noexcept { return server_; }

  /// Sends later, as part of perform. There must be room: under_way() < requests_max.
  void post(uint64_t token, std::span<const uint8_t> body, std::span<const std::string> headers);
  /// Connects, TLS included, and closes again: an answer with status 0 whose `said` is empty is a success.
  void probe(uint64_t token);

  /// Moves what is under way, waiting at most `wait_ms` for news.
  void perform(int wait_ms);
  bool take_answer(HttpAnswer& answer);
  /// How often another token was found in its file.
  uint64_t renewals() const noexcept { return renewals_; }
  /// Forgets what is under way: no answer will come, no body is read any more.
  void cancel_all();

  /// Ends a wait in perform, or the next one. Any thread.
  void wake() noexcept;

 private:
  struct Library;  // libcurl's own
  struct Request;

  HttpClient(HttpConfig config, std::unique_ptr<Library> library);
  Request* begin(uint64_t token);
  void end(Request& request);
  Result<void> refresh_token();

  const HttpConfig config_;
  const std::unique_ptr<Library> library_;
  std::vector<std::unique_ptr<Request>> requests_;
  std::deque<HttpAnswer> answers_;
  std::string server_;
  std::atomic<bool> wake_asked_{false};
  std::string bearer_;
  FileStamps token_stamps_;
  uint64_t renewals_ = 0;
};

}  // namespace weir::outbound

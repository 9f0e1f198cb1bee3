// nats_client.h — One connection to NATS: connect, publish with an own reply token, request, replies.
//
// Runs on:  one thread. nats.c's own threads only set flags and queue replies.
// Owns:     the connection; while files that it was made from change, for a moment a second one.
// Bounds:   every call ends within connect_timeout_ms, write_deadline_ms or the time-out it is given;
//           nothing is buffered while disconnected (the caller owns what it wants sent again).
// Failure:  Result or Sent; after a failed connect() or closed() the caller connects again when it likes.
//
// nats.h is included by nats_client.cc, nats_options.cc and jetstream_reader.cc only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/waker.h"
#include "export/tls_files.h"

// nats.c's types, so that its header stays out of ours.
extern "C" {
typedef struct __natsOptions natsOptions;
typedef struct __natsMsg natsMsg;
typedef struct __natsConnection natsConnection;
}

namespace weir::outbound {

struct NatsConfig {
  std::vector<std::string> urls{"nats://127.0.0.1:4222"};
  std::string name = "weir";  // what the server's connection list shows
  std::string creds_file;     // JWT and seed; read again at each connect
  std::string nkey_file;      // a user's seed; the same
  std::string user;
  std::string password;
  std::string token;
  TlsConfig tls;

  int connect_timeout_ms = 2000;
  // A full socket to a stopped server blocks a publish this long, then the connection is given up.
  int write_deadline_ms = 1000;
  int ping_interval_ms = 5000;  // two without an answer: reconnect
  int reconnect_wait_ms = 250;
  int reconnect_jitter_ms = 250;
};

/// For operators' eyes and logs: without user, password or token.
std::string urls_without_secrets(const std::vector<std::string>& urls);
/// A natsStatus, and what the library said last in this thread, without the lines of its source.
std::string text_of_nats(int status);

enum class Sent : uint8_t { sent, not_connected, too_large, refused };

struct MessageHeader {
  const char* name;
  const char* value;
};

/// A reply, owned; its views live as long as it does.
class NatsReply {
 public:
  NatsReply() = default;
  explicit NatsReply(natsMsg* message) noexcept : message_(message) {}
  NatsReply(NatsReply&& other) noexcept;
  NatsReply& operator=(NatsReply&& other) noexcept;
  ~NatsReply();

  explicit operator bool() const noexcept { return message_ != nullptr; }
  std::string_view body() const noexcept;
  std::string_view subject() const noexcept;
  /// Where its sender wants an answer: of a consumer's message, where it is acknowledged.
  std::string_view reply() const noexcept;
  /// Null where it has none of this name; lasts as long as the reply.
  const char* header(const char* name) const noexcept;
  /// The server's word that nobody listens on the subject: for JetStream, that no stream has it.
  bool no_responders() const noexcept;

 private:
  natsMsg* message_ = nullptr;
};

class NatsClient {
 public:
  /// `waker`, where there is one, is told when there are replies.
  static Result<std::unique_ptr<NatsClient>> make(const NatsConfig& config, std::shared_ptr<Waker> waker = nullptr);
  ~NatsClient();
  NatsClient(const NatsClient&) = delete;
  NatsClient& operator=(const NatsClient&) = delete;

  /// One attempt at each server. Once connected, the library reconnects by itself, for a while.
  Result<void> connect();
  /// Now and then: where a file that the connection was made from has changed (a certificate was
  /// renewed), makes a new one, takes it for what comes, and leaves the old one to its answers. Where
  /// that fails the old one stays, and renewal_trouble() says why.
  void keep_fresh(uint64_t steady_now_ns);
  /// Any thread.
  std::string renewal_trouble() const;
  /// How often a connection was made from other files than the one before, here or by connect().
  uint64_t renewals() const noexcept;
  /// As the library last said, without touching its lock.
  bool connected() const noexcept;
  /// Never connected, or lost for so long that a new attempt says more: connect() again.
  bool closed() const noexcept;
  /// How often a connection was lost, and won back by the library itself.
  uint64_t disconnects() const noexcept;
  uint64_t reconnects() const noexcept;
  /// The library's last complaint: why it disconnected, or what the server would not permit.
  std::string last_trouble() const;

  /// The server's limit for headers and payload together; 0 before the first connect.
  size_t payload_max() const noexcept;

  /// The reply to it comes from next_reply() with the same token. The payload is free on return.
  Sent publish(const char* subject, uint64_t token, std::span<const uint8_t> payload,
               std::span<const MessageHeader> headers);
  /// Without a reply: an acknowledgement.
  Sent send(std::string_view subject, std::string_view payload);
  /// Waits until the server has what was sent; false where it does not say so in time.
  bool flush(int timeout_ms) noexcept;
  /// The next reply to a publish; empty after `wait_ms` (0: do not wait).
  NatsReply next_reply(int wait_ms);
  /// All replies that are there, behind those in `replies`; waits for a first one at most `wait_ms`.
  void take_replies(std::vector<NatsReply>& replies, int wait_ms);
  bool has_replies() const noexcept;
  /// Ends such a wait, or the next one, early. Any thread.
  void wake() noexcept;
  /// The token of a reply to publish(); false when it is none of ours.
  static bool token_of(const NatsReply& reply, uint64_t& token) noexcept;

  /// Sends and waits for the answer; an empty one: nobody listens on the subject.
  Result<NatsReply> request(const std::string& subject, const std::string& body, int timeout_ms);

 private:
  struct State;
  struct Link;
  explicit NatsClient(std::unique_ptr<State> state);
  void take(std::unique_ptr<Link> link);

  std::unique_ptr<State> state_;
};

}  // namespace weir::outbound

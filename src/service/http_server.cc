#include "service/http_server.h"

// clang-format off: before asio, because Boost 1.74's awaitable.hpp forgets it
#include <utility>
// clang-format on

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/clock.h"
#include "base/start_thread.h"
#include "base/thread_rights.h"
#include "base/thread_roles.h"
#include "service/http_answer.h"
#include "service/http_listen.h"
#include "service/log.h"

namespace weir::service {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;
using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using AnyStream = asio::generic::stream_protocol;  // one session class for both kinds of socket

constexpr auto kAcceptRetryDelay = std::chrono::milliseconds(100);
constexpr size_t kDiscardedOctetsMax = 4 * kBodyOctetsMax;
constexpr auto kDiscardDeadline = std::chrono::seconds(1);
constexpr auto kStreamLookFirst = std::chrono::milliseconds(1);
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr size_t kRefusalsMax = 32;  // connections beyond the limit that are told so at a time

// A client that has not taken its answer for so long gives its place to another that wants it.
constexpr auto kStuckAfter = std::chrono::seconds(2);

class Session;

/// What all sessions of one listening socket share. Lives longer than the io_context.
struct Door {
  const std::vector<HttpRoute>* routes = nullptr;
  bool local = false;
  size_t connections = 0;
  size_t refusals = 0;               // told that there is no room, or not to be told anything
  std::vector<Session*> sessions{};  // those that count in `connections`
  std::optional<gid_t> readers{};  // none: whoever may connect
  std::optional<gid_t> admins{};

  bool may_change(const Peer& peer) const noexcept {
    return peer.is_owner() || (admins && peer.is_in(*admins));
  }
  bool may_read(const Peer& peer) const noexcept { return !readers || peer.is_in(*readers); }
  /// Who may do nothing here takes nobody's place.
  bool is_stranger(const Peer& peer) const noexcept { return local && !may_change(peer) && !may_read(peer); }
  /// Closes a connection that does nothing, so that those who say nothing, or do not read, shut nobody out. False where
  /// all are at work.
  bool make_room();
};

/// One connection: reads a request, answers it, and so on until one side has enough.
class Session : public std::enable_shared_from_this<Session> {
 public:
  /// `slots`: which of the door's numbers it counts in.
  Session(AnyStream::socket socket, Door& door, size_t& slots, Peer peer)
      : stream_(std::move(socket)), door_(door), slots_(slots), peer_(std::move(peer)) {
    ++slots_;
    if (&slots_ == &door_.connections) door_.sessions.push_back(this);
  }
  ~Session() {
    --slots_;
    std::erase(door_.sessions, this);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Since when it has done nothing that another should wait for; none: it is at work.
  std::optional<std::chrono::steady_clock::time_point> idle_since() const noexcept {
    const bool is_stuck = phase_ == Phase::answers && std::chrono::steady_clock::now() - since_ > kStuckAfter;
    if (phase_ != Phase::waits && !is_stuck) return std::nullopt;
    return since_;
  }
  void give_up() {
    enter(Phase::leaves);
    stream_.close();
  }

  /// Says that there is no room, whatever is asked.
  void refuse() {
    parser_.emplace();
    write_and_close(http_error(
        503, fmt::format("{} connections are open already, limit {}: try again, or close some",
                         door_.connections, kConnectionsMax)));
  }

  void read_request() {
    enter(Phase::waits);
    parser_.emplace();
    parser_->header_limit(kHeaderOctetsMax);
    parser_->body_limit(kBodyOctetsMax);
    stream_.expires_after(kRequestDeadline);  // for the whole request, however it drips
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
      error ? self->on_request(error) : self->read_body();
    });
  }

 private:
  enum class Phase : uint8_t { waits, answers, streams, leaves };
  void enter(Phase phase) noexcept {
    phase_ = phase;
    since_ = std::chrono::steady_clock::now();
  }

  /// RFC 9110 §10.1.1: who waits to be told before the body comes is told.
  void read_body() {
    if (phase_ == Phase::leaves) return;
    const auto read = [self = shared_from_this()](error_code error) {
      if (error) return self->on_request(error);
      http::async_read(self->stream_, self->buffer_, *self->parser_,
                       [self](error_code late, size_t) { self->on_request(late); });
    };
    const auto& message = parser_->get();
    const bool is_awaited = message.version() == 11 && !parser_->is_done() &&
                            beast::iequals(message[http::field::expect], "100-continue");
    if (!is_awaited) return read({});
    asio::async_write(stream_, asio::buffer(kContinue), [read](error_code error, size_t) { read(error); });
  }

  void on_request(error_code error) {
    if (phase_ == Phase::leaves) return;
    enter(Phase::answers);
    if (error == http::error::body_limit) {
      return write_and_close(http_error(413, "the body is larger than 1 MiB"));
    }
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return write_and_close(http_error(431, "the header is larger than 16 KiB"));
    }
    if (error == http::error::end_of_stream || error == http::error::partial_message) return;
    if (error && error.category() == make_error_code(http::error::bad_method).category()) {
      return write_and_close(http_error(400, "not an HTTP/1.1 request: " + error.message()));
    }
    if (error) return;  // gone, or past its deadline

    auto& message = parser_->get();
    if (message.version() == 11 && message.count(http::field::host) != 1) {  // RFC 9112 §3.2
      return write_and_close(http_error(400, "a request of HTTP/1.1 has one Host field"));
    }
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.body = std::move(message.body());
    request.local = door_.local;
    request.peer_uid = peer_.credentials.uid;
    request.peer_gid = peer_.credentials.gid;
    request.may_change = door_.local && door_.may_change(peer_);
    request.may_read = !door_.local || request.may_change || door_.may_read(peer_);
    const std::string target(message.target());
    write(answer_request(*door_.routes, request, target), message.keep_alive());
  }

  void write_and_close(HttpResponse response) { write({std::move(response), {}}, false); }

  void write(Answer answer, bool keep_alive) {
    keep_alive_ = keep_alive;
    if (answer.response.later) {
      enter(Phase::streams);
      later_ = std::move(answer.response.later);
      look_wait_ = {};
      return look_for_answer();
    }
    const auto& message = parser_->get();
    http::response_header<> header;
    header.version(message.version() == 10 ? 10 : 11);
    header.result(answer.response.status);
    header.set(http::field::server, "weir");
    header.set(http::field::content_type, answer.response.content_type);
    header.set(http::field::cache_control, "no-store");
    if (!answer.allow.empty()) header.set(http::field::allow, answer.allow);
    for (const auto& [name, value] : answer.response.headers) header.set(name, value);

    if (message.method() == http::verb::head) {
      // RFC 9110 §9.3.2: the header of a GET, its length included, and no body.
      auto& response = head_response_.emplace(std::move(header));
      if (!answer.response.stream) response.content_length(answer.response.body.size());
      send(response);
    } else if (answer.response.stream) {
      begin_stream(std::move(header), std::move(answer.response));
    } else {
      auto& response = response_.emplace(std::move(header), std::move(answer.response.body));
      response.content_length(response.body().size());
      send(response);
    }
  }

  template <class Response>
  void send(Response& response) {
    response.keep_alive(keep_alive_);
    stream_.expires_after(kAnswerDeadline);
    http::async_write(stream_, response, [self = shared_from_this()](error_code error, size_t) {
      self->response_.reset();
      if (!error) self->after_answer();
    });
  }

  void after_answer() {
    if (keep_alive_) return read_request();
    error_code ignored;
    stream_.socket().shutdown(AnyStream::socket::shutdown_send, ignored);
    stream_.expires_after(kDiscardDeadline);
    discard_rest();
  }

  void look_for_answer() {
    std::optional<HttpResponse> response;
    try {
      response = later_->look();
    } catch (const std::exception& e) {
      response = http_error(500, e.what());
    }
    if (!response) return wait_and(&Session::look_for_answer);
    later_.reset();
    write({std::move(*response), {}}, keep_alive_);
  }

  /// Calls it a little later, unless the client has gone: soon after something has come, or at the beginning, more is likelier than later.
  void wait_and(void (Session::*go_on)()) {
    pollfd look{stream_.socket().native_handle(), 0, 0};
    if (poll(&look, 1, 0) > 0) {
      later_.reset();
      body_.reset();
      return stream_.close();
    }
    look_wait_ = std::min<std::chrono::milliseconds>(std::max(2 * look_wait_, kStreamLookFirst), kStreamLookEvery);
    timer_.emplace(stream_.get_executor(), look_wait_);
    timer_->async_wait([self = shared_from_this(), go_on](error_code error) {
      if (!error) (self.get()->*go_on)();
    });
  }

  /// RFC 9112 §7.1: chunks, so that the connection goes on behind the last one. HTTP/1.0 has none: there the end of
  /// the connection is the end of the body.
  void begin_stream(http::response_header<> header, HttpResponse response) {
    enter(Phase::streams);
    piece_ = std::move(response.body);
    body_ = std::move(response.stream);
    auto& head = head_response_.emplace(std::move(header));
    is_chunked_ = head.version() == 11;
    if (is_chunked_) {
      head.chunked(true);
    } else {
      keep_alive_ = false;
    }
    head.keep_alive(keep_alive_);
    head_writer_.emplace(*head_response_);
    stream_.expires_after(kAnswerDeadline);
    http::async_write_header(stream_, *head_writer_, [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->go_on_streaming();
    });
  }

  /// The next piece at once, or a look a little later where there is none yet.
  void go_on_streaming() {
    bool is_over = false;
    try {
      is_over = !body_->next(piece_);
    } catch (const std::exception& e) {  // too late for a status: the client sees a body that is cut
      static LogLimit limit{3, 10 * kNsPerSec};
      log_limited(limit, LogLevel::error, "http: a streamed answer: {}", e.what());
      body_.reset();
      return stream_.close();
    }
    if (is_over) {
      trailer_ = body_->trailer();
      body_.reset();  // what it holds is free before its last words have been read
    }
    if (!piece_.empty()) {
      look_wait_ = {};
      return write_piece();
    }
    if (is_over) return end_stream();
    wait_and(&Session::go_on_streaming);
  }

  void write_piece() {
    stream_.expires_after(kAnswerDeadline);
    const auto written = [self = shared_from_this()](error_code error, size_t) {
      if (error) return self->body_.reset();
      self->piece_.clear();
      self->body_ ? self->go_on_streaming() : self->end_stream();
    };
    if (is_chunked_) {
      asio::async_write(stream_, http::make_chunk(asio::buffer(piece_)), written);
    } else {
      asio::async_write(stream_, asio::buffer(piece_), written);
    }
  }

  void end_stream() {
    if (!is_chunked_) return after_answer();
    stream_.expires_after(kAnswerDeadline);
    piece_ = "0\r\n" + std::exchange(trailer_, {}) + "\r\n";
    asio::async_write(stream_, asio::buffer(piece_), [self = shared_from_this()](error_code error, size_t) {
      if (error) return;
      self->piece_.clear();
      self->after_answer();
    });
  }

  /// Reads what the client still sends: closing over unread octets would reset the connection and
  /// could take the answer away from it.
  void discard_rest() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kHeaderOctetsMax),
                            [self = shared_from_this()](error_code error, size_t octets) {
                              self->discarded_ += octets;
                              if (!error && self->discarded_ < kDiscardedOctetsMax)
                                self->discard_rest();
                            });
  }

  beast::basic_stream<AnyStream> stream_;
  Door& door_;
  size_t& slots_;
  Peer peer_;
  beast::flat_buffer buffer_{4 * kHeaderOctetsMax};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response<http::empty_body>> head_response_;
  std::optional<http::response_serializer<http::empty_body>> head_writer_;
  std::shared_ptr<HttpLater> later_;  // of one that is not there yet
  std::shared_ptr<HttpStream> body_;  // of a streamed answer that goes on
  std::string piece_;                 // of it, being written
  std::optional<asio::steady_timer> timer_;
  std::chrono::milliseconds look_wait_{};
  std::string trailer_;  // of a stream that is over
  bool is_chunked_ = false;
  bool keep_alive_ = false;
  size_t discarded_ = 0;
  Phase phase_ = Phase::waits;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

bool Door::make_room() {
  Session* longest = nullptr;
  for (Session* session : sessions) {
    const auto since = session->idle_since();
    if (since && (longest == nullptr || *since < *longest->idle_since())) longest = session;
  }
  if (longest == nullptr) return false;
  longest->give_up();
  return true;
}

/// Accepts for ever. Beyond the limit one that does nothing makes room; where all are at work a connection is told so,
/// and beyond kRefusalsMax of those it is closed unanswered.
template <class Protocol>
class Acceptor {
 public:
  Acceptor(asio::io_context& io, typename Protocol::acceptor acceptor, Door& door)
      : acceptor_(std::move(acceptor)), retry_(io), door_(door) {}

  void accept() {
    acceptor_.async_accept([this](error_code error, typename Protocol::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) {  // out of descriptors: come back later instead of spinning
        retry_.expires_after(kAcceptRetryDelay);
        retry_.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      welcome(AnyStream::socket(std::move(socket)));
      accept();
    });
  }
  typename Protocol::acceptor& acceptor() { return acceptor_; }

 private:
  void welcome(AnyStream::socket socket) {
    Peer peer;
    if (door_.local) peer = Peer::of(socket.native_handle());
    const bool is_stranger = door_.is_stranger(peer);
    // One that was told to go counts until its operations have ended, which is soon: twice the limit bounds both.
    const bool has_room = door_.connections < kConnectionsMax ||
                          (!is_stranger && door_.connections < 2 * kConnectionsMax && door_.make_room());
    const bool is_guest = has_room && !is_stranger;
    if (!is_guest && door_.refusals >= kRefusalsMax) return;
    const auto session = std::make_shared<Session>(std::move(socket), door_,
                                                   is_guest ? door_.connections : door_.refusals, std::move(peer));
    is_guest || is_stranger ? session->read_request() : session->refuse();
  }

  typename Protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  Door& door_;
};

class Server final : public HttpServer {
 public:
  explicit Server(std::vector<HttpRoute> routes) : routes_(std::move(routes)) {
    local_door_ = {.routes = &routes_, .local = true};
    tcp_door_ = {.routes = &routes_};
  }

  ~Server() override {
    io_.stop();
    if (thread_) pthread_join(*thread_, nullptr);
    remove_unix_socket();
  }

  Result<void> listen(const HttpServerConfig& config) {
    if (!config.tcp_address.empty()) {
      auto listener = listen_tcp(config.tcp_address);
      if (!listener) return listener.error();
      tcp_port_ = listener->port;
      tcp_.emplace(io_,
                   Tcp::acceptor(io_, listener->is_v6 ? Tcp::v6() : Tcp::v4(), listener->fd.release()),
                   tcp_door_);
    }
    if (!config.unix_path.empty()) {
      auto fd = listen_unix(config);
      if (!fd) return fd.error();
      if (!config.unix_group.empty()) local_door_.readers = group_id(config.unix_group);
      if (!config.admin_group.empty()) {
        local_door_.admins = group_id(config.admin_group);
        if (!local_door_.admins) {
          return Error{fmt::format("control_socket.admin_group: group {} does not exist", config.admin_group)};
        }
      }
      unix_path_ = config.unix_path;
      if (stat(unix_path_.c_str(), &unix_identity_) != 0) unix_path_.clear();
      local_.emplace(io_, Local::acceptor(io_, Local(), fd->release()), local_door_);
    }
    return {};
  }

  Result<void> begin() {
    if (tcp_) tcp_->accept();
    if (local_) local_->accept();
    turn();
    const auto thread = start_thread(
        "weir-http",
        [](void* self) -> void* {
          const RoleScope role(http_thread);
          give_up_capabilities_unless_root();
          static_cast<Server*>(self)->io_.run();
          return nullptr;
        },
        this);
    if (!thread) return Error{"http: " + thread.error().message};
    thread_ = *thread;
    return {};
  }

  uint16_t tcp_port() const noexcept override { return tcp_port_; }
  uint64_t turned_steady_ns() const noexcept override { return turned_ns_.load(std::memory_order_relaxed); }

 private:
  void turn() {
    turned_ns_.store(steady_clock_ns(), std::memory_order_relaxed);
    turn_timer_.expires_after(kHttpTurnEvery);
    turn_timer_.async_wait([this](error_code error) {
      if (!error) turn();
    });
  }

  /// Only our own: a successor may have put its socket at the same path by now.
  void remove_unix_socket() {
    struct stat now {};
    if (unix_path_.empty() || lstat(unix_path_.c_str(), &now) != 0) return;
    if (now.st_dev == unix_identity_.st_dev && now.st_ino == unix_identity_.st_ino) {
      unlink(unix_path_.c_str());
    }
  }

  const std::vector<HttpRoute> routes_;
  Door local_door_, tcp_door_;
  asio::io_context io_{1};  // its sessions refer to what stands above
  asio::steady_timer turn_timer_{io_};
  std::atomic<uint64_t> turned_ns_{0};
  std::optional<Acceptor<Local>> local_;
  std::optional<Acceptor<Tcp>> tcp_;
  uint16_t tcp_port_ = 0;
  std::string unix_path_;
  struct stat unix_identity_ {};
  std::optional<pthread_t> thread_;
};

}  // namespace

HttpResponse http_error(unsigned status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = nlohmann::json{{"error", printable(message)}}.dump() + "\n";
  return response;
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpServerConfig& config,
                                                      std::vector<HttpRoute> routes) {
  auto server = std::make_unique<Server>(std::move(routes));
  if (auto listening = server->listen(config); !listening) return listening.error();
  if (auto begun = server->begin(); !begun) return begun.error();
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace weir::service

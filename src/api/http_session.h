// http_session.h — One connection: requests read, routes asked, answers written, until one side has enough.
//
// Runs on:  api_thread.
//
// Private to src/api.
#pragma once

// clang-format off: before asio, because Boost 1.74's awaitable.hpp forgets it
#include <utility>
// clang-format on

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <boost/beast/ssl.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/http.h"
#include "api/http_server.h"

namespace weir::api {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;
using AnySocket = asio::generic::stream_protocol;
using PlainStream = beast::basic_stream<AnySocket>;
using TlsStream = beast::ssl_stream<PlainStream>;

constexpr size_t kReadAheadOctets = 4096;
constexpr size_t kReadAheadOctetsMax = 16 * 1024;

class SessionBase {
 public:
  virtual ~SessionBase() = default;
  /// Lets go of what it waits for, and of itself.
  virtual void give_up() = 0;
};

/// What all sessions of a server share. Lives longer than the io_context runs.
struct House {
  std::vector<SessionBase*> sessions;
  std::vector<Route> routes;
  std::vector<std::string> cors_origins;
  std::shared_ptr<const Tokens> tokens;
  std::shared_ptr<asio::ssl::context> tls;
  bool knows_clients_by_certificate = false;
  bool is_loopback = false;
  ServerBooks books;
};

/// How a connection came.
struct Door {
  bool is_local = false;  // the unix socket
  std::string peer;
};

/// Finds the route of a request and asks it, or says why not. Behind it stands everything that needs no socket.
Work answer(House& house, const Door& door, const http::request<http::string_body>& message, Done done);

template <class Stream>
class Session : public SessionBase, public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Stream stream, std::shared_ptr<House> house, Door door) : stream_(std::move(stream)), house_(std::move(house)), door_(std::move(door)) {
    ++house_->books.connections;
    house_->sessions.push_back(this);
  }
  ~Session() override {
    --house_->books.connections;
    std::erase(house_->sessions, this);
  }
  void give_up() override {
    work_.reset();
    body_.reset();
    lowest().close();
    held_.reset();  // may be the last that holds it
  }

  /// `refusal`: what it is told, whatever it asks, before it is closed.
  void begin(std::optional<Response> refusal) {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      lowest().expires_after(kRequestDeadline);
      stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this(), refusal = std::move(refusal)](error_code error) mutable {
        if (error) return;
        self->door_.peer = subject_of(self->stream_).value_or(self->door_.peer);
        self->begin_talk(std::move(refusal));
      });
    } else {
      begin_talk(std::move(refusal));
    }
  }

 private:
  void begin_talk(std::optional<Response> refusal) {
    if (!refusal) return read_request(kRequestDeadline);
    parser_.emplace();
    keep_alive_ = false;
    write(std::move(*refusal));
  }

  auto& lowest() { return beast::get_lowest_layer(stream_); }

  static std::optional<std::string> subject_of(TlsStream& stream) {
    X509* const certificate = SSL_get_peer_certificate(stream.native_handle());
    if (certificate == nullptr) return std::nullopt;
    char name[256] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return std::string(name);
  }

  void read_request(std::chrono::seconds deadline) {
    if (is_reading_) return without_reader([this, deadline] { read_request(deadline); });
    parser_.emplace();
    parser_->header_limit(kHeaderOctetsMax);
    parser_->body_limit(kBodyOctetsMax);
    lowest().expires_after(deadline);  // for the whole request, however it drips
    http::async_read(stream_, buffer_, *parser_, [self = this->shared_from_this()](error_code error, size_t) { self->on_request(error); });
  }

  void on_request(error_code error) {
    if (error == http::error::body_limit) return refuse_kept(413, "the body is larger than 256 KiB");
    if (error == http::error::header_limit || error == http::error::buffer_overflow) return refuse_kept(431, "the header is larger than 16 KiB");
    if (error == http::error::end_of_stream || error == http::error::partial_message) return close();
    if (error && error.category() == make_error_code(http::error::bad_method).category()) {
      return refuse_kept(400, "not an HTTP/1.1 request: " + error.message());
    }
    if (error) return;  // gone, or past its deadline
    lowest().expires_never();
    keep_alive_ = parser_->get().keep_alive();
    held_ = this->shared_from_this();
    watch_for_end();
    // The answer may be there before the call is over.
    work_ = answer(*house_, door_, parser_->get(), [weak = this->weak_from_this()](Response response) {
      // Not from within the route's own call: what it holds is let go here.
      if (const auto self = weak.lock()) {
        asio::post(self->stream_.get_executor(), [self, response = std::make_shared<Response>(std::move(response))] {
          self->work_.reset();
          self->write(std::move(*response));
        });
      }
    });
  }

  void refuse_kept(unsigned status, std::string_view message) {
    keep_alive_ = false;
    write(error_response(status, message));
  }

  /// While a route is at work: what the client sends is kept for later, and one that has gone needs no answer. Read, not
  /// peeked at: who leaves a TLS connection says so inside of it.
  void watch_for_end() {
    if (is_reading_ || buffer_.size() >= kReadAheadOctetsMax) return;
    is_reading_ = true;
    stream_.async_read_some(buffer_.prepare(kReadAheadOctets), [self = this->shared_from_this()](error_code error, size_t octets) {
      self->is_reading_ = false;
      self->buffer_.commit(octets);
      if (const auto next = std::exchange(self->after_reading_, nullptr)) return next();
      error ? self->give_up() : self->watch_for_end();
    });
  }

  /// One reads at a time.
  void without_reader(std::function<void()> next) {
    after_reading_ = std::move(next);  // called by the reader, which holds this session
    error_code ignored;
    lowest().socket().cancel(ignored);
  }

  void write(Response response) {
    held_.reset();
    const auto& message = parser_->get();
    http::response_header<> header;
    header.version(message.version() == 10 ? 10 : 11);
    header.result(response.status);
    header.set(http::field::server, "weir-api");
    header.set(http::field::content_type, response.content_type);
    header.set(http::field::cache_control, "no-store");
    header.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers) header.set(name, value);
    const bool has_body = message.method() != http::verb::head;
    if (response.stream && has_body) return begin_stream(std::move(header), std::move(response.stream));
    auto& out = response_.emplace(std::move(header), has_body ? std::move(response.body) : std::string());
    if (has_body) out.content_length(out.body().size());
    out.keep_alive(keep_alive_);
    lowest().expires_after(kPieceDeadline);
    http::async_write(stream_, out, [self = this->shared_from_this()](error_code error, size_t) {
      self->response_.reset();
      if (!error) self->after_answer();
    });
  }

  // ── answers that come piece by piece ───────────────────────────────────────────────────────────

  void begin_stream(http::response_header<> header, std::shared_ptr<Body> body) {
    body_ = std::move(body);
    auto& head = head_.emplace(std::move(header));
    is_chunked_ = head.version() == 11;
    if (is_chunked_) {
      head.chunked(true);
      says_behind_ = head.find(kTruncatedHeader) == head.end();  // else it is said already
      if (says_behind_) head.set(http::field::trailer, kTruncatedHeader);
    } else {
      keep_alive_ = false;  // the end of the connection is the end of the body
    }
    head.keep_alive(keep_alive_);
    head_writer_.emplace(*head_);
    lowest().expires_after(kPieceDeadline);
    http::async_write_header(stream_, *head_writer_, [self = this->shared_from_this()](error_code error, size_t) {
      error ? self->body_.reset() : self->next_piece();
    });
  }

  void next_piece() {
    if (!body_) return;  // given up
    lowest().expires_never();  // how long it may take is the body's
    held_ = this->shared_from_this();
    watch_for_end();
    body_->next([weak = this->weak_from_this()](Piece piece) {
      const auto self = weak.lock();
      if (!self) return;
      asio::post(self->stream_.get_executor(), [self, piece = std::make_shared<Piece>(std::move(piece))] { self->write_piece(std::move(*piece)); });
    });
  }

  void write_piece(Piece piece) {
    held_.reset();
    if (piece.state == Piece::State::broken) {  // too late for a status: the client sees a body that is cut
      body_.reset();
      return lowest().close();
    }
    is_over_ = piece.state == Piece::State::over;
    if (is_over_) {
      body_.reset();
      is_truncated_ = std::move(piece.is_truncated);
    }
    piece_ = std::move(piece.octets);
    if (piece_.empty()) return is_over_ ? end_stream() : next_piece();
    lowest().expires_after(kPieceDeadline);
    const auto written = [self = this->shared_from_this()](error_code error, size_t) {
      if (error) return self->body_.reset();
      self->is_over_ ? self->end_stream() : self->next_piece();
    };
    if (is_chunked_) {
      asio::async_write(stream_, http::make_chunk(asio::buffer(piece_)), written);
    } else {
      asio::async_write(stream_, asio::buffer(piece_), written);
    }
  }

  void end_stream() {
    if (!is_chunked_) return close();
    lowest().expires_after(kPieceDeadline);
    const auto written = [self = this->shared_from_this()](error_code error, size_t) {
      if (!error) self->after_answer();
    };
    if (is_truncated_.empty() || !says_behind_) return asio::async_write(stream_, http::make_chunk_last(), written);
    piece_ = fmt::format("0\r\n{}: {}\r\n\r\n", kTruncatedHeader, is_truncated_);
    asio::async_write(stream_, asio::buffer(piece_), written);
  }

  void after_answer() { keep_alive_ ? read_request(kIdleDeadline) : close(); }

  void close() {
    if (is_reading_) return without_reader([this] { close(); });
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      lowest().expires_after(std::chrono::seconds(1));
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->lowest().close(); });
    } else {
      error_code ignored;
      lowest().socket().shutdown(AnySocket::socket::shutdown_send, ignored);
      discard_rest();
    }
  }

  /// What the client still sends: closing over unread octets would reset the connection and could take the answer from it.
  void discard_rest() {
    buffer_.clear();
    lowest().expires_after(std::chrono::seconds(1));
    lowest().async_read_some(buffer_.prepare(kHeaderOctetsMax), [self = this->shared_from_this()](error_code error, size_t octets) {
      self->discarded_ += octets;
      if (!error && self->discarded_ < 4 * kBodyOctetsMax) self->discard_rest();
    });
  }

  Stream stream_;
  const std::shared_ptr<House> house_;
  Door door_;
  beast::flat_buffer buffer_{kBodyOctetsMax + 4 * kHeaderOctetsMax};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response<http::empty_body>> head_;
  std::optional<http::response_serializer<http::empty_body>> head_writer_;
  Work work_;                   // a route's, until it has answered
  std::shared_ptr<Body> body_;  // of an answer that goes on
  std::string piece_;
  std::string is_truncated_;  // what is said behind the body
  bool says_behind_ = false;
  std::shared_ptr<Session> held_;  // while nothing of the socket's own is under way
  bool is_reading_ = false;  // for whoever comes after this request
  std::function<void()> after_reading_;
  bool is_over_ = false;
  bool is_chunked_ = false;
  bool keep_alive_ = false;
  size_t discarded_ = 0;
};

}  // namespace weir::api

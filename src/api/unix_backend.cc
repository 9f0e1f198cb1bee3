// clang-format off: before asio, because Boost 1.74's awaitable.hpp forgets it
#include <utility>
// clang-format on

#include <fmt/format.h>

#include <array>
#include <boost/asio.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast.hpp>
#include <nlohmann/json.hpp>

#include "api/backend.h"
#include "api/http.h"
#include "base/printable.h"

namespace weir::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;
using AnySocket = asio::generic::stream_protocol;

constexpr size_t kPartOctets = 64 * 1024;
constexpr size_t kErrorOctetsMax = 64 * 1024;
constexpr size_t kKeptOctetsMax = 256 * 1024;
constexpr auto kConnectDeadline = std::chrono::seconds(2);
constexpr auto kGrace = std::chrono::seconds(5);  // behind the store's own time limit

/// One statement on a connection of its own, so that closing it cancels that statement alone.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  using Part = std::function<void(StorePart)>;
  Exchange(asio::io_context& io, std::string path, std::chrono::milliseconds limit) : stream_(io), path_(std::move(path)), limit_(limit) {}

  void begin(http::verb method, const std::string& target, std::string body) {
    request_.method(method);
    request_.target(target);
    request_.version(11);
    request_.set(http::field::host, "weir-store");
    request_.set(http::field::content_type, "application/json");
    request_.keep_alive(false);
    request_.body() = std::move(body);
    request_.prepare_payload();
    parser_.body_limit(UINT64_MAX);
  }

  void next(Part done) {
    done_ = std::move(done);
    if (state_ == State::fresh) return connect();
    if (state_ == State::open) return read();
    fail(503, "the store's answer is over already");
  }

  /// Nobody wants it any more.
  void cancel() {
    done_ = nullptr;
    stream_.close();
  }

 private:
  enum class State : uint8_t { fresh, open, over };

  void tell(StorePart part) {
    if (part.state != StorePart::State::more) state_ = State::over;
    if (const Part done = std::exchange(done_, nullptr)) done(std::move(part));
  }
  void fail(unsigned status, std::string why) { tell({StorePart::State::failed, std::move(why), status, 0}); }
  void fail(error_code error) {
    if (error == beast::error::timeout) {
      return fail(504, fmt::format("the store did not answer within {} ms", limit_.count()));
    }
    fail(503, fmt::format("the store cannot be asked ({}): {}", printable(path_), error.message()));
  }

  void connect() {
    if (path_.size() >= sizeof(sockaddr_un::sun_path)) return fail(503, fmt::format("store.socket: {} is too long a path", printable(path_)));
    stream_.expires_after(kConnectDeadline);
    stream_.async_connect(AnySocket::endpoint(asio::local::stream_protocol::endpoint(path_)), [self = shared_from_this()](error_code error) {
      if (error) return self->fail(error);
      self->stream_.expires_after(std::chrono::duration_cast<std::chrono::seconds>(self->limit_) + kGrace);
      http::async_write(self->stream_, self->request_, [self](error_code write_error, size_t) {
        if (write_error) return self->fail(write_error);
        http::async_read_header(self->stream_, self->buffer_, self->parser_, [self](error_code read_error, size_t) {
          if (read_error) return self->fail(read_error);
          self->state_ = State::open;
          self->is_error_ = self->parser_.get().result_int() / 100 != 2;
          self->read();
        });
      });
    });
  }

  void read() {
    if (parser_.is_done()) return is_error_ ? tell_error() : tell(part_of(StorePart::State::over, {}));
    auto& body = parser_.get().body();
    body.data = part_.data();
    body.size = part_.size();
    http::async_read(stream_, buffer_, parser_, [self = shared_from_this()](error_code error, size_t) {
      if (error == http::error::need_buffer) error = {};
      if (error && error != http::error::end_of_stream) return self->fail(error);
      const size_t octets = self->part_.size() - self->parser_.get().body().size;
      if (self->is_error_) {
        self->error_text_.append(self->part_.data(), std::min(octets, kErrorOctetsMax - self->error_text_.size()));
        return self->read();
      }
      if (octets == 0) return self->read();
      self->tell(self->part_of(StorePart::State::more, std::string(self->part_.data(), octets)));
    });
  }

  StorePart part_of(StorePart::State state, std::string octets) {
    const auto& head = parser_.get();
    return {state, std::move(octets), 0, 0, head[kTruncatedHeader] == "true", std::string(head[kLeftOutHeader])};
  }

  void tell_error() {
    const auto json = nlohmann::json::parse(error_text_, nullptr, /*allow_exceptions=*/false);
    const unsigned status = parser_.get().result_int();
    if (json.is_object() && json.contains("error") && json["error"].is_string()) {
      const bool has_place = json.contains("position") && json["position"].is_number_unsigned();  // from 0
      return tell({StorePart::State::failed, json["error"].get<std::string>(), status, has_place ? json["position"].get<size_t>() + 1 : 0});
    }
    fail(status, fmt::format("the store answered {}", status));
  }

  beast::basic_stream<AnySocket> stream_;
  const std::string path_;
  const std::chrono::milliseconds limit_;
  http::request<http::string_body> request_;
  http::response_parser<http::buffer_body> parser_;
  beast::flat_buffer buffer_{kPartOctets + 16 * 1024};
  std::array<char, kPartOctets> part_{};
  State state_ = State::fresh;
  bool is_error_ = false;
  std::string error_text_;
  Part done_;
};

class UnixCall final : public StoreCall {
 public:
  explicit UnixCall(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~UnixCall() override { exchange_->cancel(); }
  void next(std::function<void(StorePart)> done) override { exchange_->next(std::move(done)); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

class UnixBackend final : public Backend {
 public:
  UnixBackend(asio::io_context& io, std::string path) : io_(io), path_(std::move(path)) {}

  std::unique_ptr<StoreCall> begin(const StoreQuery& query) override {
    std::string body = fmt::format("{{\"sql\":{},\"parameters\":{},\"format\":\"{}\"", nlohmann::json(query.sql).dump(), parameters_json(query.parameters), query.format);
    if (query.max_rows != 0) body += fmt::format(",\"max_rows\":{}", query.max_rows);
    if (query.timeout_ms != 0) body += fmt::format(",\"timeout_ms\":{}", query.timeout_ms);
    if (query.reads) body += ",\"reads\":" + windows_json(*query.reads);
    if (!query.ends.empty()) body += ",\"ends\":" + ends_json(query.ends);
    if (!query.notes.empty()) body += ",\"notes\":" + nlohmann::json(query.notes).dump();
    auto exchange = std::make_shared<Exchange>(io_, path_, std::chrono::milliseconds(query.timeout_ms));
    exchange->begin(http::verb::post, "/v1/sql", body + "}");
    return std::make_unique<UnixCall>(std::move(exchange));
  }

  void kept(std::function<void(std::string)> done) override {
    auto exchange = std::make_shared<Exchange>(io_, path_, std::chrono::milliseconds(1000));
    exchange->begin(http::verb::get, "/v1/kept", {});
    take_all(exchange, std::make_shared<std::string>(), std::move(done));
  }

  void look(std::function<void(std::string)> done) override {
    auto exchange = std::make_shared<Exchange>(io_, path_, std::chrono::milliseconds(1000));
    exchange->begin(http::verb::get, "/healthz", {});
    exchange->next([exchange, done = std::move(done)](StorePart part) {
      done(part.state == StorePart::State::failed ? part.octets : std::string());
      exchange->cancel();
    });
  }

 private:
  static void take_all(const std::shared_ptr<Exchange>& exchange, const std::shared_ptr<std::string>& text, std::function<void(std::string)> done) {
    exchange->next([exchange, text, done = std::move(done)](StorePart part) {
      const bool has_failed = part.state == StorePart::State::failed || text->size() + part.octets.size() > kKeptOctetsMax;
      if (!has_failed) text->append(part.octets);
      if (!has_failed && part.state == StorePart::State::more) return take_all(exchange, text, done);
      done(has_failed ? std::string() : *text);
      exchange->cancel();
    });
  }

  asio::io_context& io_;
  const std::string path_;
};

}  // namespace

std::unique_ptr<Backend> unix_backend(asio::io_context& io, std::string path) { return std::make_unique<UnixBackend>(io, std::move(path)); }

std::string windows_json(const std::vector<query::TimeWindow>& windows) {
  nlohmann::json list = nlohmann::json::array();
  const auto end_of = [](const std::optional<int64_t>& us) { return us ? nlohmann::json(query::instant_text(*us)) : nlohmann::json(); };
  for (const query::TimeWindow& window : windows) list.push_back(nlohmann::json::array({end_of(window.start_us), end_of(window.end_us)}));
  return list.dump();
}

std::string ends_json(const std::vector<query::EndClause>& ends) {
  nlohmann::json list = nlohmann::json::array();
  for (const query::EndClause& clause : ends) {
    nlohmann::json& ranges = list.emplace_back(nlohmann::json::array());
    for (const query::EndRange& range : clause) {
      ranges.push_back({{std::string(name_of(range.end)), {range.first.to_string(), range.last.to_string()}}});
    }
  }
  return list.dump();
}

std::string parameters_json(const std::vector<query::Parameter>& parameters) {
  nlohmann::json list = nlohmann::json::array();
  struct Visit {
    nlohmann::json operator()(std::monostate) const { return nullptr; }
    nlohmann::json operator()(int64_t v) const { return v; }
    nlohmann::json operator()(double v) const { return v; }
    nlohmann::json operator()(bool v) const { return v; }
    nlohmann::json operator()(const std::string& v) const { return v; }
    nlohmann::json operator()(const IpAddress& v) const { return {{"addr", v.to_string()}}; }
    nlohmann::json operator()(const query::Instant& v) const { return {{"time", query::instant_text(v.us)}}; }
  };
  for (const query::Parameter& p : parameters) list.push_back(std::visit(Visit{}, p));
  return list.dump();
}

}  // namespace weir::api

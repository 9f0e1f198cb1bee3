// running_server.h — The API's server on a thread of its own, in front of a store that a test makes up.
#pragma once

// clang-format off: before asio, because Boost 1.74's awaitable.hpp forgets it
#include <utility>
// clang-format on

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <boost/asio.hpp>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "api/http_server.h"
#include "api/routes.h"
#include "support/web_client.h"

namespace weir::api {

inline constexpr int64_t kNowUs = 1'793'620'800'000'000;  // 2026-11-02T12:00:00Z

/// Answers each question with parts that were laid out before; an empty part is one that never comes.
class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(boost::asio::io_context& io) : io_(io) {}

  std::unique_ptr<StoreCall> begin(const StoreQuery& query) override {
    const std::lock_guard lock(mutex_);
    if (throws) throw std::runtime_error("made to fail");
    asked_.push_back(query);
    std::deque<StorePart> parts;
    if (!answers_.empty()) {
      parts = std::move(answers_.front());
      if (answers_.size() > 1) answers_.pop_front(); else answers_.front() = parts;
    }
    return std::make_unique<Call>(*this, std::move(parts));
  }
  void look(std::function<void(std::string)> done) override {
    boost::asio::post(io_, [done, why = trouble] { done(why); });
  }
  void kept(std::function<void(std::string)> done) override {
    boost::asio::post(io_, [done] { done(""); });
  }

  /// The last one laid out goes for all that follow.
  void lay_out(std::deque<StorePart> parts) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(parts));
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    answers_.clear();
    asked_.clear();
  }
  std::vector<StoreQuery> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  static StorePart more(std::string octets) { return {StorePart::State::more, std::move(octets), 0, 0}; }
  static StorePart over() { return {StorePart::State::over, {}, 0, 0}; }
  static StorePart failed(unsigned status, std::string why) { return {StorePart::State::failed, std::move(why), status, 0}; }
  static StorePart never() { return {StorePart::State::more, {}, 0, 0}; }

  std::atomic<int> calls{0};  // that are open
  std::string trouble;
  std::atomic<bool> throws{false};

 private:
  class Call final : public StoreCall {
   public:
    Call(FakeBackend& backend, std::deque<StorePart> parts) : backend_(backend), parts_(std::move(parts)) { ++backend_.calls; }
    ~Call() override { --backend_.calls; }
    void next(std::function<void(StorePart)> done) override {
      StorePart part = parts_.empty() ? over() : parts_.front();
      if (!parts_.empty()) parts_.pop_front();
      if (part.state == StorePart::State::more && part.octets.empty()) {
        held_ = std::move(done);  // for ever
        return;
      }
      boost::asio::post(backend_.io_, [done = std::move(done), part = std::move(part)] { done(part); });
    }

   private:
    FakeBackend& backend_;
    std::deque<StorePart> parts_;
    std::function<void(StorePart)> held_;
  };

  boost::asio::io_context& io_;
  std::mutex mutex_;
  std::deque<std::deque<StorePart>> answers_;
  std::vector<StoreQuery> asked_;
};

class RunningServer {
 public:
  explicit RunningServer(ServerConfig config = {}, std::shared_ptr<const Tokens> tokens = std::make_shared<const Tokens>(), const std::string& store_socket = {}) {
    char name[] = "/tmp/weir-api-XXXXXX";
    folder = mkdtemp(name);
    if (config.tcp_address.empty()) config.tcp_address = "127.0.0.1:0";
    config.unix_path = folder + "/api.sock";
    fake = std::make_unique<FakeBackend>(io_);
    if (!store_socket.empty()) real_ = unix_backend(io_, store_socket);
    desk->running_max = 4;
    desk->waiting_max = 1;
    context_.emplace(ApiContext{real_ ? *real_ : *fake, desk, Limits{}, 2 * 86'400, Kept{}, [this] { return now_us.load(); },
                                [this] { return server_ != nullptr ? &server_->books() : nullptr; }, [] { return false; }});
    auto server = HttpServer::make(io_, config, api_routes(*context_), std::move(tokens));
    EXPECT_TRUE(server) << server.error().message;
    if (!server) return;
    server_ = std::move(*server);
    thread_ = std::thread([this] {
      const auto work = boost::asio::make_work_guard(io_);
      io_.run();
    });
    is_tls_ = !config.cert_file.empty();
  }
  ~RunningServer() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
    std::filesystem::remove_all(folder);
  }

  std::string url(const std::string& target) const {
    return std::string(is_tls_ ? "https" : "http") + "://127.0.0.1:" + std::to_string(server_->tcp_port()) + target;
  }
  uint16_t port() const { return server_->tcp_port(); }
  test::WebAnswer get(const std::string& target, std::vector<std::string> headers = {}) const {
    return test::fetch({.url = url(target), .headers = std::move(headers)});
  }
  test::WebAnswer post(const std::string& target, const std::string& body, std::vector<std::string> headers = {"Content-Type: application/json"}) const {
    return test::fetch({.url = url(target), .method = "POST", .body = body, .headers = std::move(headers)});
  }

 private:
  boost::asio::io_context io_{1};

 public:
  std::string folder;
  std::unique_ptr<FakeBackend> fake;
  std::shared_ptr<Desk> desk = std::make_shared<Desk>();
  std::atomic<int64_t> now_us{kNowUs};
  void keep(Kept kept) {
    boost::asio::post(io_, [this, kept] { context_->kept = kept; });  // before any question that is asked behind it
  }
  std::vector<Route> routes() { return api_routes(*context_); }

 private:
  std::unique_ptr<Backend> real_;
  std::optional<ApiContext> context_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  bool is_tls_ = false;
};

}  // namespace weir::api

// clang-format off: before asio, because Boost 1.74's awaitable.hpp forgets it
#include <utility>
// clang-format on

#include "api/program.h"

#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <boost/asio.hpp>
#include <chrono>
#include <optional>
#include <thread>

#include "api/backend.h"
#include "base/clock.h"
#include "base/start_thread.h"
#include "service/service_notify.h"

namespace weir::api {
namespace {

using service::log_error;
using service::log_info;
using service::log_warning;

constexpr auto kTurn = std::chrono::milliseconds(50);
constexpr auto kKeptPeriod = std::chrono::seconds(30);
constexpr auto kKeptRetry = std::chrono::seconds(1);  // while the store does not answer
constexpr uint64_t kStopNs = 5 * kNsPerSec;  // what answers that are under way are given

class Program final : public ApiProgram {
 public:
  Program(const ApiConfig& config, Load load)
      : config_(config), load_(std::move(load)), backend_(unix_backend(io_, config.store.socket)), desk_(std::make_shared<Desk>()),
        notify_(service::ServiceNotify::from_environment()) {
    desk_->running_max = config.limits.running;
    desk_->waiting_max = config.limits.waiting;
    context_.emplace(ApiContext{*backend_, desk_, {config.limits.query_timeout_ms, config.limits.sql_rows}, config.realtime_threshold, Kept(),
                                [] { return static_cast<int64_t>(wall_clock_ns() / 1000); },
                                [this] { return server_ != nullptr ? &server_->books() : nullptr; }, [this] { return is_stopping_.load(); }});
  }
  ~Program() override {
    server_.reset();
    io_.stop();
  }

  Result<void> listen(std::shared_ptr<const Tokens> tokens) {
    auto server = HttpServer::make(io_, server_config(config_), api_routes(*context_), std::move(tokens));
    if (!server) return server.error();
    server_ = std::move(*server);
    ask_what_is_kept();
    return {};
  }

  uint16_t tcp_port() const noexcept override { return server_->tcp_port(); }

  bool run(const std::function<service::ProgramRequest()>& poll) override {
    const auto thread = start_thread(
        "weir-api",
        [](void* self) -> void* {
          auto& io = static_cast<Program*>(self)->io_;
          const auto work = boost::asio::make_work_guard(io);
          io.run();
          return nullptr;
        },
        this);
    if (!thread) {
      log_error("{}", thread.error().message);
      return false;
    }
    notify_.ready("answering questions");
    uint64_t stop_at_ns = 0;
    for (;;) {
      const uint64_t now_ns = steady_clock_ns();
      const service::ProgramRequest asked = poll();
      if (asked == service::ProgramRequest::reload) reload();
      if (asked == service::ProgramRequest::stop) {
        if (stop_at_ns != 0) break;  // a second one waits for nothing
        notify_.stopping("finishing answers", kStopNs);
        is_stopping_ = true;
        stop_at_ns = now_ns + kStopNs;
      }
      if (stop_at_ns != 0 && (now_ns >= stop_at_ns || running() == 0)) break;
      tell_health(now_ns);
      std::this_thread::sleep_for(kTurn);
    }
    io_.stop();
    pthread_join(*thread, nullptr);
    return true;
  }

 private:
  /// Sums that the store has forgotten must not be asked of it: it says what it has, now and after each restart.
  void ask_what_is_kept() {
    backend_->kept([this](const std::string& text) {
      const auto kept = read_kept(text);
      if (kept) tell_other_times(*kept);
      if (kept) context_->kept = *kept;
      kept_timer_.expires_after(kept ? kKeptPeriod : kKeptRetry);
      kept_timer_.async_wait([this](boost::system::error_code stopped) {
        if (!stopped) ask_what_is_kept();
      });
    });
  }

  void tell_other_times(const Kept& kept) {
    const Kept& before = context_->kept;
    if (kept.minutes.secs == before.minutes.secs && kept.hours.secs == before.hours.secs && kept.days.secs == before.days.secs) return;
    log_info("the store keeps sums by the minute for {} s, by the hour for {} s, by the day for {} s (0: for ever)", kept.minutes.secs, kept.hours.secs, kept.days.secs);
  }

  /// On the io thread, which has the desk to itself.
  size_t running() {
    auto state = std::make_shared<std::pair<std::atomic<size_t>, std::atomic<bool>>>();
    boost::asio::post(io_, [this, state] {
      state->first = desk_->running;
      state->second = true;
    });
    for (int i = 0; i < 100 && !state->second; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return state->second ? state->first.load() : 1;
  }

  /// The watchdog hears of us while the thread turns.
  void tell_health(uint64_t now_ns) {
    if (is_turning_->load()) {
      is_turning_->store(false);
      boost::asio::post(io_, [flag = is_turning_] { flag->store(true); });
      if (notify_.watchdog_interval_ns() != 0 && now_ns >= next_watchdog_ns_) {
        next_watchdog_ns_ = now_ns + notify_.watchdog_interval_ns() / 2;
        notify_.watchdog();
      }
    }
  }

  /// Tokens, certificates, the log's level; other keys need a restart.
  void reload() {
    auto loaded = load_();
    if (!loaded) return log_error("the configuration is not taken: {}", loaded.error().message);
    for (const std::string& key : api_schema().differences(&config_, &loaded->config)) {
      if (key != "log.level") log_warning("{} is taken at the next start", key);
    }
    // Of the file that is used; where it has moved with its key, those that are known stay, and the rest is taken.
    auto tokens = read_tokens(config_);
    if (!tokens && loaded->config.tokens_file == config_.tokens_file) return log_error("the configuration is not taken: {}", tokens.error().message);
    service::set_log_level(loaded->config.log.level);
    boost::asio::post(io_, [this, tokens = tokens ? std::move(*tokens) : nullptr] {
      if (const auto done = server_->reload(tokens); !done) return log_error("certificates are not taken: {}", done.error().message);
      log_info("reloaded: {}, certificates, the log's level", tokens != nullptr ? fmt::format("{} tokens", tokens->size()) : "no tokens");
    });
  }

  const ApiConfig config_;
  const Load load_;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer kept_timer_{io_};
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<Desk> desk_;
  std::optional<ApiContext> context_;
  std::atomic<bool> is_stopping_{false};
  std::unique_ptr<HttpServer> server_;
  service::ServiceNotify notify_;
  std::shared_ptr<std::atomic<bool>> is_turning_ = std::make_shared<std::atomic<bool>>(true);
  uint64_t next_watchdog_ns_ = 0;
};

}  // namespace

Result<std::unique_ptr<ApiProgram>> ApiProgram::create(const LoadedConfig& loaded, std::shared_ptr<const Tokens> tokens, Load load) {
  auto program = std::make_unique<Program>(loaded.config, std::move(load));
  if (auto listening = program->listen(std::move(tokens)); !listening) return listening.error();
  return std::unique_ptr<ApiProgram>(std::move(program));
}

}  // namespace weir::api

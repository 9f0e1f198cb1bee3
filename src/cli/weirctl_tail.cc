#include "cli/weirctl_tail.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string_view>

#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

namespace {

constexpr auto kLastWordsMax = std::chrono::milliseconds(1500);  // a summary comes every second
constexpr uint64_t kNothingYetMs = 3000;  // then it is said why the screen is empty

// Flush left, and flush right; the last column is as wide as it is.
std::string row(std::string_view time, std::string_view exporter, std::string_view protocol, std::string_view bytes,
                std::string_view packets, std::string_view sampling, std::string_view in, std::string_view out,
                std::string_view ends) {
  return fmt::format("{:<12}  {:<15}  {:<9}  {:>10}  {:>8}  {:>8}  {:>8}  {:>8}  {}", time, exporter, protocol, bytes,
                     packets, sampling, in, out, ends);
}

std::string time_of(uint64_t ns) {
  const auto seconds = static_cast<time_t>(ns / 1'000'000'000);
  tm t{};
  gmtime_r(&seconds, &t);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", t.tm_hour, t.tm_min, t.tm_sec, ns / 1'000'000 % 1000);
}

/// 192.0.2.1:443, [2001:db8::1]:443; - where there is no address.
std::string end_of(const json& flow, const char* address, const char* port) {
  const std::string text = text_of(flow.at(address));
  if (text.empty()) return "-";
  const bool is_v6 = text.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", text, is_v6 ? "]" : "", text_of(flow.at(port)));
}

std::string number_or_dash(const json& flow, const char* key) {
  const uint64_t number = flow.at(key).get<uint64_t>();
  return number == 0 ? "-" : std::to_string(number);
}

std::string interface_of(const json& flow, const char* name, const char* index) {
  return flow.contains(name) ? text_of(flow.at(name)) : number_or_dash(flow, index);
}

volatile std::sig_atomic_t was_interrupted = 0;

/// Prints what comes, and adds up what is told of several answers.
class Tail {
 public:
  explicit Tail(const TailOptions& options) : options_(options) {}

  /// After an interruption only what was seen until then is waited for.
  bool on_line(std::string_view text) {
    const json line = json::parse(text);
    if (line.contains("summary")) {
      on_summary(line.at("summary"));
      return was_interrupted == 0;
    }
    if (was_interrupted != 0) return true;
    ++shown_;
    print(options_.as_json ? std::string(text) : tail_row(line));
    return true;
  }
  bool goes_on() {
    const auto now = std::chrono::steady_clock::now();
    if (was_interrupted == 0) interrupted_at_ = now;
    return now - interrupted_at_ < kLastWordsMax;
  }
  /// The next answer counts from zero.
  void begin_answer() {
    for (const char* key : {"seen", "matched"}) before_[key] = total(key);
    for (const auto& [why, count] : latest_["not_shown"].items()) before_not_shown_[why] = total_not_shown(why);
    latest_ = json::object();
  }
  std::string ended_by() const { return latest_.value("ended_by", json()).is_string() ? latest_["ended_by"] : ""; }
  uint64_t shown() const { return shown_; }
  bool has_begun() const { return has_begun_; }

  /// What the appliance had on its way, and what came when enough was shown, is alike to who reads.
  json totals() {
    json not_shown = json::object();
    uint64_t accounted = shown_;
    for (const char* why : {"sampled_away", "too_large", "no_room"}) {
      not_shown[why] = total_not_shown(why);
      accounted += total_not_shown(why);
    }
    const uint64_t matched = std::max(total("matched"), accounted);
    not_shown["under_way"] = matched - accounted;
    return {{"seen", std::max(total("seen"), matched)}, {"matched", matched}, {"shown", shown_}, {"not_shown", std::move(not_shown)}};
  }

 private:
  void print(const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }
  void on_summary(const json& summary) {
    latest_ = summary;
    if (!has_begun_ && !options_.as_json) print(tail_heading());
    if (!has_begun_ && !summary.at("every_core_looks").get<bool>()) {
      std::fputs("weirctl: not every receive core answers; see weirctl health\n", stderr);
    }
    has_begun_ = true;
    if (shown_ > 0 || was_told_ || isatty(STDERR_FILENO) == 0) return;
    if (summary.at("elapsed_ms").get<uint64_t>() < kNothingYetMs) return;
    was_told_ = true;
    const uint64_t seen = total("seen");
    const std::string words = seen == 0 ? "no flows come in; weirctl exporters says who sends"
                                        : fmt::format("{} flows passed by, and none meets the conditions", seen);
    std::fprintf(stderr, "weirctl: %s\n", words.c_str());
  }
  uint64_t total(const char* key) { return before_.value(key, uint64_t{0}) + latest_.value(key, uint64_t{0}); }
  uint64_t total_not_shown(const std::string& why) {
    const json now = latest_.value("not_shown", json::object());
    return before_not_shown_.value(why, uint64_t{0}) + now.value(why, uint64_t{0});
  }

  const TailOptions& options_;
  uint64_t shown_ = 0;
  json latest_ = json::object();
  json before_ = json::object();  // of the answers before
  json before_not_shown_ = json::object();
  bool has_begun_ = false;
  bool was_told_ = false;
  std::chrono::steady_clock::time_point interrupted_at_ = std::chrono::steady_clock::now();
};

std::string target_of(const TailOptions& options, uint32_t seconds, uint32_t flows_max) {
  std::string target = fmt::format("/v1/flows/live?seconds={}&max={}", seconds, flows_max);
  for (const auto& [name, value] : options.conditions) target += fmt::format("&{}={}", name, url_encoded(value));
  return target;
}

}  // namespace

std::string tail_heading() {
  return row("TIME (UTC)", "EXPORTER", "PROTOCOL", "BYTES", "PACKETS", "SAMPLING", "IN IF", "OUT IF",
             "SOURCE -> DESTINATION");
}

std::string tail_row(const json& line) {
  const json& flow = line.at("flow");
  const json& exporter = flow.contains("exporter_address") ? flow.at("exporter_address") : flow.at("sampler_address");
  const json& named = line.contains("exporter_name") ? line.at("exporter_name") : exporter;
  return row(time_of(flow.at("time_received_ns").get<uint64_t>()), text_of(named), text_of(flow.at("proto")),
             text_of(flow.at("bytes")), text_of(flow.at("packets")), number_or_dash(flow, "sampling_rate"),
             interface_of(flow, "in_if_name", "in_if"), interface_of(flow, "out_if_name", "out_if"),
             fmt::format("{} -> {}", end_of(flow, "src_addr", "src_port"), end_of(flow, "dst_addr", "dst_port")));
}

std::string tail_words(const json& summary) {
  const json& left_out = summary.at("not_shown");
  const auto count = [&](const char* why) { return left_out.at(why).get<uint64_t>(); };
  std::string words = fmt::format("{} flows seen, {} matched, {} shown", text_of(summary.at("seen")),
                                  text_of(summary.at("matched")), text_of(summary.at("shown")));
  if (count("sampled_away") > 0) words += fmt::format("; {} more than are shown in a second", count("sampled_away"));
  if (count("no_room") > 0) words += fmt::format("; {} faster than they were read", count("no_room"));
  if (count("too_large") > 0) words += fmt::format("; {} too large", count("too_large"));
  if (count("under_way") > 0) words += fmt::format("; {} on the way at the end", count("under_way"));
  return words;
}

Answer run_tail(const std::string& socket_path, const TailOptions& options) {
  was_interrupted = 0;
  for (const int signal : {SIGINT, SIGTERM}) {
    std::signal(signal, [](int number) {
      was_interrupted = 1;
      std::signal(number, SIG_DFL);  // whoever asks twice does not want the last words
    });
  }
  const auto began = std::chrono::steady_clock::now();
  Tail tail(options);
  Answer answer;
  for (;;) {
    uint32_t seconds = kTailSecondsMax;
    if (options.seconds != 0) {
      const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
      const auto gone = static_cast<uint64_t>(elapsed.count());
      if (gone >= options.seconds) break;
      seconds = std::min(seconds, options.seconds - static_cast<uint32_t>(gone));
    }
    const uint32_t flows_max =
        options.count == 0 ? kTailFlowsMax : options.count - static_cast<uint32_t>(tail.shown());
    tail.begin_answer();
    std::exception_ptr failed;  // not through the library's frames
    const auto on_line = [&](std::string_view line) {
      try {
        return tail.on_line(line);
      } catch (const json::exception&) {
        failed = std::current_exception();
        return false;
      }
    };
    answer = follow(socket_path, target_of(options, seconds, flows_max), on_line, [&] { return tail.goes_on(); });
    if (failed) std::rethrow_exception(failed);
    if (answer.http_status == 400) answer.exit_code = kWrongUsage;
    if (was_interrupted != 0 || answer.exit_code != kAnswered) break;
    if (tail.ended_by() == "stopping") {
      answer.exit_code = kNoAppliance;
      answer.trouble = fmt::format("{}: the appliance has ended", socket_path);
      break;
    }
    if (options.count != 0 && tail.shown() >= options.count) break;
  }
  if (tail.has_begun()) std::fprintf(stderr, "%s\n", tail_words(tail.totals()).c_str());
  return answer;
}

}  // namespace weir::cli

#include "cli/weirctl_capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "cli/weirctl_client.h"
#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

namespace {

constexpr timespec kLookEvery{.tv_sec = 0, .tv_nsec = 200'000'000};

volatile sig_atomic_t was_interrupted = 0;

/// The first Ctrl-C ends the capture, the second one this program.
void end_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { was_interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int complain(int exit_code, const std::string& trouble) {
  std::fprintf(stderr, "weirctl: %s\n", trouble.c_str());
  return exit_code;
}

/// Where the octets go. It is opened before the appliance is asked for anything, and what stood in it stays until
/// there is something else to write.
class Target {
 public:
  explicit Target(std::string path) : path_(std::move(path)) {}
  ~Target() {
    if (fd_ >= 0 && fd_ != STDOUT_FILENO) close(fd_);
    if (is_new_ && !is_written_) unlink(path_.c_str());
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  /// The exit code; why not is said.
  int open() {
    if (path_.empty() || path_ == "-") {
      if (isatty(STDOUT_FILENO) != 0)
        return complain(kWrongUsage, "a capture is no text for a terminal: -w FILE writes it, or a pipe takes it");
      fd_ = STDOUT_FILENO;
      return kAnswered;
    }
    struct stat before {};
    is_new_ = stat(path_.c_str(), &before) != 0;
    // What flows through a network is in it: for its owner only.
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ >= 0) return kAnswered;
    is_new_ = false;
    return complain(kRefused, fmt::format("{}: {}", path_, std::strerror(errno)));
  }
  int write(const std::string& octets) {
    is_written_ = true;
    if (fd_ != STDOUT_FILENO) [[maybe_unused]]
      const int pipes_cannot = ftruncate(fd_, 0);
    for (size_t at = 0; at < octets.size();) {
      const ssize_t n = ::write(fd_, octets.data() + at, octets.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return complain(kRefused, fmt::format("{}: {}", name(), std::strerror(errno)));
      at += static_cast<size_t>(n);
    }
    return kAnswered;
  }
  std::string name() const { return fd_ == STDOUT_FILENO ? "standard output" : path_; }
  bool is_file() const { return fd_ != STDOUT_FILENO; }

 private:
  const std::string path_;
  int fd_ = -1;
  bool is_new_ = false;
  bool is_written_ = false;
};

std::string count_of(const json& value, const char* one) {
  const uint64_t n = value.get<uint64_t>();
  return fmt::format("{} {}{}", n, one, n == 1 ? "" : "s");
}

/// `12 datagrams, 15630 octets, 1 with templates`
std::string held(const json& datagrams) {
  return fmt::format("{}, {}, {} with templates, {} rejected", count_of(datagrams.at("kept"), "datagram"),
                     count_of(datagrams.at("octets"), "octet"), datagrams.at("with_templates").get<uint64_t>(),
                     datagrams.at("rejected").get<uint64_t>());
}

/// What an operator would want to know before looking into it.
void say_what_it_holds(const json& capture, const Target& target) {
  const json& datagrams = capture.at("datagrams");
  const auto number = [&](const char* key) { return datagrams.at(key).get<uint64_t>(); };
  fmt::print(stderr, "{}: {}; ended by {}\n", target.name(), held(datagrams), text_of(capture.at("ended_by")));
  if (number("missed") != 0)
    fmt::print(stderr, "{} more matched, and had no room any more\n", count_of(datagrams.at("missed"), "datagram"));
  if (number("kept") == 0) {
    fmt::print(stderr, "nothing matched: weirctl exporters says who sends, and when it was seen last\n");
  } else if (number("with_templates") == 0) {
    fmt::print(stderr, "no templates among them: NetFlow v9 and IPFIX cannot be read without, --until-templates waits for them\n");
  }
  if (target.is_file() && number("kept") != 0)
    fmt::print(stderr, "weir decode {} shows what they say, Wireshark what they are\n", target.name());
}

/// Parsed; an exit code where there is no answer.
int ask(const std::string& socket, const std::string& method, const std::string& path, const std::string& body,
        json& answer) {
  const Answer said = send(socket, method, path, body);
  if (said.exit_code != kAnswered) return complain(said.exit_code, said.trouble);
  answer = json::parse(said.body, nullptr, /*allow_exceptions=*/false);
  if (answer.is_object()) return kAnswered;
  return complain(kRefused, "the answer is not JSON; is this socket weir's?");
}

/// Until it has ended, or somebody has had enough.
int wait_for_end(const std::string& socket, const std::string& path, json& capture) {
  const bool shows_progress = isatty(STDERR_FILENO) != 0;
  const auto began = std::chrono::steady_clock::now();
  while (was_interrupted == 0 && capture.at("state") != "ended") {
    nanosleep(&kLookEvery, nullptr);
    if (const int exit_code = ask(socket, "GET", path, {}, capture); exit_code != kAnswered) return exit_code;
    if (!shows_progress) continue;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
    fmt::print(stderr, "\r\033[K{} s of {}: {}; Ctrl-C ends it", seconds.count(), capture.at("seconds").get<uint64_t>(),
               held(capture.at("datagrams")));
    std::fflush(stderr);
  }
  if (shows_progress) std::fputs("\r\033[K", stderr);
  return kAnswered;
}

int take_capture(const std::string& socket, const CaptureOptions& o, Target& target) {
  json wanted = {{"only", o.only}, {"count", o.count}, {"seconds", o.seconds}, {"until_templates", o.until_templates}};
  if (!o.exporter.empty()) wanted["exporter"] = o.exporter;
  if (!o.listener.empty()) wanted["listener"] = o.listener;
  if (o.octets != 0) wanted["octets"] = o.octets;
  json capture;
  if (const int code = ask(socket, "POST", "/v1/captures", wanted.dump(), capture); code != kAnswered) return code;
  const std::string path = fmt::format("/v1/captures/{}", capture.at("id").get<uint64_t>());
  if (const int code = wait_for_end(socket, path, capture); code != kAnswered) return code;

  const Answer pcap = get(socket, path + "/pcap");
  json last;
  const int removed = ask(socket, "DELETE", path, {}, last);
  if (pcap.exit_code != kAnswered) return complain(pcap.exit_code, pcap.trouble);
  if (removed == kAnswered) capture = last;
  if (capture.at("ended_by").is_null()) capture["ended_by"] = "request";
  if (const int code = target.write(pcap.body); code != kAnswered) return code;
  if (o.as_json) {
    std::puts(capture.dump(2).c_str());
  } else {
    say_what_it_holds(capture, target);
  }
  return kAnswered;
}

std::string time_of(const json& ns) {
  const uint64_t value = ns.get<uint64_t>();
  const auto seconds = static_cast<time_t>(value / 1'000'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, value / 1'000'000 % 1000);
}

std::string or_all(const json& value) { return value.is_null() ? "all" : text_of(value); }

}  // namespace

int run_capture(const std::string& socket, const CaptureOptions& options) {
  const bool to_stdout = options.file.empty() || options.file == "-";
  if (options.as_json && to_stdout)
    return complain(kWrongUsage, "--json and the capture would both be on standard output: -w FILE keeps them apart");
  Target target(options.file);
  if (const int code = target.open(); code != kAnswered) return code;
  end_on_interrupt();
  try {
    return take_capture(socket, options, target);
  } catch (const json::exception& e) {
    return complain(kRefused, fmt::format("the answer has another shape than this weirctl knows: {}", e.what()));
  }
}

int save_quarantine(const std::string& socket, const std::string& reason, const std::string& file) {
  Target target(file);
  if (const int code = target.open(); code != kAnswered) return code;
  const Answer pcap = get(socket, "/v1/quarantine/pcap" + (reason.empty() ? "" : "?reason=" + url_encoded(reason)));
  if (pcap.exit_code != kAnswered) return complain(pcap.exit_code, pcap.trouble);
  if (const int code = target.write(pcap.body); code != kAnswered) return code;
  if (target.is_file()) fmt::print(stderr, "weir decode {} shows what is wrong with them\n", target.name());
  return kAnswered;
}

void print_captures(const json& answer) {
  if (answer.at("captures").empty()) return void(std::puts("no captures: weirctl capture -w FILE makes one"));
  Table table({"id", "state", "exporter", "listener", "only", "count", "seconds", "datagrams", "octets", "templates",
               "rejected", "missed"},
              5);
  for (const json& c : answer.at("captures")) {
    const json& d = c.at("datagrams");
    const std::string state = c.at("ended_by").is_null() ? text_of(c.at("state"))
                                                         : fmt::format("ended by {}", text_of(c.at("ended_by")));
    table.add({text_of(c.at("id")), state, or_all(c.at("exporter")), or_all(c.at("listener")), text_of(c.at("only")),
               text_of(c.at("count")), text_of(c.at("seconds")), text_of(d.at("kept")), text_of(d.at("octets")),
               text_of(d.at("with_templates")), text_of(d.at("rejected")), text_of(d.at("missed"))});
  }
  table.print();
}

void print_quarantine(const json& answer) {
  if (answer.at("datagrams").empty()) return void(std::puts("nothing that could not be decoded"));
  constexpr size_t kHexShown = 48;
  Table table({"reason", "received", "exporter", "listener", "octets", "first of them"}, 6);
  for (const json& d : answer.at("datagrams")) {
    std::string hex = text_of(d.at("hex"));
    if (hex.size() > kHexShown) hex = hex.substr(0, kHexShown) + "…";
    const json& name = d.at("exporter_name");
    table.add({text_of(d.at("reason")), time_of(d.at("received_ns")),
               fmt::format("{} {}{}", text_of(d.at("exporter")), text_of(d.at("port")),
                           name.is_null() ? std::string() : fmt::format(" {}", text_of(name))),
               text_of(d.at("listener")),
               text_of(d.at("octets")), hex});
  }
  table.print();
}

}  // namespace weir::cli

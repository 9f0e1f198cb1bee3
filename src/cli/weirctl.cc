// weirctl.cc — The operator's tool: asks a running appliance over its control socket.
//
// Status: 0 answered, 1 the appliance answered with an error or is not ready, 2 wrong usage,
//         3 no appliance at the socket, 4 no permission.
#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/version.h"

namespace weir::cli {
namespace {

using nlohmann::json;

constexpr long kTimeoutMs = 10'000;
constexpr size_t kAnswerOctetsMax = 64 << 20;

constexpr int kAnswered = 0;
constexpr int kRefused = 1;
constexpr int kWrongUsage = 2;
constexpr int kNoAppliance = 3;
constexpr int kNoPermission = 4;

struct Answer {
  int exit_code = kAnswered;
  long http_status = 0;
  std::string body;
  std::string trouble;  // in the operator's words, where exit_code is not kAnswered
};

size_t append_body(char* data, size_t size, size_t count, void* body) {
  auto& text = *static_cast<std::string*>(body);
  const size_t octets = size * count;
  if (text.size() + octets > kAnswerOctetsMax) return 0;
  text.append(data, octets);
  return octets;
}

/// Says why a connection cannot be made, better than libcurl can.
Answer explain_socket(const std::string& socket_path) {
  Answer answer;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return {kWrongUsage,
            0,
            {},
            fmt::format("{}: a socket's path has at most {} octets", socket_path,
                        sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int rc = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = rc == 0 ? 0 : errno;
  close(fd);
  switch (error) {
    case 0: return answer;
    case EACCES:
    case EPERM:
      return {kNoPermission,
              0,
              {},
              fmt::format("{}: no permission; run as root or as a member of the socket's group",
                          socket_path)};
    case ENOENT:
      return {
          kNoAppliance,
          0,
          {},
          fmt::format("{}: no such socket; is weir running, and is control_socket.path this one? "
                      "(--socket PATH names another)",
                      socket_path)};
    case ECONNREFUSED:
      return {
          kNoAppliance,
          0,
          {},
          fmt::format("{}: nobody answers; the weir that made this socket has ended", socket_path)};
    default: return {kNoAppliance, 0, {}, fmt::format("{}: {}", socket_path, std::strerror(error))};
  }
}

Answer get(const std::string& socket_path, const std::string& target) {
  if (Answer answer = explain_socket(socket_path); answer.exit_code != kAnswered) return answer;
  Answer answer;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  const std::string url = "http://localhost" + target;
  curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket_path.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  const CURLcode rc = curl_easy_perform(curl.get());
  if (rc != CURLE_OK) {
    answer.exit_code = kNoAppliance;
    answer.trouble = fmt::format("{}: {}", socket_path, curl_easy_strerror(rc));
    return answer;
  }
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.http_status);
  if (answer.http_status >= 400) {
    answer.exit_code = answer.http_status == 403 ? kNoPermission : kRefused;
    const json body = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    answer.trouble = body.is_object() && body.contains("error") && body["error"].is_string()
                         ? body["error"].get<std::string>()
                         : fmt::format("the appliance answered with status {}", answer.http_status);
  }
  return answer;
}

/// Columns as wide as their widest cell; the first is flush left, the others right.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) { rows_.push_back(std::move(heads)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const {
    std::vector<size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows_) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                       : fmt::format("  {:>{}}", row[i], widths[i]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      std::puts(line.c_str());
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string text_of(const json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump();
}

std::string duration_of(uint64_t ns) {
  const uint64_t s = ns / 1'000'000'000;
  if (s < 120) return fmt::format("{}s", s);
  if (s < 7200) return fmt::format("{}m", s / 60);
  if (s < 172'800) return fmt::format("{}h", s / 3600);
  return fmt::format("{}d", s / 86'400);
}

std::string age_of(uint64_t then_ns, uint64_t now_ns) {
  return then_ns == 0 || then_ns > now_ns ? "-" : duration_of(now_ns - then_ns);
}

void print_publishers(const json& publishers) {
  Table table({"publisher", "kind", "connected", "acknowledged", "failed", "dropped", "in flight",
               "waiting", "retries", "queue"});
  for (const json& p : publishers) {
    const json& r = p.at("records");
    table.add({text_of(p.at("name")), text_of(p.at("kind")), text_of(p.at("connected")),
               text_of(r.at("acknowledged")), text_of(r.at("failed")), text_of(r.at("dropped")),
               text_of(r.at("in_flight")), text_of(r.at("waiting")), text_of(p.at("retries")),
               text_of(p.at("queue").at("depth")) + "/" + text_of(p.at("queue").at("capacity"))});
  }
  table.print();
  for (const json& p : publishers) {
    if (const std::string error = p.at("last_error"); !error.empty()) {
      std::printf("publisher %s: %s\n", text_of(p.at("name")).c_str(), error.c_str());
    }
  }
}

void print_ports(const json& ports) {
  Table table({"port", "driver", "link", "packets", "octets", "missed", "errors", "no mbuf"});
  for (const json& p : ports) {
    table.add({text_of(p.at("name")), text_of(p.at("driver")),
               p.at("link_up").get<bool>() ? "up" : "down", text_of(p.at("packets")),
               text_of(p.at("octets")), text_of(p.at("missed")), text_of(p.at("errors")),
               text_of(p.at("no_mbuf"))});
  }
  table.print();
  for (const json& p : ports) {
    if (const std::string trouble = p.at("trouble"); !trouble.empty()) {
      std::printf("port %s: %s\n", text_of(p.at("name")).c_str(), trouble.c_str());
    }
    if (const std::string note = p.at("note"); !note.empty()) {
      std::printf("port %s: %s\n", text_of(p.at("name")).c_str(), note.c_str());
    }
  }
}

void print_state(const json& state, uint64_t now_ns) {
  if (state.is_null()) return;
  const auto counts = [](const json& of) {
    return fmt::format("{} templates and {} sampling rates of {} exporters",
                       text_of(of.at("templates")), text_of(of.at("rates")),
                       text_of(of.at("exporters")));
  };
  std::string line = "state " + text_of(state.at("path")) + ": ";
  line += state.at("saved").is_null()
              ? "not saved yet"
              : fmt::format("{} saved {} ago", counts(state.at("saved")),
                            age_of(state.at("saved").at("written_ns"), now_ns));
  if (!state.at("loaded").is_null()) {
    line += fmt::format("; of {} before the start, {} are back in use", counts(state.at("loaded")),
                        counts(state.at("restored")));
  }
  std::printf("%s\n", line.c_str());
  if (const std::string error = state.at("error"); !error.empty()) {
    std::printf("state cannot be kept: %s\n", error.c_str());
  }
}

void print_status(const json& s) {
  const uint64_t now_ns = s.at("taken_ns");
  std::printf("weir %s (%s)  appliance %s  partition %s\n", text_of(s.at("version")).c_str(),
              text_of(s.at("commit")).c_str(), text_of(s.at("appliance")).c_str(),
              text_of(s.at("partition")).c_str());
  std::printf(
      "%s for %s, %s\n", text_of(s.at("state")).c_str(), duration_of(s.at("uptime_ns")).c_str(),
      s.at("ready").get<bool>() ? "ready"
                                : ("not ready: " + text_of(s.at("not_ready_because"))).c_str());
  std::printf("%s records/s, %s datagrams/s\n\n", text_of(s.at("records_per_second")).c_str(),
              text_of(s.at("datagrams_per_second")).c_str());
  print_ports(s.at("ports"));
  std::puts("");
  Table cores({"core", "cpu", "busy", "datagrams", "records", "exporters", "templates",
               "sequence lost", "serves"});
  for (const json& c : s.at("cores")) {
    cores.add({text_of(c.at("core")), c.at("cpu").get<int>() < 0 ? "-" : text_of(c.at("cpu")),
               fmt::format("{:.1f}%", c.at("busy_ratio").get<double>() * 100),
               text_of(c.at("datagrams")), text_of(c.at("records")), text_of(c.at("exporters")),
               text_of(c.at("templates")), text_of(c.at("sequence_lost")),
               text_of(c.at("serves"))});
  }
  cores.print();
  print_state(s.at("state_kept"), now_ns);
  std::puts("");
  print_publishers(s.at("publishers"));
}

/// The entries of a tally that are not zero, largest tallies being what an operator looks for.
void print_tally(const char* indent, const json& tally,
                 const std::vector<std::string>& left_out = {}) {
  for (const auto& [reason, count] : tally.items()) {
    if (count == 0 || std::find(left_out.begin(), left_out.end(), reason) != left_out.end())
      continue;
    std::printf("%s%-28s %14s\n", indent, reason.c_str(), text_of(count).c_str());
  }
}

void print_ledger(const json& l) {
  const auto line = [](const char* what, const json& count) {
    std::printf("  %-30s %14s\n", what, text_of(count).c_str());
  };
  std::puts("ports");
  for (const json& p : l.at("ports")) {
    line((text_of(p.at("name")) + " packets").c_str(), p.at("packets"));
    line((text_of(p.at("name")) + " missed").c_str(), p.at("missed"));
    line((text_of(p.at("name")) + " errors").c_str(), p.at("errors"));
    line((text_of(p.at("name")) + " no mbuf").c_str(), p.at("no_mbuf"));
  }
  std::puts("frames");
  line("received", l.at("frames").at("received"));
  print_tally("    ", l.at("frames").at("verdicts"));
  line("no listener", l.at("frames").at("no_listener"));
  std::puts("before arrival");
  line("missing in sequence numbers", l.at("before_arrival").at("sequence_lost"));
  std::puts("datagrams");
  line("received", l.at("datagrams").at("received"));
  line("decoded", l.at("datagrams").at("decoded"));
  print_tally("    ", l.at("datagrams").at("rejected"));
  std::puts("sets");
  line("received", l.at("sets").at("received"));
  print_tally("    ", l.at("sets").at("outcomes"));
  std::puts("records");
  line("decoded", l.at("records").at("decoded"));
  line("sflow counters", l.at("records").at("sflow_counters"));
  line("sflow discards", l.at("records").at("sflow_discards"));
  line("encoded", l.at("records").at("encoded"));
  print_tally("    ", l.at("records").at("dropped"));
  for (const json& p : l.at("publishers")) {
    std::printf("publisher %s\n", text_of(p.at("name")).c_str());
    const json& r = p.at("records");
    line("acknowledged", r.at("acknowledged"));
    line("failed", r.at("failed"));
    line("dropped", r.at("dropped"));
    print_tally("    ", p.at("failures"));
    line("in flight", r.at("in_flight"));
    line("waiting", r.at("waiting"));
  }
  if (l.at("balanced").get<bool>()) {
    std::puts("the books balance");
  } else {
    for (const json& d : l.at("discrepancies"))
      std::printf("DOES NOT BALANCE: %s\n", text_of(d).c_str());
  }
}

std::vector<std::string> exporter_row(const json& e, uint64_t now_ns) {
  std::string protocols;
  for (const json& p : e.at("protocols")) protocols += (protocols.empty() ? "" : ",") + text_of(p);
  return {text_of(e.at("address")),
          protocols.empty() ? "-" : protocols,
          text_of(e.at("datagrams").at("received")),
          text_of(e.at("datagrams").at("rejected")),
          text_of(e.at("records")),
          text_of(e.at("templates")),
          text_of(e.at("sets").at("waiting")),
          text_of(e.at("sets").at("lost")),
          text_of(e.at("sequence_lost")),
          age_of(e.at("last_seen_ns"), now_ns),
          text_of(e.at("last_error"))};
}

const std::vector<std::string> kExporterHeads = {
    "exporter",     "protocols", "datagrams",     "rejected",  "records",   "templates",
    "sets waiting", "sets lost", "sequence lost", "last seen", "last error"};

/// What an operator should do about the exporter's templates; nothing when all is well.
void print_template_advice(const json& e) {
  const json& cache = e.at("template_cache");
  const auto number = [&](const char* kind, const char* key) {
    return cache.at(kind).at(key).get<uint64_t>();
  };
  const uint64_t templates = e.at("templates").get<uint64_t>();
  const uint64_t max = cache.at("max").get<uint64_t>();
  const uint64_t evicted = number("data", "evictions") + number("options", "evictions");
  const uint64_t hits = number("data", "hits") + number("options", "hits");
  const uint64_t misses = number("data", "misses");
  const std::string address = text_of(e.at("address"));
  if (evicted > 0 || templates * 10 > max * 9) {
    std::printf(
        "exporter %s: %llu of %llu templates, %llu made room for others: raise max_templates\n",
        address.c_str(), static_cast<unsigned long long>(templates),
        static_cast<unsigned long long>(max), static_cast<unsigned long long>(evicted));
  } else if (misses > 0 && hits < misses * 9) {
    std::printf(
        "exporter %s: %llu of %llu data sets came without template: have it send templates more "
        "often\n",
        address.c_str(), static_cast<unsigned long long>(misses),
        static_cast<unsigned long long>(hits + misses));
  }
}

void print_exporter_details(const json& e) {
  const json& clock = e.at("clock");
  if (clock.at("skew_ms").is_number()) {
    const int64_t ms = clock.at("skew_ms");
    std::printf("clock %.1f s %s\n", static_cast<double>(std::abs(ms)) / 1000,
                ms < 0 ? "ahead" : "behind");
  }
  if (clock.at("implausible") != 0) {
    std::printf("clock was not set in %s datagrams\n", text_of(clock.at("implausible")).c_str());
  }
  if (e.at("sampling_rate_override").is_number()) {
    std::printf("sampling rate %s by configuration\n",
                text_of(e.at("sampling_rate_override")).c_str());
  }
  Table domains({"protocol", "domain", "agent", "templates", "options templates", "sampling",
                 "sequence counts", "lost", "duplicates", "restarts"});
  for (const json& d : e.at("domain_list")) {
    const json& s = d.at("sequence");
    domains.add({text_of(d.at("protocol")), text_of(d.at("id")), text_of(d.value("agent", json())),
                 text_of(d.at("templates")), text_of(d.at("options_templates")),
                 text_of(d.at("sampling_rate")), text_of(s.at("unit")), text_of(s.at("lost")),
                 text_of(s.at("duplicates")), text_of(s.at("restarts"))});
  }
  domains.print();
}

uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

class Program {
 public:
  int main(int argc, char** argv) {
    CLI::App app{"weirctl asks a running weir what goes on.\n", "weirctl"};
    app.require_subcommand(1);
    app.set_version_flag("--version", version_line("weirctl"));
    app.add_option("--socket", socket_, "The appliance's control socket")
        ->capture_default_str()
        ->envname("WEIR_CONTROL_SOCKET_PATH");
    app.add_flag("--json", as_json_, "Print the answer as JSON, for scripts");
    app.fallthrough();
    app.footer(
        "Examples:\n"
        "  weirctl status\n"
        "  weirctl --json ledger | jq .records\n"
        "  weirctl exporters 192.0.2.1\n"
        "Status: 0 answered, 1 the appliance refused or is not ready, 2 wrong usage,\n"
        "3 no appliance at the socket, 4 no permission.");

    app.add_subcommand("status", "Version, readiness, ports, cores and publishers")
        ->callback([this] { show("/v1/status", print_status); });
    app.add_subcommand("ledger", "What came in and what became of it: nothing is lost uncounted")
        ->callback([this] { show("/v1/ledger", print_ledger); });
    CLI::App* exporters = app.add_subcommand("exporters", "Who sends, what, and how well");
    exporters->add_option("address", exporter_, "One exporter's address")
        ->check(CLI::ValidIPV4 | kAnyAddress());
    exporters->callback([this] { exporter_.empty() ? show_exporters() : show_one_exporter(); });
    app.add_subcommand("ready", "Whether it can take and deliver flows; status 1 if not")
        ->callback([this] {
          show("/readyz", [](const json& r) { std::puts(text_of(r.at("status")).c_str()); });
        });
    app.add_subcommand("metrics", "The metrics in Prometheus' format")->callback([this] {
      const Answer answer = get(socket_, "/metrics");
      if (report(answer)) std::fwrite(answer.body.data(), 1, answer.body.size(), stdout);
    });
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      return app.exit(e) == 0 ? 0 : kWrongUsage;
    }
    return exit_code_;
  }

 private:
  static CLI::Validator kAnyAddress() {
    return CLI::Validator(
        [](std::string& text) {
          return text.find(':') == std::string::npos ? std::string("not an IP address: " + text)
                                                     : std::string();
        },
        "IPV6");
  }

  /// Prints what went wrong; whether there is an answer to show.
  bool report(const Answer& answer) {
    exit_code_ = answer.exit_code;
    if (answer.exit_code == kAnswered) return true;
    std::fprintf(stderr, "weirctl: %s\n", answer.trouble.c_str());
    return false;
  }

  bool fetch(const std::string& target, json& body) {
    Answer answer = get(socket_, target);
    body = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    if (answer.exit_code == kRefused && body.is_object() && body.contains("because")) {
      answer.trouble = "not ready: " + text_of(body["because"]);
    }
    if (!report(answer)) return false;
    if (body.is_discarded()) {
      exit_code_ = kRefused;
      std::fputs("weirctl: the answer is not JSON; is this socket weir's?\n", stderr);
      return false;
    }
    return true;
  }

  template <class Print>
  void show(const std::string& target, Print print) {
    json body;
    if (!fetch(target, body)) return;
    if (as_json_) {
      std::puts(body.dump(2).c_str());
    } else {
      print_checked(body, print);
    }
  }

  template <class Print>
  void print_checked(const json& body, Print print) {
    try {
      print(body);
    } catch (const json::exception& e) {
      exit_code_ = kRefused;
      std::fprintf(stderr, "weirctl: the answer has another shape than this weirctl knows: %s\n",
                   e.what());
    }
  }

  /// All pages, as one list.
  void show_exporters() {
    json all = json::array();
    uint64_t not_listed = 0;
    std::string target = "/v1/exporters";
    for (;;) {
      json page;
      if (!fetch(target, page)) return;
      for (json& row : page["exporters"]) all.push_back(std::move(row));
      not_listed = page.value("not_listed", uint64_t{0});
      if (!page["next_offset"].is_number_unsigned()) break;
      target = fmt::format("/v1/exporters?offset={}", page["next_offset"].get<uint64_t>());
    }
    if (as_json_) {
      std::puts(json{{"exporters", all}, {"not_listed", not_listed}}.dump(2).c_str());
      return;
    }
    print_checked(all, [&](const json& rows) {
      Table table(kExporterHeads);
      for (const json& e : rows) table.add(exporter_row(e, now_ns()));
      table.print();
      for (const json& e : rows) print_template_advice(e);
      if (rows.empty()) std::puts("no exporter has sent anything yet");
      if (not_listed > 0)
        std::printf("%lu more are not listed\n", static_cast<unsigned long>(not_listed));
    });
  }

  void show_one_exporter() {
    show("/v1/exporters/" + exporter_, [](const json& e) {
      Table table(kExporterHeads);
      table.add(exporter_row(e, now_ns()));
      table.print();
      print_template_advice(e);
      print_exporter_details(e);
    });
  }

  std::string socket_ = "/run/weir/control.sock";
  std::string exporter_;
  bool as_json_ = false;
  int exit_code_ = kAnswered;
};

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) { return weir::cli::Program().main(argc, argv); }

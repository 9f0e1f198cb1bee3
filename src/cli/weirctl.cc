// weirctl.cc — The operator's tool: asks a running appliance over its control socket.
//
// Status: 0 answered, 1 the appliance answered with an error or is not ready, 2 wrong usage,
//         3 no appliance at the socket, 4 no permission.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/version.h"
#include "cli/decimal_range.h"
#include "cli/finish_output.h"
#include "cli/run_app.h"
#include "cli/weirctl_capture.h"
#include "cli/weirctl_client.h"
#include "cli/weirctl_exporters.h"
#include "cli/weirctl_query.h"
#include "cli/weirctl_rules.h"
#include "cli/weirctl_tables.h"
#include "cli/weirctl_tail.h"
#include "cli/weirctl_top.h"

namespace weir::cli {
namespace {

using nlohmann::json;

constexpr const char* kDefaultSocket = "/run/weir/control.sock";
constexpr auto kReloadLookEvery = std::chrono::milliseconds(50);
constexpr int kReloadLooksMax = 600;  // half a minute
constexpr auto kVerifyLookEvery = std::chrono::milliseconds(500);

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
        "  weirctl exporters 192.0.2.1 --templates\n"
        "  weirctl tail --exporter 192.0.2.1 --port 53\n"
        "Status: 0 answered, 1 the appliance refused or is not ready, 2 wrong usage,\n"
        "3 no appliance at the socket, 4 no permission.");

    app.add_subcommand("status", "Version, readiness, ports, cores and publishers")
        ->callback([this] { show("/v1/status", print_status); });
    app.add_subcommand("ports", "What each port has received, and what it had to drop")->callback([this] {
      show("/v1/ports", [](const json& r) { print_ports(r.at("ports")); });
    });
    app.add_subcommand("cores", "How busy each receive core is, and what it does")->callback([this] {
      show("/v1/cores", [](const json& r) { print_cores(r.at("cores")); });
    });
    app.add_subcommand("listeners", "What came by each listener, by protocol")->callback([this] {
      show("/v1/listeners", [](const json& r) { print_listeners(r.at("listeners")); });
    });
    app.add_subcommand("queues", "Where something waits on its way, and how full that is")->callback([this] {
      show("/v1/queues", [](const json& r) { print_queues(r.at("queues")); });
    });
    app.add_subcommand("publishers", "Where records go, and what became of them there")->callback([this] {
      show("/v1/publishers", [](const json& r) { print_publishers(r.at("publishers")); });
    });
    app.add_subcommand("ledger", "What came in and what became of it: nothing is lost uncounted")
        ->callback([this] { show("/v1/ledger", print_ledger); });
    CLI::App* exporters = app.add_subcommand("exporters", "Who sends, what, and how well");
    exporters->add_option("address", exporter_, "One exporter's address")
        ->check(CLI::ValidIPV4 | kAnyAddress());
    exporters->add_flag("--templates", shows_templates_, "With an address: each field of its templates");
    exporters->callback([this] { exporter_.empty() ? show_exporters() : show_one_exporter(); });
    CLI::App* top = app.add_subcommand("top", "What goes on right now: rates, losses, cores, publishers, busiest exporters");
    top->add_option("--interval", top_interval_, "Seconds between two looks")
        ->check(decimal_range(0.1, 3600.0))
        ->capture_default_str();
    top->add_option("--count", top_.count, "So many screens, then end; 0: until q")->capture_default_str();
    top->callback([this] {
      if (has_text_only("top")) show_top();
    });
    add_tail(app);
    add_rules(app);
    app.add_subcommand("ready", "Whether it can take and deliver flows; status 1 if not")
        ->callback([this] {
          show("/readyz", [](const json& r) { std::puts(text_of(r.at("status")).c_str()); });
        });
    app.add_subcommand("health", "Whether its threads turn; status 1 if not")->callback([this] {
      show("/healthz", [](const json& r) {
        std::puts(text_of(r.at("status")).c_str());
        for (const json& line : r.value("degraded", json::array())) fmt::print("DEGRADED: {}\n", text_of(line));
      });
    });
    app.add_subcommand("config", "What the appliance runs with, and where each value came from")
        ->callback([this] { show("/v1/config", print_config); });
    app.add_subcommand("reload", "Read the configuration anew and wait until it goes; status 1 if it is refused")
        ->callback([this] { reload(); });
    app.add_subcommand("verify", "Of weir-store: read all files of older rows through at once, and wait; status 1 if one is not what was written")
        ->callback([this] { verify(); });
    CLI::App* level = app.add_subcommand("log-level", "What is logged; with a level, what is logged from now on");
    level->add_option("level", log_level_, "trace, debug, info, warning or error");
    level->callback([this] { log_level_.empty() ? show("/v1/log-level", print_level) : set_log_level(); });
    CLI::App* doctor = app.add_subcommand("doctor", "What is wrong with machine, broker and appliance, and what to type: weir doctor");
    doctor->add_option("-c,--config", doctor_config_, "The configuration (/etc/weir/weir.yaml, if it is there)");
    doctor->add_option("--environment", doctor_environment_, "Variables of the service (/etc/default/weir for that file)");
    doctor->callback([this, doctor] { run_doctor(doctor->count("--config") != 0); });
    app.add_subcommand("metrics", "The metrics in Prometheus' format")->callback([this] {
      if (!has_text_only("metrics")) return;
      const Answer answer = get(socket_, "/metrics");
      if (report(answer)) std::fwrite(answer.body.data(), 1, answer.body.size(), stdout);
    });
    add_capture_commands(app);
    add_query_commands(app);
    const auto status = parse_line(app, argc, argv);
    return status.value_or(exit_code_);
  }

 private:
  /// A script that asks for JSON must not get something else.
  bool has_text_only(std::string_view command) {
    if (!as_json_) return true;
    fmt::print(stderr, "weirctl: {} has no JSON; status, cores, publishers and ledger say the same\n", command);
    exit_code_ = kWrongUsage;
    return false;
  }

  /// These ask weir-api, not the appliance.
  void add_query_commands(CLI::App& app) {
    const auto add = [&](const char* name, const char* what, const char* argument, bool is_sql) {
      CLI::App* const command = app.add_subcommand(name, what);
      command->add_option(is_sql ? "statement" : "query", query_.text, argument);
      command->add_option("--api", query_.api, "weir-api: its socket, or http://host:port; a token for it in WEIR_API_TOKEN")
          ->capture_default_str()
          ->envname("WEIR_API");
      command->add_option("--format", query_.format, "table, json, ndjson, csv, parquet")
          ->check(CLI::IsMember({"table", "json", "ndjson", "csv", "parquet"}))
          ->capture_default_str();
      command->add_flag_callback("--csv", [this] { query_.format = "csv"; }, "--format csv");
      command->add_option("--chart", query_.chart, "Bars and columns: in a terminal (auto), on, off")
          ->check(CLI::IsMember({"auto", "on", "off"}))
          ->capture_default_str();
      command->add_option("--timeout", query_.timeout_secs, "Seconds without an octet of the answer, then end")->capture_default_str();
      command->add_option("--ca", query_.ca_file, "Of https: the CAs (PEM) that may have issued its certificate");
      command->add_option("--cert", query_.cert_file, "Of https: the certificate (PEM) to show");
      command->add_option("--key", query_.key_file, "Its private key (PEM)");
      command->callback([this, is_sql] {
        query_.is_sql = is_sql;
        if (as_json_) query_.format = "json";
        exit_code_ = run_query(query_);
      });
      return command;
    };
    add("query", "Ask weir-api about stored flows in SRQL: a table, and in a terminal a chart", "SRQL (docs/SRQL.md); without it standard input", false)
        ->footer("Examples:\n"
                 "  weirctl query 'in:flows time:last_24h groupby:src_ip limit:10'\n"
                 "  weirctl query 'in:flows time:last_24h bucket:auto series:app'\n"
                 "  weirctl query --csv 'in:flows time:last_1h ip:203.0.113.9' > flows.csv");
    add("sql", "Ask weir-api about stored flows in SQL: one SELECT", "The statement; without it standard input", true)
        ->footer("Example:\n"
                 "  weirctl sql 'SELECT protocol_name, count(*) FROM flows GROUP BY 1 ORDER BY 2 DESC'");
  }

  /// What the appliance can compare is its to know: conditions go to it as they are.
  void add_tail(CLI::App& app) {
    struct Condition {
      const char* option;
      const char* parameter;
      const char* what;
    };
    static constexpr Condition kConditions[] = {
        {"--exporter", "exporter", "Only what this exporter sends: an address or a prefix"},
        {"--src", "src", "Only flows from this address or prefix"},
        {"--dst", "dst", "Only flows to this address or prefix"},
        {"--net", "net", "Only flows from or to this address or prefix"},
        {"--src-port", "src_port", "Only flows from this port"},
        {"--dst-port", "dst_port", "Only flows to this port"},
        {"--port", "port", "Only flows from or to this port"},
        {"--proto", "proto", "Only this IP protocol: its number or name, such as tcp"},
        {"--in-if", "in_if", "Only flows that came in by the interface of this index"},
        {"--out-if", "out_if", "Only flows that went out by the interface of this index"},
        {"--if", "if", "Only flows that came in or went out by the interface of this index"},
        {"--listener", "listener", "Only what this listener takes"},
        {"--type", "type", "Only flows of this protocol: netflow_v5, netflow_v9, ipfix, sflow_5 and so on"},
    };
    CLI::App* tail = app.add_subcommand("tail", "Flows as they pass: a sample of those that meet all conditions, until Ctrl-C");
    for (const Condition& c : kConditions) {
      tail->add_option_function<std::string>(
          c.option, [this, c](const std::string& value) { tail_.conditions.emplace_back(c.parameter, value); }, c.what);
    }
    tail->add_option("-n,--count", tail_.count, "So many flows, then end; 0: until Ctrl-C")
        ->check(CLI::Range(0u, kTailFlowsMax))
        ->capture_default_str();
    tail->add_option("--seconds", tail_.seconds, "For so long, then end; 0: until Ctrl-C")->capture_default_str();
    tail->callback([this] { show_tail(); });
  }

  void add_rules(CLI::App& app) {
    CLI::App* rules = app.add_subcommand("rules", "Rules of classification: what each does and has done; test tries them on a capture");
    rules->require_subcommand(0, 1);
    rules->add_subcommand("list", "All, in the order in which they go")->callback([this] { show_rules(print_rules); });
    rules->add_subcommand("hits", "Those that matched something, the busiest first")->callback([this] { show_rules(print_hits); });
    CLI::App* test = rules->add_subcommand("test", "What the appliance's rules, or others, say of a capture: weir rules test");
    test->add_option("file", rules_test_.file, "A pcap or pcapng")->required();
    test->add_option("-r,--rules", rules_test_.rules, "Files or folders of rules (those that the appliance goes by)");
    test->add_option("--header", rules_test_.header_octets, "Octets that are sampled of each packet");
    test->callback([this] {
      rules_test_.as_json = as_json_;
      become_weir(words_of_test(socket_, rules_test_));
    });
    rules->callback([this, rules] {
      if (rules->get_subcommands().empty()) show_rules(print_rules);
    });
  }

  void show_rules(void (*print)(const json&)) {
    json all;
    if (!fetch_rules([this](const std::string& target, json& page) { return fetch(target, page); }, all)) return;
    if (as_json_) {
      std::puts(all.dump(2).c_str());
    } else {
      print_checked(all, print);
    }
  }

  void show_tail() {
    tail_.as_json = as_json_;
    try {
      report(run_tail(socket_, tail_));
    } catch (const json::exception& e) {
      exit_code_ = kRefused;
      say(fmt::format("the answer has another shape than this weirctl knows: {}", e.what()));
    }
  }

  void add_capture_commands(CLI::App& app) {
    CLI::App* capture = app.add_subcommand("capture", "Datagrams as they come in, as a pcap for weir decode and Wireshark");
    capture->add_option("--exporter", capture_.exporter, "Only of this address or prefix");
    capture->add_option("--listener", capture_.listener, "Only those of this listener");
    capture->add_option("--only", capture_.only,
                        "rejected: those of which something could not be decoded; templates: those that define some")
        ->check(CLI::IsMember({"all", "rejected", "templates"}))
        ->capture_default_str();
    capture->add_option("--count", capture_.count, "So many, then end")->capture_default_str();
    capture->add_option("--octets", capture_.octets, "So many octets of them, then end");
    capture->add_option("--seconds", capture_.seconds, "So long, then end; Ctrl-C ends it at once")->capture_default_str();
    capture->add_flag("--until-templates", capture_.until_templates,
                      "Beyond the count only those that define templates, until some have come: many devices send\n"
                      "them every few minutes, and NetFlow v9 and IPFIX cannot be read without");
    capture->add_option("-w,--write", capture_.file, "Where to; without it, standard output");
    capture->footer("Examples:\n"
                    "  weirctl capture --exporter 192.0.2.7 -w router.pcap\n"
                    "  weirctl capture --exporter 192.0.2.7 --until-templates --seconds 1800 -w router.pcap\n"
                    "  weirctl capture --exporter 192.0.2.7 --until-templates | weir decode --format table -");
    capture->callback([this] {
      capture_.as_json = as_json_;
      exit_code_ = run_capture(socket_, capture_);
    });
    CLI::App* captures = app.add_subcommand("captures", "Captures that run or are kept; POST /v1/captures makes some, too");
    captures->add_option("--remove", removed_capture_, "End and forget the one of this id")->check(CLI::PositiveNumber);
    captures->callback([this] {
      removed_capture_ == 0 ? show("/v1/captures", print_captures) : remove_capture();
    });
    CLI::App* quarantine = app.add_subcommand("quarantine", "The last datagrams that could not be decoded, by reason");
    quarantine->add_option("--reason", quarantine_reason_, "Only those: a reason of the ledger, such as unknown_version");
    CLI::Option* file = quarantine->add_option("-w,--write", quarantine_file_, "A pcap of them; - is standard output");
    quarantine->footer("Examples:\n"
                       "  weirctl quarantine --reason unknown_version\n"
                       "  weirctl quarantine -w bad.pcap && weir decode bad.pcap");
    quarantine->callback([this, file] {
      if (file->count() != 0) {
        exit_code_ = save_quarantine(socket_, quarantine_reason_, quarantine_file_);
      } else {
        show("/v1/quarantine" + (quarantine_reason_.empty() ? "" : "?reason=" + url_encoded(quarantine_reason_)), print_quarantine);
      }
    });
  }

  void remove_capture() {
    const Answer answer = send(socket_, "DELETE", fmt::format("/v1/captures/{}", removed_capture_), {});
    if (report(answer) && as_json_) std::fwrite(answer.body.data(), 1, answer.body.size(), stdout);
  }

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
    say(answer.trouble);
    return false;
  }

  /// While a screen is shown, what is wrong is told when it is gone.
  void say(const std::string& trouble) {
    if (shows_screen_) {
      held_trouble_ = trouble;
    } else {
      std::fprintf(stderr, "weirctl: %s\n", trouble.c_str());
    }
  }

  bool fetch(const std::string& target, json& body) {
    Answer answer = get(socket_, target);
    body = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    if (answer.exit_code == kRefused && body.is_object() && body.contains("because")) {
      const bool is_health = body.value("status", json()) == "unhealthy";
      answer.trouble = (is_health ? "unhealthy: " : "not ready: ") + text_of(body["because"]);
    }
    if (!report(answer)) return false;
    if (body.is_discarded()) {
      exit_code_ = kRefused;
      say("the answer is not JSON; is this socket weir's?");
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
      say(fmt::format("the answer has another shape than this weirctl knows: {}", e.what()));
    }
  }

  void show_top() {
    top_.interval = std::chrono::milliseconds(static_cast<int64_t>(top_interval_ * 1000));
    shows_screen_ = true;
    try {
      run_top(top_, [this](TopSample& sample) {
        uint64_t not_listed = 0;
        sample.exporters = json::array();
        return fetch("/v1/status", sample.status) && fetch("/v1/ledger", sample.ledger) &&
               fetch_exporters(sample.exporters, not_listed);
      });
    } catch (const json::exception& e) {
      exit_code_ = kRefused;
      say(fmt::format("the answer has another shape than this weirctl knows: {}", e.what()));
    }
    shows_screen_ = false;
    if (!held_trouble_.empty()) say(held_trouble_);
  }

  /// All pages, as one list.
  bool fetch_exporters(json& all, uint64_t& not_listed) {
    std::string target = "/v1/exporters";
    for (;;) {
      json page;
      if (!fetch(target, page)) return false;
      const json next = page.is_object() ? page.value("next_offset", json()) : json();
      print_checked(page, [&](const json& p) {
        for (const json& row : p.at("exporters")) all.push_back(row);
        not_listed = p.at("not_listed").get<uint64_t>();
      });
      if (exit_code_ != kAnswered) return false;
      if (!next.is_number_unsigned()) return true;
      target = fmt::format("/v1/exporters?offset={}", next.get<uint64_t>());
    }
  }

  void show_exporters() {
    json all = json::array();
    uint64_t not_listed = 0;
    if (!fetch_exporters(all, not_listed)) return;
    if (as_json_) {
      std::puts(json{{"exporters", all}, {"not_listed", not_listed}}.dump(2).c_str());
      return;
    }
    print_checked(all, [&](const json& rows) { print_exporters(rows, not_listed); });
  }

  static void print_level(const json& body) { std::puts(text_of(body.at("level")).c_str()); }

  void set_log_level() {
    const Answer answer = send(socket_, "PUT", "/v1/log-level", json{{"level", log_level_}}.dump());
    if (!report(answer)) return;
    if (as_json_) std::fwrite(answer.body.data(), 1, answer.body.size(), stdout);
  }

  /// weir knows the configuration and the broker: the one beside this program, else the one that is found.
  void run_doctor(bool has_config) {
    std::vector<std::string> words = {"weir", "doctor"};
    if (socket_ != kDefaultSocket) words.insert(words.end(), {"--socket", socket_});
    if (has_config) words.insert(words.end(), {"--config", doctor_config_});
    if (!doctor_environment_.empty()) words.insert(words.end(), {"--environment", doctor_environment_});
    if (as_json_) words.push_back("--json");
    become_weir(std::move(words));
  }

  /// Runs the program of these words in this one's place; returns where there is none.
  void become_weir(std::vector<std::string> words) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::string beside = self.parent_path() / "weir";
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::fflush(nullptr);
    if (!error) ::execv(beside.c_str(), arguments.data());
    ::execvp("weir", arguments.data());
    say("there is no program weir beside this one, which would look");
    exit_code_ = kRefused;
  }

  void reload() {
    const Answer asked = send(socket_, "POST", "/v1/reload", {});
    if (!report(asked)) return;
    const json number = json::parse(asked.body, nullptr, /*allow_exceptions=*/false).value("number", json());
    json body;
    bool has_ended = false;
    for (int i = 0; i < kReloadLooksMax && !has_ended; ++i) {
      if (i > 0) std::this_thread::sleep_for(kReloadLookEvery);
      if (!fetch("/v1/reload", body)) return;
      has_ended = body.value("number", json()) == number && body.value("state", json()) != "running";
    }
    if (as_json_) {
      std::puts(body.dump(2).c_str());
    } else if (!has_ended) {
      say("the reload is still under way: weirctl status says what it waits for, /v1/reload how it ends");
    } else {
      print_checked(body, print_reload);
    }
    const json state = body.value("state", json());
    if (exit_code_ == kAnswered && (!has_ended || (state != "applied" && state != "unchanged"))) exit_code_ = kRefused;
  }

  /// It takes as long as reading them does; who does not want to wait may go, and look later.
  void verify() {
    json status;
    if (!fetch("/v1/status", status)) return;
    const auto of_status = [&](const char* pointer) { return status.is_object() ? status.value(json::json_pointer(pointer), json()) : json(); };
    const json started = of_status("/started_ns");
    const Answer asked = send(socket_, "POST", "/v1/verify", {});
    if (!report(asked)) return;
    const json answer = json::parse(asked.body, nullptr, /*allow_exceptions=*/false);
    const json number = answer.is_object() ? answer.value("number", json()) : json();
    // Without it the end of an earlier reading would be taken for this one's.
    if (!number.is_number_unsigned()) {
      exit_code_ = kRefused;
      return say("the answer has another shape than this weirctl knows");
    }
    const auto is_over = [&] {
      const json verify = of_status("/keeper/scrub/verify");
      return verify.is_object() && verify.value("number", json()) >= number && verify.value("is_over", json()) == true;
    };
    do {
      std::this_thread::sleep_for(kVerifyLookEvery);
      if (!fetch("/v1/status", status)) return;
      // It numbers from the beginning then, and would never come to ours.
      if (of_status("/started_ns") != started) {
        exit_code_ = kRefused;
        return say("weir-store was started anew meanwhile, and reads nothing through for us: ask again");
      }
      if (const json trouble = of_status("/keeper_trouble"); trouble.is_string() && trouble != "") {
        exit_code_ = kRefused;
        return say("nobody can read them: " + text_of(trouble));
      }
    } while (!is_over());
    const json& keeper = status["keeper"];
    if (as_json_) {
      std::puts(json{{"verify", keeper["scrub"]["verify"]}, {"left_out", keeper["broken_named"]}}.dump(2).c_str());
    } else {
      print_checked(keeper, print_verified);
    }
    if (exit_code_ == kAnswered && keeper["broken_files"] != 0) exit_code_ = kRefused;
  }

  void show_one_exporter() {
    show("/v1/exporters/" + exporter_, [this](const json& e) {
      print_one_exporter(e, shows_templates_ ? TemplateFields::shown : TemplateFields::counted);
    });
  }

  std::string socket_ = kDefaultSocket;
  RulesTest rules_test_;
  std::string exporter_;
  std::string log_level_;
  std::string doctor_config_;
  std::string doctor_environment_;
  TailOptions tail_;
  CaptureOptions capture_;
  uint64_t removed_capture_ = 0;
  std::string quarantine_reason_;
  std::string quarantine_file_;
  QueryOptions query_;
  TopOptions top_;
  double top_interval_ = 1;
  bool as_json_ = false;
  bool shows_templates_ = false;
  bool shows_screen_ = false;
  std::string held_trouble_;
  int exit_code_ = kAnswered;
};

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) { return weir::cli::finish_output(weir::cli::Program().main(argc, argv)); }

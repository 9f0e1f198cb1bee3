// weir_doctor.cc — `weir doctor`: looks at the machine, the broker and the running appliance, and says what to type.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/service_environment.h"
#include "cli/weirctl_client.h"
#include "control/machine/doctor.h"
#include "service/log.h"

namespace weir::cli {
namespace {

using control::DoctorFinding;
using control::DoctorGrade;

struct DoctorArguments {
  std::string config_path;
  std::string socket;
  std::string environment_file;
  bool json = false;
};

/// The configuration that is named, or the installed one, or the defaults; a wrong one is a finding.
control::LoadedConfig config_of(const DoctorArguments& arguments, std::vector<DoctorFinding>& findings) {
  std::string path = arguments.config_path;
  std::error_code error;
  if (path.empty() && std::filesystem::exists(kInstalledConfig, error)) path = kInstalledConfig;
  if (path.empty()) {
    findings.push_back({"configuration", DoctorGrade::note,
                        fmt::format("none was named and {} is not there: the defaults are looked at", kInstalledConfig),
                        "weir doctor -c FILE"});
    return {};
  }
  const ServiceEnvironment environment(path, arguments.environment_file);
  if (!environment.trouble().empty()) {
    findings.push_back({"environment", DoctorGrade::note, environment.trouble(), "sudo weir doctor -c " + path});
  }
  auto loaded = control::load_config(path, environment.entries());
  if (!loaded) {
    findings.push_back({"configuration", DoctorGrade::wrong, loaded.error().message, "weir check -c " + path});
    return {};
  }
  for (const std::string& warning : loaded->warnings) {
    findings.push_back({"configuration", DoctorGrade::warning, warning, "weir check -c " + path});
  }
  if (loaded->warnings.empty()) findings.push_back({"configuration", DoctorGrade::fine, path + " is right", ""});
  return std::move(*loaded);
}

/// The key of an answer; null where there is none.
nlohmann::json part_of(const Answer& answer, const char* key) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  return answer.exit_code == kAnswered && body.is_object() && body.contains(key) ? body.at(key) : nlohmann::json();
}

/// The broker that the running appliance goes by, which may be another than this shell knows of.
std::vector<DoctorFinding> look_at_broker(const std::string& socket, control::LoadedConfig& loaded) {
  const nlohmann::json values = part_of(get(socket, "/v1/config"), "values");
  const control::BrokerDifference other =
      values.is_array() ? control::compare_broker(values, loaded) : control::BrokerDifference{};
  if (other.keys.empty()) return control::ask_broker(loaded.config);
  std::vector<DoctorFinding> findings = {
      {"nats", DoctorGrade::note,
       fmt::format("the running weir goes by another {} than is known here (from {}): {}", service::joined(other.keys),
                   other.from, other.nats_url.empty() ? "the broker is not asked" : other.nats_url + " is asked"),
       fmt::format("sudo weir doctor -c {}, or --environment FILE with the service's variables; weirctl config shows its "
                   "values",
                   kInstalledConfig)}};
  if (other.nats_url.empty()) return findings;
  loaded.config.nats_url = other.nats_url;
  const auto asked = control::ask_broker(loaded.config);
  findings.insert(findings.end(), asked.begin(), asked.end());
  return findings;
}

std::vector<DoctorFinding> ask_appliance(const std::string& socket) {
  const Answer answer = get(socket, "/v1/status");
  if (answer.exit_code == kNoAppliance) {
    return {{"appliance", DoctorGrade::note, answer.trouble, "systemctl start weir"}};
  }
  const auto status = nlohmann::json::parse(answer.body, nullptr, false);
  if (answer.exit_code != kAnswered || !status.is_object()) {
    return {{"appliance", DoctorGrade::warning,
             answer.trouble.empty() ? std::string("its answer is no status") : answer.trouble,
             answer.exit_code == kNoPermission ? "sudo weir doctor" : "journalctl -u weir"}};
  }
  return control::diagnose_appliance(status);
}

void print(const std::vector<DoctorFinding>& findings) {
  constexpr std::array<const char*, 4> kMarks = {"ok", "note", "WARN", "WRONG"};
  size_t width = 0;
  for (const DoctorFinding& f : findings) width = std::max(width, f.about.size());
  for (const DoctorFinding& f : findings) {
    fmt::print("{:<5}  {:<{}}  {}\n", kMarks[static_cast<size_t>(f.grade)], f.about, width, f.found);
    if (!f.advice.empty()) fmt::print("{:<5}  {:<{}}  → {}\n", "", "", width, f.advice);
  }
}

void print_json(const std::vector<DoctorFinding>& findings) {
  nlohmann::json rows = nlohmann::json::array();
  for (const DoctorFinding& f : findings) {
    rows.push_back({{"about", f.about}, {"grade", name_of(f.grade)}, {"found", f.found}, {"advice", f.advice}});
  }
  std::puts(nlohmann::json{{"findings", std::move(rows)}}
                .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                .c_str());
}

int examine(const DoctorArguments& arguments) {
  std::vector<DoctorFinding> findings;
  control::LoadedConfig loaded = config_of(arguments, findings);
  const std::string socket = arguments.socket.empty() ? loaded.config.control_socket.path : arguments.socket;
  const auto append = [&](const std::vector<DoctorFinding>& more) {
    findings.insert(findings.end(), more.begin(), more.end());
  };
  append(control::diagnose_host(control::HostFacts::look(), loaded.config,
                                [](const std::string& address) { return control::pci_facts(address); }));
  append(look_at_broker(socket, loaded));
  append(ask_appliance(socket));
  arguments.json ? print_json(findings) : print(findings);
  bool is_wrong = false;
  for (const DoctorFinding& f : findings) is_wrong |= f.grade == DoctorGrade::wrong;
  return is_wrong ? 1 : 0;
}

}  // namespace

void add_doctor_command(CLI::App& app, int& exit_code) {
  static DoctorArguments arguments;
  CLI::App* doctor = app.add_subcommand(
      "doctor", "Look at the machine, the broker and the running appliance: what is wrong, and what to type");
  doctor->add_option("-c,--config", arguments.config_path, fmt::format("The configuration ({}, if it is there)", kInstalledConfig));
  doctor->add_option("--environment", arguments.environment_file,
                     fmt::format("Variables of the service beside this shell's, which win; none: no file ({} for {})",
                                 kInstalledEnvironment, kInstalledConfig))
      ->type_name("FILE");
  doctor->add_option("--socket", arguments.socket, "The appliance's control socket (as the configuration has it)")
      ->envname("WEIR_CONTROL_SOCKET_PATH");
  doctor->add_flag("--json", arguments.json, "For scripts");
  doctor->footer(
      "Each line: ok, note (good to know), WARN (will hurt under load or in an outage) or WRONG (cannot work like that),\n"
      "what was found, and behind an arrow what to type. Status: 0, or 1 where something is WRONG.");
  doctor->callback([&exit_code] { exit_code = examine(arguments); });
}

}  // namespace weir::cli

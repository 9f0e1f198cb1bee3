// weir_run.cc — `weir run`: the appliance, until a signal ends it.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "base/version.h"
#include "cli/commands.h"
#include "cli/finish_log.h"
#include "cli/signals.h"
#include "control/appliance.h"
#include "control/config/config.h"
#include "control/machine/machine_check.h"
#include "dataplane/driver_rights.h"
#include "fuse/fused_way.h"
#include "service/log.h"
#include "service/process_rights.h"

namespace weir::cli {

namespace {

constexpr int kWrongUsage = 2;

struct RunArguments {
  std::string config_path;
  std::vector<std::string> listen_urls;
  std::string format = "json";
  bool until_end = false;
  service::Identity run_as;  // over what the file says
};

/// A group is of the user that is said with it.
void override_identity(const RunArguments& arguments, control::ApplianceConfig& config) {
  if (arguments.run_as.user.empty()) return;
  config.user = arguments.run_as.user;
  config.group = arguments.run_as.group;
}

/// What the command line says of it, the file, or nobody.
Result<service::ProcessRights> become_user(const RunArguments& arguments) {
  control::ApplianceConfig glance = control::glance_at_config(arguments.config_path, control::process_environment());
  override_identity(arguments, glance);
  // Without a file nothing is kept, and there is no control socket.
  const auto folders = arguments.config_path.empty() ? std::vector<service::OwnFolder>{} : control::own_folders(glance);
  return service::ProcessRights::assume({glance.user, glance.group}, folders);
}

/// As root would: the user may not be let into where it lies.
Result<control::LoadedConfig> load(const RunArguments& arguments) {
  const service::FileRights rights;
  auto loaded = arguments.listen_urls.empty()
                    ? control::load_config(arguments.config_path, control::process_environment(), control::Keeping::compiled_patterns)
                    : control::config_from_listen_urls(arguments.listen_urls, arguments.format,
                                                       control::process_environment());
  if (loaded) override_identity(arguments, loaded->config);
  return loaded;
}

std::vector<service::KeptRight> lasting_rights(const control::ApplianceConfig& config) {
  std::vector<service::KeptRight> kept;
  for (dataplane::LastingRight& right : dataplane::find_lasting_rights(control::data_plane_config(config)))
    kept.push_back({right.capability, std::move(right.why)});
  return kept;
}

void say_rights(const service::RightsView& view) {
  if (!view.has_given_up) {
    if (view.uid == 0) service::log_info("runs as root: `user` in the configuration, or --user, gives that up once ports are up");
    return;
  }
  service::log_info("runs as {} (uid {}, gid {}), {}", view.user, view.uid, view.gid,
                    view.kept.empty() ? "without capabilities" : "and keeps, in the control thread:");
  for (const service::KeptRight& right : view.kept)
    service::log_info("{}: {}", service::capability_name(right.number), right.why);
  if (!view.threads_with_more.empty())
    service::log_warning("capabilities are kept by threads that take no signals: {}", service::joined(view.threads_with_more));
}

control::Request request_of(Signals& signals) {
  switch (signals.take()) {
    case 0: return control::Request::none;
    case SIGHUP:
      service::log_info("SIGHUP: the configuration is read and files of publishers are opened anew");
      return control::Request::renew;
    case SIGTERM: service::log_info("SIGTERM: stopping"); return control::Request::stop;
    default: service::log_info("SIGINT: stopping"); return control::Request::stop;
  }
}

int run(const RunArguments& arguments) {
  auto rights = become_user(arguments);
  if (!rights) {
    std::fprintf(stderr, "weir: %s\n", rights.error().message.c_str());
    return 1;
  }
  auto loaded = load(arguments);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return arguments.listen_urls.empty() ? 1 : kWrongUsage;
  }
  const control::ApplianceConfig& config = loaded->config;
  if (arguments.until_end) {
    if (const std::string why = control::why_without_end(config); !why.empty()) {
      std::fprintf(stderr,
                   "--until-end: there is no end: %s (it is for ports that replay files, such as "
                   "net_pcap0,rx_pcap=FILE)\n",
                   why.c_str());
      return kWrongUsage;
    }
  }
  Signals signals;  // before any thread: the check makes publishers, whose library has some
  const auto checked = control::check_machine(*loaded, dataplane::Machine::look(),
                                              control::InUse::refuse);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 1;
  }
  service::start_log(config.log, stderr, service::LogWriting::own_thread);
  const FinishLog finish;
  for (const std::string& warning : loaded->warnings) service::log_warning("{}", warning);
  for (const std::string& warning : *checked) service::log_warning("{}", warning);
  service::log_info("{} starting", version_line("weir"));
  if (config.fused && fuse::FusedWay::create() == nullptr) {
    service::log_info("fused: this build has no fused forms, so that all goes by the ordinary way");
  }
  if (!arguments.config_path.empty() && faccessat(AT_FDCWD, arguments.config_path.c_str(), R_OK, AT_EACCESS) != 0)
    service::log_warning("{} cannot be read by {}: a reload will be refused", arguments.config_path, service::RightsView::look().user);

  RoleScope role(control_thread);
  auto appliance = control::Appliance::create(config);
  if (!appliance) {
    service::log_error("{}", appliance.error().message);
    return 1;
  }
  control::RunOptions options;
  options.stop_at_end = arguments.until_end;
  options.poll_request = [&signals] { return request_of(signals); };
  options.origins = loaded->origins;
  if (arguments.listen_urls.empty()) {
    options.reload = [&arguments] { return load(arguments); };
  }
  options.give_up_rights = [&]() -> Result<service::RightsView> {
    auto view = rights->give_up(lasting_rights(config));
    if (view) say_rights(*view);
    return view;
  };
  options.on_running = [&](const control::ApplianceView& view) {
    for (const auto& port : view.ports) {
      service::log(port.needs_attention ? service::LogLevel::warning : service::LogLevel::info, "port {}: {} {}{}{}",
                   port.name, port.driver, port.device, port.note.empty() ? "" : "; ", port.note);
    }
    for (const auto& core : view.cores) {
      service::log_info("core {}: cpu {}, serves {}", core.info.core, core.info.cpu,
                        core.info.serves);
    }
    for (const auto& listener : config.listeners) {
      service::log_info("listening for {} on UDP {} → {}", listener.name,
                        listener.listen_addr ? listener.listen_addr->to_string()
                                             : fmt::format("port {}", listener.port),
                        listener.subject);
    }
  };
  const auto last = (*appliance)->run(options);
  if (!last) {
    service::log_error("{}", last.error().message);
    return 1;
  }

  // Status 0 promises that everything decoded was delivered to every publisher.
  bool all_delivered = true;
  for (const auto& publisher : (*last)->publishers) {
    const uint64_t lost = publisher.records_failed + publisher.records_dropped +
                          publisher.records_in_flight + publisher.records_waiting +
                          publisher.spool.failures.total();
    const control::SpoolView& spool = publisher.spool;
    if (spool.records > 0) {
      service::log_warning("publisher {}: {} records wait on disk for the next run, in {}",
                           publisher.name, spool.records, spool.dir);
    }
    if (lost == 0) continue;
    all_delivered = false;
    service::log_error("publisher {}: {} records were not delivered", publisher.name, lost);
  }
  const auto drops = (*last)->total().record_drops;
  uint64_t not_encoded = 0;
  for (size_t i = 0; i < drops.values.size(); ++i)
    if (outbound::is_loss(static_cast<outbound::RecordDrop>(i))) not_encoded += drops.values[i];
  if (not_encoded > 0) {
    all_delivered = false;
    service::log_error("{} decoded records were dropped before they were encoded", not_encoded);
  }
  if (arguments.until_end) {
    for (const auto& port : (*last)->ports) {
      const uint64_t unread = port.errors.value_or(0) + port.no_mbuf.value_or(0);
      if (unread == 0) continue;
      all_delivered = false;
      service::log_error("port {}: {} packets could not be read: its file is cut or damaged, or "
                         "there was no memory for them",
                         port.name, unread);
    }
  }
  if (!(*appliance)->stuck().empty()) {  // what its threads still use is left alone
    service::finish_log(kFinishLogMs);
    std::_Exit(1);
  }
  return all_delivered ? 0 : 1;
}

}  // namespace

void add_run_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "run",
      "Run the appliance: from a configuration file, or listening on kernel sockets without any");
  auto arguments = std::make_shared<RunArguments>();
  auto* config = command->add_option("-c,--config", arguments->config_path,
                                     "Configuration file (YAML or JSON)");
  auto* listen =
      command
          ->add_option(
              "--listen", arguments->listen_urls,
              "netflow://ADDRESS:PORT or sflow://ADDRESS:PORT; may be given again. Needs no\n"
              "file, no broker, no DPDK: flows go to standard output")
          ->excludes(config);
  command->add_option("--format", arguments->format, "With --listen: json (one line a flow)")
      ->needs(listen)
      ->check(CLI::IsMember({"json"}));
  command->add_option("--user", arguments->run_as.user,
                      "Who weir is once ports are up, where root starts it (`user` in the file)");
  command->add_option("--group", arguments->run_as.group, "The group with it (the user's own)")->needs("--user");
  command->add_flag("--until-end", arguments->until_end,
                    "Stop when every port has been read to its end (ports that replay files)");
  command->footer(
      "Examples:\n"
      "  weir run --listen netflow://:2055 --listen sflow://:6343 --format json\n"
      "  weir run -c /etc/weir/weir.yaml\n"
      "SIGTERM and SIGINT stop receiving, deliver what is in flight and print what could not be;\n"
      "a second one gives up what is still in flight. SIGHUP reads the configuration file anew, as\n"
      "weirctl reload does, and opens files of publishers anew.\n"
      "Status: 0 everything was read and delivered, 1 something was not or could not start, 2 wrong usage.");
  command->callback([arguments, &exit_code] {
    if (arguments->config_path.empty() && arguments->listen_urls.empty()) {
      throw CLI::RequiredError("--config FILE or --listen URL");
    }
    try {
      exit_code = run(*arguments);
    } catch (const std::bad_alloc&) {
      std::fputs("weir: not enough memory for this configuration (buffer_bytes, limits)\n", stderr);
      exit_code = 1;
    } catch (const std::system_error& e) {
      const bool is_thread = e.code() == std::errc::resource_unavailable_try_again;
      std::fprintf(stderr, "weir: %s%s\n", e.what(),
                   is_thread ? ": no thread can be made; raise the limit of processes (ulimit -u) or "
                               "TasksMax of the service"
                             : "");
      exit_code = 1;
    }
  });
}

}  // namespace weir::cli

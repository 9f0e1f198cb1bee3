// weir_check.cc — `weir check`: is a configuration right, what would run, where each value came
// from.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/service_environment.h"
#include "control/config/config.h"
#include "control/config/config_describe.h"
#include "control/machine/machine_check.h"
#include "service/process_rights.h"

namespace weir::cli {
namespace {

struct CheckArguments {
  std::string config_path;
  std::vector<std::string> listen_urls;
  std::string format = "json";
  std::string environment_file;
  bool keys = false;
  bool until_end = false;
};

int check(const CheckArguments& arguments) {
  if (arguments.keys) {
    std::fputs(control::describe_keys().c_str(), stdout);
    return 0;
  }
  const ServiceEnvironment environment(arguments.config_path, arguments.environment_file);
  if (!environment.trouble().empty()) std::fprintf(stderr, "warning: %s\n", environment.trouble().c_str());
  // As it would be run: root asks as the user that it would become.
  const control::ApplianceConfig glance = control::glance_at_config(arguments.config_path, environment.entries());
  const auto rights = geteuid() == 0 ? service::ProcessRights::assume({glance.user, glance.group})
                                     : service::ProcessRights::assume({});
  if (!rights) {
    std::fprintf(stderr, "%s\n", rights.error().message.c_str());
    return 1;
  }
  std::optional<service::FileRights> reading(std::in_place);
  const auto loaded = arguments.listen_urls.empty()
                          ? control::load_config(arguments.config_path, environment.entries())
                          : control::config_from_listen_urls(arguments.listen_urls, arguments.format,
                                                             environment.entries());
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  reading.reset();
  const auto checked = control::check_machine(*loaded, dataplane::Machine::look(),
                                              control::InUse::warn);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 1;
  }
  if (arguments.until_end) {
    if (const std::string why = control::why_without_end(loaded->config); !why.empty()) {
      std::fprintf(stderr, "--until-end: there is no end: %s\n", why.c_str());
      return 1;
    }
  }
  for (const auto* warnings : {&loaded->warnings, &*checked}) {
    for (const std::string& warning : *warnings) {
      std::fprintf(stderr, "warning: %s\n", warning.c_str());
    }
  }
  std::printf("Values and where they come from:\n\n%s\nWhat would run:\n\n%s",
              control::describe_values(*loaded).c_str(),
              control::describe_plan(loaded->config).c_str());
  return 0;
}

}  // namespace

void add_check_command(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("check", "Validate a configuration and print what would run");
  command->footer(
      "Starts nothing, and may be asked while weir runs. Exit status 0: valid, and this machine has what it\n"
      "needs (files, memory, CPUs, addresses, folders; with the rights of who asks); 1: not, and every\n"
      "mistake is on standard error with its place, the key, the value and what is allowed.\n"
      "Examples:\n"
      "  weir check -c conf/weir.yaml\n"
      "  WEIR_BATCH_BYTES=128KiB weir check -c conf/weir.yaml\n"
      "  weir check --listen netflow://:2055");
  auto arguments = std::make_shared<CheckArguments>();
  auto* config =
      command->add_option("-c,--config", arguments->config_path, "The configuration file")
          ->type_name("FILE");
  auto* listen = command
                     ->add_option("--listen", arguments->listen_urls,
                                  "What `weir run --listen` would take, instead of a file")
                     ->type_name("URL")
                     ->excludes(config);
  command->add_option("--environment", arguments->environment_file,
                      "Variables of the service beside this shell's, which win; none: no file "
                      "(/etc/default/weir for /etc/weir/weir.yaml)")
      ->type_name("FILE");
  command->add_option("--format", arguments->format, "As of `weir run --listen`")->needs(listen);
  command->add_flag("--until-end", arguments->until_end, "As of `weir run`: is there an end?");
  auto* keys =
      command->add_flag("--keys", arguments->keys, "Print all keys with their defaults (Markdown)");
  command->callback([arguments, config, listen, keys, &exit_code] {
    if (config->count() + listen->count() + keys->count() == 0) {
      throw CLI::RequiredError("-c FILE, --listen URL or --keys");
    }
    exit_code = check(*arguments);
  });
}

}  // namespace weir::cli

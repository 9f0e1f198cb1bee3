#include "control/config/config.h"

#include <unistd.h>

#include <algorithm>

#include "control/config/config_check.h"
#include "control/config/config_collector.h"
#include "control/config/config_rules.h"
#include "service/config_findings.h"
#include "control/config/config_values.h"

namespace weir::control {
namespace {


/// Part of the configuration, so that it is refused with it, and as it is.
void read_exporter_list(LoadedConfig& loaded, service::ConfigReport& report) {
  const std::string& path = loaded.config.exporter_info.names_file;
  if (path.empty()) return;
  auto list = ExporterList::read(path);
  if (list) {
    loaded.config.exporter_list = std::move(*list);
  } else {
    Findings(loaded.origins, report).error("exporter_info.names_file", {}, list.error().message);
  }
}

Result<LoadedConfig> finish(LoadedConfig loaded, Keeping keeping, service::ConfigReport& report) {
  read_rule_set(loaded, keeping, report);  // what rules route to is checked with the rest
  complete_and_check(loaded.config, loaded.origins, report);
  read_exporter_list(loaded, report);
  if (!report.ok()) return report.to_error();
  loaded.warnings = report.warnings();
  return loaded;
}

}  // namespace

Result<LoadedConfig> read_config(std::string_view text, const std::string& name,
                                 std::span<const char* const> environment, Keeping keeping) {
  auto document = service::parse_config_document(text, name);
  if (!document) return document.error();
  const bool is_collectors = is_collector_file(text, *document);
  if (is_collectors) drop_null_values(*document);
  LoadedConfig loaded;
  service::ConfigReport report;
  service::ReadContext context{report, loaded.origins};
  appliance_schema().read(&loaded.config, *document, "", context);
  if (is_collectors) imply_collector_values(loaded.config, *document, context);
  appliance_schema().read_environment(&loaded.config, environment, context);
  return finish(std::move(loaded), keeping, report);
}

Result<LoadedConfig> load_config(const std::string& path,
                                 std::span<const char* const> environment, Keeping keeping) {
  const auto text = service::read_config_file(path);
  if (!text) return text.error();
  return read_config(*text, path, environment, keeping);
}

ApplianceConfig glance_at_config(const std::string& path, std::span<const char* const> environment) {
  ApplianceConfig config;
  service::ConfigReport report;
  service::Origins origins;
  service::ReadContext context{report, origins};
  const auto text = path.empty() ? Result<std::string>(std::string()) : service::read_config_file(path);
  auto document = text ? service::parse_config_document(*text, path) : Result<service::ConfigNode>(text.error());
  if (document) appliance_schema().read(&config, *document, "", context);
  appliance_schema().read_environment(&config, environment, context);
  return config;
}

Result<LoadedConfig> config_from_listen_urls(std::span<const std::string> urls,
                                             std::string_view format,
                                             std::span<const char* const> environment) {
  LoadedConfig loaded;
  service::ConfigReport report;
  service::ReadContext context{report, loaded.origins};
  const service::Origin command_line{service::Origin::Kind::command_line, "", 0, 0};
  ApplianceConfig& config = loaded.config;

  // What a file would say for it; the environment may still say otherwise.
  config.publishers = {{.name = "stdout", .kind = PublisherKind::standard_output}};
  config.control_socket.path.clear();
  config.state_dir.clear();
  config.buffer_bytes = 64ull << 20;
  for (const char* path : {"publishers[0].kind", "publishers[0].format", "control_socket.path",
                           "state_dir", "buffer_bytes"}) {
    loaded.origins[path] = command_line;
  }
  if (format != name_of(OutputFormat::json)) {
    report.error(command_line, "--format",
                 fmt::format("\"{}\" is not allowed; allowed: json", format));
  }
  for (const std::string& url : urls) {
    ListenerConfig& listener = config.listeners.emplace_back();
    const std::string path = fmt::format("listeners[{}]", config.listeners.size() - 1);
    loaded.origins[path + ".protocol"] = loaded.origins[path + ".listen_addr"] =
        loaded.origins[path + ".buffer_size"] = command_line;
    const size_t scheme_end = url.find("://");
    const std::string_view all(url);
    const auto admitted = protocol_type().parse(all.substr(0, std::min(scheme_end, all.size())));
    const auto address = scheme_end == std::string::npos
                             ? std::nullopt
                             : udp_address().parse(all.substr(scheme_end + 3));
    if (!admitted || !address) {
      report.error(
          command_line, "--listen",
          fmt::format("\"{}\" is not allowed; allowed: PROTOCOL://[ADDRESS]:PORT with protocol {}, "
                      "such as netflow://:2055 or sflow://[::1]:6343",
                      service::printable(url), protocol_type().allowed));
      continue;
    }
    listener.protocol = *admitted;
    listener.listen_addr = address;
  }
  appliance_schema().read_environment(&config, environment, context);
  return report.ok() ? finish(std::move(loaded), Keeping::nothing, report) : Result<LoadedConfig>(report.to_error());
}

}  // namespace weir::control

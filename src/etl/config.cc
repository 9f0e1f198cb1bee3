#include "etl/config.h"

#include "service/config_text.h"

namespace weir::etl {
namespace {

void check_streams(const EtlConfig& config, service::Findings& findings) {
  feed::check_stream(config, config.events.stream, "events.stream", findings);
  feed::check_stream(config, config.dead.stream, "dead.stream", findings);
  feed::check_stream(config, config.decisions.stream, "decisions.stream", findings);
  if (config.events.stream.name == config.dead.stream.name) {
    findings.error("dead.stream.name", "is the stream of events; both take other subjects and limits");
  }
  if (config.decisions.stream.name == config.events.stream.name) {
    findings.error("decisions.stream.name", "is the stream of events; results of decision files are none");
  } else if (config.decisions.stream.name == config.dead.stream.name) {
    findings.error("decisions.stream.name", "is the stream of what no event can be made of (dead.stream.name)");
  }
  if (config.decisions.subject == config.events.subject) {
    findings.error("decisions.subject", "is the subject of events; results of decision files are none");
  }
  if (outbound::overlap(config.decisions.subject, config.dead.subject_prefix + ".*")) {
    findings.error("dead.subject_prefix", fmt::format("decisions.subject ({}) lies under it", config.decisions.subject));
  }
  if (outbound::overlap(config.events.subject, config.dead.subject_prefix + ".*")) {
    findings.error("dead.subject_prefix", fmt::format("events.subject ({}) lies under it", config.events.subject));
  }
  if (config.events.framing == EventFraming::single && config.events.compression != outbound::Compression::none &&
      findings.is_said("events.compression")) {
    findings.warning("events.compression", "single events pack badly; framing json packs many at once");
  }
}

Result<LoadedConfig> finish(LoadedConfig loaded, service::ConfigReport& report) {
  service::Findings findings(loaded.origins, report);
  feed::check_connection(loaded.config, findings);
  feed::check_source(loaded.config, "whose flows would become events twice", findings);
  feed::check_not_consumed(loaded.config, "events.subject", loaded.config.events.subject, findings);
  feed::check_not_consumed(loaded.config, "decisions.subject", loaded.config.decisions.subject, findings);
  check_streams(loaded.config, findings);
  if (!report.ok()) return report.to_error();
  loaded.warnings = report.warnings();
  return loaded;
}

}  // namespace

Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment) {
  auto document = service::parse_config_document(text, name);
  if (!document) return document.error();
  LoadedConfig loaded;
  service::ConfigReport report;
  service::ReadContext context{report, loaded.origins};
  etl_schema().read(&loaded.config, *document, "", context);
  etl_schema().read_environment(&loaded.config, environment, context);
  return finish(std::move(loaded), report);
}

Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment) {
  const auto text = service::read_config_file(path);
  if (!text) return text.error();
  return read_config(*text, path, environment);
}

std::string describe(const LoadedConfig& loaded) {
  const EtlConfig& config = loaded.config;
  std::string out = "Values and where they come from:\n\n" +
                    service::describe_values(etl_schema(), &config, loaded.origins) + "\nWhat would run:\n\n";
  for (const InputConfig& input : config.source.subjects) {
    out += fmt::format("  {} of stream {} by the durable consumer {}, at most {} messages in hand\n", input.subject,
                       config.source.stream_name, outbound::consumer_name(config.source.consumer, input.subject),
                       config.source.messages_in_hand);
  }
  out += config.rules.empty() ? "  no rules: each flow becomes an event\n"
                              : fmt::format("  rules of {}\n", service::printable(config.rules));
  out += feed::describe(config.enrichment);
  out += config.names.stream_name.empty() ? "  no names of exporters and interfaces\n"
                                          : fmt::format("  names of exporters and interfaces from stream {}\n", config.names.stream_name);
  out += fmt::format("  events to {} in stream {}, {}\n", config.events.subject, config.events.stream.name,
                     config.events.framing == EventFraming::json ? "lines of JSON" : "each a message");
  out += fmt::format("  results of a decision file, where rules name one, to {} in stream {} instead\n", config.decisions.subject,
                     config.decisions.stream.name);
  out += fmt::format("  what no event can be made of to {}.<reason> in stream {}\n", config.dead.subject_prefix,
                     config.dead.stream.name);
  out += config.control_socket.path.empty() ? "  no control socket\n"
                                            : fmt::format("  control socket {}\n", service::printable(config.control_socket.path));
  out += config.metrics_addr.empty() ? "  no metrics over TCP\n" : fmt::format("  metrics at http://{}/metrics\n", config.metrics_addr);
  return out;
}

std::string describe_keys() { return service::describe_keys(etl_schema().document()); }

// ------------------------------------------------------------------------------------ what is made of it

namespace {

outbound::JetStreamConfig publisher_config(const EtlConfig& config, const StreamSettings& stream, const std::string& subject, uint64_t seed) {
  outbound::JetStreamConfig c;
  c.nats = feed::nats_config(config, kProgram);
  c.stream = feed::stream_config(stream, subject);
  c.subjects = {subject};
  c.compression = config.events.compression;
  c.identity = {kProgram, seed};
  c.publish_timeout_ms = config.publish_timeout_ms;
  c.window_batches = config.events.framing == EventFraming::single ? 4096 : 256;
  return c;
}

}  // namespace

outbound::JetStreamConfig events_config(const EtlConfig& config, uint64_t seed) {
  return publisher_config(config, config.events.stream, config.events.subject, seed);
}

outbound::JetStreamConfig decisions_config(const EtlConfig& config, uint64_t seed) {
  return publisher_config(config, config.decisions.stream, config.decisions.subject, seed);
}

}  // namespace weir::etl

#include "control/config/config_publishers.h"

#include <algorithm>
#include <map>

#include "export/kafka.h"
#include "service/log.h"

namespace weir::control {
namespace {

constexpr unsigned only(PublisherKind kind) { return 1u << static_cast<unsigned>(kind); }

constexpr unsigned kStdout = only(PublisherKind::standard_output);
constexpr unsigned kFile = only(PublisherKind::file);
constexpr unsigned kHttp = only(PublisherKind::http);
constexpr unsigned kKafka = only(PublisherKind::kafka);

/// Keys that mean something to some kinds only.
constexpr struct {
  const char* key;
  unsigned kinds;
} kKeysOfKinds[] = {
    {"format", kStdout | kFile | kHttp},
    {"exporter_info", kStdout | kFile},
    {"path", kFile},
    {"rotate_bytes", kFile},
    {"rotate_secs", kFile},
    {"keep_files", kFile},
    {"url", kHttp},
    {"token_file", kHttp},
    {"ca_file", kHttp},
    {"cert_file", kHttp},
    {"key_file", kHttp},
    {"requests_max", kHttp},
    {"brokers", kKafka},
    {"topic", kKafka},
    {"options", kKafka},
};

std::string names_of(unsigned kinds) {
  std::string names;
  for (const PublisherKind kind : kPublisherKinds) {
    if ((kinds & only(kind)) == 0) continue;
    names += names.empty() ? "" : " or ";
    names += name_of(kind);
  }
  return names;
}

void check_keys(const PublisherConfig& publisher, const std::string& path,
                const service::Origins& origins, Findings& findings) {
  for (const auto& of : kKeysOfKinds) {
    const std::string key = path + "." + of.key;
    if ((of.kinds & only(publisher.kind)) != 0 || !origins.contains(key)) continue;
    findings.error(key, {path},
                   fmt::format("means nothing to a publisher of kind {}; it is for kind {}",
                               name_of(publisher.kind), names_of(of.kinds)));
  }
}

void check_file(const PublisherConfig& publisher, const std::string& path, Findings& findings) {
  if (publisher.path.empty()) {
    findings.error(path + ".path", {path}, "is missing: a publisher of kind file needs one");
  }
  if (publisher.keep_files != 0 && publisher.rotate_bytes == 0 && publisher.rotate_secs == 0) {
    findings.error(path + ".keep_files", {path},
                   "counts files that are set aside, but neither rotate_bytes nor rotate_secs says when");
  }
}

void check_http(const PublisherConfig& publisher, const std::string& path, Findings& findings) {
  if (publisher.url.empty()) {
    findings.error(path + ".url", {path}, "is missing: a publisher of kind http needs one");
    return;
  }
  if (publisher.cert_file.empty() != publisher.key_file.empty()) {
    findings.error(path, {path}, "has one of cert_file and key_file; a certificate needs both");
  }
  const bool is_plain = publisher.url.starts_with("http:");
  const bool has_tls_files =
      !publisher.ca_file.empty() || !publisher.cert_file.empty() || !publisher.key_file.empty();
  if (is_plain && has_tls_files) {
    findings.error(path + ".url", {path},
                   "is not https, so ca_file, cert_file and key_file would protect nothing");
  } else if (is_plain && !publisher.token_file.empty()) {
    findings.warning(path + ".url", "is not https: whoever listens on the way can read the token");
  }
}

void check_kafka(const PublisherConfig& publisher, const std::string& path, Findings& findings) {
  if (!outbound::kafka_is_there()) {
    findings.error(path + ".kind", {path},
                   "kafka is not part of this build (librdkafka-dev was not there when it was made)");
    return;
  }
  if (publisher.brokers.empty()) {
    findings.error(path + ".brokers", {path}, "is missing: a publisher of kind kafka needs one");
  }
  for (const auto& [name, value] : publisher.options) {
    if (const auto trouble = outbound::kafka_option_trouble(name, value)) {
      findings.error(path + ".options." + service::printable(name), {}, service::printable(*trouble));
    }
  }
}

void check_exporter_info(const PublisherConfig& publisher, const std::string& path,
                         Findings& findings) {
  if (publisher.exporter_info && publisher.format != OutputFormat::json) {
    findings.error(path + ".exporter_info", {path}, "needs format json: tables of names are lines");
  }
}

/// Other kinds of records are refused there, and counted; better known before.
void warn_of_other_kinds(const ApplianceConfig& config, const PublisherConfig& publisher,
                         const std::string& path, Findings& findings) {
  if (publisher.format != OutputFormat::flow_batch || publisher.kind == PublisherKind::http) return;
  for (const ListenerConfig& listener : config.listeners) {
    const bool has_others = !listener.counters_subject.empty() || !listener.discards_subject.empty();
    if (!admits_sflow(listener) || !has_others) continue;
    findings.warning(path + ".format",
                     fmt::format("flow_batch has room for flows only: counters and discards of listener "
                                 "{} are refused and counted (counters_subject: \"\" and "
                                 "discards_subject: \"\" leave them out, json takes them)",
                                 listener.name));
    return;
  }
}

/// Where the records go; two publishers of one place would bring each record twice.
std::string place_of(const PublisherConfig& publisher) {
  switch (publisher.kind) {
    case PublisherKind::file: return publisher.path;
    case PublisherKind::http: return publisher.url;
    case PublisherKind::kafka: return publisher.brokers + " topic " + publisher.topic;
    default: return {};
  }
}

void check_places(const ApplianceConfig& config, Findings& findings) {
  std::map<std::pair<PublisherKind, std::string>, size_t> first;
  for (size_t i = 0; i < config.publishers.size(); ++i) {
    const PublisherConfig& publisher = config.publishers[i];
    const std::string place = place_of(publisher);
    const auto [other, is_new] = first.emplace(std::pair(publisher.kind, place), i);
    if (is_new) continue;
    const std::string with = at_index("publishers", other->second);
    if (place.empty()) {
      findings.error("publishers", {"publishers"},
                     fmt::format("more than one of kind {}: each record would come twice",
                                 name_of(publisher.kind)));
    } else {
      const service::Secrecy secrecy =
          publisher.kind == PublisherKind::http ? service::Secrecy::url : service::Secrecy::open;
      findings.error(at_index("publishers", i), {at_index("publishers", i), with},
                     fmt::format("{} is where {} writes too: each record would come twice",
                                 service::printable(service::masked(place, secrecy)), with));
    }
  }
}

void check_policies(const ApplianceConfig& config, Findings& findings) {
  size_t blocking = 0;
  for (size_t i = 0; i < config.publishers.size(); ++i) {
    const PublisherConfig& publisher = config.publishers[i];
    const std::string path = at_index("publishers", i);
    const DropPolicy policy = drop_policy_of(config, publisher);
    if (policy == DropPolicy::block && ++blocking == 2) {
      findings.error(path + ".drop_policy", {path, "drop_policy"},
                     "block is another publisher's too; at most one may let the receive cores wait");
    }
    if (policy == DropPolicy::spool && config.spool.dir.empty() && config.state_dir.empty()) {
      findings.error("spool.dir", {"spool", "drop_policy"},
                     "is missing: drop_policy spool needs it where there is no state_dir");
    }
    const PublisherSpoolSettings& spool = publisher.spool;
    if (policy != DropPolicy::spool && (spool.max_bytes || spool.max_age_secs || spool.fsync)) {
      findings.warning(path + ".spool", "means nothing: the publisher's drop_policy is not spool");
    }
  }
  if (config.compression != outbound::Compression::none &&
      outbound::is_record_a_message(config.framing)) {
    findings.error("compression", {"compression", "framing"},
                   fmt::format("{} is for messages of many records: framing batch or delimited",
                               name_of(config.compression)));
  }
}

}  // namespace

void check_publishers(const ApplianceConfig& config, const service::Origins& origins,
                      Findings& findings) {
  check_policies(config, findings);
  if (config.publishers.empty()) {
    findings.error("publishers", {"publishers"}, "the list is empty: records would go nowhere");
  }
  size_t with_tables = 0;
  for (size_t i = 0; i < config.publishers.size(); ++i) {
    const PublisherConfig& publisher = config.publishers[i];
    const std::string path = at_index("publishers", i);
    check_keys(publisher, path, origins, findings);
    check_exporter_info(publisher, path, findings);
    warn_of_other_kinds(config, publisher, path, findings);
    if (publisher.kind == PublisherKind::file) check_file(publisher, path, findings);
    if (publisher.kind == PublisherKind::http) check_http(publisher, path, findings);
    if (publisher.kind == PublisherKind::kafka) check_kafka(publisher, path, findings);
    if (publisher.exporter_info && ++with_tables == 2) {
      findings.error(path + ".exporter_info", {"publishers"},
                     "more than one publisher would print tables of names; one may");
    }
  }
  check_places(config, findings);
}

std::string describe_publisher(const PublisherConfig& publisher) {
  if (publisher.kind == PublisherKind::standard_output) {
    return fmt::format("{} lines on standard output", name_of(publisher.format));
  }
  if (publisher.kind == PublisherKind::discard) return "nothing: thrown away";
  if (publisher.kind == PublisherKind::kafka) {
    return fmt::format("Kafka at {}, topic {}", service::printable(publisher.brokers), publisher.topic);
  }
  if (publisher.kind == PublisherKind::http) {
    return fmt::format("{} posted to {}", name_of(publisher.format),
                       service::printable(service::masked(publisher.url, service::Secrecy::url)));
  }
  std::string text = fmt::format("{} in {}", name_of(publisher.format),
                                 service::printable(publisher.path));
  if (publisher.rotate_bytes != 0) {
    text += ", set aside at " + service::print_size(publisher.rotate_bytes);
  }
  if (publisher.rotate_secs != 0) text += fmt::format(", set aside after {} s", publisher.rotate_secs);
  if (publisher.keep_files != 0) text += fmt::format(", the newest {} kept", publisher.keep_files);
  return text;
}

}  // namespace weir::control

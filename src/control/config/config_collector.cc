#include "control/config/config_collector.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/config/config_values.h"

namespace weir::control {
namespace {

constexpr uint32_t kBatchSize = 100;
constexpr uint32_t kBufferSize = 65'536;

constexpr std::array<std::string_view, 14> kKeys = {
    "nats_url",         "nats_creds_file", "stream_name",        "stream_subjects",
    "stream_max_bytes", "stream_replicas", "partition",          "listeners",
    "channel_size",     "batch_size",      "publish_timeout_ms", "drop_policy",
    "security",         "metrics_addr",
};

}  // namespace

bool is_collector_file(std::string_view text, const service::ConfigNode& document) {
  using Kind = service::ConfigNode::Kind;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{' || document.kind != Kind::map) {
    return false;
  }
  bool has_listeners = false;
  for (size_t i = 0; i < document.keys.size(); ++i) {
    const std::string& key = document.keys[i].text;
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) return false;
    if (key != "listeners") continue;
    const service::ConfigNode& list = document.values[i];
    has_listeners = list.kind == Kind::list && !list.values.empty();
    for (const service::ConfigNode& listener : list.values) {
      const auto is_address = [](const service::ConfigNode& k) { return k.text == "listen_addr"; };
      has_listeners = has_listeners &&
                      std::any_of(listener.keys.begin(), listener.keys.end(), is_address);
    }
  }
  return has_listeners;
}

void drop_null_values(service::ConfigNode& document) {
  using Kind = service::ConfigNode::Kind;
  for (size_t i = 0; i < document.values.size();) {
    if (document.kind == Kind::map && document.values[i].kind == Kind::null) {
      const auto at = static_cast<std::ptrdiff_t>(i);
      document.keys.erase(document.keys.begin() + at);
      document.values.erase(document.values.begin() + at);
      continue;
    }
    drop_null_values(document.values[i++]);
  }
}

void imply_collector_values(ApplianceConfig& config, const service::ConfigNode& document,
                            service::ReadContext& context) {
  config.framing = outbound::Framing::single;
  context.origins["framing"] = document.origin;
  if (context.origins.count("batch_size") == 0) {
    config.batch_size = kBatchSize;
    context.origins["batch_size"] = document.origin;
  }
  for (size_t i = 0; i < config.listeners.size(); ++i)
    if (context.origins.try_emplace(fmt::format("listeners[{}].buffer_size", i), document.origin).second)
      config.listeners[i].buffer_size = kBufferSize;
  context.report.warning(document.origin, "framing",
                         "this is a flow collector's file (JSON, with its keys only), whose "
                         "consumers expect one FlowMessage a message: single; write framing to "
                         "have it otherwise");
}

void warn_of_idle_keys(const ApplianceConfig& config, const service::Origins& origins,
                       Findings& findings) {
  using decode::ProtocolFilter;
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const ProtocolFilter protocol = config.listeners[i].protocol;
    if (protocol == ProtocolFilter::any) continue;
    const bool is_sflow = protocol == ProtocolFilter::sflow;
    const struct {
      const char* key;
      bool of_sflow;
    } keys[] = {
        {"max_templates", false},          {"max_template_fields", false},
        {"template_lifetime_secs", false}, {"pending_flows", false},
        {"max_samples_per_datagram", true},
    };
    for (const auto& key : keys) {
      const std::string path = at_index("listeners", i) + "." + key.key;
      if (key.of_sflow == is_sflow || origins.count(path) == 0) continue;
      findings.warning(path, fmt::format("means nothing here: {} has no {}",
                                         protocol_type().print(protocol),
                                         key.of_sflow ? "samples" : "templates"));
    }
  }
}

}  // namespace weir::control

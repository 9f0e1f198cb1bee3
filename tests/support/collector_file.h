// collector_file.h — The configuration file of the flow collector that Weir replaces, as installations have it.
#pragma once

#include <stdexcept>
#include <string>

namespace weir::test {

inline constexpr const char* kCollectorFile = R"({
  "nats_url": "nats://nats:4222",
  "nats_creds_file": "/etc/weir/creds/platform.creds",
  "stream_name": "events",
  "stream_subjects": ["flows.raw.netflow", "flows.raw.sflow"],
  "stream_max_bytes": 10737418240,
  "stream_replicas": 1,
  "partition": "default",
  "listeners": [
    { "protocol": "netflow", "listen_addr": "0.0.0.0:2055", "subject": "flows.raw.netflow", "buffer_size": 65536,
      "max_templates": 2000, "max_template_fields": 10000,
      "pending_flows": { "max_pending_flows": 256, "max_entries_per_template": 1024, "max_entry_size_bytes": 65535, "ttl_secs": 300 } },
    { "protocol": "sflow", "listen_addr": "0.0.0.0:6343", "subject": "flows.raw.sflow", "buffer_size": 65536 }
  ],
  "channel_size": 10000, "batch_size": 100, "publish_timeout_ms": 5000,
  "security": { "mode": "mtls", "cert_dir": "/etc/weir/certs",
    "tls": { "cert_file": "flow-collector.pem", "key_file": "flow-collector-key.pem", "ca_file": "root.pem" } },
  "metrics_addr": "0.0.0.0:50046"
}
)";

/// `text` with the one place where `from` stands saying `to`.
inline std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos || text.find(from, at + 1) != std::string::npos) {
    throw std::runtime_error("not exactly once in the file: " + from);
  }
  return text.replace(at, from.size(), to);
}

}  // namespace weir::test

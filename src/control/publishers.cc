#include "control/publishers.h"

#include <algorithm>
#include <utility>

#include "control/config_security.h"
#include "export/http_publisher.h"
#include "export/jetstream_publisher.h"
#include "export/kafka.h"
#include "export/stream_publisher.h"

namespace weir::control {

namespace {

constexpr uint32_t kSingleWindowMin = 16;

outbound::StreamFormat stream_format(const PublisherConfig& config) {
  return config.format == OutputFormat::json ? outbound::StreamFormat::json
                                             : outbound::StreamFormat::flow_batch;
}

Result<std::unique_ptr<outbound::Publisher>> make_jetstream(const ApplianceConfig& config,
                                                            const outbound::RunIdentity& identity) {
  outbound::JetStreamConfig c;
  c.nats = nats_config(config);
  c.stream.name = config.stream_name;
  c.stream.subjects = all_stream_subjects(config);
  c.stream.max_bytes = config.stream_max_bytes;
  c.stream.replicas = config.stream_replicas;
  if (config.stream_adopt) c.stream.overlap = outbound::SubjectOverlap::adopt;
  c.subjects = route_subjects(config);
  c.framing = config.framing;
  c.identity = identity;
  c.publish_timeout_ms = config.publish_timeout_ms;
  // One message a record: batch_size bounds how many of them may be under way.
  if (config.framing == outbound::Framing::single && config.batch_size != 0) {
    c.window_messages = std::max(config.batch_size, kSingleWindowMin);
  }
  auto made = outbound::JetStreamPublisher::make(std::move(c));
  if (!made) return made.error();
  return std::unique_ptr<outbound::Publisher>(std::move(*made));
}

Result<std::unique_ptr<outbound::Publisher>> make_http(const ApplianceConfig& config,
                                                       const PublisherConfig& p,
                                                       const outbound::RunIdentity& identity) {
  outbound::HttpPublisherConfig c;
  c.http = {p.url,      p.token_file,   p.ca_file,                p.cert_file,
            p.key_file, p.requests_max, config.publish_timeout_ms};
  c.format = stream_format(p);
  c.subjects = route_subjects(config);
  c.identity = identity;
  c.window_batches = std::max(c.window_batches, 2 * p.requests_max);
  auto made = outbound::HttpPublisher::make(std::move(c));
  if (!made) return made.error();
  return std::unique_ptr<outbound::Publisher>(std::move(*made));
}

Result<std::unique_ptr<outbound::Publisher>> make_kafka(const ApplianceConfig& config,
                                                        const PublisherConfig& p,
                                                        const outbound::RunIdentity& identity) {
  outbound::KafkaPublisherConfig c;
  c.kafka = {p.brokers, p.options};
  c.topic = p.topic;
  c.subjects = route_subjects(config);
  c.framing = config.framing;
  c.identity = identity;
  return outbound::make_kafka_publisher(std::move(c));
}

}  // namespace

Result<std::vector<NamedPublisher>> make_publishers(const ApplianceConfig& config,
                                                    const outbound::RunIdentity& identity) {
  std::vector<NamedPublisher> publishers;
  for (const PublisherConfig& p : config.publishers) {
    switch (p.kind) {
      case PublisherKind::jetstream: {
        auto made = make_jetstream(config, identity);
        if (!made) return Error{"publisher " + p.name + ": " + made.error().message};
        publishers.push_back({p.name, std::move(*made)});
        break;
      }
      case PublisherKind::standard_output:
        publishers.push_back({p.name, outbound::StreamPublisher::to_stdout(stream_format(p))});
        break;
      case PublisherKind::file: {
        auto made = outbound::StreamPublisher::to_file(
            {p.path, p.rotate_bytes, p.rotate_secs, p.keep_files}, stream_format(p));
        if (!made) return Error{"publisher " + p.name + ": " + made.error().message};
        publishers.push_back({p.name, std::move(*made)});
        break;
      }
      case PublisherKind::kafka: {
        auto made = make_kafka(config, p, identity);
        if (!made) return Error{"publisher " + p.name + ": " + made.error().message};
        publishers.push_back({p.name, std::move(*made)});
        break;
      }
      case PublisherKind::http: {
        auto made = make_http(config, p, identity);
        if (!made) return Error{"publisher " + p.name + ": " + made.error().message};
        publishers.push_back({p.name, std::move(*made)});
        break;
      }
    }
  }
  return publishers;
}

Result<std::unique_ptr<outbound::MetaPublisher>> make_meta_publisher(
    const ApplianceConfig& config) {
  if (!publishes_to_nats(config) || !config.exporter_info.publish) {
    return std::unique_ptr<outbound::MetaPublisher>();
  }
  outbound::MetaConfig c;
  c.nats = nats_config(config);
  c.stream.name = config.exporter_info.stream_name;
  c.stream.subjects = {config.exporter_info.subject_prefix + ".*"};
  c.stream.max_bytes = config.exporter_info.stream_max_bytes;
  c.stream.replicas = config.stream_replicas;
  c.stream.messages_per_subject = 1;
  if (config.stream_adopt) c.stream.overlap = outbound::SubjectOverlap::adopt;
  c.publish_timeout_ms = config.publish_timeout_ms;
  return outbound::MetaPublisher::make(std::move(c));
}

size_t publisher_queue_batches(const ApplianceConfig& config) {
  // channel_size speaks of datagrams of 30 records; a batch holds several hundred. The bound in
  // records is kept by Delivery, so this one only has to be generous enough for small batches.
  return std::clamp<size_t>(config.channel_size, 16, 65'536);
}

}  // namespace weir::control

#include "control/delivery/publishers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "control/config/config_security.h"
#include "export/discard_publisher.h"
#include "export/http_publisher.h"
#include "export/jetstream_publisher.h"
#include "export/kafka.h"
#include "export/stream_publisher.h"
#include "service/log.h"

namespace weir::control {

namespace {

constexpr uint32_t kSingleWindowMin = 16;
// Of a publisher's queue: what its thread has at hand. The rest waits with the control thread, where the
// oldest can still be lost.
constexpr size_t kBatchesAtHandMax = 32;

outbound::StreamFormat stream_format(const PublisherConfig& config) {
  return config.format == OutputFormat::json ? outbound::StreamFormat::json
                                             : outbound::StreamFormat::flow_batch;
}

Result<std::unique_ptr<outbound::Publisher>> make_jetstream(const ApplianceConfig& config,
                                                            const outbound::RunIdentity& identity,
                                                            const outbound::Subjects& subjects) {
  outbound::JetStreamConfig c;
  c.nats = nats_config(config);
  c.stream.name = config.stream_name;
  c.stream.subjects = all_stream_subjects(config);
  c.stream.max_bytes = config.stream_max_bytes;
  c.stream.replicas = config.stream_replicas;
  if (config.stream_adopt) c.stream.overlap = outbound::SubjectOverlap::adopt;
  c.subjects = subjects;
  c.stream.storage = config.stream_storage;
  c.stream.retention = config.stream_retention;
  c.stream.max_age_ns = uint64_t{config.stream_max_age_secs} * kNsPerSec;
  c.stream.duplicate_window_ns = uint64_t{config.stream_duplicate_window_secs} * kNsPerSec;
  c.framing = config.framing;
  c.compression = config.compression;
  c.identity = identity;
  c.connections = config.nats_connections;
  c.publish_timeout_ms = config.publish_timeout_ms;
  // One message a record: batch_size bounds how many of them may be under way.
  if (outbound::is_record_a_message(config.framing) && config.batch_size != 0) {
    c.window_messages = std::max(config.batch_size, kSingleWindowMin);
  }
  auto made = outbound::JetStreamPublisher::make(std::move(c));
  if (!made) return made.error();
  return std::unique_ptr<outbound::Publisher>(std::move(*made));
}

Result<std::unique_ptr<outbound::Publisher>> make_http(const ApplianceConfig& config,
                                                       const PublisherConfig& p,
                                                       const outbound::RunIdentity& identity,
                                                       const outbound::Subjects& subjects) {
  outbound::HttpPublisherConfig c;
  c.http = {p.url,      p.token_file,   p.ca_file,                p.cert_file,
            p.key_file, p.requests_max, config.publish_timeout_ms};
  c.format = stream_format(p);
  c.subjects = subjects;
  c.identity = identity;
  c.window_batches = std::max(c.window_batches, 2 * p.requests_max);
  auto made = outbound::HttpPublisher::make(std::move(c));
  if (!made) return made.error();
  return std::unique_ptr<outbound::Publisher>(std::move(*made));
}

Result<std::unique_ptr<outbound::Publisher>> make_kafka(const ApplianceConfig& config,
                                                        const PublisherConfig& p,
                                                        const outbound::RunIdentity& identity,
                                                        const outbound::Subjects& subjects) {
  outbound::KafkaPublisherConfig c;
  c.kafka = {p.brokers, p.options};
  c.topic = p.topic;
  c.subjects = subjects;
  c.framing = config.framing;
  c.compression = config.compression;
  c.identity = identity;
  return outbound::make_kafka_publisher(std::move(c));
}

}  // namespace

Result<std::unique_ptr<outbound::Publisher>> make_publisher(const ApplianceConfig& config, const PublisherConfig& p,
                                                            const outbound::RunIdentity& identity,
                                                            const outbound::Subjects& subjects) {
  const auto make = [&]() -> Result<std::unique_ptr<outbound::Publisher>> {
    switch (p.kind) {
      case PublisherKind::jetstream: return make_jetstream(config, identity, subjects);
      case PublisherKind::file: {
        auto made = outbound::StreamPublisher::to_file({p.path, p.rotate_bytes, p.rotate_secs, p.keep_files},
                                                       stream_format(p));
        if (!made) return made.error();
        return std::unique_ptr<outbound::Publisher>(std::move(*made));
      }
      case PublisherKind::kafka: return make_kafka(config, p, identity, subjects);
      case PublisherKind::http: return make_http(config, p, identity, subjects);
      case PublisherKind::discard:
        return std::unique_ptr<outbound::Publisher>(std::make_unique<outbound::DiscardPublisher>());
      case PublisherKind::standard_output: break;
    }
    return std::unique_ptr<outbound::Publisher>(outbound::StreamPublisher::to_stdout(stream_format(p)));
  };
  auto made = make();
  if (!made) return Error{"publisher " + p.name + ": " + made.error().message};
  return made;
}

Result<std::vector<NamedPublisher>> make_publishers(const ApplianceConfig& config,
                                                    const outbound::RunIdentity& identity,
                                                    const outbound::Subjects& subjects) {
  std::vector<NamedPublisher> publishers;
  for (const PublisherConfig& p : config.publishers) {
    auto made = make_publisher(config, p, identity, subjects);
    if (!made) return made.error();
    publishers.push_back({p.name, std::move(*made)});
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

size_t publisher_queue_batches(uint32_t channel_size) {
  // channel_size speaks of datagrams of 30 records; a batch holds several hundred. The bound in
  // records is kept by Delivery, so this one only has to be generous enough for small batches.
  return std::clamp<size_t>(channel_size, 16, 65'536);
}

size_t batches_at_hand(uint32_t channel_size) {
  return std::min(publisher_queue_batches(channel_size), kBatchesAtHandMax);
}

PublisherBounds publisher_bounds(const ApplianceConfig& config, const PublisherConfig& publisher) {
  const uint32_t channel_size = publisher.channel_size.value_or(config.channel_size);
  PublisherBounds bounds;
  bounds.policy = drop_policy_of(config, publisher);
  bounds.records_max = uint64_t{channel_size} * kRecordsPerChannelDatagram;
  bounds.waiting_batches_max = publisher_queue_batches(channel_size) - batches_at_hand(channel_size);
  return bounds;
}

std::unique_ptr<PublisherThread> make_publisher_thread(const ApplianceConfig& config, const PublisherConfig& publisher,
                                                       std::unique_ptr<outbound::Publisher> made,
                                                       const PublisherGround& ground) {
  PublisherThreadConfig thread{
      .name = publisher.name,
      .queue_batches_max = batches_at_hand(publisher.channel_size.value_or(config.channel_size)),
      .batches_in_all = ground.batches_in_all + kReplaysMax,
      .place = exclusive_place(publisher),
  };
  return std::make_unique<PublisherThread>(std::move(thread), std::move(made), *ground.on_news);
}

std::string exclusive_place(const PublisherConfig& publisher) {
  switch (publisher.kind) {
    case PublisherKind::standard_output: return "standard output";
    case PublisherKind::file: return "file " + publisher.path;
    case PublisherKind::jetstream:
    case PublisherKind::kafka:
    case PublisherKind::http:
    case PublisherKind::discard: break;
  }
  return {};
}

Result<void> open_spool(const ApplianceConfig& config, const PublisherConfig& publisher, const PublisherGround& ground,
                        PublisherBounds& bounds) {
  const outbound::SpoolConfig spool_settings = spool_config(config, publisher);
  auto spool = outbound::Spool::open(spool_settings);
  if (!spool) return Error{fmt::format("publisher {}: spool: {}", publisher.name, spool.error().message)};
  auto journal = RunJournal::open(spool_settings.dir + "/run");
  if (!journal) {
    return Error{fmt::format("publisher {}: spool: {}", publisher.name, journal.error().message)};
  }
  if (const auto& lost = (*journal)->lost_before()) {
    service::log_warning(
        "publisher {}: the last run was killed: up to {} batches with {} records had reached neither the "
        "destination nor the spool",
        publisher.name, lost->batches, lost->records);
  }
  const outbound::SpoolCounters& found = (*spool)->counters();
  if (found.restored_entries.value() != 0 || found.damaged_octets.value() != 0) {
    service::log_info("publisher {}: {} batches with {} records wait in the spool{}", publisher.name,
                      found.restored_entries.value(), found.restored_records.value(),
                      found.damaged_octets.value() == 0
                          ? std::string()
                          : fmt::format(", and {} octets there are damaged",
                                        found.damaged_octets.value()));
  }
  bounds.journal = std::move(*journal);
  bounds.spool = std::make_unique<SpoolThread>(
      publisher.name, std::move(*spool), outbound::Addressing(ground.identity, ground.subjects),
      ground.batches_in_all, *ground.on_news);
  return {};
}

}  // namespace weir::control

// source_view.h — How a program's source is: the stream, its consumers, and how far behind they are; for operators, in words, JSON and metrics.
//
// Runs on:  taken on the thread that consumes, read on any.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "export/jetstream_consumer.h"
#include "feed/source_message.h"
#include "service/metrics.h"

namespace weir::feed {

struct SourceView {
  std::string stream_name;
  outbound::StreamLook stream;
  std::vector<outbound::ConsumerLook> inputs;
  bool is_connected = false;
  uint64_t reconnects = 0;
  std::string trouble;

  static SourceView of(const outbound::JetStreamConsumer& consumer, const std::string& stream_name);

  /// Messages that are not acknowledged yet, of all inputs.
  uint64_t lag() const noexcept;
  /// More than half of what the stream has.
  bool is_behind() const noexcept;
  uint64_t expired_in_stream() const noexcept;
  /// Empty, or why nothing comes just now.
  std::string not_ready_because() const;
};

nlohmann::json source_json(const SourceView& source);
/// By reason; of single records or of whole messages.
nlohmann::json dead_json(const DeadTally& tally, bool of_records);
/// `program`: what the metrics' names begin with: `weir_etl`.
void add_source_metrics(service::MetricPage& page, const std::string& program, const SourceView& source);
void add_dead_metrics(service::MetricPage& page, const std::string& program, const DeadTally& messages, const DeadTally& records);

/// Says in the log what went, and that too much waits. Called about once a second.
class SourceWatch {
 public:
  /// `remedy`: `start more instances`.
  void look(const SourceView& source, const char* remedy);

 private:
  uint64_t expired_told_ = 0;
  uint32_t looks_behind_ = 0;
};

}  // namespace weir::feed

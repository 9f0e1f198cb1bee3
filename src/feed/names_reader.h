// names_reader.h — Names of exporters and of what they have, from the stream that keeps the newest message of each.
//
// Spec:     proto/exporter.proto; docs/FLOW_MESSAGE.md, flows.meta.
// Runs on:  run on a thread of its own; ask_to_stop, table and view on any.
// Owns:     a connection to the stream's servers. Reads all of it at each start: it is one message an exporter.
// Bounds:   enrich::NamesTable's; kInterfacesMax interfaces of an exporter are handed on.
// Failure:  none ends it: the view says what is wrong, the log says so once, and it is tried again.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/snapshot.h"
#include "enrich/exporter_names.h"
#include "export/jetstream_reader.h"
#include "feed/settings.h"
#include "service/metrics.h"

namespace flowpb {
class ExporterInfo;
}

namespace weir::feed {

inline constexpr int kInterfacesMax = 65'536;
inline constexpr uint64_t kNamesWaitNs = 5'000'000'000;

struct NamesView {
  uint64_t messages = 0;
  uint64_t malformed = 0;
  uint64_t exporters = 0;
  uint64_t omitted = 0;  // names, and exporters, that there was no room for, each time that they came
  std::string trouble;
};

class NamesReader {
 public:
  /// What is done beside with what an exporter says, on the reader's thread; after an Error all is read again.
  using Take = std::function<Result<void>(const IpAddress& exporter, const flowpb::ExporterInfo& info)>;

  explicit NamesReader(outbound::ReaderConfig config, Take take = {}) : config_(std::move(config)), take_(std::move(take)) {}

  void run();
  void ask_to_stop() noexcept { is_stopping_.store(true, std::memory_order_release); }
  /// Null until all was read once, or the stream was found not to be there.
  std::shared_ptr<const enrich::NamesTable> table() const { return table_.read(); }
  std::shared_ptr<const NamesView> view() const { return view_.read(); }
  /// Whether flows had better wait for names: they are not there yet, and were not waited for long. `names` may be null.
  static bool is_awaited(const NamesReader* names, uint64_t waited_ns) noexcept {
    return names != nullptr && waited_ns < kNamesWaitNs && names->table() == nullptr;
  }

 private:
  Result<void> step();
  Result<void> take(const std::string& payload);
  void publish();
  void tell(const std::string& trouble);

  const outbound::ReaderConfig config_;
  const Take take_;
  std::unique_ptr<outbound::JetStreamReader> reader_;
  enrich::NamesTable names_;
  bool has_changed_ = true;  // since it was published
  uint64_t published_ns_ = 0;
  NamesView now_;
  bool was_told_ = false;
  std::atomic<bool> is_stopping_{false};
  Snapshot<enrich::NamesTable> table_;
  Snapshot<NamesView> view_;
};

outbound::ReaderConfig names_reader_config(const FeedSettings& settings, const NamesConfig& names, const std::string& program);

nlohmann::json names_json(const NamesView& names);
/// `program`: what the metrics' names begin with: `weir_etl`.
void add_names_metrics(service::MetricPage& page, const std::string& program, const NamesView& names);

}  // namespace weir::feed

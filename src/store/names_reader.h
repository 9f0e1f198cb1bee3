// names_reader.h — Names of exporters and interfaces, from the stream that keeps the newest of each, into tables that questions join.
//
// Spec:     proto/exporter.proto; docs/FLOW_MESSAGE.md, flows.meta.
// Runs on:  step on the names_thread; ask_to_stop and view on any.
// Owns:     a connection to the stream's servers. Reads all of it at each start: it is one message an exporter.
// Bounds:   kInterfacesMax interfaces of an exporter are taken.
// Failure:  none ends it: the view says what is wrong, and it is tried again.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/snapshot.h"
#include "export/jetstream_reader.h"
#include "store/open_store.h"

namespace weir::store {

inline constexpr int kInterfacesMax = 65'536;

struct NamesView {
  uint64_t messages = 0;
  uint64_t malformed = 0;
  std::string trouble;
};

/// What an ExporterInfo says goes before what was there; interfaces that it does not name stay. False where it is none.
Result<bool> store_exporter(Connection& connection, std::string_view payload);

class NamesReader {
 public:
  NamesReader(outbound::ReaderConfig config, OpenStore& store) : config_(std::move(config)), store_(store) {}

  void run();
  void ask_to_stop() noexcept { is_stopping_.store(true, std::memory_order_release); }
  std::shared_ptr<const NamesView> view() const { return view_.read(); }

 private:
  Result<void> step();

  const outbound::ReaderConfig config_;
  OpenStore& store_;
  std::unique_ptr<outbound::JetStreamReader> reader_;
  NamesView now_;
  std::atomic<bool> is_stopping_{false};
  Snapshot<NamesView> view_;
};

}  // namespace weir::store

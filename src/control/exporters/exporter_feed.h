// exporter_feed.h — Tables of exporters that changed, to the stream of ExporterInfo and to standard output.
//
// Runs on:  control_thread, but for the publisher, which has a thread of its own.
// Bounds:   kFeedMessagesMax messages under way; what changes meanwhile is published once, as it is then.
// Failure:  an absent broker holds nothing back: tables stay changed until they are acknowledged. What a
//           broker refuses for good is counted, and published again when the table changes again.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "base/waker.h"
#include "control/exporters/exporter_directory.h"
#include "export/meta_publisher.h"

namespace weir::control {

inline constexpr size_t kFeedMessagesMax = 64;

/// What became of the tables so far.
struct ExporterFeedView {
  bool is_on = false;  // there is a stream for them
  bool connected = false;
  std::string last_error;
  uint64_t waiting = 0;  // tables that changed and are not acknowledged
  uint64_t acknowledged = 0;
  uint64_t failed = 0;
  uint64_t messages = 0;
  uint64_t retries = 0;
  uint64_t streams_created = 0;
};

/// Its counters, and those of one before it.
void add_past(ExporterFeedView& feed, const ExporterFeedView& past);

struct ExporterFeedConfig {
  std::string subject_prefix = "flows.meta";
  std::string id_prefix;  // of Nats-Msg-Id: what identifies this run
};

class ExporterFeed final : private outbound::MetaOutcomeSink {
 public:
  /// Takes one line of a table, as JSON; false where there is no room just now.
  using PrintLine = std::function<bool(const std::string&)>;

  /// Either may be absent.
  ExporterFeed(ExporterFeedConfig config, std::unique_ptr<outbound::MetaPublisher> publisher,
               PrintLine print = {});
  ~ExporterFeed();

  void start();
  /// Offers what is due, takes what was decided; whether anything moved.
  bool step(ExporterDirectory& directory, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// What is under way may still be acknowledged until then; afterwards nothing is offered.
  void begin_drain(uint64_t deadline_steady_ns) WEIR_RUNS_ON(control_thread);
  /// The same where another takes its place: what is not acknowledged by then is the other's.
  void begin_leave(uint64_t deadline_steady_ns) WEIR_RUNS_ON(control_thread);
  bool finished() const noexcept {
    return publisher_ == nullptr || finished_.load(std::memory_order_acquire);
  }

  ExporterFeedView view(const ExporterDirectory& directory) const WEIR_RUNS_ON(control_thread);

 private:
  struct Item {
    outbound::MetaMessage message;
    IpAddress exporter;
    bool is_unprinted = false;  // there was no room for its line
  };

  void try_start();
  void run();
  void publish_until_drained() WEIR_RUNS_ON(publisher_thread);
  void on_meta_outcome(outbound::MetaMessage& message, bool acknowledged) override;
  void wake_thread() noexcept;

  bool is_started_ = false;
  bool is_leaving_ = false;
  const ExporterFeedConfig config_;
  const std::unique_ptr<outbound::MetaPublisher> publisher_;  // null: none
  const PrintLine print_;
  Waker work_ready_;
  // Items belong to `items_`; the rings carry pointers to them.
  std::map<const outbound::MetaMessage*, std::unique_ptr<Item>> items_;
  SpscRing<outbound::MetaMessage*> offered_{kFeedMessagesMax};
  struct Decided {
    outbound::MetaMessage* message;
    bool acknowledged;
  };
  SpscRing<Decided> decided_{kFeedMessagesMax};
  std::atomic<uint64_t> drain_deadline_ns_{0};  // 0: not draining
  std::atomic<bool> finished_{false};
  std::thread thread_;
};

}  // namespace weir::control

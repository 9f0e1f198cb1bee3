// worker.h — Takes messages from the stream, makes events of their flows, publishes them, and acknowledges each message when all
// that came of it is acknowledged.
//
// Runs on:  run on the etl_thread; ask_to_stop and view on any.
// Owns:     four connections: to consume, to publish events, to publish what a decision file makes instead (once rules name one), to publish
//           what nothing can be made of.
// Bounds:   messages_in_hand, octets_in_hand of what messages unpack to (and one message more), buffer_bytes of events, kOutgoingMax
//           messages on their way. Where one of them is reached nothing more is begun, or asked for.
// Failure:  none ends it. Whatever it is waiting for is in the view.
//
// A message that was delivered before may be what killed whoever had it. Such are worked on alone, and while some are about
// only one message at a time is asked for, so that its neighbours do not die with it; beyond feed::kDeliveriesMax it goes to
// flows.dead.max_deliver without being looked at.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "etl/config.h"
#include "etl/job.h"
#include "etl/rules_in_use.h"
#include "etl/view.h"
#include "export/jetstream_consumer.h"
#include "export/jetstream_publisher.h"
#include "feed/dead_letter.h"
#include "feed/names_reader.h"
#include "rules/program.h"
#include "transform/decision_writer.h"
#include "transform/given_names.h"

namespace weir::etl {

inline constexpr size_t kOutgoingMax = 8192;

class EtlWorker final : private outbound::OutcomeSink {
 public:
  /// Connects to nothing yet. `rules` has some before run is called.
  /// `names`: of exporters; null: none.
  static Result<std::unique_ptr<EtlWorker>> make(const EtlConfig& config, const Snapshot<RulesInUse>& rules,
                                                 const feed::NamesReader* names = nullptr);
  ~EtlWorker();

  /// Until it is asked to stop, and then until what is begun is delivered, or shutdown_deadline_ms are over.
  void run() WEIR_RUNS_ON(etl_thread) WEIR_RUNS_ON(publisher_thread);
  /// Again: at once.
  void ask_to_stop() noexcept;
  /// Null before the first.
  std::shared_ptr<const EtlView> view() const { return view_.read(); }

 private:
  EtlWorker(const EtlConfig& config, const Snapshot<RulesInUse>& rules, const feed::NamesReader* names,
            std::unique_ptr<outbound::JetStreamConsumer> consumer, std::unique_ptr<outbound::JetStreamPublisher> events,
            std::unique_ptr<outbound::JetStreamPublisher> decisions, std::unique_ptr<outbound::JetStreamPublisher> dead);

  // worker.cc: messages
  bool step() WEIR_RUNS_ON(publisher_thread);
  void wait() WEIR_RUNS_ON(publisher_thread);
  bool take_deliveries();
  void ask_for_more(uint64_t now_ns);
  Job* next_job();
  bool publish() WEIR_RUNS_ON(publisher_thread);
  void on_outcome(const outbound::Outcome& outcome) override;
  bool uses_decisions() const noexcept;
  void let_go_of_decisions(uint64_t now_ns);
  void close_if_settled(Job& job);
  std::unique_ptr<Job> take_out(Job& job);
  void work_again(Job& job);
  bool close_jobs();
  void prolong(uint64_t now_ns);
  void stop() WEIR_RUNS_ON(publisher_thread);
  uint32_t give_back_delay_ms() noexcept;
  void give_back_waiting();

  // worker_transform.cc: records
  bool transform();
  void begin(Job& job);
  void free_unpacked(Job& job);
  bool work(Job& job, size_t& budget);
  bool read_record(const Job& job, std::span<const uint8_t> record);
  void make_event(Job& job, std::span<const uint8_t> record);
  void write_event(Job& job, const transform::Decisions& decisions, std::span<const uint8_t> record);
  bool has_room() noexcept;
  void seal(Job& job, uint32_t last_index);
  void end_slice(Job& job);
  void give_up_slice();
  void change_buffer();
  size_t message_octets_max(const Job& job) noexcept;
  void bury(Job& job, DeadReason reason);
  void bury_record(Job& job, DeadReason reason, std::span<const uint8_t> record, std::string_view detail = {});
  Outgoing& take_outgoing(Job& job);
  feed::DeadSource source_of(const Job& job) const;
  void take_rules(const std::shared_ptr<const RulesInUse>& rules);

  // worker_view.cc
  bool has_new_rules() const;
  void publish_view(uint64_t now_ns);
  EventPublisherView publisher_view(std::string_view name, const std::string& stream,
                                    const outbound::JetStreamPublisher& publisher) const;

  const EtlConfig config_;
  const Snapshot<RulesInUse>& rules_;
  const feed::NamesReader* const names_;  // null: none
  const std::unique_ptr<outbound::JetStreamConsumer> consumer_;
  const std::unique_ptr<outbound::JetStreamPublisher> events_;
  const std::unique_ptr<outbound::JetStreamPublisher> decisions_;  // connects to nothing before rules name a decision file
  const std::unique_ptr<outbound::JetStreamPublisher> dead_;

  std::vector<outbound::Delivery> taken_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::vector<std::unique_ptr<Job>> begun_;
  std::vector<uint32_t> in_hand_of_;         // by input
  std::vector<uint64_t> redelivered_stale_;  // likewise: of ConsumerLook::redelivered, what nobody has
  std::vector<Job*> closing_;         // settled, and not told yet
  Job* current_ = nullptr;            // whose records are being read
  size_t suspects_ = 0;               // in hand
  size_t unpacked_octets_ = 0;        // of messages that are begun
  bool is_suspect_begun_ = false;
  bool is_careful_ = false;

  std::vector<std::unique_ptr<EventBuffer>> buffers_;
  std::vector<EventBuffer*> free_buffers_;
  EventBuffer* buffer_ = nullptr;  // the one that is filled
  const uint32_t records_of_slice_;  // of the source, of framing json: then a message of events ends
  size_t slice_octets_ = 0;        // behind what is used of it: events of the current job that are not sealed
  uint32_t slice_records_ = 0;

  std::vector<std::unique_ptr<Outgoing>> outgoing_;
  std::vector<Outgoing*> free_outgoing_;
  std::deque<Outgoing*> to_publish_;       // events
  std::deque<Outgoing*> to_publish_decisions_;
  std::deque<Outgoing*> to_publish_dead_;

  std::shared_ptr<const RulesInUse> rules_seen_;
  std::vector<rules::RuleCounts> rule_counts_;
  std::vector<uint64_t> rule_drops_;
  RuleView former_rules_;
  rules::Scratch scratch_;
  rules::Outcome rule_outcome_;
  transform::DecisionWriter decision_writer_;
  FlowView flow_;
  std::optional<uint32_t> discard_reason_;  // of the record in flow_
  transform::NamesCursor exporter_;
  uint64_t processed_ms_ = 0;
  size_t payload_max_ = 0;  // of the server, as it last said

  EtlBooks books_;
  uint64_t outcomes_ = 0;
  uint64_t started_ns_ = 0;
  uint64_t started_steady_ns_ = 0;
  uint64_t next_view_ns_ = 0;
  uint64_t next_prolong_ns_ = 0;
  uint64_t unwanted_since_ns_ = 0;  // results of decision files that rules have no more wait, and their stream takes none; 0: it does
  uint64_t decisions_seen_ = 0;     // acknowledged, then
  bool is_letting_go_ = false;      // of these
  bool is_stopping_ = false;
  std::atomic<uint32_t> stop_asked_{0};
  Snapshot<EtlView> view_;
};

}  // namespace weir::etl

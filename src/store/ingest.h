// ingest.h — Takes messages from the stream, makes rows of their flows, gives them to the committer, and acknowledges each message when
// its rows are committed.
//
// Runs on:  run on the ingest_thread; ask_to_stop and view on any.
// Owns:     two connections: to consume, and to publish what no row can be made of.
// Bounds:   messages_in_hand; kBatchesMax batches of commit.rows rows or kBatchOctetsMax octets of texts and lists, or of records
//           where those are more (and what the last message of each has beyond, kRecordsMax rows at most); where one of them is
//           reached nothing more is asked for.
// Failure:  none ends it. Whatever it is waiting for is in the view.
//
// A message is in one batch with all of its rows and with what the ledger knows of it. One that comes again while the first is not
// committed waits for the batches before it, too: its acknowledgement would be the first one's.
//
// A message that was delivered kSuspectFrom times may be what killed whoever had it: such are committed alone, and where some were
// delivered before, few are asked for until it is known that none of them is one.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/snapshot.h"
#include "base/thread_roles.h"
#include "export/batch_reader.h"
#include "export/jetstream_consumer.h"
#include "export/jetstream_publisher.h"
#include "feed/dead_letter.h"
#include "feed/names_reader.h"
#include "rules/program.h"
#include "store/committer.h"
#include "store/config.h"
#include "store/identity_ledger.h"
#include "store/row_writer.h"
#include "store/rules_in_use.h"
#include "store/view.h"
#include "transform/decision_writer.h"
#include "transform/given_names.h"

namespace weir::store {

inline constexpr uint64_t kSuspectFrom = 3;
inline constexpr size_t kHoursMax = 64;         // in one batch
inline constexpr size_t kHoursOpenMax = 128;    // with what its last message has beyond; a row of yet another counts as of now
inline constexpr size_t kRecordsMax = 1u << 20;     // of one message; what has more is no batch of flows
inline constexpr size_t kRecordLettersMax = 256;    // of one message; beyond, one more has it whole
inline constexpr size_t kDecidedOctetsMax = 64 * 1024;  // of a decision file's result: half of what a remainder may be
inline constexpr size_t kFreeChunksMax = 512;       // kept for the next batches
inline constexpr size_t kLettersMax = 4096;     // without an outcome; beyond, no message is begun

/// A message in hand.
struct HeldMessage {
  explicit HeldMessage(outbound::Delivery&& d) : delivery(std::move(d)), reply(delivery.message.reply()) {}

  outbound::Delivery delivery;  // its octets go when nothing refers to them
  const std::string reply;      // where it is acknowledged
  std::string id;
  uint64_t prolonged_ns = 0;
  feed::SourceMessage source;
  uint64_t rows = 0;
  uint32_t letters = 0;         // dead letters without an outcome
  bool is_read = false;
  bool waits_for_commit = false;
  bool is_repeated = false;
  bool has_failed = false;
  std::optional<feed::DeadReason> dead;  // as a whole
  size_t place = 0;                      // among those that are read

  bool is_settled() const noexcept { return is_read && !waits_for_commit && letters == 0; }
};

class Ingest final : private outbound::OutcomeSink {
 public:
  /// Connects to nothing yet. `names`: of exporters; null: none.
  static Result<std::unique_ptr<Ingest>> make(const StoreConfig& config, const Snapshot<RulesInUse>& rules, Sink& sink,
                                              const feed::NamesReader* names = nullptr);
  ~Ingest();

  /// Until it is asked to stop, and then until what is read is committed, or shutdown_deadline_ms are over.
  void run() WEIR_RUNS_ON(ingest_thread) WEIR_RUNS_ON(publisher_thread);
  /// Again: at once.
  void ask_to_stop() noexcept;
  /// Null before the first.
  std::shared_ptr<const StoreView> view() const { return view_.read(); }
  /// Its thread is the program's.
  Committer& committer() noexcept { return committer_; }

 private:
  struct Letter : outbound::OutboundBatch {
    HeldMessage* message = nullptr;
    uint32_t records = 0;  // that it stands for; 0: the message
    feed::DeadReason reason{};
    outbound::ReplayedAs as;
    outbound::BatchHeaders own_headers;
  };

  Ingest(const StoreConfig& config, const Snapshot<RulesInUse>& rules, Sink& sink, const feed::NamesReader* names,
         std::unique_ptr<outbound::JetStreamConsumer> consumer, std::unique_ptr<outbound::JetStreamPublisher> dead);

  // ingest.cc: messages
  bool step() WEIR_RUNS_ON(publisher_thread);
  void wait() WEIR_RUNS_ON(publisher_thread);
  bool take_deliveries();
  void ask_for_more(uint64_t now_ns);
  bool publish_letters() WEIR_RUNS_ON(publisher_thread);
  void on_outcome(const outbound::Outcome& outcome) override;
  bool take_commits();
  void close_if_settled(HeldMessage& message);
  bool close_messages();
  void prolong(uint64_t now_ns);
  void stop() WEIR_RUNS_ON(publisher_thread);
  void give_back_waiting();
  uint32_t give_back_delay_ms() noexcept;

  // ingest_messages.cc: rows
  bool work(uint64_t now_ns);
  bool may_read() noexcept;
  void read(HeldMessage& message);
  void write_rows(HeldMessage& message);
  void look_for_dead(HeldMessage& message);
  bool write_row(std::span<const uint8_t> record);
  std::string_view decided_by(const rules::DecisionProgram& program, const transform::Decisions& decisions);
  RowChunk& chunk_for(int64_t hour);
  CommitBatch& open_batch();
  bool seal_if_due(uint64_t now_ns);
  bool seal();
  void recycle(CommitBatch& batch);
  void bury(HeldMessage& message, feed::DeadReason reason);
  void bury_record(HeldMessage& message, uint32_t index, std::span<const uint8_t> record);
  void bury_rest(HeldMessage& message, uint32_t records);
  Letter& new_letter(HeldMessage& message, feed::DeadReason reason);
  feed::DeadSource source_of(const HeldMessage& message) const;
  void take_rules(std::shared_ptr<const RulesInUse> rules);

  // ingest_view.cc
  void publish_view(uint64_t now_ns);

  const StoreConfig config_;
  const Snapshot<RulesInUse>& rules_;
  const feed::NamesReader* const names_;  // null: none
  const std::unique_ptr<outbound::JetStreamConsumer> consumer_;
  const std::unique_ptr<outbound::JetStreamPublisher> dead_;
  Committer committer_;
  IdentityLedger ledger_;

  std::vector<outbound::Delivery> taken_;
  std::deque<std::unique_ptr<HeldMessage>> waiting_;
  std::vector<std::unique_ptr<HeldMessage>> read_;
  std::vector<HeldMessage*> closing_;  // settled, and not told yet
  std::vector<uint32_t> waiting_of_;   // by input: not read yet
  std::vector<uint32_t> in_hand_of_;
  std::vector<uint64_t> redelivered_stale_;  // of ConsumerLook::redelivered, what nobody has
  size_t suspects_ = 0;                      // in hand
  uint32_t window_ = 1;                      // messages to ask for, while it is not known what they are

  std::vector<std::unique_ptr<CommitBatch>> batches_;
  std::vector<CommitBatch*> free_batches_;
  CommitBatch* batch_ = nullptr;  // the one that is filled
  size_t batch_chunks_ = 0;
  bool must_seal_ = false;        // what it has shall be alone
  std::vector<std::unique_ptr<RowChunk>> free_chunks_;
  uint64_t chunks_made_ = 0;
  uint64_t last_number_ = 0;
  size_t commits_open_ = 0;
  HourRows* last_hour_ = nullptr;  // of the batch, where the last row went

  std::deque<std::unique_ptr<Letter>> to_publish_;
  std::vector<std::unique_ptr<Letter>> letters_;  // under way
  size_t letters_open_ = 0;

  std::shared_ptr<const RulesInUse> rules_seen_;
  std::vector<rules::RuleCounts> rule_counts_;
  std::shared_ptr<const enrich::NamesTable> names_seen_;  // of the message that is read
  transform::NamesCursor exporter_;
  rules::Scratch scratch_;
  rules::Outcome rule_outcome_;
  transform::DecisionWriter decision_writer_;
  const std::unique_ptr<char[]> decided_ = std::make_unique<char[]>(kDecidedOctetsMax);
  FlowView flow_;
  RowWriter writer_;
  int64_t now_us_ = 0;
  uint64_t newest_row_us_ = 0;

  StoreBooks books_;
  uint64_t outcomes_ = 0;
  uint64_t started_ns_ = 0;
  uint64_t started_steady_ns_ = 0;
  uint64_t next_view_ns_ = 0;
  uint64_t next_prolong_ns_ = 0;
  bool is_stopping_ = false;
  std::atomic<uint32_t> stop_asked_{0};
  Snapshot<StoreView> view_;
};

}  // namespace weir::store

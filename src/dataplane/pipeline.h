// pipeline.h — What one receive core does with a frame: parse, admit, decode, encode, batch.
//
// Runs on:  rx_lcore, run to completion; shares nothing. No DPDK here: frames come as spans, so
//           that DPDK ports, kernel sockets, tests and benchmarks walk the same way.
// Owns:     the core's Decoder and Batcher.
// Bounds:   kEventsWaitingMax events of the decoder wait for the control thread.
// Failure:  every frame ends in exactly one counter of PipelineCounters.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "dataplane/exception_lane.h"
#include "dataplane/flow_tap.h"
#include "dataplane/inquiry.h"
#include "dataplane/ledger.h"
#include "dataplane/plane_rules.h"
#include "dataplane/quarantine.h"
#include "dataplane/rate_limiter.h"
#include "dataplane/replica_lane.h"
#include "dataplane/datagram_tap.h"
#include "dataplane/worker_lane.h"
#include "decode/decoder.h"
#include "decode/exporter_detail.h"
#include "decode/record_fuser.h"
#include "decode/state_image.h"
#include "export/batcher.h"
#include "export/sflow_encoder.h"
#include "fuse/fused_way.h"
#include "packet/fragments_of_others.h"
#include "packet/frame.h"
#include "packet/reassembly.h"

namespace weir::classify {
class Stage;
struct Verdict;
}  // namespace weir::classify

namespace weir::dataplane {

/// frames = Σ verdicts; verdicts[not_ip] + verdicts[not_udp] + verdicts[other_vlan] + no_listener, of datagrams and of fragments, + what
/// fragments made that is not_udp = Σ exceptions; verdicts[udp] + taken
/// datagrams + what the reassembler made of fragments = no_listener + datagrams + datagrams for workers (handed or full);
/// verdicts[fragment] + taken fragments = the reassembler's + fragments for workers; datagrams = the decoder's.
/// A kernel socket's datagrams count in `datagrams` only.
struct PipelineCounters {
  Counter frames;
  Counter frame_octets;
  CounterArray<packet::FrameVerdict> verdicts;
  Counter no_listener;
  CounterArray<ExceptionOutcome> exceptions;
  HandedCounters handover;            // to workers
  CounterArray<HandedKind> taken;     // by this worker, from receive cores
  Counter datagrams;
  Counter records_fused;  // of the decoder's, those that went straight to wire octets: not what a form could not express, nor what was dropped
  Counter bursts;  // with at least one frame or datagram
  Counter empty_polls;
  Counter holds;    // polls that received nothing because buffers were short (may_receive)
  Counter busy_ns;  // time in bursts with work
  Counter sleeps;
};

/// A request for copies of the core's exporters, answered in slices between bursts. Rows move while
/// exporters come and go: a table to look at, not a ledger.
struct ExporterQuery {
  std::vector<decode::ExporterStats> rows;  // sized by the asker: what does not fit is counted
  size_t filled = 0;
  uint64_t omitted = 0;  // exporters for which there was no row
  uint32_t cursor = 0;
  std::vector<decode::DomainStats> domains;  // likewise, but not counted
  size_t domains_filled = 0;
  uint32_t domains_cursor = 0;
  bool exporters_done = false;
  CoreBooks books;  // as they were when the core took the question up: between two bursts
  bool has_books = false;

  void begin() noexcept {
    filled = domains_filled = 0;
    omitted = 0;
    cursor = domains_cursor = 0;
    exporters_done = has_books = false;
  }
};

/// A request for what the core's decoder would like to remember, answered a chunk at a time: the
/// asker empties `octets` and asks on with the same cursor until it is over.
struct StateQuery {
  std::vector<uint8_t> octets;  // sized by the asker, several of decode::kStateChunkOctetsMin
  size_t filled = 0;
  decode::StateCursor cursor;

  void begin() noexcept { filled = 0; }
};

/// What wants records one by one just now, so that no template's records go straight to wire octets; `element_rules`
/// only those with elements that have no column.
#define WEIR_RECORD_READERS(X) X(live_tail) X(rate_limit) X(rules) X(element_rules) X(inline_names)
WEIR_NAMED_ENUM(RecordReaderKind, uint8_t, WEIR_RECORD_READERS)
/// A bit each, from the first on.
using RecordReaderKinds = uint8_t;

/// A request for what one exporter said, answered a slice between two bursts.
struct DetailQuery {
  IpAddress exporter;
  std::vector<uint8_t> octets;  // sized by the asker, several of decode::kStateChunkOctetsMin
  size_t filled = 0;
  decode::DetailCursor cursor;
  bool is_cut = false;  // there was more than room
  RecordReaderKinds record_readers = 0;  // of the core, when it answered

  void begin() noexcept {
    filled = 0;
    record_readers = 0;
    cursor = {};
    is_cut = false;
  }
};

inline constexpr size_t kEventsWaitingMax = 4096;  // of a core, for the control thread

/// The decoder's events on their way to the control thread; what does not fit the decoder counts.
class EventRing final : public decode::EventSink {
 public:
  bool on_event(const decode::Event& event) noexcept override { return ring_.push(event); }
  bool take(decode::Event& event) noexcept { return ring_.pop(event); }

 private:
  SpscRing<decode::Event> ring_{kEventsWaitingMax};
};

inline constexpr size_t kVlanIds = 4096;
using VlanSet = std::bitset<kVlanIds>;  // 0: without a tag, or with one that is for priority only

/// What a port asks of export traffic.
struct FrameRules {
  packet::ChecksumPolicy checksums{};
  const VlanSet* vlans = nullptr;  // null: all
};

struct PipelineConfig {
  std::vector<Listener> listeners;  // ListenerId is the place in this list
  RateLimits rate_limits;
  packet::ReassemblyLimits reassembly;
  decode::DecoderConfig decoder;  // `listeners` is filled in from the list above
  outbound::BatcherConfig batcher;
  bool may_fuse = true;  // templates straight to wire octets, where nobody needs the records
  std::shared_ptr<const classify::RuleSet> classification;  // null: records are not classified
  std::vector<RouteId> rule_routes;                         // by its routes()

  /// What of it may change later, for so many cores. Those that classify by the rules `before` had go on with them.
  Result<std::shared_ptr<const PlaneRules>> rules(size_t cores = 1, const PlaneRules* before = nullptr) const;
};

class Pipeline final : private RecordSink, private decode::RecordFuser {
 public:
  ~Pipeline();
  /// Fails on a port that two listeners want, and on what the decoder refuses.
  static Result<std::unique_ptr<Pipeline>> create(const PipelineConfig& config);
  /// The same with rules that were made already.
  static Result<std::unique_ptr<Pipeline>> create(const PipelineConfig& config,
                                                  std::shared_ptr<const PlaneRules> rules);

  /// Control thread: what goes from the next burst on. The rules before stay alive until goes_by(rules).
  void set_rules(const PlaneRules& rules) noexcept WEIR_RUNS_ON(control_thread) {
    wanted_rules_.store(&rules, std::memory_order_release);
  }
  bool goes_by(const PlaneRules& rules) const noexcept {
    return rules_in_use_.load(std::memory_order_acquire) == &rules;
  }

  /// Control thread: who looks at flow records from the next burst on; null: nobody. The set before and its lanes
  /// stay alive until goes_by(set).
  void set_tap(const TapSet* set) noexcept WEIR_RUNS_ON(control_thread) {
    wanted_tap_.store(set, std::memory_order_release);
  }
  bool goes_by(const TapSet* set) const noexcept { return tap_in_use_.load(std::memory_order_acquire) == set; }
  /// Control thread: datagrams that are copied from the next burst on; null: none. Taps and tapes stay alive until
  /// has_datagram_taps(others), or until the core has ended.
  void set_datagram_taps(const DatagramTaps* taps) noexcept WEIR_RUNS_ON(control_thread) {
    wanted_datagram_taps_.store(taps, std::memory_order_release);
  }
  bool has_datagram_taps(const DatagramTaps* taps) const noexcept {
    return datagram_taps_in_use_.load(std::memory_order_acquire) == taps;
  }

  /// Before the core starts: where copies of what it receives go for other collectors. Null: nowhere.
  void set_replica(ReplicaLane* lane) noexcept WEIR_RUNS_ON(control_thread) { replica_ = lane; }

  /// What is no export traffic is offered to `kernel`, if there is one.
  void on_frame(std::span<const uint8_t> frame, packet::LinkType link, const Moment& received,
                ExceptionLane* kernel = nullptr, FrameRules rules = {}) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Of a queue that has workers: counts the frame and gives the kernel its own. True when the rest is a worker's:
  /// then `handed` says what it is, and `source` whose.
  bool sort_frame(std::span<const uint8_t> frame, packet::LinkType link, ExceptionLane* kernel, HandedFrame& handed,
                  IpAddress& source, FrameRules rules = {}) noexcept WEIR_RUNS_ON(rx_lcore);
  /// A worker, with a burst in hand and before it looks at it: its rules are then no older than those by which
  /// the burst was sorted.
  void catch_up() noexcept WEIR_RUNS_ON(rx_lcore);
  /// What sort_frame said is a worker's. What it completes and no listener wants is offered to `kernel`, if there is one.
  void on_handed_frame(std::span<const uint8_t> frame, const HandedFrame& handed, ExceptionLane* kernel = nullptr) noexcept
      WEIR_RUNS_ON(rx_lcore);
  /// From a kernel socket, which already knows its listener.
  void on_datagram(const Datagram& datagram) noexcept WEIR_RUNS_ON(rx_lcore);
  /// One IPFIX Message of a transport session (Datagram::session); what was wrong with it.
  decode::Faults on_message(const Datagram& message) noexcept WEIR_RUNS_ON(rx_lcore) {
    on_datagram(message);
    return decoder_->faults();
  }
  /// What that session said of templates is forgotten.
  void end_session(const IpAddress& exporter, uint32_t session) noexcept WEIR_RUNS_ON(rx_lcore) {
    decoder_->end_session(exporter, session);
  }
  /// Whether the access list lets the exporter in.
  bool admits(const IpAddress& exporter) const noexcept WEIR_RUNS_ON(rx_lcore) {
    return rules_->decoder.access.admits(exporter);
  }
  /// After each burst and when idle: timers, lingering batches, the control thread's questions.
  void poll(uint64_t steady_now_ns, const Moment& now) noexcept WEIR_RUNS_ON(rx_lcore);
  /// The control thread waits for an answer; the next polls give it.
  bool has_open_question() const noexcept WEIR_RUNS_ON(rx_lcore);
  /// True when sleeping would delay nothing but new packets.
  bool is_quiet() const noexcept WEIR_RUNS_ON(rx_lcore);
  /// False while what is received now might find no buffers, where it is to wait for them.
  bool may_receive() noexcept WEIR_RUNS_ON(rx_lcore) { return batcher_->has_room(); }
  /// Nothing more will come: seals what is open and answers an open question.
  void finish() noexcept WEIR_RUNS_ON(rx_lcore);

  /// Control thread: asks; false while the last question is still open. The query must outlive the
  /// answer, which take_answer hands back. `filled` and the like are set anew. A core that has
  /// ended answers no more.
  bool ask_exporters(ExporterQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return exporter_inquiry_.ask(query);
  }
  bool take_answer(ExporterQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return exporter_inquiry_.take(query);
  }
  /// The same for a chunk of the decoder's state.
  bool ask_state(StateQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return state_inquiry_.ask(query);
  }
  bool take_state(StateQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return state_inquiry_.take(query);
  }

  /// Likewise for the datagrams that could not be decoded.
  bool ask_quarantine(QuarantineQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return quarantine_inquiry_.ask(query);
  }
  bool take_quarantine(QuarantineQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return quarantine_inquiry_.take(query);
  }

  /// Likewise for one exporter, which the asker names first.
  bool ask_detail(DetailQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return detail_inquiry_.ask(query);
  }
  bool take_detail(DetailQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return detail_inquiry_.take(query);
  }

  /// Control thread: the next thing that the decoder had to tell.
  bool take_event(decode::Event& event) noexcept WEIR_RUNS_ON(control_thread) {
    return events_->take(event);
  }

  /// As any thread reads it; exact on the core's own between bursts.
  Ledger ledger() const noexcept;

  outbound::Batcher& batcher() noexcept { return *batcher_; }
  RateLimiter& rate_limiter() noexcept { return rate_limiter_; }
  PipelineCounters& counters() noexcept { return counters_; }  // the loop adds its own
  const PipelineCounters& counters() const noexcept { return counters_; }
  const packet::ReassemblyCounters& reassembly_counters() const noexcept {
    return reassembler_.counters();
  }
  const decode::DecoderCounters& decoder_counters() const noexcept { return decoder_->counters(); }
  const QuarantineCounters& quarantine_counters() const noexcept { return quarantine_.counters(); }
  const outbound::BatcherCounters& batcher_counters() const noexcept {
    return batcher_->counters();
  }

 private:
  Pipeline(std::shared_ptr<const PlaneRules> rules, std::unique_ptr<EventRing> events,
           const PipelineConfig& config);
  void take_rules(const PlaneRules& rules) noexcept WEIR_RUNS_ON(rx_lcore);
  void take_tap(const TapSet* set) noexcept WEIR_RUNS_ON(rx_lcore);
  void on_records(const RecordBurst& burst) noexcept override WEIR_RUNS_ON(rx_lcore);
  Compiled compile(const decode::Plan& plan) noexcept override;
  decode::FuseRefusal on_laid_out(const decode::LaidOutRecords& records) noexcept override WEIR_RUNS_ON(rx_lcore);
  void choose_way() noexcept WEIR_RUNS_ON(rx_lcore);
  void choose_stage() noexcept;
  /// Records of one verdict.
  void pass_records(const RecordBurst& burst, RouteId route) noexcept WEIR_RUNS_ON(rx_lcore);
  void sort_records(const RecordBurst& burst, RouteId route) noexcept WEIR_RUNS_ON(rx_lcore);
  void on_counters(const SflowCounters& sample) noexcept override WEIR_RUNS_ON(rx_lcore);
  void on_discard(const SflowDiscard& discard) noexcept override WEIR_RUNS_ON(rx_lcore);
  template <class Sample>
  void deliver(const Sample& sample, outbound::RecordKind kind,
               std::optional<RouteId> route) noexcept WEIR_RUNS_ON(rx_lcore);
  bool join(packet::FrameView& view, const Moment& received) noexcept WEIR_RUNS_ON(rx_lcore);
  /// Whether it is of a datagram that its first fragment says no listener wants, and so has gone the way of such.
  bool pass_fragment(std::span<const uint8_t> frame, const packet::FrameView& view, uint64_t aged_ns, ExceptionLane* kernel) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void on_fragment(std::span<const uint8_t> frame, packet::FrameView& view, const Moment& received, ExceptionLane* kernel) noexcept
      WEIR_RUNS_ON(rx_lcore);
  /// Whether there is a listener for it.
  bool on_udp(const packet::FrameView& view, const Arrival& arrival, const Moment& received) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void pass_on(std::span<const uint8_t> frame, const packet::FrameView& view, ExceptionLane* kernel) noexcept
      WEIR_RUNS_ON(rx_lcore);
  void on_listened(const packet::FrameView& view, const Arrival& arrival, ListenerId listener,
                   const Moment& received) noexcept WEIR_RUNS_ON(rx_lcore);
  void decode(const Datagram& datagram, const Arrival& arrival) noexcept WEIR_RUNS_ON(rx_lcore);
  void decode_tapped(const Datagram& datagram, const Arrival& arrival) noexcept WEIR_RUNS_ON(rx_lcore);
  uint64_t templates_told() const noexcept;
  // A bounded part of an answer; true when it is whole.
  bool answer_slice(ExporterQuery& query) noexcept WEIR_RUNS_ON(rx_lcore);
  bool answer_slice(StateQuery& query) noexcept WEIR_RUNS_ON(rx_lcore);
  bool answer_slice(DetailQuery& query) noexcept WEIR_RUNS_ON(rx_lcore);
  bool answer_slice(QuarantineQuery& query) noexcept WEIR_RUNS_ON(rx_lcore) {
    return quarantine_.answer_slice(query);
  }
  /// Goes on with the question that is open, for so many parts at most.
  template <class Query>
  void answer(Inquiry<Query>& inquiry, size_t slices_max) noexcept WEIR_RUNS_ON(rx_lcore);
  Moment datagram_clock(uint64_t steady_now_ns, const Moment& now) noexcept
      WEIR_RUNS_ON(rx_lcore);

  const std::shared_ptr<const PlaneRules> first_rules_;
  const PlaneRules* rules_;                      // rx_lcore's
  std::atomic<const PlaneRules*> wanted_rules_;  // the control thread's
  std::atomic<const PlaneRules*> rules_in_use_;  // rules_, as others read it
  const TapSet* tap_ = nullptr;                  // the same three of who looks
  std::atomic<const TapSet*> wanted_tap_{nullptr};
  std::atomic<const TapSet*> tap_in_use_{nullptr};
  std::unique_ptr<EventRing> events_;            // before the decoder, which refers to it
  const decode::FuseVerdict why_unfused_;  // without a fused way
  const std::unique_ptr<fuse::FusedWay> fused_way_;  // null: all goes by FlowRecords
  std::unique_ptr<decode::Decoder> decoder_;
  std::unique_ptr<outbound::Batcher> batcher_;
  outbound::SflowEncoder sflow_encoder_;
  RateLimiter rate_limiter_;
  RateLimiter packet_limiter_;        // of datagrams, before they are decoded
  ReplicaLane* replica_ = nullptr;
  const uint16_t core_;
  classify::Stage* stage_ = nullptr;  // of rules_; null: records are not classified
  RecordReaderKinds record_readers_ = 0;
  std::unique_ptr<classify::Verdict[]> verdicts_;  // of a burst
  packet::Reassembler reassembler_;
  packet::FragmentsOfOthers fragments_of_others_;
  const DatagramTaps* datagram_taps_ = nullptr;                    // rx_lcore's; as with rules
  std::atomic<const DatagramTaps*> wanted_datagram_taps_{nullptr};
  std::atomic<const DatagramTaps*> datagram_taps_in_use_{nullptr};
  Quarantine quarantine_;
  PipelineCounters counters_;
  Inquiry<ExporterQuery> exporter_inquiry_;
  Inquiry<StateQuery> state_inquiry_;
  Inquiry<QuarantineQuery> quarantine_inquiry_;
  Inquiry<DetailQuery> detail_inquiry_;
  uint64_t next_tick_ns_ = 0;
  uint64_t last_received_ns_ = 0;       // of the newest datagram; 0: none yet
  uint64_t last_received_seen_ns_ = 0;  // the same as poll last saw it, and when it did
  uint64_t last_received_steady_ns_ = 0;
};

}  // namespace weir::dataplane

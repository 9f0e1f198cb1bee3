// pipeline.h — What one receive core does with a frame: parse, admit, decode, encode, batch.
//
// Runs on:  rx_lcore, run to completion; shares nothing. No DPDK here: frames come as spans, so
//           that DPDK ports, kernel sockets, tests and benchmarks walk the same way.
// Owns:     the core's Decoder, and what its records go through (record_path.h).
// Bounds:   kEventsWaitingMax events of the decoder wait for the control thread.
// Failure:  every frame ends in exactly one counter of PipelineCounters.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "dataplane/datagram_tap.h"
#include "dataplane/exception_lane.h"
#include "dataplane/ledger.h"
#include "dataplane/pipeline_config.h"
#include "dataplane/pipeline_counters.h"
#include "dataplane/pipeline_inquiries.h"
#include "dataplane/plane_rules.h"
#include "dataplane/quarantine.h"
#include "dataplane/rate_limiter.h"
#include "dataplane/record_path.h"
#include "dataplane/replica_lane.h"
#include "dataplane/worker_lane.h"
#include "decode/decoder.h"
#include "packet/fragments_of_others.h"
#include "packet/frame.h"
#include "packet/reassembly.h"

namespace weir::dataplane {

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

class Pipeline final {
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
    records_.set_tap(set);
  }
  bool goes_by(const TapSet* set) const noexcept { return records_.goes_by(set); }
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
  bool has_open_question() const noexcept WEIR_RUNS_ON(rx_lcore) { return inquiries_.are_open(); }
  /// True when sleeping would delay nothing but new packets.
  bool is_quiet() const noexcept WEIR_RUNS_ON(rx_lcore);
  /// False while what is received now might find no buffers, where it is to wait for them.
  bool may_receive() noexcept WEIR_RUNS_ON(rx_lcore) { return records_.batcher().has_room(); }
  /// Nothing more will come: seals what is open and answers an open question.
  void finish() noexcept WEIR_RUNS_ON(rx_lcore);

  /// Control thread: asks; false while the last question is still open. The query must outlive the
  /// answer, which take_answer hands back. `filled` and the like are set anew. A core that has
  /// ended answers no more.
  bool ask_exporters(ExporterQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.exporters().ask(query);
  }
  bool take_answer(ExporterQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.exporters().take(query);
  }
  /// The same for a chunk of the decoder's state.
  bool ask_state(StateQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.state().ask(query);
  }
  bool take_state(StateQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.state().take(query);
  }

  /// Likewise for the datagrams that could not be decoded.
  bool ask_quarantine(QuarantineQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.quarantine().ask(query);
  }
  bool take_quarantine(QuarantineQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.quarantine().take(query);
  }

  /// Likewise for one exporter, which the asker names first.
  bool ask_detail(DetailQuery& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.detail().ask(query);
  }
  bool take_detail(DetailQuery*& query) noexcept WEIR_RUNS_ON(control_thread) {
    return inquiries_.detail().take(query);
  }

  /// Control thread: the next thing that the decoder had to tell.
  bool take_event(decode::Event& event) noexcept WEIR_RUNS_ON(control_thread) {
    return events_->take(event);
  }

  /// As any thread reads it; exact on the core's own between bursts.
  Ledger ledger() const noexcept;

  outbound::Batcher& batcher() noexcept { return records_.batcher(); }
  RateLimiter& rate_limiter() noexcept { return records_.rate_limiter(); }
  PipelineCounters& counters() noexcept { return counters_; }  // the loop adds its own
  const PipelineCounters& counters() const noexcept { return counters_; }
  const packet::ReassemblyCounters& reassembly_counters() const noexcept {
    return reassembler_.counters();
  }
  const decode::DecoderCounters& decoder_counters() const noexcept { return decoder_->counters(); }
  const QuarantineCounters& quarantine_counters() const noexcept { return quarantine_.counters(); }
  const outbound::BatcherCounters& batcher_counters() const noexcept {
    return records_.batcher().counters();
  }

 private:
  Pipeline(std::shared_ptr<const PlaneRules> rules, std::unique_ptr<EventRing> events,
           const PipelineConfig& config);
  void take_rules(const PlaneRules& rules) noexcept WEIR_RUNS_ON(rx_lcore);
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
  Answerer answerer() noexcept WEIR_RUNS_ON(rx_lcore);
  Moment datagram_clock(uint64_t steady_now_ns, const Moment& now) noexcept
      WEIR_RUNS_ON(rx_lcore);

  const std::shared_ptr<const PlaneRules> first_rules_;
  const PlaneRules* rules_;                      // rx_lcore's
  std::atomic<const PlaneRules*> wanted_rules_;  // the control thread's
  std::atomic<const PlaneRules*> rules_in_use_;  // rules_, as others read it
  std::unique_ptr<EventRing> events_;            // before the decoder, which refers to it
  PipelineCounters counters_;
  RecordPath records_;  // before the decoder, which refers to it
  std::unique_ptr<decode::Decoder> decoder_;
  RateLimiter packet_limiter_;  // of datagrams, before they are decoded
  ReplicaLane* replica_ = nullptr;
  packet::Reassembler reassembler_;
  packet::FragmentsOfOthers fragments_of_others_;
  const DatagramTaps* datagram_taps_ = nullptr;                    // rx_lcore's; as with rules
  std::atomic<const DatagramTaps*> wanted_datagram_taps_{nullptr};
  std::atomic<const DatagramTaps*> datagram_taps_in_use_{nullptr};
  Quarantine quarantine_;
  PipelineInquiries inquiries_;
  uint64_t next_tick_ns_ = 0;
  uint64_t last_received_ns_ = 0;       // of the newest datagram; 0: none yet
  uint64_t last_received_seen_ns_ = 0;  // the same as poll last saw it, and when it did
  uint64_t last_received_steady_ns_ = 0;
};

}  // namespace weir::dataplane

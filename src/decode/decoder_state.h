// decoder_state.h — The decoder's parts together, and what all protocols share.
//
// Runs on:  rx_lcore. A file for each protocol (netflow_fixed.cc, netflow_v9.cc, ipfix.cc,
//           sflow_v5.cc) reads headers; sets.cc, template_sets.cc and options_data.cc read what v9 and IPFIX
//           have in common.
#pragma once

#include <algorithm>
#include <memory>

#include "decode/decoder.h"
#include "decode/exporter_table.h"
#include "decode/names.h"
#include "decode/pending.h"
#include "decode/plan.h"
#include "decode/sampling.h"
#include "decode/sflow_sources.h"
#include "decode/sflow_v5.h"
#include "decode/state_image.h"
#include "decode/template_table.h"

namespace weir::decode {

/// Collects the records of one message and gives them to the sink in bursts.
class BurstWriter {
 public:
  /// `packets`: what holds all that is read for the message.
  void begin(RecordSink& sink, const ExportHeader& header, ListenerId listener, const uint8_t* packets) noexcept {
    arena_.set_packets(packets);
    sink_ = &sink;
    header_ = &header;
    listener_ = listener;
  }
  /// Room for at least one record with `arena_octets`, at most `wanted`.
  std::span<FlowRecord> room(uint32_t wanted, uint32_t arena_octets) noexcept {
    if (count_ == kBurstRecords || arena_.left() < arena_octets) flush();
    uint32_t n = static_cast<uint32_t>(kBurstRecords) - count_;
    if (arena_octets != 0) n = std::min(n, arena_.left() / arena_octets);
    return {records_ + count_, std::min(n, wanted)};
  }
  /// PERF: without dividing (decode_only/sflow_raw_header).
  FlowRecord& room_for_one(uint32_t arena_octets) noexcept {
    if (count_ == kBurstRecords || arena_.left() < arena_octets) flush();
    return records_[count_];
  }
  void commit(uint32_t n) noexcept { count_ += n; }
  void flush() noexcept {
    if (count_ != 0) {
      sink_->on_records(
          {*header_, {records_, count_}, arena_.data(), listener_, arena_.packets(), arena_.stage_room()});
    }
    count_ = 0;
    arena_.clear();
  }
  Arena& arena() noexcept { return arena_; }

 private:
  FlowRecord records_[kBurstRecords];
  Arena arena_;
  RecordSink* sink_ = nullptr;
  const ExportHeader* header_ = nullptr;
  ListenerId listener_;
  uint32_t count_ = 0;
};

/// One message under way: a datagram's, or that of sets which waited for their template.
struct Message {
  explicit Message(Protocol p) noexcept;

  Protocol protocol;
  ExportHeader header;
  TimeBase times;
  ListenerId listener;
  uint16_t source_port = 0;
  Exporter* exporter = nullptr;
  Domain* domain = nullptr;
  uint32_t data_records = 0;
  uint32_t options_records = 0;
  uint32_t templates = 0;
  uint32_t sets = 0;
  bool all_known = true;      // no set waits for its template
  bool inline_names = false;  // the listener wants them
  const ExporterLimits* limits = nullptr;
};

inline SequenceMessage content_of(const Message& m) noexcept {
  return {.sequence = m.header.sequence_num,
          .data_records = m.data_records,
          .options_records = m.options_records,
          .templates = m.templates,
          .records_known = m.all_known};
}

class DecoderState final : public Decoder {
 public:
  explicit DecoderState(const DecoderConfig& config) noexcept;
  [[nodiscard]] bool reserve() noexcept;
  /// Exporters that are heard of for the first time from now on take up what `image` says of them; none
  /// may be about to take up another. Allocates: false if there is no memory.
  [[nodiscard]] bool adopt(std::shared_ptr<const StateImage> image) noexcept;

  bool decode(const Datagram& datagram, RecordSink& sink) noexcept override;
  void refuse(const Datagram& d, DatagramError error) noexcept override;
  void end_session(const IpAddress& exporter, uint32_t session) noexcept override {
    exporters_.end_session(exporter, session);
  }
  bool has_decoded(const IpAddress& exporter) const noexcept override {
    const Exporter* const e = exporters_.find(exporter);
    return e != nullptr && e->stats.datagrams_decoded != 0;
  }
  void set_rules(const DecoderRules& rules) noexcept override;
  void set_fusing(Fusing fusing) noexcept override {
    fusing_ = config_.fuser != nullptr ? fusing : Fusing::none;
  }
  void tick(const Moment& now) noexcept override;
  const DecoderCounters& counters() const noexcept override { return counters_; }
  size_t copy_exporters(uint32_t& cursor, std::span<ExporterStats> out) const noexcept override {
    return exporters_.copy(cursor, out);
  }
  size_t copy_domains(uint32_t& cursor, std::span<DomainStats> out) const noexcept override {
    return exporters_.copy_domains(cursor, out);
  }
  size_t copy_state(StateCursor& cursor, std::span<uint8_t> out) noexcept override;
  size_t copy_exporter(const IpAddress& address, DetailCursor& cursor,
                       std::span<uint8_t> out) noexcept override;

 private:
  // One a protocol: true if the datagram was decoded.
  bool decode_netflow_fixed(Protocol protocol, const Datagram& d, RecordSink& sink) noexcept;
  bool decode_netflow_v9(const Datagram& d, RecordSink& sink) noexcept;
  bool decode_ipfix(const Datagram& d, RecordSink& sink) noexcept;
  bool decode_sflow_v5(const Datagram& d, RecordSink& sink) noexcept;

  void keep_time(uint64_t aged_ns, uint64_t wall_offset_ns) noexcept;
  bool reject(const Datagram& d, DatagramError error) noexcept;
  /// Finds exporter and domain (sFlow: perhaps none); counts the datagram as decoded or as rejected.
  bool begin(const Datagram& d, uint16_t version, uint32_t domain_id, Message& m,
             const IpAddress& agent = {}) noexcept;
  /// Those of `m` that went to the sink beyond the last call's.
  void count_records(Message& m, uint32_t records) noexcept;
  void tell_exporter(const Datagram& d, uint16_t version, uint32_t domain_id) noexcept;
  /// `content` is what of the message may be counted.
  void observe_sequence(Message& m, SequenceMessage content) noexcept;
  void observe_sequence(Message& m, uint32_t sequence, uint32_t records, bool known) noexcept {
    observe_sequence(m, {.sequence = sequence, .data_records = records, .records_known = known});
  }
  /// Of the header, once its time is known.
  void observe_clock(const Message& m) noexcept;
  /// The rate of a protocol that says it in its headers.
  RateResolver::Rate rate_of_header(const Message& m, uint64_t said,
                                    SamplingSource source) const noexcept;

  // sflow_v5.cc
  void walk_samples(Message& m, std::span<const uint8_t> octets, uint32_t promised,
                    RecordSink& sink) noexcept;
  SetOutcome read_sample(Message& m, uint32_t type, std::span<const uint8_t> body,
                         RecordSink& sink) noexcept;
  SetOutcome flow_sample(Message& m, std::span<const uint8_t> body, SampleForm form) noexcept;
  SetOutcome counter_sample(Message& m, std::span<const uint8_t> body, SampleForm form,
                            RecordSink& sink) noexcept;
  SetOutcome discard_sample(Message& m, std::span<const uint8_t> body, RecordSink& sink) noexcept;
  void observe_source(Message& m, SflowSampleKind kind, SflowSourceKey key,
                      const SourceReport& source) noexcept;

  // state_keep.cc
  bool save_exporter(Exporter& e, StateWriter& writer, uint32_t walk, uint32_t& budget) noexcept;
  void begin_restore(Exporter& e) noexcept;
  /// What an image says, by the clock that state ages by; 0 stays that. What would be yet to come, of a wall clock that was wrong then or is
  /// now, is now: nothing would age it for as long.
  uint64_t aged(uint64_t wall_ns) const noexcept {
    return wall_ns != 0 ? std::min(wall_ns - wall_offset_ns_, aged_now_ns_) : 0;
  }
  void restore_some(Message& m, RecordSink& sink) noexcept;
  void restore_domain(Exporter& e, const StateRecord& r) noexcept;
  void restore_name(Exporter& e, const StateRecord& r) noexcept;
  void restore_template(Message& m, Domain& domain, const StateRecord& r,
                        RecordSink& sink) noexcept;

  // template_sets.cc
  SetOutcome learn_templates(Message& m, std::span<const uint8_t> body, TemplateFormat format,
                             RecordSink& sink) noexcept;
  SetOutcome learn_options_v9(Message& m, std::span<const uint8_t> body, RecordSink& sink) noexcept;
  SetOutcome learn_options_ipfix(Message& m, std::span<const uint8_t> body,
                                 RecordSink& sink) noexcept;
  bool read_fields(const Message& m, std::span<const uint8_t>& body, uint32_t count,
                   TemplateFormat format) noexcept;
  TemplateKind refuse_fields(const Message& m, uint16_t id, TemplateKind kind,
                             TemplateFormat format) noexcept;
  void define(Message& m, uint16_t id, TemplateKind kind, TemplateFormat format,
              uint16_t scope_fields, RecordSink& sink) noexcept;
  /// Of the fields read last: whether their records have an end.
  bool fields_are_decodable() const noexcept;

  // options_data.cc, names.cc
  void options_records(Message& m, const Template& t, std::span<const uint8_t> body) noexcept;
  void options_record(Message& m, const Template& t, const Row& row) noexcept;
  void learn_names(const Domain& domain, const NameValues& values) noexcept;

  // sets.cc
  void walk_sets(Message& m, std::span<const uint8_t> octets, RecordSink& sink) noexcept;
  void replay(Template& t, const Message& now, RecordSink& sink) noexcept;
  void data_set(Message& m, uint16_t id, std::span<const uint8_t> body) noexcept;
  void data_records(Message& m, Template& t, std::span<const uint8_t> body) noexcept;
  void data_fixed(Message& m, Template& t, std::span<const uint8_t> body,
                  PlanContext& context) noexcept;
  bool data_fused(Message& m, Template& t, const uint8_t* octets, uint32_t count,
                  PlanContext& context) noexcept;
  FuseRefusal offer(const Message& m, const Template& t, const uint8_t* octets, uint32_t count,
                    PlanContext& context) noexcept;
  void padding(std::span<const uint8_t> rest) noexcept;
  void set_system_init(Message& m) const noexcept;

  /// Whether records may go straight to wire octets.
  bool may_fuse(const Message& m) const noexcept {
    return fusing_ != Fusing::none && !m.inline_names;
  }
  bool has_inline_names(ListenerId listener) const noexcept {
    return listener.value < rules_->listeners.size() &&
           rules_->listeners[listener.value].inline_names;
  }
  static size_t place_of(ListenerId listener) noexcept {
    return std::min<size_t>(listener.value, kListenersMax - 1);
  }
  const ExporterLimits& limits_of(ListenerId listener) const noexcept {
    return limits_[place_of(listener)];
  }
  /// What a record takes of the arena beside what its plan needs.
  uint32_t inline_octets(const Message& m) const noexcept {
    return m.inline_names ? kInlineNameOctets : 0;
  }
  void fill_names(const Message& m, std::span<FlowRecord> records) noexcept;

  uint64_t default_rate(const Message& m) const noexcept {
    if (m.exporter->rate_default != 0) return m.exporter->rate_default;
    return m.listener.value < rules_->listeners.size()
               ? rules_->listeners[m.listener.value].sampling_rate_default
               : 0;
  }
  uint32_t samples_per_datagram_max(ListenerId listener) const noexcept {
    return listener.value < rules_->listeners.size()
               ? rules_->listeners[listener.value].samples_per_datagram_max
               : kSflowSamplesDefault;
  }

  const DecoderConfig config_;
  const DecoderRules first_rules_;
  const DecoderRules* rules_;                 // as they are now
  std::unique_ptr<ExporterLimits[]> limits_;  // of listeners, within the decoder's; kListenersMax
  DecoderCounters counters_;
  QuirkBook quirks_;
  SetLedger ledger_;
  EventOutlet events_;
  PendingStore pending_;
  TemplateTable templates_;
  SamplingTable rates_;
  NameTable names_;
  ExporterTable exporters_;
  SflowSourceTable sflow_sources_;
  BurstWriter burst_;
  // Scratch for the template or record at hand; template_fields_max entries each.
  std::unique_ptr<FieldSpec[]> fields_;
  std::unique_ptr<uint32_t[]> offsets_;
  std::unique_ptr<uint16_t[]> widths_;
  uint32_t field_count_ = 0;
  uint32_t save_walk_ = 0;
  Fusing fusing_ = Fusing::none;
  uint64_t aged_now_ns_ = 0;     // of the datagram or tick that is worked on
  uint64_t wall_offset_ns_ = 0;  // from the clock that state ages by to the wall clock
  std::shared_ptr<const StateImage> restored_;
  std::unique_ptr<uint8_t[]> taken_up_;  // of restored_, by the exporter's first piece
};

inline bool all_octets_zero(std::span<const uint8_t> s) noexcept {
  uint8_t any = 0;
  for (const uint8_t o : s) any |= o;
  return any == 0;
}

}  // namespace weir::decode

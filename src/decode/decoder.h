// decoder.h — Octets of export datagrams and the time they came → FlowRecords.
//
// Spec:     NetFlow v1, v5 and v7 as Cisco documents them; RFC 3954 (NetFlow v9); RFC 7011
//           (IPFIX); sFlow v5.
// Runs on:  rx_lcore; one Decoder a core, nothing shared. No I/O, no clock, no allocation after create.
// Owns:     the exporters that this core has met, their domains, templates and waiting data.
// Bounds:   DecoderLimits.
// Failure:  wrong octets are counted (DatagramError, SetOutcome, RecordDrop) and never abort.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/kernel.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "decode/decoder_rules.h"
#include "decode/events.h"
#include "decode/quirks.h"
#include "decode/sequence.h"
#include "flow/export_header.h"

namespace weir::decode {

class RecordFuser;
enum class Fusing : uint8_t;
class StateImage;
struct StateCursor;
struct DetailCursor;

/// What a datagram is, by the version that it begins with.
// clang-format off
#define WEIR_PROTOCOLS(X)                                                              \
  X(netflow_v1) X(netflow_v5) X(netflow_v7) X(netflow_v9) X(ipfix) X(sflow_5)
// clang-format on
WEIR_NAMED_ENUM(Protocol, uint8_t, WEIR_PROTOCOLS)

/// Why a whole datagram was rejected.
// clang-format off
#define WEIR_DATAGRAM_ERRORS(X)                                                        \
  X(empty) X(truncated_header) X(unknown_version) X(unsupported_version)               \
  X(protocol_not_allowed) X(bad_count) X(bad_length) X(exporter_table_full)            \
  X(domain_table_full) X(bad_agent_address) X(exporter_not_allowed) X(truncated_message) \
  X(rate_limited)
// clang-format on
WEIR_NAMED_ENUM(DatagramError, uint8_t, WEIR_DATAGRAM_ERRORS)

/// What became of each set (v9: FlowSet; sFlow: sample) of a decoded datagram. A set has
/// exactly one outcome at any time; `waiting` is left again for one of the others.
// clang-format off
#define WEIR_SET_OUTCOMES(X)                                                           \
  X(decoded) X(waiting_for_template) X(expired) X(evicted)                             \
  X(skipped_reserved_id) X(skipped_bad_length) X(skipped_padding)                      \
  X(skipped_bad_template) X(skipped_not_decodable) X(skipped_pending_full)             \
  X(skipped_unknown_format) X(skipped_sample_limit)
// clang-format on
WEIR_NAMED_ENUM(SetOutcome, uint8_t, WEIR_SET_OUTCOMES)

/// What was wrong with a datagram, so that it is worth a look: why it was rejected, or what a set of it
/// was that made no sense. The first are the DatagramErrors.
// clang-format off
#define WEIR_FAULTS(X)                                                                 \
  WEIR_DATAGRAM_ERRORS(X)                                                              \
  X(skipped_reserved_id) X(skipped_bad_length) X(skipped_bad_template)                 \
  X(skipped_not_decodable) X(skipped_unknown_format)
// clang-format on
WEIR_NAMED_ENUM(Fault, uint8_t, WEIR_FAULTS)

constexpr Fault fault_of(DatagramError error) noexcept { return static_cast<Fault>(error); }
/// count_: none.
constexpr Fault fault_of(SetOutcome outcome) noexcept {
  switch (outcome) {
    case SetOutcome::skipped_reserved_id: return Fault::skipped_reserved_id;
    case SetOutcome::skipped_bad_length: return Fault::skipped_bad_length;
    case SetOutcome::skipped_bad_template: return Fault::skipped_bad_template;
    case SetOutcome::skipped_not_decodable: return Fault::skipped_not_decodable;
    case SetOutcome::skipped_unknown_format: return Fault::skipped_unknown_format;
    default: return Fault::count_;
  }
}

/// A set of Faults: a bit each.
using Faults = uint32_t;
static_assert(static_cast<size_t>(Fault::count_) < 32);
constexpr Faults bit_of(Fault fault) noexcept {
  return fault == Fault::count_ ? 0 : Faults{1} << static_cast<uint32_t>(fault);
}

// clang-format off
#define WEIR_TEMPLATE_EVENTS(X)                                                        \
  X(learned) X(refreshed) X(redefined) X(withdrawn) X(evicted) X(expired) X(refused)   \
  X(hit) X(missing) X(restored)
// clang-format on
WEIR_NAMED_ENUM(TemplateEvent, uint8_t, WEIR_TEMPLATE_EVENTS)

/// Of one datagram, of data and of options each: those of the longest one if they have eight octets
/// each, a third of what the shortest real ones have. Templates of one octet make a thousand times
/// what their exporter sends, at the cost of everybody else. The rest is counted under
/// Quirk::record_limit: each record, or the set where records have no fixed length or are options.
inline constexpr uint32_t kRecordsPerDatagramMax = 8192;

/// Why a core forgot an exporter with all that it had said: another came while the table was full; the bound was lowered.
#define WEIR_EXPORTER_ENDS(X) X(made_room) X(bound_lowered)
WEIR_NAMED_ENUM(ExporterEnd, uint8_t, WEIR_EXPORTER_ENDS)

inline constexpr uint32_t kTemplateFieldsLimit = 16'383;  // of template_fields_max
inline constexpr uint64_t kTemplateOctetsPerCoreMin = 1u << 20;

struct DecoderLimits {
  uint32_t exporters_max = 4096;  // per core, to begin with
  uint32_t exporters_room = 0;    // so many DecoderRules may ask for later; less than exporters_max: as many as that
  uint32_t domains_per_exporter_max = 256;
  uint32_t templates_per_exporter_max = 2000;
  uint32_t names_per_exporter_max =
      4096;  // of interfaces, VRFs, applications and samplers together
  uint32_t template_fields_max = 10'000;
  uint64_t template_octets_total = 256ull << 20;     // over all cores; divided when made
  uint32_t pending_sets_per_exporter_max = 256;      // pending_flows.max_pending_flows
  uint32_t pending_entries_per_template_max = 1024;  // pending_flows.max_entries_per_template
  uint32_t pending_entry_octets_max = 65'535;        // pending_flows.max_entry_size_bytes
  uint64_t pending_ttl_ns = 300ull * 1'000'000'000;  // pending_flows.ttl_secs
  uint64_t pending_octets_per_exporter = 1ull << 20;
  uint64_t pending_octets_total = 64ull << 20;  // over all cores; divided when made
  uint64_t template_lifetime_ns = 0;            // 0: until evicted
  // Times farther from the receipt are implausible; a day ahead is a clock in another time zone.
  // Whoever reads captures, whose own stamps may be wrong, sets both wide.
  uint64_t time_past_max_ns = 0;  // 0: what lies before 2000 is
  uint64_t time_future_max_ns = 86'400ull * 1'000'000'000;

  uint32_t exporters_most() const noexcept { return exporters_room > exporters_max ? exporters_room : exporters_max; }
};

struct DecoderConfig {
  DecoderLimits limits;
  uint32_t cores = 1;                    // that share the totals
  uint64_t hash_seed = 0;                // drawn at start
  std::string partition;                 // copied; records refer to the decoder's copy
  // DecoderRules to begin with, beside limits.exporters_max:
  std::vector<ListenerRules> listeners;
  EventSink* events = nullptr;           // outlives the decoder; null: nobody listens
  Kernel kernel = best_kernel();
  RecordFuser* fuser = nullptr;          // outlives the decoder; null: none. Off until set_fusing
  std::vector<SamplingRule> sampling_override;
  std::vector<SamplingRule> sampling_default;
  AccessList access;
  std::vector<SiteRule> sites;
  std::shared_ptr<const ExporterLabels> labels;
  /// What was known when the appliance last ran; taken up when an exporter is heard of again.
  std::shared_ptr<const StateImage> restored;
};

/// What came by one listener; records also of sets that had waited for their template.
struct ListenerCounters {
  CounterArray<Protocol> datagrams;  // decoded
  CounterArray<Protocol> octets;     // of these
  CounterArray<Protocol> records;
  Counter rejected;  // datagrams
};

/// Single-writer; read by any thread. The ledger's equations:
///   datagrams = datagrams_decoded + Σ datagram_errors; datagrams_decoded, records: by protocol and by listener
///   sets = Σ set_outcomes (waiting_for_template is a gauge within them), set_octets likewise
struct DecoderCounters {
  Counter datagrams;
  Counter octets;
  Counter datagrams_decoded;
  CounterArray<DatagramError> datagram_errors;
  Counter sets;
  Counter set_octets;
  CounterArray<SetOutcome> set_outcomes;
  CounterArray<SetOutcome> set_outcome_octets;
  Counter records;          // flows given to the sink
  Counter counter_records;  // sFlow counter samples given to it
  Counter discard_records;  // discarded packets given to it
  Counter options_records;  // state, not output
  CounterArray<Quirk> quirks;
  CounterArray<TemplateEvent> template_events;
  CounterArray<Protocol> datagrams_by_protocol;  // decoded
  CounterArray<Protocol> records_by_protocol;
  std::array<ListenerCounters, kListenersMax> listeners;
  Counter sequence_lost;    // export packets or records missing before they arrived
  Counter samples_lost;     // sFlow: missing in the sequences of data sources
  Counter samples_dropped;  // sFlow: that agents say they had to drop
  Counter rate_changes;     // sampling rates and boot times that options data changed
  CounterArray<ExporterEnd> exporters_forgotten;
  Counter exporters_restored;
  Counter rates_restored;
  Counter exporters;       // gauge
  Counter templates;       // gauge
  Counter pending_octets;  // gauge
  Counter events;          // taken by the sink
  Counter events_dropped;  // the sink had no room
};

/// Templates of one kind that an exporter has, and what became of the sets that needed them. Of a set
/// without template nobody knows the kind: it is a miss of `data`, and one of `options` as well once it
/// turns out to have been options data.
struct TemplateCacheStats {
  uint64_t size = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t evictions = 0;
  TemplateCacheStats& operator+=(const TemplateCacheStats& other) noexcept {
    size += other.size;
    hits += other.hits;
    misses += other.misses;
    evictions += other.evictions;
    return *this;
  }
  friend bool operator==(const TemplateCacheStats&, const TemplateCacheStats&) = default;
};

/// One exporter as the core that owns it sees it; a copy, for tables and metrics.
struct ExporterStats {
  IpAddress address;
  uint16_t port = 0;  // UDP source port that was seen last
  uint64_t first_seen_ns = 0;
  uint64_t last_seen_ns = 0;
  uint64_t datagrams = 0;
  uint64_t octets = 0;
  uint64_t datagrams_decoded = 0;
  uint64_t datagrams_rejected = 0;
  uint64_t records = 0;
  uint64_t counter_records = 0;
  uint64_t discard_records = 0;
  uint64_t options_records = 0;
  uint64_t sets_waiting = 0;
  uint64_t sets_lost = 0;  // expired, evicted or skipped
  uint64_t templates = 0;
  uint64_t templates_max = 0;    // that it may have, of all kinds together
  uint64_t templates_known = 0;  // definitions that said what was known
  uint64_t templates_new = 0;    // definitions that were new or other ones
  TemplateCacheStats data_templates;
  TemplateCacheStats options_templates;
  uint64_t domains = 0;
  uint64_t session_domains = 0;  // of those, of TCP sessions that are open
  uint64_t sequence_lost = 0;
  // Receipt less export time, smoothed over some datagrams; v9 and IPFIX headers have seconds only.
  int64_t clock_skew_ns = 0;
  uint64_t clock_samples = 0;      // 0: no header with a time yet
  uint64_t clock_implausible = 0;  // datagrams whose header's time is none
  uint64_t sampling_rate_override = 0;
  uint64_t sampling_rate_default = 0;  // for what came last: the exporter's, else its listener's; 0: none
  // sFlow, over all data sources. sample_pool / samples_taken is the true sampling rate.
  uint64_t samples_lost = 0;     // of samples_taken
  uint64_t samples_dropped = 0;  // by the agent, as it says
  uint64_t samples_taken = 0;
  uint64_t sample_pool = 0;
  uint32_t protocols = 0;                            // bits of Protocol: seen
  DatagramError last_error = DatagramError::count_;  // count_: none
  QuirkCounts quirks{};
  friend bool operator==(const ExporterStats&, const ExporterStats&) = default;
};

/// One observation domain (v5: engine, sFlow: sub-agent) of an exporter; a copy likewise.
struct DomainStats {
  IpAddress exporter;
  IpAddress agent;       // sFlow only
  uint16_t version = 0;  // 5, 9, 10; sFlow: 6343
  uint32_t id = 0;
  uint16_t session_port = 0;  // IPFIX over TCP: the exporter's port of the session; 0: UDP
  SequenceUnit sequence_unit = SequenceUnit::messages;
  uint64_t last_seen_ns = 0;
  uint64_t templates = 0;
  uint64_t options_templates = 0;
  uint64_t sampling_rate = 0;  // of the domain as a whole; 0: not told
  uint64_t sequence_lost = 0;
  uint64_t sequence_duplicates = 0;  // datagrams that came again, or far too late
  uint64_t sequence_restarts = 0;
  friend bool operator==(const DomainStats&, const DomainStats&) = default;
};

class Decoder {
 public:
  /// Reserves everything that decoding will ever use. Fails on limits that cannot be met.
  static Result<std::unique_ptr<Decoder>> create(const DecoderConfig& config);
  virtual ~Decoder() = default;

  /// Decodes one datagram; its records go to `sink` in bursts before the call returns. Returns
  /// whether the datagram was decoded (else it was rejected and counted).
  virtual bool decode(const Datagram& datagram, RecordSink& sink) noexcept = 0;
  /// Counts a datagram that was rejected before it came here.
  virtual void refuse(const Datagram& datagram, DatagramError error) noexcept = 0;
  /// A transport session (Datagram::session) of the exporter's has ended: its templates are forgotten, and what waits
  /// for them is evicted. The number may be another session's from now on.
  virtual void end_session(const IpAddress& exporter, uint32_t session) noexcept = 0;
  /// Whether something of the exporter's has been decoded, as long as there is an entry of it.
  virtual bool has_decoded(const IpAddress& exporter) const noexcept = 0;
  /// What was wrong with the datagram that was given to decode last.
  Faults faults() const noexcept { return faults_; }

  /// What follows goes by these; they stay until there are others, or as long as the decoder. What they allow beyond the
  /// decoder's limits they do not get, nor inline_names where no listener had them at first. Who is beyond a lowered
  /// exporters_max is forgotten by tick once silent, and nobody is new until then.
  virtual void set_rules(const DecoderRules& rules) noexcept = 0;

  /// Records whose form the fuser knows go to it from the next datagram on, and not to the sink.
  virtual void set_fusing(Fusing fusing) noexcept = 0;

  /// Expires waiting data and templates; bounded work a call. Call about once a second: with nothing received, it is what
  /// tells how the wall clock stands to the time that state ages by.
  virtual void tick(const Moment& now) noexcept = 0;

  virtual const DecoderCounters& counters() const noexcept = 0;

  /// Copies the stats of exporters from slot `cursor` on into `out`; returns how many were written and
  /// moves `cursor` (0 starts; the walk is over when it is 0 again). On the decoder's thread, as all
  /// calls but counters().
  virtual size_t copy_exporters(uint32_t& cursor, std::span<ExporterStats> out) const noexcept = 0;
  /// Likewise for domains. An exporter's domains stay together: a call ends before those that do not
  /// fit, unless `out` has room for no more anyway.
  virtual size_t copy_domains(uint32_t& cursor, std::span<DomainStats> out) const noexcept = 0;

  /// Writes some of what an image is made of behind one another into `out` (kStateChunkOctetsMin at
  /// least): bounded work a call. Returns the octets written; the walk is over when cursor.is_over.
  virtual size_t copy_state(StateCursor& cursor, std::span<uint8_t> out) noexcept = 0;

  /// Likewise what one exporter said (exporter_detail.h).
  virtual size_t copy_exporter(const IpAddress& address, DetailCursor& cursor,
                               std::span<uint8_t> out) noexcept = 0;

 protected:
  Faults faults_ = 0;
};

}  // namespace weir::decode

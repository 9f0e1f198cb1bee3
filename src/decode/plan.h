// plan.h — A template compiled when it arrives: what to read where, and which column it fills.
//
// Spec:     docs/FLOW_MESSAGE.md, "From the wire to the field".
// Runs on:  the decoder's thread. Pure: octets in, records out; keeps nothing.
// Bounds:   the caller has checked that the octets of all records are there.
//
// A plan runs column by column: the switch over operations outside, a tight loop over the records of
// a burst inside. That is the specification. Most operations only move octets, and those are fused
// when the template is compiled (plan_fuse.h), so that a kernel fills a cache line of the record at a
// time. What differs from record to record (times that are implausible, ICMP in the port, lists and
// strings) is done afterwards, row by row, and only where a plan has it.
#pragma once

#include <cstdint>
#include <span>

#include "base/counter.h"
#include "base/kernel.h"
#include "decode/decoder.h"
#include "decode/elements.h"
#include "decode/times.h"
#include "flow/flow_record.h"

namespace weir::decode {

/// How octets become a column's value: what is read, and how wide the column is.
enum class OpKind : uint8_t {
  u8_to_u32,
  u16_to_u32,
  u32_to_u32,
  any_to_u32,
  u8_to_u64,
  u16_to_u64,
  u32_to_u64,
  u64_to_u64,
  any_to_u64,
  u8_to_u16,
  any_to_u16,
  merge_to_u32,  // only where the column is still zero
  dscp_to_u32,
  ip_version_to_etype,
  mac6,
  mac8,
  address_v4,
  address_v6,
  time_uptime,
  time_ms,
  time_s,  // at their usual width; all else goes row by row
};

struct Op {
  uint32_t offset;  // in the record; for records of variable length the field tells
  uint16_t field;   // in the template
  uint16_t width;
  uint16_t destination;  // in FlowRecord
  OpKind kind;
  uint8_t within;  // the field, where `offset` lies behind its begin
};

/// Octets of a record that go to one cache line of a FlowRecord: up to 64 that lie together, in any
/// order. Several moves may fill different octets of the same line.
struct LineMove {
  uint8_t
      from[64];  // for each octet of the line that is filled: which octet, counted from the begin
  uint64_t filled;  // a bit each
  uint64_t read;    // a bit for each octet from the begin on that is moved
  uint32_t offset;  // the begin, said as in Op
  uint16_t field;
  uint8_t within;
  uint8_t line;
};

/// What goes to the arena, row by row, in this order.
enum class ArenaOpKind : uint8_t {
  octets,
  text,
  mpls_label,
  mpls_ttl,
  mpls_ip,
  structure,  // what each record says itself: elements of variable length that are no text, lists and
              // sections of packets, in the order of structure_order
  unmapped,
  unmapped_v4_loser,
  unmapped_v6_loser,  // where a record has both addresses, the one not taken
};

struct ArenaOp {
  uint32_t offset;
  uint32_t enterprise;
  uint16_t field;
  uint16_t width;
  uint16_t id;
  uint16_t destination;  // of the ArenaRef
  ArenaOpKind kind;
};

struct TimeCandidate {
  uint32_t offset;
  uint16_t field;
  uint16_t width;
  TimeKind kind;
};

/// What a record says of the section of a packet that it has.
struct SectionFact {
  uint32_t offset = 0;
  uint16_t field = 0;
  uint16_t width = 0;  // 0: nothing
};

/// An address that the template has twice, as IPv4 and as IPv6.
struct DualAddress {
  uint32_t offset_v4;
  uint32_t offset_v6;
  uint16_t field_v4;
  uint16_t field_v6;
  uint16_t destination;
};

inline constexpr uint32_t kTimeCandidatesMax = 8;
inline constexpr uint32_t kDualAddressesMax = 6;
/// A column is filled once, some in two steps; elements that merge add to that.
inline constexpr uint32_t kMergeOpsMax = 32;
inline constexpr uint32_t kOpsMax = 160;
static_assert(static_cast<uint32_t>(Field::count_) + 2 + kMergeOpsMax <= kOpsMax);
/// Far more than any template of a real exporter needs; a plan that would need more is not fused.
inline constexpr uint32_t kLineMovesMax = 32;

/// Where a walk over a record begins: at a field, and at the octet where that begins.
struct WalkBegin {
  uint32_t field = 0;
  uint32_t offset = 0;
};

/// What sampler_id is: a sampler's or selector's id (48, 302), or a selection sequence's (301).
enum class SamplerKind : uint8_t { none, sampler, sequence };

struct Plan {
  std::span<const FieldSpec> fields;  // as they came
  std::span<const Op> ops;
  std::span<const LineMove> moves;  // what the first `fused_ops` of the ops come to, by line
  std::span<const ArenaOp> arena_ops;

  uint32_t fused_ops = 0;
  uint32_t record_octets = 0;  // of each record, or at least so many where the length varies
  bool fixed_length = true;
  WalkBegin first_variable;  // the fields before it lie at the same place in each record

  Presence present;
  uint8_t blocks = 0;
  uint8_t addresses = 0;
  uint8_t fused_v4 = 0;  // of `addresses`: moves fill the last four octets, the others are fixed
  uint32_t etype = 0;    // 0: by record
  bool icmp_in_port = false;  // no element names type and code: take them from dst_port
  bool has_proto = false;
  bool record_rate = false;                 // element 34 in the record
  SamplerKind sampler = SamplerKind::none;  // that the record names
  bool metered_if = false;  // the record may say where it was metered
  bool row_work = false;          // arena_ops or duals
  uint32_t arena_octets_max = 0;  // a record; 0 where the length varies

  // Times: where ops wrote both, `time_source` is theirs; the candidates are for the rest.
  bool fast_times = false;
  TimeSource time_source = TimeSource::unknown;
  uint8_t start_count = 0;
  uint8_t end_count = 0;
  uint8_t dual_count = 0;
  TimeCandidate starts[kTimeCandidatesMax];
  TimeCandidate ends[kTimeCandidatesMax];
  TimeCandidate duration;  // width 0: none
  TimeRole duration_role = TimeRole::none;
  TimeCandidate system_init;  // width 0: none
  DualAddress duals[kDualAddressesMax];

  SectionFact section_offset;  // elements 409, 102 and 408
  SectionFact layer2_section_offset;
  SectionFact frame_type;
};

/// Where a template is compiled, before what it needs is known and allocated.
struct PlanDraft {
  Plan plan;
  Op ops[kOpsMax];
  uint32_t op_count = 0;
  LineMove moves[kLineMovesMax];
  uint32_t move_count = 0;
  std::span<ArenaOp> arena_ops;  // as many as a template may have fields
  uint32_t arena_op_count = 0;
};

struct CompileQuirks {
  uint32_t repeated_element = 0;
  uint32_t odd_width = 0;
  uint32_t zero_length_field = 0;
  uint32_t variable_length = 0;
};

/// Compiles `fields` into `draft`, whose spans point into the draft and to `fields`.
void compile_plan(std::span<const FieldSpec> fields, bool netflow_v9, PlanDraft& draft,
                  CompileQuirks& quirks) noexcept;

/// Where the fields of one record lie: at the ops' own offsets, or where a walk over a record of
/// variable length found them.
struct Row {
  const uint8_t* octets;
  const uint32_t* offsets = nullptr;
  const uint16_t* widths = nullptr;

  const uint8_t* at(const Op& op) const noexcept {
    return octets + (offsets != nullptr ? offsets[op.field] + op.within : op.offset);
  }
  const uint8_t* at(const LineMove& move) const noexcept {
    return octets + (offsets != nullptr ? offsets[move.field] + move.within : move.offset);
  }
  template <class AnyOp>
  const uint8_t* at(const AnyOp& op) const noexcept {
    return at(op.field, op.offset);
  }
  const uint8_t* at(uint16_t field, uint32_t offset) const noexcept {
    return octets + (offsets != nullptr ? offsets[field] : offset);
  }
  template <class AnyOp>
  uint32_t width(const AnyOp& op) const noexcept {
    return widths != nullptr ? widths[op.field] : op.width;
  }
};

/// Finds the fields of a record of variable length, from `begin` on, which lies within `size`. Returns
/// the octets of the record, 0 if it does not end within `size`. `offsets` and `widths` have room for
/// each field.
uint32_t walk_fields(std::span<const FieldSpec> fields, const uint8_t* octets, uint32_t size,
                     WalkBegin begin, uint32_t* offsets, uint16_t* widths) noexcept;

/// The arena of the burst under way.
/// It also knows what the sampled packets of the burst's records lie in.
class Arena {
 public:
  void set_packets(const uint8_t* packets) noexcept { packets_ = packets; }
  const uint8_t* packets() const noexcept { return packets_; }
  uint8_t* stage_room() noexcept { return data_ + kArenaOctets; }
  const uint8_t* data() const noexcept { return data_; }
  uint32_t used() const noexcept { return used_; }
  uint32_t left() const noexcept { return static_cast<uint32_t>(kArenaOctets) - used_; }
  void clear() noexcept { used_ = 0; }
  /// Null when there is no room.
  uint8_t* take(uint32_t octets) noexcept {
    if (octets > left()) return nullptr;
    uint8_t* p = data_ + used_;
    used_ += octets;
    return p;
  }
  void give_back(uint32_t octets) noexcept { used_ -= octets; }
  void align4() noexcept { used_ = used_ + 3 < kArenaOctets ? (used_ + 3) & ~3u : used_; }

 private:
  alignas(64) uint8_t data_[kArenaOctets + kStageArenaOctets];
  uint32_t used_ = 0;
  const uint8_t* packets_ = nullptr;
};

/// Routers sample one packet in up to 65,536, now and then in a million. What is more is garbage
/// (FortiGate) or in the wrong octet order (MikroTik), and yields to whatever else is known.
inline constexpr uint64_t kRatePlausibleMax = 1'000'000;

/// Names a record's sampling rate where the record does not itself.
class RateResolver {
 public:
  struct Rate {
    uint64_t rate = 0;
    SamplingSource source = SamplingSource::unknown;
  };
  /// Whether one rate holds for all, whatever the records say.
  virtual bool is_override() const noexcept { return false; }
  /// Whether a record's interface may matter.
  virtual bool by_interface() const noexcept = 0;
  virtual Rate resolve(SamplerKind kind, uint64_t sampler, bool has_interface,
                       uint32_t interface) const noexcept = 0;

 protected:
  ~RateResolver() = default;
};

/// Finds the templates that lists refer to (RFC 6313 §4.5).
class TemplateFinder {
 public:
  /// The fields of a template of the message's domain; empty where none is known.
  virtual std::span<const FieldSpec> fields_of(uint16_t id) const noexcept = 0;

 protected:
  ~TemplateFinder() = default;
};

struct PlanContext {
  const TimeBase& times;
  const RateResolver& rates;
  Arena& arena;
  const TemplateFinder& templates;
  bool netflow_v9;
  QuirkBook& quirks;
  Kernel kernel;
};

/// A plan about to be run over the records of one set. What these share is found out once, here.
class PlanRun {
 public:
  /// Both outlive the run.
  PlanRun(const Plan& plan, PlanContext& context) noexcept;

  /// Decodes `count` records of a fixed-length plan, at most kBurstRecords, one behind the other at
  /// `octets`, into `records`, which are overwritten whole.
  void rows(const uint8_t* octets, uint32_t count, FlowRecord* records) noexcept;
  /// Decodes one record whose fields lie as `row` says.
  void row(const Row& row, FlowRecord& record) noexcept;

 private:
  void fill(const Row& first, uint32_t step, uint32_t count, FlowRecord* records) noexcept;
  uint32_t fill_columns(const Row& first, uint32_t step, uint32_t count,
                        FlowRecord* records) const noexcept;
  void find_rates(std::span<FlowRecord> records) const noexcept;

  const Plan& plan_;
  PlanContext& context_;
  const bool fast_times_;  // the ops' times count where they are plausible
  const bool by_interface_;
  const bool rate_by_row_;
  FlowRecord stencil_;  // what the ops do not fill
};

/// What a record of `octets` octets may take of the arena at most.
uint32_t arena_octets_bound(const Plan& plan, uint32_t octets) noexcept;

/// ICMP and ICMPv6 carry type and code where others carry ports.
inline bool is_icmp(uint32_t proto) noexcept { return proto == 1 || proto == 58; }
void move_icmp_out_of_ports(FlowRecord& record, bool type_from_port) noexcept;

}  // namespace weir::decode

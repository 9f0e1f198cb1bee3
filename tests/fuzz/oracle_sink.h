// oracle_sink.h — Takes what a decoder under test tells, and says what must hold of it.
//
// Oracles: records refer to nothing outside their arena, and their summaries (blocks, arena_parts,
// presence) say what is there; blocks of counters lie in the datagram and are as their layout says.
// All of it is folded into one number, so that two decodings can be compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "decode/events.h"
#include "flow/export_header.h"
#include "flow/sflow_samples.h"

// What checks is neither covered nor sanitized: it is not what is tested, and would be most of the cost.
#if defined(__clang__)
#define WEIR_ORACLE __attribute__((no_sanitize("coverage", "address", "undefined")))
#else
#define WEIR_ORACLE __attribute__((no_sanitize("address,undefined")))
#endif

namespace weir::decode {

inline void require(bool holds, const char* what) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// Not for anything that has an adversary.
class Fold {
 public:
  WEIR_ORACLE void octets(const void* p, size_t n) noexcept {
    const auto* at = static_cast<const uint8_t*>(p);
    uint64_t words[4];
    // Four at a time do not wait for each other.
    uint64_t lanes[4] = {value_, 1, 2, 3};
    for (; n >= sizeof words; n -= sizeof words, at += sizeof words) {
      std::memcpy(words, at, sizeof words);
      for (size_t i = 0; i < 4; ++i) lanes[i] = mixed(lanes[i], words[i]);
    }
    for (const uint64_t lane : lanes) number(lane);
    for (; n >= 8; n -= 8, at += 8) {
      std::memcpy(words, at, 8);
      number(words[0]);
    }
    uint64_t last = n;
    for (; n != 0; --n) last = last << 8 | *at++;
    number(last);
  }
  WEIR_ORACLE void number(uint64_t n) noexcept { value_ = mixed(value_, n); }
  uint64_t value() const noexcept { return value_; }

 private:
  WEIR_ORACLE static uint64_t mixed(uint64_t value, uint64_t n) noexcept {
    value = (value ^ n) * 0x9E37'79B9'7F4A'7C15ull;
    return value ^ value >> 29;
  }
  uint64_t value_ = 0xcbf29ce484222325ull;
};

/// What is not compared need not be folded, which costs as much as decoding.
enum class Folding : uint8_t { records, nothing };

class OracleSink : public RecordSink, public EventSink {
 public:
  explicit OracleSink(Folding folding = Folding::records) noexcept : folding_(folding) {}
  virtual ~OracleSink() = default;
  void on_records(const RecordBurst& burst) noexcept override {
    require(!burst.records.empty() && burst.records.size() <= kBurstRecords, "size of a burst");
    for (const FlowRecord& r : burst.records) {
      check(r);
      fold_record(r, burst.arena);
      check_payload(r, burst.packets);
    }
    fold.number(burst.header.sequence_num);
    fold.number(burst.header.time_received_ns);
    records += burst.records.size();
  }
  void on_counters(const SflowCounters& s) noexcept override {
    require(s.blocks.size() <= kCounterBlocksMax, "blocks of a counter sample");
    for (const CounterBlock& b : s.blocks) {
      require(lies_in_datagram(b.octets), "a block of counters within the datagram");
      fold.octets(b.octets.data(), b.octets.size());
      if (b.layout == nullptr) continue;
      XdrReader in(b.octets);
      require(walk_counters(*b.layout, in, *this), "a block is as its layout says");
    }
    fold.octets(&s.origin, sizeof s.origin);
    ++counter_samples;
  }
  void on_discard(const SflowDiscard& d) noexcept override {
    check(d.packet);
    fold_record(d.packet, d.arena);
    fold.number(d.reason);
    ++discards;
  }
  bool on_event(const Event& e) noexcept override {
    require(e.kind < EventKind::count_, "kind of an event");
    require(e.key_octets <= kNameKeyOctetsMax && e.name_octets <= kNameOctetsMax &&
                size_t{e.name_octets} + e.description_octets <= kNameTextOctetsMax,
            "sizes of a name");
    fold.number(static_cast<uint64_t>(e.kind) << 32 | uint64_t{e.template_id} << 16 | e.fields);
    fold.octets(e.key, e.key_octets);
    fold.octets(e.text, size_t{e.name_octets} + e.description_octets);
    return true;
  }
  // The walk of a block of counters.
  void on_value(uint32_t, CounterType, const CounterValue& v) noexcept {
    fold.number(v.number);
    fold.octets(v.octets.data(), v.octets.size());
  }
  void begin_element(uint32_t) noexcept {}
  void end_element() noexcept {}

  /// The datagram at hand.
  std::span<const uint8_t> payload;
  uint64_t records = 0;
  uint64_t counter_samples = 0;
  uint64_t discards = 0;
  Fold fold;

 private:
  bool lies_in_datagram(std::span<const uint8_t> s) const noexcept {
    return s.empty() ||
           (s.data() >= payload.data() && s.data() + s.size() <= payload.data() + payload.size());
  }

  /// What a sampled packet carried is in the datagram, or in a set that waited; there is a sanitizer to say so.
  void check_payload(const FlowRecord& r, const uint8_t* packets) noexcept {
    if ((r.arena_parts & arena_part::kPayload) == 0) return;
    require(packets != nullptr && r.payload.octets != 0, "a payload is somewhere");
    const std::span<const uint8_t> octets(packets + r.payload.offset, r.payload.octets);
    if (packets == payload.data()) require(lies_in_datagram(octets), "a payload within the datagram");
    fold.octets(octets.data(), octets.size());
  }

  WEIR_ORACLE void fold_record(const FlowRecord& r, const uint8_t* arena) noexcept {
    if (folding_ == Folding::nothing) return;
    fold.octets(&r, sizeof r);
    if (r.arena_parts == 0) return;
    const auto ref = [&](ArenaRef a, size_t item) {
      fold.octets(arena + a.offset, a.count * item);
    };
#define WEIR_FOLD_OCTETS_(member, n)    ref(r.member, 1);
#define WEIR_FOLD_NUMBERS_(member, n)   ref(r.member, sizeof(uint32_t));
#define WEIR_FOLD_ADDRESSES_(member, n) ref(r.member, sizeof(IpAddress));
    WEIR_STRINGS(WEIR_FOLD_OCTETS_)
    WEIR_NUMBER_LISTS(WEIR_FOLD_NUMBERS_)
    WEIR_ADDRESS_LISTS(WEIR_FOLD_ADDRESSES_)
    WEIR_STRING_LISTS(WEIR_FOLD_OCTETS_)
    ref(r.unmapped, 1);
  }

  WEIR_ORACLE static void check(const FlowRecord& r) noexcept {
    uint8_t used = 0;
#define WEIR_CHECK_BASIC_(member, n)   used |= r.member != 0 ? block::kBasic : 0;
#define WEIR_CHECK_SECOND_(member, n)  used |= r.member != 0 ? block::kSecond : 0;
#define WEIR_CHECK_HEADERS_(member, n) used |= r.member != 0 ? block::kHeaders : 0;
#define WEIR_CHECK_CONTEXT_(member, n) used |= r.member != 0 ? block::kContext : 0;
#define WEIR_CHECK_NAT_(member, n)     used |= r.member != 0 ? block::kNat : 0;
#define WEIR_CHECK_RARE_(member, n)    used |= r.member != 0 ? block::kRare : 0;
    WEIR_BLOCK_BASIC(WEIR_CHECK_BASIC_)
    WEIR_BLOCK_SECOND(WEIR_CHECK_SECOND_)
    WEIR_BLOCK_HEADERS(WEIR_CHECK_HEADERS_)
    WEIR_BLOCK_CONTEXT(WEIR_CHECK_CONTEXT_)
    WEIR_BLOCK_NAT(WEIR_CHECK_NAT_)
    WEIR_BLOCK_RARE(WEIR_CHECK_RARE_)
    require((used & ~r.blocks) == 0, "a block that is not zero is said to be");

    uint32_t parts = 0;
    bool within = true;
#define WEIR_CHECK_REF_(member, item)                                              \
  parts |= r.member.count != 0 ? arena_part_at(offsetof(FlowRecord, member)) : 0u; \
  within &= r.member.offset + r.member.count * (item) <= kArenaOctets;
#define WEIR_CHECK_OCTETS_(member, n)    WEIR_CHECK_REF_(member, size_t{1})
#define WEIR_CHECK_NUMBERS_(member, n)   WEIR_CHECK_REF_(member, sizeof(uint32_t))
#define WEIR_CHECK_ADDRESSES_(member, n) WEIR_CHECK_REF_(member, sizeof(IpAddress))
    WEIR_STRINGS(WEIR_CHECK_OCTETS_)
    WEIR_NUMBER_LISTS(WEIR_CHECK_NUMBERS_)
    WEIR_ADDRESS_LISTS(WEIR_CHECK_ADDRESSES_)
    WEIR_STRING_LISTS(WEIR_CHECK_OCTETS_)
    WEIR_CHECK_REF_(unmapped, size_t{1})
    require(within, "a ref within the arena");
    require(parts == (r.arena_parts & ~arena_part::kPayload), "arena_parts says which kinds of refs are not empty");
    require(r.unmapped.count <= kUnmappedOctetsMax && r.mpls_label.count <= kMplsLabelsMax &&
                r.as_path.count <= kAsPathMax && r.bgp_communities.count <= kCommunitiesMax &&
                r.srv6_segments.count <= kSegmentsMax && r.layer_stack.count <= kLayersMax &&
                r.application_id.count <= kStringOctetsMax &&
                r.application_name.count <= kStringOctetsMax &&
                r.user_name.count <= kStringOctetsMax,
            "sizes of lists and strings");

    bool absent_are_zero = true;
#define WEIR_CHECK_ADDRESS_(member, n) \
  absent_are_zero &= (r.addresses & address::bit(address::k_##member)) != 0 || is_zero(r.member);
    WEIR_ADDRESSES(WEIR_CHECK_ADDRESS_)
    require(absent_are_zero, "an address that is not there is zero");
    require(r.time_flow_start_ns != 0 && r.time_flow_end_ns != 0, "every record has times");
    require(r.time_source != 0, "times have a source");
    require((r.sampling_rate == 0) == (r.sampling_source == 0), "a rate has a source");
  }
  WEIR_ORACLE static bool is_zero(const IpAddress& a) noexcept {
    uint64_t halves[2];
    std::memcpy(halves, &a, sizeof halves);
    return (halves[0] | halves[1]) == 0;
  }

  const Folding folding_;
};

}  // namespace weir::decode

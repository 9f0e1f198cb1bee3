// datagram_oracle.h — A decoder under small limits, fed with any octets, and what must hold of it.
//
// Oracles: the ledgers balance after each datagram; records refer to nothing outside their arena,
// and their summaries (blocks, has_arena, presence) say what is there; state stays within its
// limits; the same datagrams give the same records again.
//
// Input: a sequence of datagrams, each a control octet (exporter, port, whether time passes), its
// length as two octets, little end first, then its octets; the last may be cut short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "decode/decoder.h"
#include "flow/sflow_samples.h"

namespace weir::decode {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

class OracleSink final : public RecordSink {
 public:
  void on_records(const RecordBurst& burst) noexcept override {
    require(!burst.records.empty() && burst.records.size() <= kBurstRecords, "size of a burst");
    for (const FlowRecord& r : burst.records) {
      check(r);
      fold(&r, sizeof r);
      for (const ArenaRef a : {r.application_id, r.application_name, r.user_name, r.unmapped}) {
        fold(burst.arena + a.offset, a.count);
      }
      fold(burst.arena + r.mpls_label.offset, r.mpls_label.count * sizeof(uint32_t));
    }
    fold(&burst.header.sequence_num, sizeof burst.header.sequence_num);
    fold(&burst.header.time_received_ns, sizeof burst.header.time_received_ns);
    records += burst.records.size();
  }
  void on_counters(const SflowCounters& s) noexcept override {
    require(s.blocks.size() <= kCounterBlocksMax, "blocks of a counter sample");
    for (const CounterBlock& b : s.blocks) {
      fold(b.octets.data(), b.octets.size());
      if (b.layout == nullptr) continue;
      XdrReader in(b.octets);
      require(walk_counters(*b.layout, in, *this), "a block is as its layout says");
    }
    fold(&s.origin, sizeof s.origin);
    ++counter_samples;
  }
  void on_discard(const SflowDiscard& d) noexcept override {
    check(d.packet);
    fold(&d.packet, sizeof d.packet);
    fold(&d.reason, sizeof d.reason);
    ++discards;
  }
  // The walk of a block of counters.
  void on_value(uint32_t, CounterType, const CounterValue& v) noexcept {
    fold(&v.number, sizeof v.number);
    fold(v.octets.data(), v.octets.size());
  }
  void begin_element(uint32_t) noexcept {}
  void end_element() noexcept {}

  uint64_t records = 0;
  uint64_t counter_samples = 0;
  uint64_t discards = 0;
  uint64_t hash = 0xcbf29ce484222325ull;

 private:
  void fold(const void* p, size_t n) noexcept {
    const auto* octets = static_cast<const uint8_t*>(p);
    for (size_t i = 0; i < n; ++i) hash = (hash ^ octets[i]) * 0x100000001b3ull;
  }

  static void check(const FlowRecord& r) noexcept {
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

    bool refers = false;
    const auto ref = [&refers](ArenaRef a, size_t item) {
      refers |= a.count != 0;
      require(a.offset + a.count * item <= kArenaOctets, "a ref within the arena");
    };
#define WEIR_CHECK_OCTETS_(member, n)    ref(r.member, 1);
#define WEIR_CHECK_NUMBERS_(member, n)   ref(r.member, sizeof(uint32_t));
#define WEIR_CHECK_ADDRESSES_(member, n) ref(r.member, sizeof(IpAddress));
    WEIR_STRINGS(WEIR_CHECK_OCTETS_)
    WEIR_NUMBER_LISTS(WEIR_CHECK_NUMBERS_)
    WEIR_ADDRESS_LISTS(WEIR_CHECK_ADDRESSES_)
    WEIR_STRING_LISTS(WEIR_CHECK_OCTETS_)
    ref(r.unmapped, 1);
    require(refers == (r.has_arena != 0), "has_arena");
    require(r.unmapped.count <= kUnmappedOctetsMax && r.mpls_label.count <= kMplsLabelsMax &&
                r.application_id.count <= kStringOctetsMax &&
                r.application_name.count <= kStringOctetsMax &&
                r.user_name.count <= kStringOctetsMax,
            "sizes of lists and strings");

#define WEIR_CHECK_ADDRESS_(member, n)                                        \
  if ((r.addresses & address::bit(address::k_##member)) == 0) {               \
    require(r.member == IpAddress{}, "an address that is not there is zero"); \
  }
    WEIR_ADDRESSES(WEIR_CHECK_ADDRESS_)
    require(r.time_flow_start_ns != 0 && r.time_flow_end_ns != 0, "every record has times");
    require(r.time_source != 0, "times have a source");
    require((r.sampling_rate == 0) == (r.sampling_source == 0), "a rate has a source");
  }
};

/// Small enough that a short input reaches every bound.
inline DecoderConfig oracle_config() {
  DecoderConfig c;
  c.hash_seed = 0x5eed;
  c.limits.exporters_max = 3;
  c.limits.domains_per_exporter_max = 3;
  c.limits.templates_per_exporter_max = 6;
  c.limits.template_fields_max = 64;
  c.limits.template_octets_total = 1 << 20;
  c.limits.pending_sets_per_exporter_max = 5;
  c.limits.pending_entries_per_template_max = 3;
  c.limits.pending_entry_octets_max = 2000;
  c.limits.pending_octets_per_exporter = 3000;
  c.limits.pending_octets_total = 8000;
  c.limits.pending_ttl_ns = 60ull * 1'000'000'000;
  c.limits.template_lifetime_ns = 600ull * 1'000'000'000;
  c.listeners.resize(1);
  return c;
}

inline void check_state(const Decoder& decoder, const DecoderLimits& limits) {
  const DecoderCounters& c = decoder.counters();
  require(c.datagrams.value() == c.datagrams_decoded.value() + c.datagram_errors.total(),
          "datagrams balance");
  require(c.sets.value() == c.set_outcomes.total(), "sets balance");
  require(c.set_octets.value() == c.set_outcome_octets.total(), "octets of sets balance");
  require(c.pending_octets.value() <= limits.pending_octets_total, "octets that wait");
  require(c.exporters.value() <= limits.exporters_max, "exporters");
  ExporterStats stats[4];
  uint32_t cursor = 0;
  const size_t n = decoder.copy_exporters(cursor, stats);
  require(cursor == 0 && n == c.exporters.value(), "exporters listed");
  uint64_t waiting = 0;
  uint64_t templates = 0;
  for (const ExporterStats& s : std::span(stats, n)) {
    require(s.domains <= limits.domains_per_exporter_max, "domains");
    require(s.templates <= limits.templates_per_exporter_max, "templates");
    require(s.sets_waiting <= limits.pending_sets_per_exporter_max, "sets that wait");
    require(s.datagrams == s.datagrams_decoded + s.datagrams_rejected, "datagrams of an exporter");
    waiting += s.sets_waiting;
    templates += s.templates;
  }
  require(waiting == c.set_outcomes[SetOutcome::waiting_for_template].value(), "gauge of waiting");
  require(templates == c.templates.value(), "gauge of templates");
}

struct OracleResult {
  uint64_t records;
  uint64_t hash;
};

inline OracleResult run_datagrams(const uint8_t* data, size_t size) {
  static constexpr uint64_t kStart = 1'760'000'000ull * 1'000'000'000;
  const DecoderConfig config = oracle_config();
  auto decoder = Decoder::create(config);
  require(decoder.has_value(), "a decoder");
  OracleSink sink;
  uint64_t now = kStart;
  while (size >= 3) {
    const uint8_t control = data[0];
    size_t length = data[1] | size_t{data[2]} << 8;
    data += 3;
    size -= 3;
    if (length > size) length = size;
    // A copy of its own size shows reads beyond the datagram.
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[length]);
    for (size_t i = 0; i < length; ++i) copy[i] = data[i];
    Datagram d;
    d.payload = {copy.get(), length};
    d.source = IpAddress::from_v4(0xC0000200u + (control & 3));
    d.source_port = static_cast<uint16_t>(1000 + (control >> 2 & 3));
    d.received_ns = now;
    (*decoder)->decode(d, sink);
    require((*decoder)->counters().records.value() == sink.records, "records told");
    require((*decoder)->counters().counter_records.value() == sink.counter_samples,
            "counters told");
    require((*decoder)->counters().discard_records.value() == sink.discards, "discards told");
    now += uint64_t{1'000'000'000} << (control >> 4 & 7);
    if ((control & 0x80) != 0) {
      (*decoder)->tick(now);
      now += 100ull * 1'000'000'000;
    }
    check_state(**decoder, config.limits);
    data += length;
    size -= length;
  }
  (*decoder)->tick(now + 3600ull * 1'000'000'000);
  check_state(**decoder, config.limits);
  require((*decoder)->counters().pending_octets.value() == 0, "all that waited has expired");
  return {sink.records, sink.hash};
}

inline void check_datagrams(const uint8_t* data, size_t size) {
  const OracleResult first = run_datagrams(data, size);
  const OracleResult again = run_datagrams(data, size);
  require(first.records == again.records && first.hash == again.hash, "the same again");
}

}  // namespace weir::decode

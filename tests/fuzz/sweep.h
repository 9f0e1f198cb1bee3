// sweep.h — Every truncation of a datagram, and each of its octets changed, decoded with the state that
// the datagrams before it left.
//
// Oracles: those of CleanDecoder and OracleSink; datagrams, sets and their octets are as a second
// reader finds them (protocol_oracle.h).
//
// A copy that changed what is known of its exporter (a template, a rate, a domain) is followed by a new
// exporter that is told all of it again, so that each copy meets the same state.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "fuzz/protocol_oracle.h"
#include "support/payloads.h"

namespace weir::decode {

struct SweepCount {
  uint64_t datagrams = 0;
  uint64_t truncations = 0;
  uint64_t changes = 0;
  uint64_t decoded = 0;  // of the copies
  uint64_t rebuilds = 0;
};

class Sweep {
 public:
  enum class Copies : uint8_t { all, changed };

  explicit Sweep(Copies copies = Copies::all) : copies_(copies), decoder_(config()) {}

  /// Each datagram of one capture in turn. `change(octet's number)` is what an octet is XORed with,
  /// not 0; `is_new(datagram)` is whether to sweep it, or only to learn from it.
  template <class Change, class IsNew>
  void run(std::span<const test::Payload> capture, Change change, IsNew is_new) {
    auto reference = Decoder::create(reference_config());
    require(reference.has_value(), "a decoder");
    std::map<IpAddress, std::vector<const test::Payload*>> learned;
    for (const test::Payload& p : capture) {
      std::vector<const test::Payload*>& before = learned[p.source];
      if (!p.octets.empty() && is_new(p)) sweep(p, before, change);
      OracleSink sink(Folding::nothing);
      sink.payload = p.octets;
      const uint64_t known = knowledge((*reference)->counters());
      (*reference)->decode(datagram(p, p.octets, p.source), sink);
      if (knowledge((*reference)->counters()) != known) before.push_back(&p);
    }
  }

  SweepCount count;

 private:
  /// Longer than any header: what is changed there may make a domain. One is the datagram's own.
  static constexpr size_t kHeaderOctets = 40;

  static DecoderConfig reference_config() {
    DecoderConfig c;
    c.hash_seed = 0x5eed;
    c.listeners.resize(1);
    c.limits.time_future_max_ns = 50ull * 366 * 86'400 * 1'000'000'000;
    return c;
  }
  static DecoderConfig config() {
    DecoderConfig c = reference_config();
    c.limits.exporters_max = 1;
    return c;
  }
  static Datagram datagram(const test::Payload& p, std::span<const uint8_t> octets,
                           const IpAddress& source) {
    Datagram d;
    d.payload = octets;
    d.source = source;
    d.source_port = p.source_port;
    d.received_ns = p.received_ns;
    return d;
  }
  /// Changes with what is known of templates and rates.
  static uint64_t knowledge(const DecoderCounters& c) noexcept {
    uint64_t n = c.rate_changes.value();
    for (const TemplateEvent e :
         {TemplateEvent::learned, TemplateEvent::redefined, TemplateEvent::withdrawn,
          TemplateEvent::evicted, TemplateEvent::expired}) {
      n += c.template_events[e].value();
    }
    return n;
  }

  template <class Change>
  void sweep(const test::Payload& p, const std::vector<const test::Payload*>& before,
             Change change) {
    ++count.datagrams;
    begin(before);
    for (size_t n = 0; copies_ == Copies::all && n < p.octets.size(); ++n) {
      decode(p, memory_.hold(std::span(p.octets).first(n)), before, n);
      ++count.truncations;
    }
    const std::span<uint8_t> octets = memory_.hold(p.octets);
    for (size_t at = 0; at < octets.size(); ++at) {
      const uint8_t was = octets[at];
      octets[at] = static_cast<uint8_t>(was ^ change(at));
      decode(p, octets, before, at);
      octets[at] = was;
      ++count.changes;
    }
    end();
  }

  void decode(const test::Payload& p, std::span<const uint8_t> octets,
              const std::vector<const test::Payload*>& before, size_t at) {
    const DecoderCounters& c = (*decoder_).counters();
    const uint64_t known = knowledge(c);
    const uint64_t sets = c.sets.value();
    const uint64_t set_octets = c.set_octets.value();
    const uint64_t records = c.records.value();
    const Expected e = expect_any(octets);
    const uint64_t told = sink_.records;
    const bool decoded = tell(p, octets);
    require(decoded == e.decoded, "what can be decoded is");
    require(c.sets.value() - sets == e.sets && c.set_octets.value() - set_octets == e.set_octets,
            "sets and their octets as a second reader finds them");
    require(c.records.value() - records == sink_.records - told, "records told");
    decoder_.check_ledgers();
    count.decoded += decoded;
    if (knowledge(c) != known || (at < kHeaderOctets && domains() > domains_ + 1)) {
      end();
      begin(before);
    }
  }

  /// A new exporter, which says what it said before.
  void begin(const std::vector<const test::Payload*>& before) {
    ++count.rebuilds;
    decoder_.begin_round(sink_);
    for (const test::Payload* p : before) tell(*p, p->octets);
    domains_ = domains();
  }
  uint64_t domains() const {
    ExporterStats stats[1];
    uint32_t cursor = 0;
    return (*decoder_).copy_exporters(cursor, stats) == 0 ? 0 : stats[0].domains;
  }
  bool tell(const test::Payload& p, std::span<const uint8_t> octets) {
    sink_.payload = octets;
    return decoder_->decode(datagram(p, octets, decoder_.exporter(0)), sink_);
  }
  void end() {
    decoder_.check();
    decoder_.end_round(1);
  }

  const Copies copies_;
  CleanDecoder decoder_;
  OracleSink sink_{Folding::nothing};
  GuardedOctets memory_;
  uint64_t domains_ = 0;  // when the round began
};

}  // namespace weir::decode

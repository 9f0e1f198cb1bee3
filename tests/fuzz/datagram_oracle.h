// datagram_oracle.h — A decoder under small limits, fed with any octets, and what must hold of it.
//
// Oracles: those of CleanDecoder and OracleSink after each datagram; the same datagrams give the same
// records, events and counts again, by another kernel where the machine has one.
//
// Input: a sequence of datagrams, each a control octet (exporter, port, whether time passes), its
// length as two octets, little end first, then its octets; the last may be cut short. A length from
// kRepeat on stands for an earlier datagram: its number in the low three bits, and what its observation
// domain is changed by in the eight above.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "fuzz/clean_decoder.h"
#include "fuzz/guarded_octets.h"

namespace weir::decode {

struct OracleResult {
  uint64_t records = 0;
  uint64_t hash = 0;
  friend bool operator==(const OracleResult&, const OracleResult&) = default;
};

/// What decoding told a sink and counted since.
class OracleRound {
 public:
  /// Both outlive the round; `sink` has been told nothing yet.
  OracleRound(CleanDecoder& decoder, OracleSink& to)
      : sink(to), decoder_(decoder), before_(told()), trouble_before_(trouble()) {
    decoder.begin_round(sink);
  }

  bool decode(const Datagram& d) {
    sink.payload = d.payload;
    const bool decoded = decoder_->decode(d, sink);
    const Told now = told();
    require(now.records - before_.records == sink.records, "records told");
    require(now.counters - before_.counters == sink.counter_samples, "counters told");
    require(now.discards - before_.discards == sink.discards, "discards told");
    return decoded;
  }
  OracleResult end(uint8_t exporters_used) {
    sink.fold.number(trouble() - trouble_before_);
    decoder_.end_round(exporters_used);
    return {sink.records, sink.fold.value()};
  }

  OracleSink& sink;

 private:
  struct Told {
    uint64_t records;
    uint64_t counters;
    uint64_t discards;
  };
  Told told() const noexcept {
    const DecoderCounters& c = (*decoder_).counters();
    return {c.records.value(), c.counter_records.value(), c.discard_records.value()};
  }

  uint64_t trouble() const noexcept {
    const DecoderCounters& c = (*decoder_).counters();
    return c.quirks.total() + c.sequence_lost.value();
  }

  CleanDecoder& decoder_;
  const Told before_;
  const uint64_t trouble_before_;
};

inline constexpr size_t kRepeat = 0x8000;

class SequenceOracle {
 public:
  SequenceOracle()
      : decoders_{CleanDecoder(config(Kernel::portable)), CleanDecoder(config(best_kernel()))} {}

  /// Returns what the datagrams came to.
  OracleResult check(const uint8_t* data, size_t size) {
    const OracleResult first = run(decoders_[0], {data, size});
    const OracleResult again = run(decoders_[1], {data, size});
    require(first == again, "the same again");
    return first;
  }
  /// Is given each datagram as well.
  std::function<void(const Datagram&)> also;

  static DecoderConfig config(Kernel kernel) {
    DecoderConfig c = oracle_config();
    c.kernel = kernel;
    c.listeners.resize(2);
    c.listeners[kNamesListener].inline_names = true;
    c.sampling_default = {{*IpAddress::parse("2001:db8::"), 32, 10}};
    return c;
  }

 private:
  static constexpr uint8_t kExporters = 4;
  static constexpr size_t kKept = 8;
  static constexpr uint16_t kNamesListener = 1;  // of the last exporter

  std::span<uint8_t> octets_of(size_t length, std::span<const uint8_t>& input,
                               std::array<std::span<const uint8_t>, kKept>& kept, size_t number) {
    if (length < kRepeat) {
      const auto octets = input.first(std::min(length, input.size()));
      input = input.subspan(octets.size());
      kept[number % kKept] = octets;
      return memory_.hold(octets);
    }
    const std::span<uint8_t> octets = memory_.hold(kept[length % kKept]);
    const size_t domain_end = octets.size() >= 2 && octets[1] == 10 ? 16 : 20;
    if (octets.size() >= domain_end) {
      octets[domain_end - 1] = static_cast<uint8_t>(octets[domain_end - 1] ^ length >> 3);
    }
    return octets;
  }

  // Those of no octets would be many.
  static constexpr size_t kDatagramsMax = 12;

  OracleResult run(CleanDecoder& decoder, std::span<const uint8_t> input) {
    OracleSink sink;
    OracleRound round(decoder, sink);
    std::array<std::span<const uint8_t>, kKept> kept{};
    uint64_t now = CleanDecoder::kStart;
    for (size_t number = 0; input.size() >= 3 && number < kDatagramsMax; ++number) {
      const uint8_t control = input[0];
      const size_t length = input[1] | size_t{input[2]} << 8;
      input = input.subspan(3);
      Datagram d;
      d.payload = octets_of(length, input, kept, number);
      d.source = decoder.exporter(control & 3);
      d.source_port = static_cast<uint16_t>(1000 + (control >> 2 & 3));
      d.listener = {static_cast<uint16_t>((control & 3) == 3 ? kNamesListener : 0)};
      d.received_ns = now;
      if (also && &decoder == &decoders_[0]) also(d);
      round.decode(d);
      now += uint64_t{1'000'000'000} << (control >> 4 & 7);
      if ((control & 0x80) != 0) {
        decoder.check();
        decoder->tick(now);
        now += 100ull * 1'000'000'000;
      }
      decoder.check_ledgers();
    }
    decoder.check();
    decoder->tick(now + 3600ull * 1'000'000'000);
    decoder.check();
    require((*decoder).counters().pending_octets.value() == 0, "all that waited has expired");
    return round.end(kExporters);
  }

  CleanDecoder decoders_[2];
  GuardedOctets memory_;
};

}  // namespace weir::decode

// protocol_oracle.h — One datagram of one protocol, and how many records, sets and octets it comes to.
//
// Oracles: those of datagram_oracle.h, and a second reader for each protocol, as plain as can be, that
// knows no templates: which datagrams are decoded; how many sets or samples, of how many octets, enter
// the ledger; how many records NetFlow v1, v5 and v7 come to, and what their plainest fields are.
//
// Input: a control octet, then the datagram, whose version is overwritten.
#pragma once

#include <algorithm>
#include <functional>

#include "base/byte_order.h"
#include "fuzz/datagram_oracle.h"

namespace weir::decode {

/// What a datagram must come to.
struct Expected {
  bool decoded = false;
  uint64_t sets = 0;
  uint64_t set_octets = 0;
};

/// `sets` from their first on: v9 and IPFIX.
inline Expected expect_sets(std::span<const uint8_t> sets) noexcept {
  Expected e{.decoded = true};
  while (sets.size() >= 4) {
    ++e.sets;
    size_t length = load_be16(sets.data() + 2);
    if (length < 4 || length > sets.size()) length = sets.size();
    e.set_octets += length;
    sets = sets.subspan(length);
  }
  return e;
}

inline Expected expect_netflow_v9(std::span<const uint8_t> d) noexcept {
  return d.size() < 20 ? Expected{} : expect_sets(d.subspan(20));
}

inline Expected expect_ipfix(std::span<const uint8_t> d) noexcept {
  if (d.size() < 16 || load_be16(d.data() + 2) < 16) return {};
  return expect_sets(d.first(std::min<size_t>(d.size(), load_be16(d.data() + 2))).subspan(16));
}

inline Expected expect_sflow(std::span<const uint8_t> d) noexcept {
  if (d.size() < 8) return {};
  const uint32_t address_type = load_be32(d.data() + 4);
  if (address_type > 2) return {};
  const size_t header = 8 + (address_type == 1 ? 4 : address_type == 2 ? 16 : 0) + 16;
  if (d.size() < header) return {};
  Expected e{.decoded = true};
  const uint32_t promised = load_be32(d.data() + header - 4);
  size_t at = header;
  while (e.sets < promised && at < d.size()) {
    const size_t left = d.size() - at;
    const uint64_t body = left < 8 ? left : load_be32(d.data() + at + 4);
    const bool whole = left >= 8 && body <= left - 8;
    const size_t octets = whole ? std::min<size_t>(8 + (body + 3) / 4 * 4, left) : left;
    ++e.sets;
    e.set_octets += octets;
    at += octets;
  }
  return e;
}

/// NetFlow v1, v5 and v7.
struct FixedLayout {
  size_t header = 24;
  size_t record = 48;
  uint64_t records = 0;
};
inline FixedLayout expect_fixed(std::span<const uint8_t> d) noexcept {
  FixedLayout f;
  if (d.size() < 4) return f;
  const uint16_t version = load_be16(d.data());
  const size_t promised = load_be16(d.data() + 2);
  if (version == 1) f.header = 16;
  if (version == 7 || (version == 1 && d.size() == 16 + promised * 52)) f.record = 52;
  if (d.size() >= f.header) f.records = std::min(promised, (d.size() - f.header) / f.record);
  return f;
}

/// Of a datagram of any version.
inline Expected expect_any(std::span<const uint8_t> d) noexcept {
  if (d.size() < 4) return {};
  switch (load_be16(d.data())) {
    case 0: return load_be32(d.data()) == 5 ? expect_sflow(d) : Expected{};
    case 1:
    case 5:
    case 7: return {.decoded = expect_fixed(d).records != 0};
    case 9: return expect_netflow_v9(d);
    case 10: return expect_ipfix(d);
    default: return {};
  }
}

/// Compares each record of NetFlow v1, v5 and v7 with its octets.
class FixedSink final : public OracleSink {
 public:
  void on_records(const RecordBurst& burst) noexcept override {
    const FixedLayout f = expect_fixed(payload);
    const size_t before = records - records_before_;
    for (size_t i = 0; i < burst.records.size(); ++i) {
      require(before + i < f.records, "no more records than there is room for");
      const uint8_t* p = payload.data() + f.header + (before + i) * f.record;
      const FlowRecord& r = burst.records[i];
      require(r.src_addr == IpAddress::from_v4(p) && r.dst_addr == IpAddress::from_v4(p + 4) &&
                  r.next_hop == IpAddress::from_v4(p + 8) && r.in_if == load_be16(p + 12) &&
                  r.out_if == load_be16(p + 14) && r.packets == load_be32(p + 16) &&
                  r.bytes == load_be32(p + 20) && r.proto == p[38] && r.ip_tos == p[39],
              "a record is as its octets say");
    }
    OracleSink::on_records(burst);
  }
  void begin_datagram() noexcept { records_before_ = records; }

 private:
  uint64_t records_before_ = 0;
};

/// The octets of the input as a datagram of one version.
class ProtocolOracle {
 public:
  /// NetFlow's version has two octets, sFlow's four.
  enum class Version : uint32_t { any_fixed = 0, netflow_v9 = 9, ipfix = 10, sflow_5 = 5 };

  explicit ProtocolOracle(Version version)
      : version_(version),
        decoders_{CleanDecoder(config(Kernel::portable)), CleanDecoder(config(best_kernel()))} {}

  OracleResult check(const uint8_t* data, size_t size) {
    if (size == 0) return {};
    const uint8_t control = data[0];
    const std::span<uint8_t> octets = memory_.hold({data + 1, size - 1});
    write_version(octets, control);
    const OracleResult first = run(decoders_[0], octets, control);
    const OracleResult again = run(decoders_[1], octets, control);
    require(first == again, "the same again");
    return first;
  }

  /// Is given each datagram as well.
  std::function<void(const Datagram&)> also;

  static DecoderConfig config(Kernel kernel) {
    DecoderConfig c = oracle_config();
    c.limits.exporters_max = 1;
    c.kernel = kernel;
    c.listeners.resize(4);
    c.listeners[1].inline_names = true;
    c.listeners[2].sampling_rate_default = 512;
    c.listeners[2].samples_per_datagram_max = 2;
    c.listeners[3].limits = ExporterLimits{.templates_max = 2,
                                           .template_fields_max = 8,
                                           .pending_sets_max = 1,
                                           .pending_set_octets_max = 100};
    return c;
  }

 private:
  void write_version(std::span<uint8_t> octets, uint8_t control) const noexcept {
    if (octets.size() < 4) return;
    if (version_ == Version::sflow_5) return store_be32(octets.data(), 5);
    static constexpr uint16_t kFixed[4] = {5, 1, 7, 5};
    store_be16(octets.data(), version_ == Version::any_fixed ? kFixed[control >> 2 & 3]
                                                             : static_cast<uint16_t>(version_));
  }

  OracleResult run(CleanDecoder& decoder, std::span<const uint8_t> octets, uint8_t control) {
    FixedSink fixed;
    OracleSink plain;
    OracleSink& sink = version_ == Version::any_fixed ? fixed : plain;
    OracleRound round(decoder, sink);
    Datagram d;
    d.payload = octets;
    d.source = decoder.exporter(0);
    d.source_port = 1000;
    d.listener = {static_cast<uint16_t>(control & 3)};
    d.received_ns = CleanDecoder::kStart;
    decode(decoder, round, d);
    if ((control & 16) != 0) {  // what it defined is known now
      fixed.begin_datagram();
      d.received_ns += 1'000'000'000;
      decode(decoder, round, d);
    }
    decoder.check();
    return round.end(1);
  }

  void decode(CleanDecoder& decoder, OracleRound& round, const Datagram& d) const {
    if (also && &decoder == &decoders_[0]) also(d);
    const DecoderCounters& c = (*decoder).counters();
    const OracleSink& sink = round.sink;
    const uint64_t sets = c.sets.value();
    const uint64_t set_octets = c.set_octets.value();
    const uint64_t decoded_sets = c.set_outcomes[SetOutcome::decoded].value();
    const uint64_t told = sink.records + sink.counter_samples + sink.discards;
    const Expected e = expect_any(d.payload);
    require(round.decode(d) == e.decoded, "what can be decoded is");
    require(c.sets.value() - sets == e.sets, "sets as a second reader finds them");
    require(c.set_octets.value() - set_octets == e.set_octets, "octets of sets likewise");
    const uint64_t now_told = sink.records + sink.counter_samples + sink.discards - told;
    if (version_ == Version::sflow_5) {
      require(c.set_outcomes[SetOutcome::decoded].value() - decoded_sets == now_told,
              "each decoded sample is told");
    }
    if (version_ == Version::any_fixed) {
      require(now_told == expect_fixed(d.payload).records, "records as a second reader finds them");
    }
  }

  const Version version_;
  CleanDecoder decoders_[2];
  GuardedOctets memory_;
};

}  // namespace weir::decode

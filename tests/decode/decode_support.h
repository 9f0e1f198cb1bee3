// decode_support.h — A decoder with what it told: records with their arenas, ledgers checked.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/state_image.h"
#include "flow/sflow_samples.h"
#include "lab/message_builder.h"

namespace weir::decode {

inline constexpr uint64_t kNowSecs = 1'760'000'000;
inline constexpr uint64_t kNow = kNowSecs * 1'000'000'000;

struct Unmapped {
  uint32_t enterprise;
  uint16_t id;
  std::string octets;
  friend bool operator==(const Unmapped&, const Unmapped&) = default;
};

/// A record that outlives its burst.
struct KeptRecord {
  FlowRecord record;
  ExportHeader header;
  std::vector<uint8_t> arena;

  std::string text(ArenaRef r) const {
    return {arena.begin() + r.offset, arena.begin() + r.offset + r.count};
  }
  std::vector<uint32_t> numbers(ArenaRef r) const {
    std::vector<uint32_t> v(r.count);
    if (!v.empty()) std::memcpy(v.data(), arena.data() + r.offset, v.size() * sizeof(uint32_t));
    return v;
  }
  std::vector<Unmapped> unmapped() const {
    std::vector<Unmapped> all;
    const uint8_t* p = arena.data() + record.unmapped.offset;
    const uint8_t* end = p + record.unmapped.count;
    while (p < end) {
      Unmapped u{};
      uint16_t length;
      std::memcpy(&u.enterprise, p, 4);
      std::memcpy(&u.id, p + 4, 2);
      std::memcpy(&length, p + 6, 2);
      u.octets.assign(p + 8, p + 8 + length);
      all.push_back(u);
      p += 8 + length;
    }
    return all;
  }
};

/// A counter sample that outlives its datagram.
struct KeptCounters {
  struct Block {
    const CounterLayout* layout;
    uint32_t enterprise;
    uint32_t format;
    lab::Octets octets;
  };
  ExportHeader header;
  SampleOrigin origin;
  std::vector<Block> blocks;
};
struct KeptDiscard {
  KeptRecord packet;
  SampleOrigin origin;
  uint32_t reason;
  uint32_t drops;
};

class KeepingSink final : public RecordSink {
 public:
  void on_counters(const SflowCounters& s) noexcept override {
    KeptCounters& kept = counters.emplace_back(KeptCounters{s.header, s.origin, {}});
    for (const CounterBlock& b : s.blocks) {
      kept.blocks.push_back({b.layout, b.enterprise, b.format, {b.octets.begin(), b.octets.end()}});
    }
  }
  void on_discard(const SflowDiscard& d) noexcept override {
    discards.push_back(
        {{d.packet, d.header, {d.arena, d.arena + kArenaOctets}}, d.origin, d.reason, d.drops});
  }
  void on_records(const RecordBurst& burst) noexcept override {
    EXPECT_FALSE(burst.records.empty());
    EXPECT_LE(burst.records.size(), kBurstRecords);
    for (const FlowRecord& r : burst.records) {
      records.push_back({r, burst.header, {burst.arena, burst.arena + kArenaOctets}});
    }
  }
  std::vector<KeptRecord> records;
  std::vector<KeptCounters> counters;
  std::vector<KeptDiscard> discards;
};

class CountingSink final : public RecordSink {
 public:
  void on_records(const RecordBurst& burst) noexcept override { records += burst.records.size(); }
  uint64_t records = 0;
};

/// The equations of DecoderCounters; empty if they hold.
inline std::string ledger_error(const DecoderCounters& c) {
  if (c.datagrams.value() != c.datagrams_decoded.value() + c.datagram_errors.total()) {
    return "datagrams do not balance";
  }
  if (c.sets.value() != c.set_outcomes.total()) return "sets do not balance";
  if (c.set_octets.value() != c.set_outcome_octets.total()) return "octets of sets do not balance";
  if (c.records.value() != c.records_by_protocol.total()) return "records do not balance";
  if (c.datagrams_decoded.value() != c.datagrams_by_protocol.total()) {
    return "datagrams by protocol do not balance";
  }
  return {};
}

class Bench {
 public:
  explicit Bench(const DecoderConfig& config = default_config()) {
    auto made = Decoder::create(config);
    EXPECT_TRUE(made.has_value());
    decoder = std::move(*made);
  }
  static DecoderConfig default_config() {
    DecoderConfig c;
    c.listeners.resize(1);
    c.hash_seed = 0x1234'5678'9abc'def0;
    return c;
  }

  struct From {
    IpAddress source = IpAddress::from_v4(0xC0000207);  // 192.0.2.7
    uint16_t port = 50'000;
    uint64_t at_ns = kNow;
    uint16_t listener = 0;
  };

  bool send(const lab::Octets& octets) { return send(octets, From{}); }
  bool send(const lab::Octets& octets, const From& from) {
    // A copy of its own size, so that a sanitizer sees what is read beyond it.
    const auto copy = std::make_unique<uint8_t[]>(octets.size());
    if (!octets.empty()) std::memcpy(copy.get(), octets.data(), octets.size());
    Datagram d;
    d.payload = {copy.get(), octets.size()};
    d.source = from.source;
    d.source_port = from.port;
    d.local_port = 2055;
    d.listener = {from.listener};
    d.received_ns = from.at_ns;
    const bool decoded = decoder->decode(d, sink);
    EXPECT_EQ(ledger_error(decoder->counters()), "");
    EXPECT_EQ(decoder->counters().records.value(), sink.records.size());
    EXPECT_EQ(decoder->counters().counter_records.value(), sink.counters.size());
    EXPECT_EQ(decoder->counters().discard_records.value(), sink.discards.size());
    return decoded;
  }

  const FlowRecord& record(size_t i) const { return sink.records.at(i).record; }
  const KeptRecord& kept(size_t i) const { return sink.records.at(i); }
  size_t records() const { return sink.records.size(); }

  uint64_t outcome(SetOutcome o) const { return decoder->counters().set_outcomes[o].value(); }
  uint64_t quirk(Quirk q) const { return decoder->counters().quirks[q].value(); }
  uint64_t error(DatagramError e) const { return decoder->counters().datagram_errors[e].value(); }
  uint64_t event(TemplateEvent e) const { return decoder->counters().template_events[e].value(); }
  ExporterStats exporter() const {
    ExporterStats s;
    uint32_t cursor = 0;
    EXPECT_EQ(decoder->copy_exporters(cursor, {&s, 1}), 1u);
    return s;
  }

  std::unique_ptr<Decoder> decoder;
  KeepingSink sink;
};

/// Everything that a decoder would have saved.
inline std::vector<uint8_t> saved_state(Decoder& decoder) {
  std::vector<uint8_t> all;
  std::vector<uint8_t> room(kStateChunkOctetsMin);
  StateCursor cursor;
  for (int slices = 0; !cursor.is_over; ++slices) {
    EXPECT_LT(slices, 1'000'000) << "the walk ends";
    const size_t n = decoder.copy_state(cursor, room);
    EXPECT_LE(n, room.size());
    all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return all;
}

/// A decoder's start with what another one knew.
inline DecoderConfig restored_config(std::vector<uint8_t> saved) {
  DecoderConfig config = Bench::default_config();
  auto image = StateImage::parse(std::move(saved));
  EXPECT_TRUE(image.has_value()) << image.error().message;
  if (image) config.restored = *image;
  config.hash_seed = 99;  // every start draws its own
  return config;
}

/// One field of a template with its value.
struct Value {
  lab::FieldSpecifier field;
  lab::Octets octets;
};

inline lab::Template template_of(uint16_t id, const std::vector<Value>& values) {
  lab::Template t{.id = id};
  for (const Value& v : values) t.fields.push_back(v.field);
  return t;
}
inline lab::Record record_of(const std::vector<Value>& values) {
  lab::Octets octets;
  for (const Value& v : values) lab::append(octets, v.octets);
  return lab::Record(octets);
}

inline constexpr uint32_t kUptimeMs = 10'000'000;

/// A datagram with a template and one record of it.
inline lab::Octets v9_with(const std::vector<Value>& values) {
  return lab::NetflowV9Builder{}
      .uptime_ms(kUptimeMs)
      .unix_secs(kNowSecs)
      .templates({template_of(256, values)})
      .data(256, {record_of(values)})
      .build();
}
inline lab::Octets ipfix_with(const std::vector<Value>& values) {
  return lab::IpfixBuilder{}
      .export_time(kNowSecs)
      .templates({template_of(256, values)})
      .data(256, {record_of(values)})
      .build();
}

/// Each truncation of an accepted message decodes no more than the whole, and the books balance.
inline void expect_truncations_tolerated(const lab::Octets& message) {
  Bench whole;
  whole.send(message);
  for (size_t n = 0; n < message.size(); ++n) {
    SCOPED_TRACE(n);
    Bench cut;
    cut.send({message.begin(), message.begin() + static_cast<std::ptrdiff_t>(n)});
    EXPECT_LE(cut.records(), whole.records());
    EXPECT_LE(cut.sink.counters.size(), whole.sink.counters.size());
    EXPECT_LE(cut.sink.discards.size(), whole.sink.discards.size());
  }
}

}  // namespace weir::decode

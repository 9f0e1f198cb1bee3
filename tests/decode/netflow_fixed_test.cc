#include <gtest/gtest.h>

#include "decode/times.h"
#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace std::string_literals;

using namespace lab;

constexpr uint32_t kUptime = 10'000'000;

NetflowV5Record sample() {
  NetflowV5Record r;
  r.src_addr = "192.0.2.1";
  r.dst_addr = "198.51.100.2";
  r.next_hop = "203.0.113.3";
  r.in_if = 11;
  r.out_if = 65'535;
  r.packets = 3'000'000'000u;
  r.octets = 4'000'000'000u;
  r.first_ms = kUptime - 5000;
  r.last_ms = kUptime - 1000;
  r.src_port = 443;
  r.dst_port = 50'123;
  r.tcp_flags = 0x1b;
  r.proto = 6;
  r.tos = 0xb8;
  r.src_as = 64'500;
  r.dst_as = 65'001;
  r.src_mask = 24;
  r.dst_mask = 16;
  return r;
}

NetflowV5Builder message() {
  return NetflowV5Builder{}
      .uptime_ms(kUptime)
      .unix_time(kNowSecs, 123'456'789)
      .sequence(77)
      .engine(1, 2)
      .sampling(1u << 14 | 100);
}

TEST(NetflowV5, FillsEveryColumn) {
  Bench b;
  ASSERT_TRUE(b.send(message().record(sample()).build()));
  ASSERT_EQ(b.records(), 1u);
  const FlowRecord& r = b.record(0);
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "198.51.100.2");
  EXPECT_EQ(r.next_hop.to_string(), "203.0.113.3");
  EXPECT_EQ(r.addresses, 7);
  EXPECT_EQ(r.in_if, 11u);
  EXPECT_EQ(r.out_if, 65'535u);
  EXPECT_EQ(r.packets, 3'000'000'000u);
  EXPECT_EQ(r.bytes, 4'000'000'000u);
  EXPECT_EQ(r.bytes_out, 0u);
  EXPECT_EQ(r.src_port, 443u);
  EXPECT_EQ(r.dst_port, 50'123u);
  EXPECT_EQ(r.tcp_flags, 0x1bu);
  EXPECT_EQ(r.proto, 6u);
  EXPECT_EQ(r.ip_tos, 0xb8u);
  EXPECT_EQ(r.src_as, 64'500u);
  EXPECT_EQ(r.dst_as, 65'001u);
  EXPECT_EQ(r.src_net, 24u);
  EXPECT_EQ(r.dst_net, 16u);
  EXPECT_EQ(r.etype, 0x0800u);
  EXPECT_EQ(r.time_flow_start_ns, kNow + 123'456'789 - 5'000'000'000);
  EXPECT_EQ(r.time_flow_end_ns, kNow + 123'456'789 - 1'000'000'000);
  EXPECT_EQ(r.time_source, static_cast<uint32_t>(TimeSource::uptime));
  EXPECT_EQ(r.sampling_rate, 100u) << "the mode's bits are no part of the rate";
  EXPECT_EQ(r.sampling_source, static_cast<uint32_t>(SamplingSource::header));
  EXPECT_EQ(r.arena_parts, 0u);
  EXPECT_TRUE(r.present.has(Field::src_as));
  EXPECT_FALSE(r.present.has(Field::vlan_id));

  const ExportHeader& h = b.kept(0).header;
  EXPECT_EQ(h.type, FlowType::netflow_v5);
  EXPECT_EQ(h.sequence_num, 77u);
  EXPECT_EQ(h.engine, 0x0102u);
  EXPECT_EQ(h.observation_domain_id, 0u);
  EXPECT_EQ(h.time_received_ns, kNow);
  EXPECT_EQ(h.sampler_address.to_string(), "192.0.2.7");
  EXPECT_EQ(h.exporter_port, 50'000u);
}

TEST(NetflowV5, DecodesMoreRecordsThanABurst) {
  NetflowV5Builder m = message();
  NetflowV5Record r = sample();
  for (uint32_t i = 0; i < 100; ++i) {
    r.octets = i;
    m.record(r);
  }
  Bench b;
  ASSERT_TRUE(b.send(m.build()));
  ASSERT_EQ(b.records(), 100u);
  for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(b.record(i).bytes, i);
}

TEST(NetflowV5, MovesIcmpTypeAndCodeOutOfThePort) {
  NetflowV5Record r = sample();
  r.proto = 1;
  r.src_port = 0;
  r.dst_port = 0x0800;
  Bench b;
  b.send(message().record(r).build());
  EXPECT_EQ(b.record(0).icmp_type, 8u);
  EXPECT_EQ(b.record(0).icmp_code, 0u);
  EXPECT_EQ(b.record(0).dst_port, 0u);
  EXPECT_TRUE(b.record(0).present.has(Field::icmp_type));
}

struct TimeCase {
  const char* name;
  uint32_t uptime_ms;
  uint32_t first_ms;
  uint32_t last_ms;
  uint32_t secs;
  uint64_t start_ns;
  uint64_t end_ns;
  TimeSource source;
};

TEST(NetflowV5, TakesUptimesAsSignedDifferences) {
  const uint64_t ms = 1'000'000;
  const TimeCase cases[] = {
      {"usual", 100'000, 40'000, 90'000, kNowSecs, kNow - 60'000 * ms, kNow - 10'000 * ms,
       TimeSource::uptime},
      {"the uptime wrapped between flow and export", 5'000, 0xffff'fff0u, 1'000, kNowSecs,
       kNow - 5'016 * ms, kNow - 4'000 * ms, TimeSource::uptime},
      {"ends a little after the export", 100'000, 100'000, 100'250, kNowSecs, kNow, kNow + 250 * ms,
       TimeSource::uptime},
      {"exporter's clock in 1970", 100'000, 40'000, 90'000, 12'345, kNow, kNow,
       TimeSource::received},
      {"exporter's clock in 2106", 100'000, 40'000, 90'000, 0xffff'ffffu, kNow, kNow,
       TimeSource::received},
      {"a time far in the future", 100'000, 2'000'000'000, 90'000, kNowSecs, kNow, kNow,
       TimeSource::export_time},
      {"an hour off is the exporter's own", 100'000, 40'000, 90'000, kNowSecs + 3600,
       kNow + 3'540'000 * ms, kNow + 3'590'000 * ms, TimeSource::uptime},
  };
  for (const TimeCase& c : cases) {
    SCOPED_TRACE(c.name);
    NetflowV5Record r = sample();
    r.first_ms = c.first_ms;
    r.last_ms = c.last_ms;
    Bench b;
    b.send(NetflowV5Builder{}.uptime_ms(c.uptime_ms).unix_time(c.secs).record(r).build());
    ASSERT_EQ(b.records(), 1u);
    EXPECT_EQ(b.record(0).time_flow_start_ns, c.start_ns);
    EXPECT_EQ(b.record(0).time_flow_end_ns, c.end_ns);
    EXPECT_EQ(b.record(0).time_source, static_cast<uint32_t>(c.source));
    EXPECT_EQ(b.quirk(Quirk::implausible_time), c.source == TimeSource::uptime ? 0u : 1u);
  }
}

TEST(NetflowV5, IgnoresNanosecondsThatAreNone) {
  Bench b;
  b.send(NetflowV5Builder{}
             .uptime_ms(kUptime)
             .unix_time(kNowSecs, 0xffff'ffff)
             .record(sample())
             .build());
  EXPECT_EQ(b.record(0).time_flow_end_ns, kNow - 1'000'000'000);
}

struct CountCase {
  const char* name;
  uint16_t count;
  size_t built;
  size_t extra_octets;
  uint8_t extra_value;
  size_t records;
  std::vector<Quirk> quirks;
};

TEST(NetflowV5, BelievesTheOctetsNotTheCount) {
  const CountCase cases[] = {
      {"as promised", 2, 2, 0, 0, 2, {}},
      {"fewer than promised", 5, 2, 0, 0, 2, {Quirk::count_mismatch}},
      {"fewer, the last cut off", 3, 2, 47, 1, 2, {Quirk::count_mismatch}},
      {"more octets than promised", 1, 2, 0, 0, 1, {Quirk::trailing_octets}},
      {"zeros behind", 2, 2, 9, 0, 2, {Quirk::zero_filled_tail}},
  };
  for (const CountCase& c : cases) {
    SCOPED_TRACE(c.name);
    NetflowV5Builder m = message();
    for (size_t i = 0; i < c.built; ++i) m.record(sample());
    Bench b;
    EXPECT_TRUE(b.send(m.count(c.count).raw(filled(c.extra_octets, c.extra_value)).build()));
    EXPECT_EQ(b.records(), c.records);
    for (const Quirk q : c.quirks) EXPECT_EQ(b.quirk(q), 1u) << name_of(q);
    EXPECT_EQ(b.decoder->counters().quirks.total(), c.quirks.size());
  }
}

TEST(NetflowV5, RejectsWhatHoldsNoRecord) {
  Bench b;
  EXPECT_FALSE(b.send(message().build()));
  EXPECT_EQ(b.error(DatagramError::bad_count), 1u);
  EXPECT_FALSE(b.send(message().count(1).raw(zeros(47)).build()));
  EXPECT_EQ(b.error(DatagramError::bad_length), 1u);
  Octets cut = message().record(sample()).build();
  cut.resize(23);
  EXPECT_FALSE(b.send(cut));
  EXPECT_EQ(b.error(DatagramError::truncated_header), 1u);
  EXPECT_EQ(b.records(), 0u);
}

TEST(NetflowV5, ToleratesEveryTruncation) {
  expect_truncations_tolerated(message().record(sample()).record(sample()).build());
}

TEST(NetflowV5, UsesTheListenersRateOnlyWhereTheHeaderNamesNone) {
  DecoderConfig config = Bench::default_config();
  config.listeners[0].sampling_rate_default = 512;
  Bench b(config);
  b.send(message().record(sample()).build());
  b.send(message().sampling(0).record(sample()).build());
  b.send(message().sampling(2u << 14).record(sample()).build());
  EXPECT_EQ(b.record(0).sampling_rate, 100u);
  EXPECT_EQ(b.record(1).sampling_rate, 512u);
  EXPECT_EQ(b.record(1).sampling_source, static_cast<uint32_t>(SamplingSource::default_));
  EXPECT_FALSE(b.record(1).present.has(Field::sampling_rate));
  EXPECT_EQ(b.record(2).sampling_rate, 512u);
}

TEST(NetflowV5, TakesTheRateOutOfTheModesBits) {
  struct Sampling {
    uint16_t field;
    uint64_t rate;
  };
  const Sampling cases[] = {
      {100, 100},       {1u << 14 | 100, 100}, {2u << 14 | 100, 100}, {1u << 14 | 0x3fff, 0x3fff},
      {2u << 14, 0},    {50'000, 50'000},  // Juniper, over both
      {65'535, 65'535}, {0xbfff, 0x3fff},
  };
  for (const Sampling& c : cases) {
    SCOPED_TRACE(c.field);
    Bench b;
    b.send(message().sampling(c.field).record(sample()).build());
    EXPECT_EQ(b.record(0).sampling_rate, c.rate);
    EXPECT_EQ(
        b.record(0).sampling_source,
        static_cast<uint32_t>(c.rate != 0 ? SamplingSource::header : SamplingSource::unknown));
    EXPECT_EQ(b.quirk(Quirk::sampling_interval_overflow), c.field >= 0xc000 ? 1u : 0u);
  }
}

TEST(NetflowV5, CountsFlowsMissingBetweenDatagrams) {
  Bench b;
  const auto send = [&b](uint32_t sequence, int records) {
    NetflowV5Builder m = message().sequence(sequence);
    for (int i = 0; i < records; ++i) m.record(sample());
    b.send(m.build());
  };
  send(1000, 10);
  send(1010, 10);
  send(1050, 10);  // 30 flows are missing
  EXPECT_EQ(b.exporter().sequence_lost, 30u);
  send(1020, 10);  // 10 of them were only late
  EXPECT_EQ(b.exporter().sequence_lost, 20u);
  send(1060, 10);
  EXPECT_EQ(b.exporter().sequence_lost, 20u);
  EXPECT_EQ(b.decoder->counters().sequence_lost.value(), 0u) << "still may come";
  b.decoder->tick(kNow + 10'000'000'000);
  EXPECT_EQ(b.decoder->counters().sequence_lost.value(), 20u);
  EXPECT_EQ(b.exporter().sequence_lost, 20u);
}

TEST(NetflowV5, ARestartLosesNothing) {
  Bench b;
  b.send(message().sequence(5'000'000).record(sample()).build());
  b.send(message().sequence(0).uptime_ms(1000).record(sample()).build());
  b.send(message().sequence(1).uptime_ms(2000).record(sample()).build());
  EXPECT_EQ(b.exporter().sequence_lost, 0u);
}

TEST(NetflowV5, EnginesCountForThemselves) {
  Bench b;
  for (uint32_t i = 0; i < 5; ++i) {
    b.send(message().engine(0, 1).sequence(100 + i).record(sample()).build());
    b.send(message().engine(0, 2).sequence(9000 + i).record(sample()).build());
  }
  EXPECT_EQ(b.exporter().sequence_lost, 0u);
  EXPECT_EQ(b.exporter().domains, 2u);
  EXPECT_EQ(b.exporter().records, 10u);
  EXPECT_EQ(b.exporter().protocols, 1u << static_cast<unsigned>(Protocol::netflow_v5));
}

// ---- versions 1 and 7 ----

/// What versions 1 and 7 have in common with 5: addresses to ports.
Octets first_36_octets(const NetflowV5Record& r) {
  return join({u32(r.src_addr.value), u32(r.dst_addr.value), u32(r.next_hop.value), u16(r.in_if),
               u16(r.out_if), u32(r.packets), u32(r.octets), u32(r.first_ms), u32(r.last_ms),
               u16(r.src_port), u16(r.dst_port)});
}
Octets v1_record(const NetflowV5Record& r, size_t tail) {
  return join({first_36_octets(r), u16(0xffff), u8(r.proto), u8(r.tos), u8(r.tcp_flags),
               filled(tail, 0xff)});
}
Octets v7_record(const NetflowV5Record& r) {
  return join({first_36_octets(r), u8(0xff), u8(r.tcp_flags), u8(r.proto), u8(r.tos), u16(r.src_as),
               u16(r.dst_as), u8(r.src_mask), u8(r.dst_mask), u16(0xffff), ipv4("203.0.113.77")});
}
Octets header(uint16_t version, uint16_t count) {
  return join({u16(version), u16(count), u32(kUptime), u32(kNowSecs), u32(123'456'789)});
}

void expect_sample(const FlowRecord& r) {
  EXPECT_EQ(r.src_addr.to_string(), "192.0.2.1");
  EXPECT_EQ(r.dst_addr.to_string(), "198.51.100.2");
  EXPECT_EQ(r.next_hop.to_string(), "203.0.113.3");
  EXPECT_EQ(r.in_if, 11u);
  EXPECT_EQ(r.out_if, 65'535u);
  EXPECT_EQ(r.packets, 3'000'000'000u);
  EXPECT_EQ(r.bytes, 4'000'000'000u);
  EXPECT_EQ(r.src_port, 443u);
  EXPECT_EQ(r.dst_port, 50'123u);
  EXPECT_EQ(r.tcp_flags, 0x1bu);
  EXPECT_EQ(r.proto, 6u);
  EXPECT_EQ(r.ip_tos, 0xb8u);
  EXPECT_EQ(r.time_flow_start_ns, kNow + 123'456'789 - 5'000'000'000);
  EXPECT_EQ(r.time_flow_end_ns, kNow + 123'456'789 - 1'000'000'000);
}

TEST(NetflowV1, FillsEveryColumnThatItHas) {
  for (const size_t tail : {size_t{11}, size_t{7}}) {
    Bench b;
    const Octets record = v1_record(sample(), tail);
    ASSERT_TRUE(b.send(join({header(1, 2), record, record})));
    ASSERT_EQ(b.records(), 2u) << "records of " << record.size() << " octets";
    expect_sample(b.record(1));
    EXPECT_FALSE(b.record(1).present.has(Field::src_as));
    EXPECT_FALSE(b.record(1).present.has(Field::src_net));
    EXPECT_EQ(b.kept(0).header.type, FlowType::netflow_v1);
    EXPECT_EQ(b.record(1).sampling_rate, 0u);
    EXPECT_EQ(b.decoder->counters().sequence_lost.value(), 0u);
    EXPECT_EQ(b.decoder->counters().records_by_protocol[Protocol::netflow_v1].value(), 2u);
  }
}

TEST(NetflowV7, FillsEveryColumnThatItHas) {
  Bench b;
  const Octets record = v7_record(sample());
  const auto message = [&](uint32_t sequence) {
    return join({header(7, 2), u32(sequence), u32(0xffff'ffff), record, record});
  };
  ASSERT_TRUE(b.send(message(40)));
  ASSERT_EQ(b.records(), 2u);
  expect_sample(b.record(1));
  EXPECT_EQ(b.record(1).src_as, 64'500u);
  EXPECT_EQ(b.record(1).dst_as, 65'001u);
  EXPECT_EQ(b.record(1).src_net, 24u);
  EXPECT_EQ(b.record(1).dst_net, 16u);
  EXPECT_EQ(b.record(1).sampling_rate, 0u) << "what v5 has there is reserved";
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(b.kept(i).unmapped(), (std::vector<Unmapped>{{0, 43, "\xcb\x00\x71\x4d"s}}));
  }
  EXPECT_EQ(b.kept(0).header.type, FlowType::netflow_v7);
  EXPECT_EQ(b.kept(0).header.sequence_num, 40u);
  EXPECT_EQ(b.kept(0).header.engine, 0u);
}

TEST(NetflowV1AndV7, EveryTruncationIsCountedAndKeepsWholeRecords) {
  const Octets v1 = join({header(1, 2), v1_record(sample(), 11), v1_record(sample(), 11)});
  const Octets v7 = join({header(7, 2), u32(0), u32(0), v7_record(sample()), v7_record(sample())});
  for (const auto& [header_octets, whole] :
       {std::pair{size_t{16}, v1}, std::pair{size_t{24}, v7}}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      Bench b;
      b.send(Octets(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)));
      EXPECT_EQ(ledger_error(b.decoder->counters()), "");
      EXPECT_LE(b.records(), size < header_octets ? 0 : (size - header_octets) / 48);
    }
  }
}

}  // namespace
}  // namespace weir::decode

// Every word by which a decoder counts is reached, and decoding takes nothing from the heap.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <set>

#include "decode/sflow_v5.h"
#include "decode_support.h"
#include "lab/exporter_model.h"
#include "lab/sflow_builder.h"

// A sanitizer counts its allocations itself and wants to see each pair whole.
#if defined(__SANITIZE_ADDRESS__)
#define WEIR_COUNT_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef WEIR_COUNT_ALLOCATIONS
#define WEIR_COUNT_ALLOCATIONS 1
#endif

namespace {
std::atomic<uint64_t> g_allocations{0};
}  // namespace

#if WEIR_COUNT_ALLOCATIONS
namespace {
void* counted_allocation(std::size_t n) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  void* p = std::malloc(n != 0 ? n : 1);
  if (p == nullptr) std::abort();
  return p;
}
}  // namespace

void* operator new(std::size_t n) { return counted_allocation(n); }
void* operator new[](std::size_t n) { return counted_allocation(n); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
#endif

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kSecond = 1'000'000'000;

NetflowV9Builder v9() { return NetflowV9Builder{}.unix_secs(kNowSecs); }

/// Adds what a decoder counted to the sets of words reached.
struct Words {
  std::set<DatagramError> errors;
  std::set<SetOutcome> outcomes;
  std::set<Quirk> quirks;
  std::set<TemplateEvent> events;

  void add(const Bench& b) {
    const DecoderCounters& c = b.decoder->counters();
    collect(c.datagram_errors, errors);
    collect(c.set_outcomes, outcomes);
    collect(c.quirks, quirks);
    collect(c.template_events, events);
  }

 private:
  template <class Enum>
  static void collect(const CounterArray<Enum>& counters, std::set<Enum>& words) {
    for (size_t i = 0; i < CounterArray<Enum>::kSize; ++i) {
      if (counters[static_cast<Enum>(i)].value() != 0) words.insert(static_cast<Enum>(i));
    }
  }
};

template <class Enum>
void expect_all(const std::set<Enum>& words) {
  for (size_t i = 0; i < static_cast<size_t>(Enum::count_); ++i) {
    EXPECT_TRUE(words.contains(static_cast<Enum>(i))) << name_of(static_cast<Enum>(i));
  }
}

TEST(Words, AreAllReached) {
  Words words;
  const lab::Template four{.id = 256, .fields = {{1, 4}}};
  const auto run = [&words](const DecoderConfig& config, auto steps) {
    Bench b(config);
    steps(b);
    words.add(b);
  };
  const DecoderConfig plain = Bench::default_config();

  DecoderConfig narrow = plain;
  narrow.limits.exporters_max = 1;
  narrow.limits.domains_per_exporter_max = 1;
  narrow.listeners[0].protocol = ProtocolFilter::netflow;
  run(narrow, [](Bench& b) {
    b.send(v9().source_id(1).build());
    b.send(v9().source_id(2).build());
    b.send(v9().build(), {.source = IpAddress::from_v4(1u)});
    b.send({});
    b.send({0, 9});
    b.send(join({u16(77), zeros(30)}));
    b.send(join({u16(8), zeros(30)}));
    b.send(join({u32(5), zeros(30)}));
    b.send(NetflowV5Builder{}.build());
    b.send(NetflowV5Builder{}.count(1).build());
  });

  DecoderConfig closed = plain;
  closed.access = {{}, {{IpAddress{}, 0}}};
  run(closed, [](Bench& b) { b.send(NetflowV5Builder{}.build()); });

  run(plain, [](Bench& b) {
    b.send(v9().templates({{.id = 256, .fields = {{4, 1}}}}).set(256, filled(60'000, 6)).build());
  });

  run(plain, [](Bench& b) { b.decoder->refuse({.payload = {}, .received_ns = kNow}, DatagramError::rate_limited); });

  run(plain, [](Bench& b) {  // a transport session that ends within a message
    const Octets half = {0, 10, 0};
    b.decoder->decode({.payload = half, .received_ns = kNow, .session = 1}, b.sink);
  });

  run(plain, [&four](Bench& b) {
    b.send(v9().templates({four})
               .data(256, {{u32(1)}}, padding(5, 1))
               .data(300, {{u32(1)}})
               .set(9, zeros(4))
               .set(2, {})
               .set(0, filled(5, 1))
               .raw(zeros(8))
               .build());
    b.send(v9().templates({four}).count(99).raw({1}).build());
    b.send(v9().set(256, {}, 2).build());
    b.send(
        v9().templates(
                {{.id = 257,
                  .fields =
                      {{1, 4}, {1, 4}, {8, 5}, {2, 0}, {9000, 1200}, {96, lab::kVariableLength}}}})
            .build());
    b.send(v9().data(257, {Record(zeros(4 + 4 + 5 + 1200 + 1)), Record(zeros(1214))}).build());
    b.send(v9().templates({{.id = 259, .fields = {{27, 16}}}})
               .data(259, {Record(zeros(16))}, padding(9))
               .build());
    b.send(v9().templates({{.id = 260, .fields = {{96, lab::kVariableLength}}}})
               .data(260, {{u8(200), u8(1)}})
               .build());
    b.send(v9().templates({{.id = 258}}).data(258, {{u32(1)}}).build());
    b.send(v9().templates({{.id = 256, .fields = {{2, 4}}}}).build(), {.port = 1});
    b.send(v9_with({{{152, 8}, u64(1)}, {{291, 1}, u8(0)}}));
  });
  run(plain, [](Bench& b) {
    b.send(ipfix_with({{{1, 4}, u32(1)}}));
    b.send(IpfixBuilder{}.export_time(kNowSecs).templates({{.id = 256}}).build());
    b.send(IpfixBuilder{}.length(3).build());
  });

  DecoderConfig small = plain;
  small.limits.pending_sets_per_exporter_max = 1;
  small.limits.pending_entry_octets_max = 100;
  small.limits.templates_per_exporter_max = 1;
  small.limits.template_fields_max = 2;
  small.limits.template_lifetime_ns = kSecond;
  run(small, [](Bench& b) {
    b.send(
        v9().data(300, {{u32(1)}}).data(301, {{u32(1)}}).data(302, {Record(zeros(200))}).build());
    b.send(
        v9().templates({{.id = 256, .fields = {{1, 4}}}, {.id = 257, .fields = {{1, 4}}}}).build());
    b.send(v9().templates({{.id = 258, .fields = {{1, 4}, {1, 4}, {1, 4}}}}).build());
    b.decoder->tick(kNow + 1000 * kSecond);
  });
  DecoderConfig sflow = plain;
  sflow.listeners[0].protocol = ProtocolFilter::sflow;
  sflow.limits.domains_per_exporter_max = 1;
  run(sflow, [](Bench& b) {
    b.send(v9().build());
    b.send(SflowBuilder{}.sub_agent(1).build());
    b.send(SflowBuilder{}.sub_agent(2).build());
  });

  run(plain, [](Bench& b) {
    b.send(SflowBuilder{}.agent_octets(join({u32(3), zeros(4)})).build());
    SflowBuilder m;
    m.flow({.records = {{7777, {}}}}).sample(2, {}).sample(5, {}).sample(9, {});
    m.counters({.blocks = {{3999, {}}}});
    for (uint32_t i = 0; i < kSflowSamplesDefault; ++i) m.sample(2, {});
    b.send(m.build());
  });

  run(plain, [](Bench& b) {
    b.send(v9_with({{{34, 4}, u32(0x7f7f7f7f)}}));
    b.send(NetflowV5Builder{}.unix_time(0).sampling(50'000).record({}).build());
  });
  Bench before;
  before.send(v9().templates({four}).build());
  run(restored_config(saved_state(*before.decoder)), [](Bench& b) { b.send(v9().build()); });

  // What waits does not only leave again.
  run(plain, [](Bench& b) { b.send(v9().data(300, {{u32(1)}}).build()); });

  expect_all(words.errors);
  expect_all(words.outcomes);
  expect_all(words.quirks);
  expect_all(words.events);
}

TEST(Words, DecodingTakesNothingFromTheHeap) {
  if (WEIR_COUNT_ALLOCATIONS == 0) GTEST_SKIP() << "not under a sanitizer";
  std::vector<Octets> datagrams;
  for (const ExportProtocol protocol :
       {ExportProtocol::netflow_v5, ExportProtocol::netflow_v9, ExportProtocol::ipfix}) {
    ExporterModelConfig config;
    config.protocol = protocol;
    config.sampling = 100;
    config.start_ns = kNow;
    config.template_refresh_datagrams = 7;
    ExporterModel model(config);
    ExportDatagram d;
    for (uint64_t i = 0; i < 50; ++i) {
      model.next(kNow + i * 1'000'000, d);
      datagrams.push_back(d.octets);
    }
  }
  datagrams.push_back(
      SflowBuilder{}
          .flow({.sampling_rate = 100,
                 .records = {sflow::raw_header(
                                 udp_frame({"192.0.2.1", "192.0.2.2", 1, 2}, zeros(40))),
                             sflow::extended_gateway({.segments = {{1, 2}}, .communities = {3}})}})
          .build());
  datagrams.push_back(v9().data(999, {{u32(1)}}).build());
  datagrams.push_back(v9().templates({{.id = 999, .fields = {{9000, 4}}}}).build());
  Bench known;
  for (uint32_t i = 0; i < 100; ++i) {
    for (const uint16_t id : {uint16_t{256}, uint16_t{500}}) {
      known.send(v9().templates({{.id = id, .fields = {{9000, 4}, {1, 4}}}}).build(),
                 {.source = IpAddress::from_v4(0xC0000200u + i)});
    }
  }
  auto decoder = Decoder::create(restored_config(saved_state(*known.decoder)));
  std::vector<uint8_t> room(kStateChunkOctetsMin);
  StateCursor cursor;
  CountingSink sink;
  const uint64_t before = g_allocations.load();
  for (uint32_t round = 0; round < 100; ++round) {
    for (const Octets& o : datagrams) {
      Datagram d;
      d.payload = o;
      d.source = IpAddress::from_v4(0xC0000200u + round);
      d.received_ns = kNow;
      (*decoder)->decode(d, sink);
    }
    (*decoder)->tick(kNow + round * kSecond);
    if (cursor.is_over) cursor = {};
    (*decoder)->copy_state(cursor, room);
  }
  EXPECT_EQ(g_allocations.load() - before, 0u);
  EXPECT_GT(sink.records, 100'000u);
  EXPECT_EQ((*decoder)->counters().template_events[TemplateEvent::restored].value(), 200u);
}

TEST(Words, AnotherBoundOfExportersTakesNothingFromTheHeap) {
  if (WEIR_COUNT_ALLOCATIONS == 0) GTEST_SKIP() << "not under a sanitizer";
  DecoderConfig config = Bench::default_config();
  config.limits.exporters_max = 4;
  config.limits.exporters_room = 5000;
  auto decoder = Decoder::create(config);
  DecoderRules more{.listeners = config.listeners};
  DecoderRules fewer{.listeners = config.listeners};
  more.exporters_max = 5000;
  fewer.exporters_max = 10;
  const Octets octets = v9().templates({{.id = 256, .fields = {{1, 4}}}}).build();
  CountingSink sink;
  const uint64_t before = g_allocations.load();
  (*decoder)->set_rules(more);
  for (uint32_t e = 0; e < 5000; ++e) {
    Datagram d;
    d.payload = octets;
    d.source = IpAddress::from_v4(0x0A00'0000u + e);
    d.received_ns = kNow;
    (*decoder)->decode(d, sink);
  }
  EXPECT_EQ((*decoder)->counters().exporters.value(), 5000u);
  (*decoder)->set_rules(fewer);
  for (uint64_t s = 0; s < 100; ++s) (*decoder)->tick(kNow + (60 + s) * kSecond);
  EXPECT_EQ(g_allocations.load() - before, 0u);
  EXPECT_EQ((*decoder)->counters().exporters.value(), 10u);
}

}  // namespace
}  // namespace weir::decode

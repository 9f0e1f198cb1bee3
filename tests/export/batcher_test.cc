#include "export/batcher.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <map>
#include <thread>

#include "export/record_maker.h"

namespace weir::outbound {
namespace {

using testing::Arena;
using testing::ArenaWriter;
using testing::RecordMaker;

constexpr RouteId kRoute{3};

/// Flat records numbered by `bytes`, from `first` on.
std::vector<FlowRecord> numbered_records(size_t count, uint64_t first = 1) {
  std::vector<FlowRecord> records(count);
  for (size_t i = 0; i < count; ++i) records[i].bytes = first + i;
  return records;
}

void add(Batcher& batcher, std::vector<FlowRecord>& records, RouteId route = kRoute,
         uint64_t received_ns = 1'755'636'366'839'794'752) {
  RoleScope role(rx_lcore);
  ExportHeader header;
  header.type = FlowType::netflow_v5;
  header.time_received_ns = received_ns;
  batcher.add({header, records, nullptr, ListenerId{}}, route);
}

struct Sealed {
  RouteId route;
  uint64_t sequence;
  uint64_t first_received_ns;
  uint64_t last_received_ns;
  std::vector<uint64_t> numbers;  // the records' `bytes`
};

enum class Keep : uint8_t { give_back, hold };

std::vector<Sealed> take_all(Batcher& batcher, Keep keep = Keep::give_back) {
  RoleScope role(control_thread);
  std::vector<Sealed> all;
  OutboundBatch* batch = nullptr;
  while (batcher.take_sealed(batch)) {
    Sealed s{batch->route, batch->sequence, batch->first_received_ns, batch->last_received_ns, {}};
    flowpb::FlowBatch flows;
    EXPECT_TRUE(flows.ParseFromArray(batch->data, static_cast<int>(batch->octets)));
    EXPECT_EQ(static_cast<uint32_t>(flows.flows_size()), batch->records);
    EXPECT_LE(batch->octets, batch->capacity);
    for (const auto& flow : flows.flows()) s.numbers.push_back(flow.bytes());
    all.push_back(std::move(s));
    if (keep == Keep::give_back) batcher.give_back(batch);
  }
  return all;
}

void poll(Batcher& batcher, uint64_t steady_now_ns) {
  RoleScope role(rx_lcore);
  batcher.poll(steady_now_ns);
}

void seal_all(Batcher& batcher) {
  RoleScope role(rx_lcore);
  batcher.seal_all();
}

void expect_ledger(const BatcherCounters& c) {
  EXPECT_EQ(c.records.value(), c.encoded.value() + c.drops.total());
}

TEST(Batcher, KeepsEveryRecordInOrderOverManyBatches) {
  Batcher batcher({.buffers = 64, .batch_octets = 4096});
  uint64_t next = 1;
  for (int burst = 0; burst < 40; ++burst) {
    auto records = numbered_records(30, next);
    next += records.size();
    add(batcher, records);
  }
  seal_all(batcher);
  uint64_t expected = 1, sequence = 0;
  for (const Sealed& s : take_all(batcher)) {
    EXPECT_EQ(s.sequence, ++sequence);
    EXPECT_EQ(s.route, kRoute);
    EXPECT_FALSE(s.numbers.empty());
    for (const uint64_t number : s.numbers) EXPECT_EQ(number, expected++);
  }
  EXPECT_EQ(expected, next);
  EXPECT_GT(sequence, 5u);
  EXPECT_EQ(batcher.counters().batches_sealed.value(), sequence);
  EXPECT_EQ(batcher.counters().encoded.value(), 1200u);
  expect_ledger(batcher.counters());
}

TEST(Batcher, FillsABatchNearlyToItsBound) {
  Batcher batcher({.buffers = 2, .batch_octets = 64 * 1024});
  while (batcher.counters().batches_sealed.value() == 0) {
    auto records = numbered_records(32);
    add(batcher, records);
  }
  RoleScope role(control_thread);
  OutboundBatch* batch = nullptr;
  ASSERT_TRUE(batcher.take_sealed(batch));
  EXPECT_GT(batch->octets + kFlatRecordOctetsMax + 64, batch->capacity);
}

TEST(Batcher, CountsWhatItHasNoBufferFor) {
  Batcher batcher({.buffers = 3, .batch_octets = 2048});
  uint64_t next = 1;
  for (int burst = 0; burst < 100; ++burst) {
    auto records = numbered_records(7, next);
    next += records.size();
    add(batcher, records);
    expect_ledger(batcher.counters());
  }
  EXPECT_GT(batcher.counters().drops[RecordDrop::no_buffer].value(), 0u);
  EXPECT_EQ(batcher.counters().batches_sealed.value(), 3u);
  EXPECT_EQ(batcher.counters().buffers_free.value(), 0u);

  // Buffers that come back are used again, and sequences go on without a gap.
  EXPECT_EQ(take_all(batcher).size(), 3u);
  auto records = numbered_records(2, 10'000);
  add(batcher, records);
  seal_all(batcher);
  const auto sealed = take_all(batcher);
  ASSERT_EQ(sealed.size(), 1u);
  EXPECT_EQ(sealed[0].sequence, 4u);
  EXPECT_EQ(sealed[0].numbers, (std::vector<uint64_t>{10'000, 10'001}));
  expect_ledger(batcher.counters());
}

TEST(Batcher, SealsWhatHasLingered) {
  Batcher batcher({.linger_ns = 1000});
  auto records = numbered_records(1);
  add(batcher, records, kRoute, 11);
  poll(batcher, 5000);  // the first look at the clock since the batch was opened
  add(batcher, records, kRoute, 12);
  poll(batcher, 5999);
  EXPECT_TRUE(take_all(batcher).empty());
  {
    RoleScope role(rx_lcore);
    EXPECT_TRUE(batcher.has_open_batches());
  }
  poll(batcher, 6000);
  const auto sealed = take_all(batcher);
  ASSERT_EQ(sealed.size(), 1u);
  EXPECT_EQ(sealed[0].numbers.size(), 2u);
  EXPECT_EQ(sealed[0].first_received_ns, 11u);
  EXPECT_EQ(sealed[0].last_received_ns, 12u);
  RoleScope role(rx_lcore);
  EXPECT_FALSE(batcher.has_open_batches());
}

TEST(Batcher, FillsUpWhatLingersWhileBuffersAreScarce) {
  Batcher batcher({.buffers = 8, .linger_ns = 1000});
  auto records = numbered_records(1);
  uint64_t now_ns = 5000;
  const auto one_lingers = [&] {
    add(batcher, records, kRoute, 11);
    poll(batcher, now_ns);
    poll(batcher, now_ns += 1000);
  };
  // Nobody gives anything back: a publisher is stuck.
  for (int i = 0; i < 20; ++i) one_lingers();
  EXPECT_EQ(batcher.counters().drops.total(), 0u) << "20 records are no 8 batches";
  EXPECT_EQ(batcher.counters().batches_sealed.value(), 6u);
  const auto sealed = take_all(batcher);  // and now they come back
  EXPECT_EQ(sealed.size(), 6u);
  poll(batcher, now_ns);
  const auto rest = take_all(batcher);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].numbers.size(), 14u);
}

TEST(Batcher, SealsAtItsBoundOfRecords) {
  Batcher batcher({.batch_records_max = 10});
  auto records = numbered_records(32);
  add(batcher, records);
  const auto sealed = take_all(batcher);
  ASSERT_EQ(sealed.size(), 3u);
  for (const Sealed& s : sealed) EXPECT_EQ(s.numbers.size(), 10u);
  EXPECT_EQ(batcher.counters().encoded.value(), 32u);
}

TEST(Batcher, KeepsRoutesApartAndSealsTheOldestBeyondItsBound) {
  Batcher batcher({.buffers = 256, .batch_octets = 2048});
  for (uint16_t route = 0; route < 100; ++route) {
    auto records = numbered_records(1, route);
    add(batcher, records, RouteId{route});
  }
  // 64 are open, so the first 36 have gone, oldest first.
  auto sealed = take_all(batcher);
  ASSERT_EQ(sealed.size(), 100 - kOpenRoutesMax);
  for (uint16_t i = 0; i < sealed.size(); ++i) {
    EXPECT_EQ(sealed[i].route, RouteId{i});
    EXPECT_EQ(sealed[i].numbers, std::vector<uint64_t>{i});
  }
  auto more = numbered_records(1, 1000);
  add(batcher, more, RouteId{50});  // still open: joins
  seal_all(batcher);
  sealed = take_all(batcher);
  ASSERT_EQ(sealed.size(), kOpenRoutesMax);
  for (const Sealed& s : sealed) {
    EXPECT_EQ(s.numbers.size(), s.route == RouteId{50} ? 2u : 1u);
  }
  expect_ledger(batcher.counters());
}

TEST(Batcher, CountsARecordThatNoBatchCanHold) {
  Batcher batcher({.buffers = 2, .batch_octets = 2048});
  ArenaWriter arena;
  auto records = numbered_records(3);
  records[1].user_name = arena.octets(std::string(3000, 'x'));
  records[1].arena_parts = arena_part::kStrings;
  ExportHeader header;
  {
    RoleScope role(rx_lcore);
    batcher.add({header, records, arena.data(), ListenerId{}}, kRoute);
  }
  seal_all(batcher);
  const auto sealed = take_all(batcher);
  ASSERT_EQ(sealed.size(), 1u);
  EXPECT_EQ(sealed[0].numbers, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(batcher.counters().drops[RecordDrop::record_too_large].value(), 1u);
  expect_ledger(batcher.counters());
}

TEST(Batcher, OpensNothingForNothing) {
  Batcher batcher({.buffers = 2});
  std::vector<FlowRecord> none;
  add(batcher, none);
  seal_all(batcher);
  poll(batcher, 1'000'000'000'000);
  EXPECT_TRUE(take_all(batcher).empty());
  EXPECT_EQ(batcher.counters().buffers_free.value(), 2u);
}

TEST(Batcher, LosesNothingUncountedBetweenTwoThreads) {
  // The receiver runs ahead of a controller that holds some batches back, so that buffers run out.
  Batcher batcher({.buffers = 8, .batch_octets = 4096, .linger_ns = 1});
  constexpr uint64_t kBursts = 20'000;
  std::atomic<bool> finished{false};
  std::jthread receiver([&] {
    RecordMaker make(1);
    ArenaWriter arena;
    std::vector<FlowRecord> records;
    for (int i = 0; i < 16; ++i) records.push_back(make.record(arena, Arena::none));
    uint64_t next = 1;
    for (uint64_t burst = 1; burst <= kBursts; ++burst) {
      for (FlowRecord& r : records) r.bytes = next++;
      add(batcher, records, RouteId{static_cast<uint16_t>(burst % 3)});
      if (burst % 16 == 0) poll(batcher, burst);
    }
    seal_all(batcher);
    finished.store(true, std::memory_order_release);
  });

  uint64_t taken = 0, octets = 0, sequence = 0;
  std::map<uint16_t, uint64_t> last_number;
  std::vector<OutboundBatch*> held;
  {
    RoleScope role(control_thread);
    for (;;) {
      const bool was_finished = finished.load(std::memory_order_acquire);
      OutboundBatch* batch = nullptr;
      if (!batcher.take_sealed(batch)) {
        for (OutboundBatch* b : held) batcher.give_back(b);
        held.clear();
        if (was_finished) break;
        std::this_thread::yield();
        continue;
      }
      ASSERT_EQ(batch->sequence, ++sequence);
      flowpb::FlowBatch flows;
      ASSERT_TRUE(flows.ParseFromArray(batch->data, static_cast<int>(batch->octets)));
      ASSERT_EQ(static_cast<uint32_t>(flows.flows_size()), batch->records);
      for (const auto& flow : flows.flows()) {
        ASSERT_GT(flow.bytes(), last_number[batch->route.value]);
        last_number[batch->route.value] = flow.bytes();
      }
      taken += batch->records;
      octets += batch->octets;
      held.push_back(batch);
      if (held.size() == 3) {
        for (OutboundBatch* b : held) batcher.give_back(b);
        held.clear();
      }
    }
  }
  receiver.join();
  const BatcherCounters& c = batcher.counters();
  EXPECT_EQ(c.records.value(), kBursts * 16);
  EXPECT_EQ(c.encoded.value(), taken);
  EXPECT_EQ(c.encoded_octets.value(), octets);
  EXPECT_EQ(c.batches_sealed.value(), sequence);
  expect_ledger(c);
}

// ---- whose records a batch holds ----

void add_from(Batcher& batcher, const char* exporter, FlowType type, size_t count,
              RouteId route = kRoute) {
  std::vector<FlowRecord> records = numbered_records(count);
  RoleScope role(rx_lcore);
  ExportHeader header;
  header.type = type;
  header.exporter_address = *IpAddress::parse(exporter);
  batcher.add({header, records, nullptr, ListenerId{}}, route);
}

std::vector<OutboundBatch> seal_and_take(Batcher& batcher) {
  RoleScope receiver(rx_lcore);
  RoleScope controller(control_thread);
  batcher.seal_all();
  std::vector<OutboundBatch> all;
  for (OutboundBatch* batch = nullptr; batcher.take_sealed(batch);) all.push_back(*batch);
  return all;
}

TEST(Batcher, WakesWhoLooksForBatchesNowAndThenWhenManyWait) {
  Waker taker;
  taker.lie_down();
  const auto is_woken = [&] {
    pollfd p{taker.fd(), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  };
  Batcher batcher({.buffers = 16, .on_many_sealed = &taker});
  const auto seal_one = [&] {
    add_from(batcher, "192.0.2.1", FlowType::ipfix, 1);
    const RoleScope role(rx_lcore);
    batcher.seal_all();
  };
  seal_one();
  seal_one();
  EXPECT_FALSE(is_woken()) << "it will look in time";
  seal_one();
  EXPECT_TRUE(is_woken());
  taker.get_up();
  EXPECT_EQ(take_all(batcher).size(), 3u);
  taker.lie_down();
  seal_one();
  EXPECT_FALSE(is_woken()) << "they were taken";
}

TEST(Batcher, WakesWhoTakesLongBeforeAPublishersQueueIsFull) {
  // With many buffers an eighth of them is more records than a publisher's queue holds.
  Waker taker;
  taker.lie_down();
  Batcher batcher({.buffers = 1024, .batch_octets = 4096, .on_many_sealed = &taker});
  size_t sealed = 0;
  pollfd p{taker.fd(), POLLIN, 0};
  while (sealed < 128 && poll(&p, 1, 0) == 0) {
    add_from(batcher, "192.0.2.1", FlowType::ipfix, 1);
    const RoleScope role(rx_lcore);
    batcher.seal_all();
    ++sealed;
  }
  EXPECT_EQ(sealed, 33u);
}

TEST(BatcherOrigins, CountTheRecordsOfEachRunOfAnExporter) {
  Batcher batcher({.buffers = 2});
  add_from(batcher, "192.0.2.1", FlowType::ipfix, 3);
  add_from(batcher, "192.0.2.1", FlowType::ipfix, 4);
  add_from(batcher, "2001:db8::1", FlowType::ipfix, 5);
  const auto batches = seal_and_take(batcher);
  ASSERT_EQ(batches.size(), 1u);
  ASSERT_EQ(batches[0].origins, 2u);
  EXPECT_EQ(batches[0].origin_room[0].exporter.to_string(), "192.0.2.1");
  EXPECT_EQ(batches[0].origin_room[0].records, 7u);
  EXPECT_EQ(batches[0].origin_room[1].exporter.to_string(), "2001:db8::1");
  EXPECT_EQ(batches[0].origin_room[1].records, 5u);
}

TEST(BatcherOrigins, CountWhatFindsNoPlaceTogether) {
  Batcher batcher({.buffers = 2});
  for (int i = 0; i < 100; ++i) {
    add_from(batcher, i % 2 == 0 ? "192.0.2.1" : "192.0.2.2", FlowType::ipfix, 2);
  }
  const auto batches = seal_and_take(batcher);
  ASSERT_EQ(batches.size(), 1u);
  ASSERT_EQ(batches[0].origins, kOriginsMax);
  EXPECT_EQ(batches[0].origin_room.back().exporter, IpAddress{});
  uint64_t records = 0;
  for (const BatchOrigin& origin : batches[0].origin_room) records += origin.records;
  EXPECT_EQ(records, 200u);
  EXPECT_EQ(batches[0].records, 200u);
}

TEST(BatcherOrigins, KeepExportersAndProtocolsApartWhereTheSubjectNamesThem) {
  BatcherConfig config{.buffers = 16};
  config.splits = {RouteSplit{}, RouteSplit{.by_protocol = true}, RouteSplit{.by_exporter = true}};
  Batcher batcher(config);
  for (uint16_t route = 0; route < 4; ++route) {
    add_from(batcher, "192.0.2.1", FlowType::ipfix, 1, RouteId{route});
    add_from(batcher, "192.0.2.2", FlowType::ipfix, 2, RouteId{route});
    add_from(batcher, "192.0.2.1", FlowType::netflow_v9, 3, RouteId{route});
  }
  std::map<std::tuple<uint16_t, std::string, FlowType>, uint32_t> records;
  for (const OutboundBatch& batch : seal_and_take(batcher)) {
    records[{batch.route.value, batch.exporter.to_string(), batch.type}] += batch.records;
  }
  const std::map<std::tuple<uint16_t, std::string, FlowType>, uint32_t> expected = {
      {{0, "192.0.2.1", FlowType::ipfix}, 6},      {{1, "192.0.2.1", FlowType::ipfix}, 3},
      {{1, "192.0.2.1", FlowType::netflow_v9}, 3}, {{2, "192.0.2.1", FlowType::ipfix}, 4},
      {{2, "192.0.2.2", FlowType::ipfix}, 2},      {{3, "192.0.2.1", FlowType::ipfix}, 6}};
  EXPECT_EQ(records, expected);
}

// ---- what is dropped, and whose it was ----

std::map<std::pair<std::string, RecordDrop>, uint64_t> drops_of(Batcher& batcher) {
  RoleScope role(control_thread);
  std::map<std::pair<std::string, RecordDrop>, uint64_t> drops;
  for (DropRow row; batcher.take_drops(row);) drops[{row.exporter.to_string(), row.why}] += row.records;
  return drops;
}

TEST(BatcherDrops, AreToldByExporterAndReason) {
  Batcher batcher({.buffers = 1, .batch_octets = 1024});
  for (int i = 0; i < 100; ++i) add_from(batcher, "192.0.2.1", FlowType::ipfix, 10);
  add_from(batcher, "192.0.2.2", FlowType::ipfix, 7);
  {
    RoleScope role(rx_lcore);
    ExportHeader header;
    header.exporter_address = *IpAddress::parse("192.0.2.3");
    batcher.drop(RecordDrop::rate_limited, 5, header, kRoute);
    batcher.drop(RecordDrop::filtered, 3);
  }
  EXPECT_TRUE(drops_of(batcher).empty()) << "not before they are handed on";
  poll(batcher, 10'000'000'000);
  auto drops = drops_of(batcher);
  const BatcherCounters& c = batcher.counters();
  EXPECT_EQ(drops.at({"192.0.2.2", RecordDrop::no_buffer}), 7u);
  EXPECT_EQ(drops.at({"192.0.2.3", RecordDrop::rate_limited}), 5u);
  EXPECT_EQ(drops.at({"192.0.2.1", RecordDrop::no_buffer}), c.drops[RecordDrop::no_buffer].value() - 7);
  EXPECT_EQ(c.drops[RecordDrop::filtered].value(), 3u);
  expect_ledger(c);
}

TEST(BatcherDrops, OfMoreExportersThanThereAreRowsForAreAllCounted) {
  Batcher batcher({.buffers = 1, .batch_octets = 1024});
  uint64_t dropped = 0;
  for (uint32_t i = 0; i < 3000; ++i) {
    RoleScope role(rx_lcore);
    ExportHeader header;
    header.exporter_address = IpAddress::from_v4(0xC0000200u + i);
    batcher.drop(i % 2 == 0 ? RecordDrop::rate_limited : RecordDrop::no_buffer, 2, header, kRoute);
    dropped += 2;
  }
  uint64_t told = 0;
  for (uint64_t now_ns = 10'000'000'000; now_ns < 20'000'000'000; now_ns += 2'000'000'000) {
    poll(batcher, now_ns);
    for (const auto& [key, records] : drops_of(batcher)) told += records;
  }
  EXPECT_EQ(told, dropped);
}

TEST(Batcher, SaysWhenBuffersAreShortForWhoWouldRatherWait) {
  Batcher batcher({.buffers = 4, .batch_octets = 1024, .buffers_in_reserve = 2});
  const auto has_room = [&] {
    RoleScope role(rx_lcore);
    return batcher.has_room();
  };
  EXPECT_TRUE(has_room());
  while (has_room()) add_from(batcher, "192.0.2.1", FlowType::ipfix, 1);
  EXPECT_EQ(batcher.counters().buffers_free.value(), 1u);
  EXPECT_EQ(batcher.counters().drops.total(), 0u);
  seal_all(batcher);
  EXPECT_FALSE(has_room());
  take_all(batcher);
  EXPECT_TRUE(has_room());
}

// ---- messages of other kinds ----

void add_message(Batcher& batcher, const std::string& message, RouteId route = kRoute,
                 RecordKind kind = RecordKind::sflow_counters) {
  RoleScope role(rx_lcore);
  const auto* octets = reinterpret_cast<const uint8_t*>(message.data());
  ExportHeader header;
  header.time_received_ns = 7;
  batcher.add_message({octets, message.size()}, kind, route, header);
}

TEST(BatcherMessages, AreFramedAsABatchsAndSealedByKind) {
  Batcher batcher({.buffers = 4});
  std::vector<FlowRecord> records = numbered_records(2);
  add(batcher, records, RouteId{1});
  add_message(batcher, std::string(5, 'a'), RouteId{2});
  add_message(batcher, std::string(300, 'b'), RouteId{2});
  add_message(batcher, "", RouteId{3}, RecordKind::sflow_discard);
  expect_ledger(batcher.counters());
  EXPECT_EQ(batcher.counters().encoded.value(), 5u);
  RoleScope receiver(rx_lcore);
  RoleScope controller(control_thread);
  batcher.seal_all();
  OutboundBatch* batch = nullptr;
  ASSERT_TRUE(batcher.take_sealed(batch));
  EXPECT_EQ(batch->kind, RecordKind::flow);
  ASSERT_TRUE(batcher.take_sealed(batch));
  EXPECT_EQ(batch->kind, RecordKind::sflow_counters);
  EXPECT_EQ(batch->records, 2u);
  EXPECT_EQ(batch->first_received_ns, 7u);
  const std::string octets(reinterpret_cast<const char*>(batch->data), batch->octets);
  EXPECT_EQ(octets, "\x0a\x05" + std::string(5, 'a') + "\x0a\xac\x02" + std::string(300, 'b'));
  ASSERT_TRUE(batcher.take_sealed(batch));
  EXPECT_EQ(batch->kind, RecordKind::sflow_discard);
  EXPECT_EQ(batch->octets, 2u);
}

TEST(BatcherMessages, AreCountedWhereTheyHaveNoRoom) {
  constexpr uint32_t kOctets = 4096;
  Batcher batcher({.buffers = 2, .batch_octets = kOctets});
  add_message(batcher, std::string(kOctets, 'x'));
  EXPECT_EQ(batcher.counters().drops[RecordDrop::record_too_large].value(), 1u);
  for (int i = 0; i < 5; ++i) add_message(batcher, std::string(kOctets - 100, 'x'));
  EXPECT_EQ(batcher.counters().encoded.value(), 2u) << "one a buffer";
  EXPECT_EQ(batcher.counters().drops[RecordDrop::no_buffer].value(), 3u);
  {
    RoleScope role(rx_lcore);
    batcher.drop(RecordDrop::filtered);
  }
  EXPECT_EQ(batcher.counters().drops[RecordDrop::filtered].value(), 1u);
  expect_ledger(batcher.counters());
}

TEST(BatcherMessages, SealABatchThatHoldsEnough) {
  Batcher batcher({.buffers = 4, .batch_records_max = 2});
  for (int i = 0; i < 3; ++i) add_message(batcher, "m");
  EXPECT_EQ(batcher.counters().batches_sealed.value(), 1u);
}

}  // namespace
}  // namespace weir::outbound

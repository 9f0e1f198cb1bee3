#include "export/encoder.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "export/protocol_names.h"
#include "export/record_maker.h"

namespace weir::outbound {
namespace {

using testing::Arena;
using testing::ArenaWriter;
using testing::message_of;
using testing::RecordMaker;

std::string_view name_for(const FlowRecord& r) {
  if (r.proto > 255 || (r.proto == 0 && !r.present.has(Field::proto))) return {};
  return protocol_name(static_cast<uint8_t>(r.proto));
}

std::string encode(Kernel kernel, const HeaderPrefix& prefix, std::span<const FlowRecord> records,
                   const uint8_t* arena) {
  size_t octets_max = kStoreSlackOctets;
  for (const FlowRecord& r : records) octets_max += Encoder::octets_max(prefix, r);
  const auto out = std::make_unique<uint8_t[]>(octets_max);  // exactly: ASan sees a store beyond
  const size_t octets = Encoder(kernel).encode(prefix, records, arena, out.get());
  EXPECT_LE(octets, octets_max - kStoreSlackOctets);
  return {reinterpret_cast<const char*>(out.get()), octets};
}

class EncoderKernel : public ::testing::TestWithParam<Kernel> {
 protected:
  void SetUp() override {
    if (GetParam() == Kernel::avx512_vbmi2 && best_kernel() != Kernel::avx512_vbmi2) {
      GTEST_SKIP() << "this CPU has no AVX-512 VBMI2";
    }
  }
};
std::string kernel_name(const ::testing::TestParamInfo<Kernel>& tested) {
  return tested.param == Kernel::portable ? "Portable" : "Avx512Vbmi2";
}
INSTANTIATE_TEST_SUITE_P(Kernels, EncoderKernel,
                         ::testing::Values(Kernel::portable, Kernel::avx512_vbmi2), kernel_name);

TEST(FlowRecordFields, HaveTheNumbersOfTheSchema) {
  const auto* message = flowpb::FlowMessage::descriptor();
  const auto expect_field = [&](const char* name, int number) {
    const auto* field = message->FindFieldByName(name);
    ASSERT_NE(field, nullptr) << name;
    EXPECT_EQ(field->number(), number) << name;
  };
#define WEIR_EXPECT_(member, number) expect_field(#member, number);
  WEIR_ALL_FIELDS(WEIR_EXPECT_)
#undef WEIR_EXPECT_
  // Those that the prefix and the protocol chunk write come to the rest of the schema.
  EXPECT_EQ(message->field_count(), static_cast<int>(Field::count_) + 12);
}

TEST(FlowRecordEnums, HaveTheNumbersOfTheSchema) {
  EXPECT_EQ(static_cast<int>(FlowType::netflow_v7), flowpb::NETFLOW_V7);
  EXPECT_EQ(static_cast<int>(FlowType::sflow_4), flowpb::SFLOW_4);
  EXPECT_EQ(static_cast<int>(SamplingSource::default_), flowpb::SAMPLING_DEFAULT);
  EXPECT_EQ(static_cast<int>(TimeSource::sampled), flowpb::TIME_SAMPLED);
}

TEST_P(EncoderKernel, WritesWhatProtobufsOwnClassesRead) {
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    RecordMaker make(seed);
    ArenaWriter arena;
    ExportHeader header = make.header();
    const std::string partition = make.text(30), site = make.text(30);
    header.partition = partition;
    header.site = site;
    const auto record =
        std::make_unique<FlowRecord>(make.record(arena, seed % 4 == 0 ? Arena::some : Arena::none));
    const std::string octets =
        encode(GetParam(), HeaderPrefix(header), {record.get(), 1}, arena.data());

    flowpb::FlowBatch batch;
    ASSERT_TRUE(batch.ParseFromString(octets)) << "seed " << seed;
    ASSERT_EQ(batch.flows_size(), 1) << "seed " << seed;
    const flowpb::FlowMessage expected =
        message_of(header, *record, arena.data(), name_for(*record));
    ASSERT_EQ(batch.flows(0).SerializeAsString(), expected.SerializeAsString())
        << "seed " << seed << "\nencoded:\n"
        << batch.flows(0).DebugString() << "expected:\n"
        << expected.DebugString();
    // Minimal varints and nothing empty: what protobuf would write, but for the order.
    ASSERT_EQ(octets.size(), batch.ByteSizeLong()) << "seed " << seed;
  }
}

TEST(Encoder, WritesTheSameOctetsWithEitherKernel) {
  if (best_kernel() != Kernel::avx512_vbmi2) GTEST_SKIP() << "this CPU has no AVX-512 VBMI2";
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    RecordMaker make(seed);
    ArenaWriter arena;
    const ExportHeader header = make.header();
    std::vector<FlowRecord> records;
    for (size_t i = make.below(kBurstRecords + 1); i-- > 0;) {
      records.push_back(make.record(arena, make.one_in(8) ? Arena::some : Arena::none));
    }
    const HeaderPrefix prefix(header);
    ASSERT_EQ(encode(Kernel::portable, prefix, records, arena.data()),
              encode(Kernel::avx512_vbmi2, prefix, records, arena.data()))
        << "seed " << seed;
  }
}

TEST_P(EncoderKernel, FramesABurstAsABatchInOrder) {
  RecordMaker make(7);
  ArenaWriter arena;
  const ExportHeader header = make.header();
  std::vector<FlowRecord> records;
  for (size_t i = 0; i < kBurstRecords; ++i) records.push_back(make.record(arena, Arena::none));
  flowpb::FlowBatch batch;
  ASSERT_TRUE(
      batch.ParseFromString(encode(GetParam(), HeaderPrefix(header), records, arena.data())));
  ASSERT_EQ(static_cast<size_t>(batch.flows_size()), records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(batch.flows(static_cast<int>(i)).bytes(), records[i].bytes);
    EXPECT_EQ(batch.flows(static_cast<int>(i)).src_port(), records[i].src_port);
  }
}

TEST_P(EncoderKernel, FramesShortAndLongMessagesInAnyOrder) {
  // One, two and three octets of length, each behind each.
  static constexpr uint16_t kNames[] = {0, 1, 60, 100, 121, 122, 123, 124, 125, 126, 127, 200, 250};
  ArenaWriter arena;
  const std::string text(kStringOctetsMax - 1, 'x');
  const ArenaRef name = arena.octets(text);
  const std::vector<testing::Unmapped> elements(15, {1, 2, std::string(1150, 'y')});
  const ArenaRef many = arena.unmapped({elements.begin(), elements.begin() + 13});
  std::mt19937_64 random(5);
  const HeaderPrefix prefix((ExportHeader()));
  for (int round = 0; round < 300; ++round) {
    std::vector<FlowRecord> records(kBurstRecords);
    std::string expected;
    for (FlowRecord& r : records) {
      r = FlowRecord{};
      r.arena_parts = arena_part::kStrings | arena_part::kUnmapped;
      r.user_name = {name.offset, kNames[random() % std::size(kNames)]};
      if (random() % 16 == 0) {
        r.unmapped = many;
        r.application_name = {name.offset, 256};
        r.server_name = {many.offset, 2000};
      }
      flowpb::FlowBatch one;
      ASSERT_TRUE(one.ParseFromString(encode(GetParam(), prefix, {&r, 1}, arena.data())));
      expected += one.SerializeAsString();
    }
    ASSERT_EQ(encode(GetParam(), prefix, records, arena.data()), expected);
  }
}

TEST_P(EncoderKernel, FramesMessagesOfEveryLengthMinimally) {
  // From a message of a few octets to one whose length takes three: the frame's reserve is two.
  ArenaWriter arena;
  const std::string text(kStringOctetsMax - 1, 'x');
  std::vector<FlowRecord> records;
  for (size_t octets = 0; octets < 300; ++octets) {
    FlowRecord r{};
    r.user_name = arena.octets(text.substr(0, octets % text.size()));
    r.server_name = arena.octets(text.substr(0, octets / 2));
    r.arena_parts = arena_part::kStrings;
    records.push_back(r);
    if (octets % 40 == 39) arena = ArenaWriter();
  }
  const HeaderPrefix prefix((ExportHeader()));
  for (const FlowRecord& r : records) {
    const std::string one = encode(GetParam(), prefix, {&r, 1}, arena.data());
    flowpb::FlowBatch batch;
    ASSERT_TRUE(batch.ParseFromString(one));
    ASSERT_EQ(one, batch.SerializeAsString());
  }

  std::vector<testing::Unmapped> elements;
  for (int i = 0; i < 14; ++i) elements.push_back({1, 2, std::string(1150, 'y')});
  ArenaWriter full;
  FlowRecord large{};
  large.arena_parts = arena_part::kStrings | arena_part::kUnmapped;
  large.unmapped = full.unmapped(elements);
  large.application_name = {0, 4000};  // overlaps; that makes the message longer than the arena
  const std::string octets = encode(GetParam(), prefix, {&large, 1}, full.data());
  EXPECT_GT(octets.size(), 16384u);
  flowpb::FlowBatch batch;
  ASSERT_TRUE(batch.ParseFromString(octets));
  EXPECT_EQ(batch.ByteSizeLong(), octets.size());
  EXPECT_EQ(batch.flows(0).unmapped_size(), 14);
}

TEST_P(EncoderKernel, StoresNothingBeyondItsSlack) {
  constexpr uint8_t kCanary = 0xa5;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    RecordMaker make(seed);
    ArenaWriter arena;
    const HeaderPrefix prefix(make.header());
    std::vector<FlowRecord> records(1 + make.below(3));
    for (FlowRecord& r : records)
      r = make.record(arena, make.one_in(2) ? Arena::some : Arena::none);
    size_t octets_max = 0;
    for (const FlowRecord& r : records) octets_max += Encoder::octets_max(prefix, r);
    std::vector<uint8_t> out(octets_max + 4096, kCanary);
    const size_t octets = Encoder(GetParam()).encode(prefix, records, arena.data(), out.data());
    ASSERT_LE(octets, octets_max);
    ASSERT_TRUE(std::all_of(out.begin() + static_cast<ptrdiff_t>(octets + kStoreSlackOctets),
                            out.end(), [](uint8_t o) { return o == kCanary; }))
        << "seed " << seed;
  }
}

TEST_P(EncoderKernel, StaysWithinItsBoundForTheLargestFlatRecord) {
  FlowRecord r{};
#define WEIR_SET_(member, number) r.member = static_cast<decltype(r.member)>(~uint64_t{0});
  WEIR_BLOCK_COUNTERS(WEIR_SET_)
  WEIR_BLOCK_BASIC(WEIR_SET_)
  WEIR_BLOCK_SECOND(WEIR_SET_)
  WEIR_BLOCK_HEADERS(WEIR_SET_)
  WEIR_BLOCK_CONTEXT(WEIR_SET_)
  WEIR_BLOCK_NAT(WEIR_SET_)
  WEIR_BLOCK_RARE(WEIR_SET_)
#undef WEIR_SET_
  r.time_flow_start_ns = r.time_flow_end_ns = r.src_mac = r.dst_mac = ~uint64_t{0};
  r.etype = ~0u;
  r.proto = 134;
  r.blocks = r.addresses = 0xff;
  ExportHeader header;
  header.sampler_address.octets.fill(0x20);
  header.exporter_address.octets.fill(0x21);
  header.time_received_ns = ~uint64_t{0};
  header.type = FlowType::sflow_4;
  header.sequence_num = header.exporter_port = header.observation_domain_id = ~0u;
  header.engine = header.sub_agent_id = ~0u;
  const std::string long_text(1000, 'x');
  header.partition = header.site = long_text;
  const HeaderPrefix prefix(header);
  EXPECT_LE(prefix.octets().size(), kPrefixOctetsMax - kStoreSlackOctets);
  const std::string octets = encode(GetParam(), prefix, {&r, 1}, nullptr);
  EXPECT_LE(octets.size(), prefix.octets().size() + kFlatRecordOctetsMax);
  flowpb::FlowBatch batch;
  ASSERT_TRUE(batch.ParseFromString(octets));
  EXPECT_EQ(batch.flows(0).partition(), std::string(kStringOctetsMax, 'x'));
  EXPECT_EQ(batch.flows(0).dst_mac(), ~uint64_t{0});
}

TEST_P(EncoderKernel, CutsReferencesThatLeaveTheArena) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    RecordMaker make(seed);
    ArenaWriter arena;
    FlowRecord r = make.record(arena, Arena::some);
    const auto spoil = [&](ArenaRef& ref) {
      if (!make.one_in(3)) return;
      ref.offset =
          static_cast<uint16_t>(make.one_in(2) ? kArenaOctets - make.below(20) : make.number(16));
      ref.count = static_cast<uint16_t>(make.number(16));
    };
#define WEIR_SPOIL_(member, number) spoil(r.member);
    WEIR_STRINGS(WEIR_SPOIL_)
    WEIR_NUMBER_LISTS(WEIR_SPOIL_)
    WEIR_ADDRESS_LISTS(WEIR_SPOIL_)
    WEIR_STRING_LISTS(WEIR_SPOIL_)
#undef WEIR_SPOIL_
    spoil(r.unmapped);
    const HeaderPrefix prefix((ExportHeader()));
    const std::string octets = encode(GetParam(), prefix, {&r, 1}, arena.data());
    flowpb::FlowBatch batch;
    ASSERT_TRUE(batch.ParseFromString(octets)) << "seed " << seed;
    // A record that says it has an arena where there is none has no arena fields.
    EXPECT_LE(encode(GetParam(), prefix, {&r, 1}, nullptr).size(), octets.size());
  }
}

TEST_P(EncoderKernel, MakesTextThatIsNotUtf8Readable) {
  struct {
    std::string sent;
    std::string written;
  } cases[] = {
      {"plain", "plain"},
      {"caf\xe9", "caf?"},  // Latin-1
      {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
      {"cut \xe6\xb5", "cut ??"},  // a character cut short
      {"\xc0\xaf", "??"},          // overlong
      {"\xed\xa0\x80", "???"},     // a surrogate
      {"\xf4\x90\x80\x80 beyond", "???? beyond"},
      {"eight ok then \xff", "eight ok then ?"},
  };
  for (const auto& c : cases) {
    ArenaWriter arena;
    FlowRecord r{};
    r.arena_parts = arena_part::kStrings | arena_part::kStringLists;
    r.application_name = arena.octets(c.sent);
    r.application_id = arena.octets(c.sent);
    const std::string labels[] = {c.sent};
    r.labels = arena.strings(labels);
    ExportHeader header;
    header.site = c.sent;
    flowpb::FlowBatch batch;
    ASSERT_TRUE(
        batch.ParseFromString(encode(GetParam(), HeaderPrefix(header), {&r, 1}, arena.data())));
    EXPECT_EQ(batch.flows(0).application_name(), c.written);
    EXPECT_EQ(batch.flows(0).labels(0), c.written);
    EXPECT_EQ(batch.flows(0).site(), c.written);
    EXPECT_EQ(batch.flows(0).application_id(), c.sent);  // octets, not text
  }
}

TEST_P(EncoderKernel, NamesAProtocolOnlyWhereOneWasExported) {
  struct {
    uint32_t etype;
    uint16_t proto;
    bool present;
    const char* name;
  } cases[] = {
      {0x0800, 6, true, "TCP"},    {0x86dd, 58, true, "IPv6-ICMP"}, {0x0806, 17, true, "UDP"},
      {0x0800, 0, true, "HOPOPT"}, {0x0800, 0, false, ""},          {0, 0, false, ""},
      {0x0800, 253, true, ""},     {0x0800, 256, true, ""},         {0x86dd, 255, true, ""},
  };
  for (const auto& c : cases) {
    FlowRecord r{};
    r.etype = c.etype;
    r.proto = c.proto;
    if (c.present) r.present.set(Field::proto);
    flowpb::FlowBatch batch;
    ASSERT_TRUE(batch.ParseFromString(
        encode(GetParam(), HeaderPrefix((ExportHeader())), {&r, 1}, nullptr)));
    EXPECT_EQ(batch.flows(0).protocol_name(), c.name);
    EXPECT_EQ(batch.flows(0).etype(), c.etype);
    EXPECT_EQ(batch.flows(0).proto(), c.proto);
  }
}

}  // namespace
}  // namespace weir::outbound

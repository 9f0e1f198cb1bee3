// Counter samples and discarded packets: our octets against protobuf's own classes, and as JSON.
#include "export/sflow_encoder.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "export/json_lines.h"
#include "export/sflow_json.h"

namespace weir::outbound {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Octets = std::vector<uint8_t>;

constexpr uint64_t kReceivedNs = 1'755'636'366'839'794'752;

ExportHeader header() {
  ExportHeader h;
  h.type = FlowType::sflow_5;
  h.sequence_num = 77;
  h.time_received_ns = kReceivedNs;
  h.sampler_address = *IpAddress::parse("192.0.2.9");
  h.exporter_address = *IpAddress::parse("2001:db8::7");
  h.exporter_port = 50'000;
  h.sub_agent_id = 4;
  h.partition = "default";
  return h;
}

void append_word(Octets& o, uint32_t v) {
  o.resize(o.size() + 4);
  store_be32(&o[o.size() - 4], v);
}
void append_words(Octets& o, uint64_t v) {
  append_word(o, static_cast<uint32_t>(v >> 32));
  append_word(o, static_cast<uint32_t>(v));
}

/// A block's octets as an agent would send them, and protobuf's message of the same values.
class BlockMaker {
 public:
  explicit BlockMaker(uint32_t seed) : engine_(seed) {}

  Octets make(const CounterLayout& layout, Message& message) {
    Octets octets;
    values(layout.fields, message, octets);
    if (layout.element.empty()) return octets;
    const uint32_t count = random() % 4;
    append_word(octets, count);
    const FieldDescriptor* list =
        message.GetDescriptor()->FindFieldByNumber(static_cast<int>(layout.fields.size()) + 1);
    for (uint32_t i = 0; i < count; ++i) {
      values(layout.element, *message.GetReflection()->AddMessage(&message, list), octets);
    }
    return octets;
  }

 private:
  uint32_t random() { return static_cast<uint32_t>(engine_()); }
  /// Small, large, zero and unknown ones.
  uint64_t number(uint64_t max) {
    switch (random() % 6) {
      case 0: return 0;
      case 1: return max;
      case 2: return random() % 128;
      default: return (uint64_t{random()} << 32 | random()) & max;
    }
  }

  void values(std::span<const CounterField> fields, Message& message, Octets& octets) {
    for (size_t i = 0; i < fields.size(); ++i) {
      const auto* field = message.GetDescriptor()->FindFieldByNumber(static_cast<int>(i) + 1);
      value(fields[i].type, *field, message, octets);
    }
  }

  void value(CounterType type, const FieldDescriptor& field, Message& message, Octets& octets) {
    const auto& r = *message.GetReflection();
    switch (type) {
      case CounterType::u32: {
        const auto v = static_cast<uint32_t>(number(UINT32_MAX));
        append_word(octets, v);
        if (v != UINT32_MAX) r.SetUInt32(&message, &field, v);
        break;
      }
      case CounterType::u64: {
        const uint64_t v = number(UINT64_MAX);
        append_words(octets, v);
        if (v != UINT64_MAX) r.SetUInt64(&message, &field, v);
        break;
      }
      case CounterType::i32: {
        const auto v = static_cast<uint32_t>(number(UINT32_MAX));
        append_word(octets, v);
        r.SetInt32(&message, &field, static_cast<int32_t>(v));
        break;
      }
      case CounterType::f32: {
        const float v = static_cast<float>(random() % 10'000) / 16;
        uint32_t bits;
        std::memcpy(&bits, &v, sizeof bits);
        append_word(octets, bits);
        r.SetFloat(&message, &field, v);
        break;
      }
      case CounterType::mac: {
        const uint64_t v = number(0xffff'ffff'ffff);
        append_words(octets, v << 16);
        r.SetUInt64(&message, &field, v);
        break;
      }
      case CounterType::macs: {
        const uint32_t count = random() % 4;
        append_word(octets, count);
        for (uint32_t i = 0; i < count; ++i) {
          const uint64_t v = number(0xffff'ffff'ffff);
          append_words(octets, v << 16);
          r.AddUInt64(&message, &field, v);
        }
        break;
      }
      case CounterType::i32s: {
        const uint32_t count = random() % 9;
        append_word(octets, count);
        for (uint32_t i = 0; i < count; ++i) {
          const auto v = static_cast<uint32_t>(number(UINT32_MAX));
          append_word(octets, v);
          r.AddInt32(&message, &field, static_cast<int32_t>(v));
        }
        break;
      }
      case CounterType::uuid: {
        std::string v;
        for (int i = 0; i < 16; ++i) v += static_cast<char>(random());
        octets.insert(octets.end(), v.begin(), v.end());
        r.SetString(&message, &field, v);
        break;
      }
      case CounterType::text: {
        const std::string v(random() % 200, 'n');
        append_word(octets, static_cast<uint32_t>(v.size()));
        octets.insert(octets.end(), v.begin(), v.end());
        octets.resize((octets.size() + 3) / 4 * 4);
        r.SetString(&message, &field, v);
        break;
      }
    }
  }

  std::mt19937 engine_;
};

flowpb::SflowCounters expected_header(const SampleOrigin& origin) {
  flowpb::SflowCounters m;
  m.set_time_received_ns(kReceivedNs);
  m.set_sampler_address(std::string("\xC0\x00\x02\x09", 4));
  m.set_exporter_address(
      std::string("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07", 16));
  m.set_exporter_port(50'000);
  m.set_sub_agent_id(4);
  m.set_sequence_num(77);
  m.set_agent_uptime_ms(origin.agent_uptime_ms);
  m.set_sample_sequence(origin.sequence);
  m.set_source_class(origin.source_class);
  m.set_source_index(origin.source_index);
  m.set_partition("default");
  return m;
}

Message& block_of(flowpb::SflowCounters& sample, const CounterLayout& layout) {
  const auto* field = sample.GetDescriptor()->FindFieldByNumber(static_cast<int>(layout.field));
  const auto& r = *sample.GetReflection();
  return field->is_repeated() ? *r.AddMessage(&sample, field) : *r.MutableMessage(&sample, field);
}

std::string octets_of(std::span<const uint8_t> s) { return {s.begin(), s.end()}; }

FieldDescriptor::Type proto_type(CounterType type) {
  switch (type) {
    case CounterType::u32: return FieldDescriptor::TYPE_UINT32;
    case CounterType::i32:
    case CounterType::i32s: return FieldDescriptor::TYPE_INT32;
    case CounterType::f32: return FieldDescriptor::TYPE_FLOAT;
    case CounterType::u64:
    case CounterType::mac:
    case CounterType::macs: return FieldDescriptor::TYPE_UINT64;
    case CounterType::uuid: return FieldDescriptor::TYPE_BYTES;
    case CounterType::text: return FieldDescriptor::TYPE_STRING;
  }
  return FieldDescriptor::TYPE_GROUP;
}

void expect_same_fields(std::span<const CounterField> fields,
                        const google::protobuf::Descriptor& message) {
  for (size_t i = 0; i < fields.size(); ++i) {
    SCOPED_TRACE(fields[i].name);
    const FieldDescriptor* f = message.FindFieldByNumber(static_cast<int>(i) + 1);
    ASSERT_NE(f, nullptr);
    EXPECT_EQ(f->name(), fields[i].name);
    EXPECT_EQ(f->type(), proto_type(fields[i].type));
    EXPECT_EQ(f->is_repeated(),
              fields[i].type == CounterType::macs || fields[i].type == CounterType::i32s);
    EXPECT_TRUE(f->is_repeated() || f->has_presence()) << "0 and unknown differ";
  }
}

TEST(SflowEncoder, TheTablesAreTheMessagesOfTheSchema) {
  const auto& sample = *flowpb::SflowCounters::descriptor();
  uint32_t before = 0;
  for (const CounterLayout& layout : kCounterLayouts) {
    SCOPED_TRACE(layout.format);
    EXPECT_GT(layout.field, before) << "encoded in this order";
    before = layout.field;
    const FieldDescriptor* field = sample.FindFieldByNumber(static_cast<int>(layout.field));
    ASSERT_NE(field, nullptr);
    EXPECT_EQ(field->is_repeated(), layout.blocks == CounterBlocks::many);
    EXPECT_LE(layout.required, layout.fields.size());
    const auto& block = *field->message_type();
    expect_same_fields(layout.fields, block);
    EXPECT_EQ(static_cast<size_t>(block.field_count()),
              layout.fields.size() + (layout.element.empty() ? 0 : 1));
    if (layout.element.empty()) continue;
    const FieldDescriptor* list =
        block.FindFieldByNumber(static_cast<int>(layout.fields.size()) + 1);
    ASSERT_NE(list, nullptr);
    EXPECT_TRUE(list->is_repeated());
    expect_same_fields(layout.element, *list->message_type());
    EXPECT_EQ(static_cast<size_t>(list->message_type()->field_count()), layout.element.size());
  }
}

TEST(SflowEncoder, CountersAreTheOctetsOfProtobufsOwnClasses) {
  const ExportHeader h = header();
  SflowEncoder encoder;
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    BlockMaker maker(seed);
    std::mt19937 engine(seed + 1'000'000);
    const auto random = [&engine] { return static_cast<uint32_t>(engine()); };
    const SampleOrigin origin{random(), random() % 4, random(), random()};
    flowpb::SflowCounters expected = expected_header(origin);
    std::vector<Octets> octets;
    std::vector<const CounterLayout*> layouts;
    for (const CounterLayout& layout : kCounterLayouts) {
      for (uint32_t n = random() % (layout.blocks == CounterBlocks::many ? 4 : 2); n > 0; --n) {
        octets.push_back(maker.make(layout, block_of(expected, layout)));
        layouts.push_back(&layout);
      }
    }
    std::vector<CounterBlock> blocks;
    for (size_t i = 0; i < octets.size(); ++i) {
      blocks.push_back({layouts[i], 0, layouts[i]->format, octets[i]});
    }
    // An agent sends them in any order; those that may come twice keep theirs.
    std::stable_partition(blocks.begin(), blocks.end(),
                          [](const CounterBlock& b) { return b.layout->field % 2 == 0; });
    const Octets unknown(random() % 300, 7);
    blocks.insert(blocks.begin(), {nullptr, 4413, 9, unknown});
    auto& unmapped = *expected.add_unmapped();
    unmapped.set_enterprise(4413);
    unmapped.set_id(9);
    unmapped.set_value(octets_of(unknown));

    const auto encoded = encoder.encode(SflowCounters{h, {}, origin, blocks});
    ASSERT_EQ(octets_of(encoded), expected.SerializeAsString());
  }
}

TEST(SflowEncoder, TheLargestSampleHasRoom) {
  const ExportHeader h = header();
  SflowEncoder encoder;
  // Each queue is all large values; each octet of a block without a layout is an element's.
  Octets queue;
  for (int i = 0; i < 13; ++i) append_word(queue, 0xffff'fffe);
  const std::vector<CounterBlock> queues(kCounterBlocksMax, {counter_layout(1003), 0, 1003, queue});
  flowpb::SflowCounters parsed;
  auto encoded = encoder.encode(SflowCounters{h, {}, {}, queues});
  ASSERT_TRUE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  EXPECT_EQ(static_cast<size_t>(parsed.queues_size()), kCounterBlocksMax);

  const Octets all(65'000, 1);
  const CounterBlock whole_datagram[] = {{nullptr, 1, 1, all}};
  encoded = encoder.encode(SflowCounters{h, {}, {}, whole_datagram});
  ASSERT_TRUE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  EXPECT_EQ(parsed.unmapped(0).value().size(), all.size());
}

TEST(SflowEncoder, TextIsMadeUtf8AndCut) {
  const ExportHeader h = header();
  SflowEncoder encoder;
  Octets name;
  append_word(name, 400);
  name.resize(name.size() + 400, 0xff);
  const CounterBlock blocks[] = {{counter_layout(1005), 0, 1005, name}};
  const auto encoded = encoder.encode(SflowCounters{h, {}, {}, blocks});
  flowpb::SflowCounters parsed;
  ASSERT_TRUE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  EXPECT_EQ(parsed.port_name().name(), std::string(kStringOctetsMax, '?'));
}

FlowRecord packet() {
  FlowRecord r;
  std::memset(static_cast<void*>(&r), 0, sizeof r);
  r.bytes = 1518;
  r.packets = 1;
  r.src_addr = *IpAddress::parse("192.0.2.1");
  r.addresses = address::bit(address::k_src_addr);
  r.forwarding_status = 129;
  r.blocks = block::kHeaders;
  return r;
}

TEST(SflowEncoder, ADiscardIsItsPacketAndWhy) {
  const ExportHeader h = header();
  const FlowRecord r = packet();
  SflowEncoder encoder;
  const auto encoded = encoder.encode(SflowDiscard{h, {}, {9, 1, 12, 5000}, 258, 40, r, nullptr});
  flowpb::SflowDiscard d;
  ASSERT_TRUE(d.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  EXPECT_EQ(d.packet().bytes(), 1518u);
  EXPECT_EQ(d.packet().forwarding_status(), 129u);
  EXPECT_EQ(d.packet().sub_agent_id(), 4u);
  EXPECT_EQ(d.reason(), flowpb::DROP_ACL);

  // The rest byte for byte; the packet is the encoder's, whose octets its own tests prove.
  flowpb::SflowDiscard rest;
  rest.set_reason(flowpb::DROP_ACL);
  rest.set_drops(40);
  rest.set_sample_sequence(9);
  rest.set_source_class(1);
  rest.set_source_index(12);
  rest.set_agent_uptime_ms(5000);
  uint8_t framed[4096];
  const HeaderPrefix prefix(h);
  const size_t octets = Encoder().encode(prefix, {&r, 1}, nullptr, framed);
  framed[0] = 0x12;  // field 2 instead of a batch's 1
  EXPECT_EQ(octets_of(encoded), octets_of({framed, octets}) + rest.SerializeAsString());
}

TEST(SflowEncoder, NoMessageLooksLikeABatch) {
  const FlowRecord r = packet();
  SflowEncoder encoder;
  const ExportHeader empty;
  for (const ExportHeader& h : {header(), empty}) {
    EXPECT_FALSE(looks_like_batch(encoder.encode(SflowCounters{h, {}, {}, {}})));
    EXPECT_FALSE(looks_like_batch(encoder.encode(SflowDiscard{h, {}, {}, 0, 0, r, nullptr})));
  }
}

// ---- JSON ----

TEST(SflowJson, CountersSayTheirKindAndWhatIsThere) {
  flowpb::SflowCounters m = expected_header({5, 0, 12, 1000});
  m.mutable_interface()->set_if_index(12);
  m.mutable_interface()->set_if_in_octets(0);
  m.mutable_host_cpu()->set_load_one(0.25F);
  m.mutable_lag()->set_actor_system_mac(0x0200'5e00'0001);
  auto& adapter = *m.mutable_host_adapters()->add_adapters();
  adapter.set_if_index(1);
  adapter.add_mac_addresses(0x0200'5e00'0002);
  m.mutable_optical()->set_temperature(-1500);
  m.mutable_bst_port_buffers()->add_egress_queue_uc_pc(25);
  m.mutable_bst_port_buffers()->add_egress_queue_uc_pc(-1);
  m.mutable_host()->set_hostname("a\"b");
  m.mutable_host()->set_uuid(std::string(16, '\xab'));
  m.add_queues()->set_queue_index(3);
  m.add_queues();
  auto& unknown = *m.add_unmapped();
  unknown.set_id(3999);
  unknown.set_value("\x01\xff");
  std::string line;
  append_json_line(m, line);
  ASSERT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find("{\"kind\":\"sflow_counters\","), 0u);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["sampler_address"], "192.0.2.9");
  EXPECT_EQ(json["exporter_address"], "2001:db8::7");
  EXPECT_EQ(json["source_index"], 12);
  EXPECT_EQ(json["interface"], (nlohmann::json{{"if_index", 12}, {"if_in_octets", 0}}));
  EXPECT_EQ(json["host_cpu"]["load_one"], 0.25);
  EXPECT_EQ(json["lag"]["actor_system_mac"], "02:00:5e:00:00:01");
  EXPECT_EQ(json["host_adapters"]["adapters"][0]["mac_addresses"][0], "02:00:5e:00:00:02");
  EXPECT_EQ(json["optical"]["temperature"], -1500);
  EXPECT_EQ(json["bst_port_buffers"]["egress_queue_uc_pc"], nlohmann::json({25, -1}));
  EXPECT_EQ(json["host"]["hostname"], "a\"b");
  EXPECT_EQ(json["host"]["uuid"], "abababababababababababababababab");
  EXPECT_EQ(json["queues"].size(), 2u);
  EXPECT_EQ(json["queues"][1], nlohmann::json::object());
  EXPECT_EQ(json["unmapped"][0]["value"], "01ff");
  EXPECT_FALSE(json.contains("ethernet"));
}

TEST(SflowJson, ADiscardHasItsPacketAsAFlow) {
  flowpb::SflowDiscard d;
  d.set_reason(flowpb::DROP_TTL_EXCEEDED);
  d.set_drops(3);
  d.mutable_packet()->set_type(flowpb::SFLOW_5);
  d.mutable_packet()->set_dst_port(53);
  std::string line;
  append_json_line(d, line);
  EXPECT_EQ(line.find("{\"kind\":\"sflow_discard\","), 0u);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["reason"], "DROP_TTL_EXCEEDED");
  EXPECT_EQ(json["reason_code"], 257);
  EXPECT_EQ(json["drops"], 3);
  EXPECT_EQ(json["packet"]["dst_port"], 53);
  EXPECT_EQ(json["packet"]["type"], "SFLOW_5");

  d.set_reason(static_cast<flowpb::SflowDropReason>(9999));
  line.clear();
  append_json_line(d, line);
  EXPECT_EQ(nlohmann::json::parse(line)["reason"], 9999) << "sFlow may come to have more";
}

TEST(SflowJson, AFlowsRecordsWithoutColumnsAreNamedAsSflowDoes) {
  flowpb::FlowMessage flow;
  flow.set_type(flowpb::SFLOW_5);
  for (const uint32_t format : {1u, 1003u, 3999u}) flow.add_unmapped()->set_id(format);
  std::string line;
  append_json_line(flow, line);
  const auto unmapped = nlohmann::json::parse(line)["unmapped"];
  EXPECT_EQ(unmapped[0]["name"], "sampled_header") << "not IANA's element of that number";
  EXPECT_EQ(unmapped[1]["name"], "extended_gateway");
  EXPECT_FALSE(unmapped[2].contains("name"));
}

TEST(SflowJson, BatchesOfEachKind) {
  flowpb::SflowCountersBatch counters;
  counters.add_counters()->set_time_received_ns(1);
  counters.add_counters()->set_time_received_ns(2);
  const std::string octets = counters.SerializeAsString();
  const std::span<const uint8_t> payload(reinterpret_cast<const uint8_t*>(octets.data()),
                                         octets.size());
  std::string text;
  const ReadCounts counts = append_json_lines(RecordKind::sflow_counters, payload, text);
  EXPECT_EQ(counts.flows, 2u);
  EXPECT_EQ(counts.malformed, 0u);
  EXPECT_EQ(text,
            "{\"kind\":\"sflow_counters\",\"time_received_ns\":1}\n"
            "{\"kind\":\"sflow_counters\",\"time_received_ns\":2}\n");
  EXPECT_EQ(append_json_lines(RecordKind::count_, payload, text).malformed, 1u);
}

}  // namespace
}  // namespace weir::outbound

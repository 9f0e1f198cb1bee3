#include "export/json_lines.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/ip_address.h"
#include "export/record_maker.h"

namespace weir::outbound {
namespace {

using nlohmann::json;
using namespace std::string_literals;

std::string wire(const char* address) { return testing::wire_form(*IpAddress::parse(address)); }

std::string line_of(const flowpb::FlowMessage& flow) {
  std::string line;
  append_json_line(flow, line);
  return line;
}

json parsed(const flowpb::FlowMessage& flow) { return json::parse(line_of(flow)); }

flowpb::FlowMessage v5_flow() {
  flowpb::FlowMessage f;
  f.set_type(flowpb::NETFLOW_V5);
  f.set_time_received_ns(1755636366839794752);
  f.set_sequence_num(3915400858);
  f.set_sampler_address(wire("192.0.2.1"));
  f.set_time_flow_start_ns(1755245595022470127);
  f.set_time_flow_end_ns(1755245595051470127);
  f.set_bytes(66);
  f.set_packets(2176909475);
  f.set_src_addr(wire("198.51.100.98"));
  f.set_dst_addr(wire("203.0.113.180"));
  f.set_etype(0x0800);
  f.set_dst_port(3894);
  f.set_out_if(7451);
  f.set_tcp_flags(63);
  f.set_src_as(317);
  f.set_dst_as(24552);
  f.set_next_hop(wire("192.0.2.253"));
  f.set_src_net(24);
  f.set_protocol_name("HOPOPT");
  f.set_sampling_source(flowpb::SAMPLING_HEADER);
  return f;
}

TEST(JsonLines, WritesEveryKeyOfTheTableInItsOrder) {
  EXPECT_EQ(
      line_of(v5_flow()),
      R"({"type":"NETFLOW_V5","time_received_ns":1755636366839794752,"sequence_num":3915400858,)"
      R"("sampling_rate":0,"sampler_address":"192.0.2.1",)"
      R"("time_flow_start_ns":1755245595022470127,"time_flow_end_ns":1755245595051470127,)"
      R"("bytes":66,"packets":2176909475,"bytes_in":0,"bytes_out":0,"packets_in":0,"packets_out":0,)"
      R"("src_addr":"198.51.100.98","dst_addr":"203.0.113.180","etype":"IPv4","proto":"HOPOPT",)"
      R"("src_port":0,"dst_port":3894,"in_if":0,"out_if":7451,)"
      R"("src_mac":"00:00:00:00:00:00","dst_mac":"00:00:00:00:00:00",)"
      R"("src_vlan":0,"dst_vlan":0,"vlan_id":0,"ip_tos":0,"forwarding_status":0,"ip_ttl":0,)"
      R"("ip_flags":0,"tcp_flags":63,"icmp_type":0,"icmp_code":0,"ipv6_flow_label":0,)"
      R"("fragment_id":0,"fragment_offset":0,"src_as":317,"dst_as":24552,)"
      R"("next_hop":"192.0.2.253","next_hop_as":0,"src_net":"198.51.100.0/24","dst_net":"",)"
      R"("bgp_next_hop":"","bgp_communities":[],"as_path":[],"mpls_ttl":[],"mpls_label":[],)"
      R"("mpls_ip":[],"observation_domain_id":0,"observation_point_id":0,"layer_stack":[],)"
      R"("layer_size":[],"ipv6_routing_header_addresses":[],"ipv6_routing_header_seg_left":0,)"
      R"("protocol_name":"HOPOPT","sampling_source":"SAMPLING_HEADER"})"
      "\n");
}

TEST(JsonLines, HaveAKeyForEveryFieldOfTheSchema) {
  // Set every field through reflection: a field that is added to the schema and forgotten here
  // fails.
  flowpb::FlowMessage f;
  const auto* descriptor = flowpb::FlowMessage::descriptor();
  const auto* reflection = f.GetReflection();
  using Field = google::protobuf::FieldDescriptor;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const Field* field = descriptor->field(i);
    const bool list = field->is_repeated();
    switch (field->cpp_type()) {
      case Field::CPPTYPE_UINT32:
        list ? reflection->AddUInt32(&f, field, 7) : reflection->SetUInt32(&f, field, 7);
        break;
      case Field::CPPTYPE_UINT64: reflection->SetUInt64(&f, field, 7); break;
      case Field::CPPTYPE_STRING:
        list ? reflection->AddString(&f, field, "abcd") : reflection->SetString(&f, field, "abcd");
        break;
      case Field::CPPTYPE_ENUM:
        list ? reflection->AddEnumValue(&f, field, 1) : reflection->SetEnumValue(&f, field, 1);
        break;
      case Field::CPPTYPE_MESSAGE: reflection->AddMessage(&f, field); break;
      default: FAIL() << field->full_name();
    }
  }
  const json full = parsed(f), empty = parsed(flowpb::FlowMessage());
  EXPECT_EQ(full.size(), static_cast<size_t>(descriptor->field_count()));
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const Field* field = descriptor->field(i);
    EXPECT_TRUE(full.contains(field->name())) << field->name();
    EXPECT_EQ(empty.contains(field->name()), field->number() < 1001) << field->name();
  }
}

TEST(JsonLines, ReadBackAsTheNumbersThatWereWritten) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    testing::RecordMaker make(seed);
    testing::ArenaWriter arena;
    const FlowRecord r = make.record(arena, testing::Arena::some);
    const flowpb::FlowMessage f = testing::message_of(make.header(), r, arena.data(), "TCP");
    const json j = parsed(f);
    ASSERT_EQ(j["bytes"], f.bytes());
    ASSERT_EQ(j["packets_out"], f.packets_out());
    ASSERT_EQ(j["time_flow_end_ns"], f.time_flow_end_ns());
    ASSERT_EQ(j["src_port"], f.src_port());
    ASSERT_EQ(j["as_path"].size(), r.as_path.count);
    ASSERT_EQ(j["as_path"], json(std::vector<uint32_t>(f.as_path().begin(), f.as_path().end())));
    ASSERT_EQ(j.contains("labels"), !f.labels().empty());
    if (!f.user_name().empty()) {
      ASSERT_EQ(j["user_name"], f.user_name());
    }
    ASSERT_EQ(j.value("unmapped", json::array()).size(), static_cast<size_t>(f.unmapped_size()));
    for (int i = 0; i < f.unmapped_size(); ++i) {
      ASSERT_EQ(j["unmapped"][static_cast<size_t>(i)]["enterprise"], f.unmapped(i).enterprise());
      ASSERT_EQ(j["unmapped"][static_cast<size_t>(i)]["value"].get<std::string>().size(),
                2 * f.unmapped(i).value().size());
    }
  }
}

TEST(JsonLines, NameWhatHasANameAndNumberTheRest) {
  struct {
    uint32_t etype;
    uint32_t proto;
    int type;
    json etype_text, proto_text, type_text;
  } cases[] = {
      {0x0800, 6, 2, "IPv4", "TCP", "NETFLOW_V5"},
      {0x86dd, 58, 4, "IPv6", "IPv6-ICMP", "IPFIX"},
      {0x0806, 0, 1014, "ARP", "HOPOPT", "SFLOW_4"},
      {0x8847, 200, 77, 0x8847, 200, 77},
      {0, 4'000'000'000, 0, 0, 4'000'000'000, "FLOWUNKNOWN"},
  };
  for (const auto& c : cases) {
    flowpb::FlowMessage f;
    f.set_etype(c.etype);
    f.set_proto(c.proto);
    f.set_type(static_cast<flowpb::FlowType>(c.type));
    const json j = parsed(f);
    EXPECT_EQ(j["etype"], c.etype_text);
    EXPECT_EQ(j["proto"], c.proto_text);
    EXPECT_EQ(j["type"], c.type_text);
  }
  flowpb::FlowMessage f;
  f.add_layer_stack(flowpb::Ethernet);
  f.add_layer_stack(flowpb::VXLAN);
  f.add_layer_stack(static_cast<flowpb::LayerStack>(55));
  EXPECT_EQ(parsed(f)["layer_stack"], json::parse(R"(["Ethernet","VXLAN",55])"));
}

TEST(JsonLines, WriteOctetsAsWhatTheyAre) {
  flowpb::FlowMessage f;
  f.set_src_mac(0x0011223344ff);
  f.set_dst_mac(0xffff'0a0b0c0d0e0f);  // low 48 bits
  f.set_src_addr(wire("2001:db8::1"));
  f.set_dst_addr("odd");
  f.add_mpls_ip(wire("192.0.2.9"));
  f.set_application_id(std::string("\x03\x00\x00\x50", 4));
  f.add_bgp_extended_communities(std::string("\x00\x02\xfd\xe8\x00\x00\x00\x64", 8));
  auto* element = f.add_unmapped();
  element->set_enterprise(9);
  element->set_id(12235);
  element->set_value("\xde\xad");
  const json j = parsed(f);
  EXPECT_EQ(j["src_mac"], "00:11:22:33:44:ff");
  EXPECT_EQ(j["dst_mac"], "0a:0b:0c:0d:0e:0f");
  EXPECT_EQ(j["src_addr"], "2001:db8::1");
  EXPECT_EQ(j["dst_addr"], "6f6464");
  EXPECT_EQ(j["mpls_ip"], json::parse(R"(["192.0.2.9"])"));
  EXPECT_EQ(j["application_id"], "03000050");
  EXPECT_EQ(j["bgp_extended_communities"], json::parse(R"(["0002fde800000064"])"));
  EXPECT_EQ(j["unmapped"],
            json::parse(R"([{"enterprise":9,"id":12235,"name":"appHTTPHost","value":"dead"}])"));
}

TEST(JsonLines, NameElementsAndSayWhatTheirOctetsMean) {
  struct {
    uint32_t enterprise;
    uint32_t id;
    std::string value;
    const char* name;     // empty: none
    const char* decoded;  // JSON; empty: none
  } cases[] = {
      {0, 203, "\x05", "mplsTopLabelExp", "5"},
      {0, 1, std::string("\x01\0\0\0\0\0\0\0", 8), "octetDeltaCount", "72057594037927936"},
      {0, 1, std::string(9, 'x'), "octetDeltaCount", ""},
      {0, 1, "", "octetDeltaCount", ""},
      {0, 8, "\xc0\x00\x02\x01"s, "sourceIPv4Address", R"("192.0.2.1")"},
      {0, 8, std::string(16, 'x'), "sourceIPv4Address", ""},
      {0, 27, wire("2001:db8::1"), "sourceIPv6Address", R"("2001:db8::1")"},
      {0, 56, "\x02\x00\x5e\x10\x00\x01"s, "sourceMacAddress", R"("02:00:5e:10:00:01")"},
      {0, 56, std::string(8, 'x'), "sourceMacAddress", ""},
      {0, 82, "eth0\0\0 "s, "interfaceName", R"("eth0")"},
      {0, 82, "a\"\xff"s, "interfaceName", "\"a\\\"\xef\xbf\xbd\""},
      {0, 276, "\x01", "dataRecordsReliability", "true"},
      {0, 276, "\x02", "dataRecordsReliability", "false"},
      {0, 276, "\x03", "dataRecordsReliability", ""},
      {0, 311, "\x3f\xe0\0\0\0\0\0\0"s, "samplingProbability", "0.5"},
      {0, 311, "\x3f\x00\0\0"s, "samplingProbability", "0.5"},
      {0, 311, "\x7f\xf0\0\0\0\0\0\0"s, "samplingProbability", ""},
      {0, 434, "\xff\xfe", "mibObjectValueInteger", "-2"},
      {0, 434, "\x7f", "mibObjectValueInteger", "127"},
      {0, 434, "\x80\0\0\0\0\0\0\0"s, "mibObjectValueInteger", "-9223372036854775808"},
      {0, 322, "\x68\x00\x00\x00"s, "observationTimeSeconds", "1744830464"},
      {0, 291, "\x03", "basicList", ""},
      {0, 90, "\x01", "mplsVpnRouteDistinguisher", ""},
      {29305, 184, "\x07", "reverseTcpSequenceNumber", "7"},
      {6871, 0x4000 | 14, "\x12", "reverseInitialTCPFlags", "18"},
      {0, 33'002, "\x03\xe9", "firewallExtendedEvent", "1001"},
      {9, 1, "\x01", "", ""},
      {99'999, 5, "\x01", "", ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::to_string(c.enterprise) + "/" + std::to_string(c.id));
    flowpb::FlowMessage f;
    auto* element = f.add_unmapped();
    element->set_enterprise(c.enterprise);
    element->set_id(c.id);
    element->set_value(c.value);
    const json j = parsed(f)["unmapped"][0];
    EXPECT_EQ(j["enterprise"], c.enterprise);
    EXPECT_EQ(j["id"], c.id);
    EXPECT_EQ(j.value("name", ""), c.name);
    EXPECT_EQ(j.contains("decoded") ? j["decoded"].dump() : "", c.decoded);
  }
}

TEST(JsonLines, WriteAPrefixWhereAnAddressAllowsIt) {
  struct {
    const char* address;
    uint32_t length;
    const char* text;
  } cases[] = {
      {"192.0.2.129", 0, ""},
      {"192.0.2.129", 24, "192.0.2.0/24"},
      {"192.0.2.129", 25, "192.0.2.128/25"},
      {"192.0.2.129", 1, "128.0.0.0/1"},
      {"192.0.2.129", 32, "192.0.2.129/32"},
      {"192.0.2.129", 33, ""},
      {"192.0.2.129", 4294967295, ""},
      {"2001:db8:ffff::1", 33, "2001:db8:8000::/33"},
      {"2001:db8::1", 128, "2001:db8::1/128"},
      {"2001:db8::1", 129, ""},
  };
  for (const auto& c : cases) {
    flowpb::FlowMessage f;
    f.set_src_addr(wire(c.address));
    f.set_src_net(c.length);
    f.set_dst_net(c.length);  // without an address
    EXPECT_EQ(parsed(f)["src_net"], c.text) << c.address << '/' << c.length;
    EXPECT_EQ(parsed(f)["dst_net"], "");
  }
}

TEST(JsonLines, EscapeWhatExportersCallThemselves) {
  struct {
    std::string sent;
    std::string written;
  } cases[] = {
      {"plain", R"("plain")"},
      {"", R"("")"},
      {"a\"b\\c", R"("a\"b\\c")"},
      {"line\nfeed\r\ttab", R"("line\nfeed\r\ttab")"},
      {std::string("nul\0!", 5), R"("nul\u0000!")"},
      {"\x1b[31mred\x7f", R"("\u001b[31mred\u007f")"},
      {"\xc2\x9b"
       "31m",
       R"("\u009b31m")"},
      {"caf\xc3\xa9 \xf0\x9f\x8c\x8a", "\"caf\xc3\xa9 \xf0\x9f\x8c\x8a\""},
      {"caf\xe9", "\"caf\xef\xbf\xbd\""},
      {"cut\xe6\xb5", "\"cut\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (const auto& c : cases) {
    std::string text;
    append_json_string(c.sent, text);
    EXPECT_EQ(text, c.written);
    EXPECT_NO_THROW({ [[maybe_unused]] const json j = json::parse(text); }) << text;
  }
}

TEST(JsonLines, AppendToWhatIsThere) {
  std::string out = "before\n";
  append_json_line(v5_flow(), out);
  append_json_line(v5_flow(), out);
  EXPECT_EQ(out, "before\n" + line_of(v5_flow()) + line_of(v5_flow()));
  flowpb::FlowMessage large = v5_flow();
  for (uint32_t i = 0; i < 5000; ++i) large.add_as_path(4'200'000'000 + i);
  large.set_user_name(std::string(100'000, '\n'));
  EXPECT_EQ(parsed(large)["as_path"].size(), 5000u);
}

TEST(FlowTable, LinesUpItsColumns) {
  flowpb::FlowMessage f = v5_flow();
  f.set_proto(6);
  f.set_src_port(443);
  f.set_sampling_rate(1000);
  std::string text;
  FlowTable::append_heading(text);
  FlowTable::append_row(f, text);
  f.set_src_addr(wire("2001:db8::1"));
  f.set_dst_addr("");
  f.set_proto(200);
  FlowTable::append_row(f, text);
  EXPECT_EQ(text,
            // clang-format off
      "TIME (UTC)               EXPORTER         PROTOCOL        BYTES     PACKETS   IN IF  OUT IF  SAMPLING  SOURCE -> DESTINATION\n"
      "2025-08-15 08:13:15.051  192.0.2.1        TCP                66  2176909475       0    7451      1000  198.51.100.98:443 -> 203.0.113.180:3894\n"
      "2025-08-15 08:13:15.051  192.0.2.1        200                66  2176909475       0    7451      1000  [2001:db8::1]:443 -> -:3894\n");
  // clang-format on
}

TEST(FlowTable, ShowsAnyFlow) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    testing::RecordMaker make(seed);
    testing::ArenaWriter arena;
    const FlowRecord r = make.record(arena, testing::Arena::none);
    std::string row;
    FlowTable::append_row(testing::message_of(make.header(), r, arena.data(), ""), row);
    ASSERT_EQ(std::count_if(row.begin(), row.end(), [](char c) { return c < 0x20 || c > 0x7e; }), 1)
        << row;
    ASSERT_EQ(row.back(), '\n');
  }
}

}  // namespace
}  // namespace weir::outbound

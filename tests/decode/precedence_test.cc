// "From the wire to the field" of docs/FLOW_MESSAGE.md, row by row for NetFlow v9 and IPFIX: each
// source fills its field, and of several that a record carries the first of the row wins.
#include <gtest/gtest.h>

#include <functional>

#include "decode_support.h"
#include "lab/frame_builder.h"
#include "lab/list_builder.h"

namespace weir::decode {
namespace {

using namespace lab;

enum class OnlyIn : uint8_t { both, ipfix };

/// One source of a field: the elements that it takes, and what the field then says.
struct Source {
  const char* name;
  std::vector<Value> values;
  uint64_t expected;
};

struct FieldRow {
  const char* field;
  std::vector<Source> sources;  // the most preferred first
  std::function<uint64_t(const KeptRecord&)> get;
  std::vector<Value> beside{};  // what the record has anyway
  OnlyIn only = OnlyIn::both;
};

#define GET(member) [](const KeptRecord& k) -> uint64_t { return k.record.member; }

uint64_t last_32_bits(const IpAddress& a) { return load_be32(a.octets.data() + 12); }
uint64_t first_number(const KeptRecord& k, ArenaRef ref) {
  return ref.count == 0 ? 0 : k.numbers(ref)[0];
}

/// The elements `ids` in `width` octets, one source each; the i-th says 100 + i.
std::vector<Source> in_order(const std::vector<FieldSpecifier>& fields) {
  std::vector<Source> sources;
  for (size_t i = 0; i < fields.size(); ++i) {
    FieldSpecifier f = fields[i];
    f.length = f.length == 0 ? 4 : f.length;
    sources.push_back({"", {{f, be(100 + i, f.length)}}, 100 + i});
  }
  return sources;
}

Value list(uint16_t id, const Octets& octets) {
  return {{id, lab::kVariableLength}, variable_long_form(octets)};
}

Octets ntp(uint64_t seconds) {
  constexpr uint64_t kEpochSecs = 2'208'988'800;  // 1900 to 1970
  return u64((seconds + kEpochSecs) << 32);
}

/// A pair of times, each of its kind: `time_source` tells which was taken.
Source times(const char* name, uint16_t start, uint16_t end, const Octets& value, TimeSource kind) {
  const auto width = static_cast<uint16_t>(value.size());
  return {name, {{{start, width}, value}, {{end, width}, value}}, static_cast<uint64_t>(kind)};
}

std::vector<FieldRow> rows() {
  const Octets frame = udp_frame({"192.0.2.9", "192.0.2.10", 1, 2}, zeros(4));
  const Value section{{315, static_cast<uint16_t>(frame.size())}, frame};
  const Value icmp{{4, 1}, u8(1)};
  const Octets boot = u64((kNowSecs - 10'000) * 1000);
  const uint64_t v4 = 0xC0000201;
  return {
      {"bytes", in_order({{1}, {85}, {231}, {23}, {352}, {353}, {312}}), GET(bytes)},
      {"packets", in_order({{2}, {86}, {298}, {24}, {430}, {431}}), GET(packets)},
      {"bytes_in",
       in_order({{232}, {1, 4, 29305}, {85, 4, 29305}}),
       GET(bytes_in),
       {},
       OnlyIn::ipfix},
      {"packets_in",
       in_order({{299}, {2, 4, 29305}, {86, 4, 29305}}),
       GET(packets_in),
       {},
       OnlyIn::ipfix},
      {"bytes_out", in_order({{1}, {85}, {231}}), GET(bytes_out), {{{232, 4}, u32(5)}}},
      {"packets_out", in_order({{2}, {86}, {298}}), GET(packets_out), {{{299, 4}, u32(5)}}},
      {"src_addr",
       {{"the pair that is not all zero", {{{27, 16}, zeros(16)}, {{8, 4}, u32(v4)}}, v4},
        {"the header section", {section}, 0xC0000209}},
       [](const KeptRecord& k) { return last_32_bits(k.record.src_addr); }},
      {"dst_addr",
       {{"the pair that is not all zero",
         {{{28, 16}, ipv6("2001:db8::7")}, {{12, 4}, zeros(4)}},
         7},
        {"the header section", {section}, 0xC000020A}},
       [](const KeptRecord& k) { return last_32_bits(k.record.dst_addr); }},
      {"src_port", in_order({{7}, {180}, {182}}), GET(src_port)},
      {"dst_port", in_order({{11}, {181}, {183}}), GET(dst_port)},
      {"icmp_type",
       {{"176", {{{176, 1}, u8(11)}}, 11},
        {"178", {{{178, 1}, u8(12)}}, 12},
        {"32", {{{32, 2}, u16(13 << 8 | 1)}}, 13},
        {"139", {{{139, 2}, u16(14 << 8 | 1)}}, 14},
        {"the port", {{{11, 2}, u16(15 << 8 | 1)}}, 15}},
       GET(icmp_type),
       {icmp}},
      {"icmp_code",
       {{"177", {{{177, 1}, u8(1)}}, 1},
        {"179", {{{179, 1}, u8(2)}}, 2},
        {"32", {{{32, 2}, u16(8 << 8 | 3)}}, 3},
        {"139", {{{139, 2}, u16(8 << 8 | 4)}}, 4},
        {"the port", {{{11, 2}, u16(8 << 8 | 5)}}, 5}},
       GET(icmp_code),
       {icmp}},
      {"src_vlan", in_order({{58}, {243}}), GET(src_vlan)},
      {"dst_vlan", in_order({{59}, {254}}), GET(dst_vlan)},
      {"vlan_id", in_order({{58}, {243}}), GET(vlan_id)},
      {"src_mac", in_order({{56, 6}, {81, 6}}), GET(src_mac)},
      {"dst_mac", in_order({{80, 6}, {57, 6}}), GET(dst_mac)},
      {"next_hop",
       {{"15", {{{15, 4}, u32(v4)}}, v4}, {"62", {{{62, 16}, ipv6("2001:db8::6")}}, 6}},
       [](const KeptRecord& k) { return last_32_bits(k.record.next_hop); }},
      {"bgp_next_hop",
       {{"18", {{{18, 4}, u32(v4)}}, v4}, {"63", {{{63, 16}, ipv6("2001:db8::6")}}, 6}},
       [](const KeptRecord& k) { return last_32_bits(k.record.bgp_next_hop); }},
      {"src_as", in_order({{16}}), GET(src_as)},
      {"dst_as", in_order({{17}}), GET(dst_as)},
      {"next_hop_as", in_order({{128}}), GET(next_hop_as)},
      {"ip_ttl", in_order({{192, 1}, {52, 1}}), GET(ip_ttl)},
      {"tcp_flags", in_order({{6, 2}}), GET(tcp_flags)},
      {"time_source",
       {times("nanoseconds", 156, 157, ntp(kNowSecs - 5), TimeSource::nanoseconds),
        times("microseconds", 154, 155, ntp(kNowSecs - 5), TimeSource::microseconds),
        times("milliseconds", 152, 153, u64((kNowSecs - 5) * 1000), TimeSource::milliseconds),
        times("uptime", 22, 21, u32(9'995'000), TimeSource::uptime),
        times("delta", 158, 159, u32(5'000'000), TimeSource::delta),
        times("seconds", 150, 151, u32(kNowSecs - 5), TimeSource::seconds),
        {"the export time", {}, static_cast<uint64_t>(TimeSource::export_time)}},
       GET(time_source),
       {{{160, 8}, boot}}},
      {"in_if", in_order({{10}, {252}}), GET(in_if)},
      {"out_if", in_order({{14}, {253}}), GET(out_if)},
      {"ip_tos",
       {{"5", {{{5, 1}, u8(0x11)}}, 0x11}, {"195", {{{195, 1}, u8(46)}}, 46 << 2}},
       GET(ip_tos)},
      {"forwarding_status", in_order({{89}}), GET(forwarding_status)},
      {"ip_flags", in_order({{197, 1}}), GET(ip_flags)},
      {"src_net", in_order({{9, 1}, {29, 1}}), GET(src_net)},
      {"dst_net", in_order({{13, 1}, {30, 1}}), GET(dst_net)},
      {"ipv6_flow_label", in_order({{31}}), GET(ipv6_flow_label)},
      {"fragment_id", in_order({{54}}), GET(fragment_id)},
      {"fragment_offset", in_order({{88, 2}}), GET(fragment_offset)},
      {"observation_point_id", in_order({{138}}), GET(observation_point_id)},
      {"etype",
       {{"256", {{{256, 2}, u16(0x8847)}}, 0x8847}, {"the family", {{{8, 4}, u32(v4)}}, 0x0800}},
       GET(etype)},
      {"bgp_communities",
       {{"483", {{{483, 4}, u32(1)}}, 1},
        {"484", {list(484, basic_list({483, 4}, {u32(2)}))}, 2},
        {"485", {list(485, basic_list({483, 4}, {u32(3)}))}, 3}},
       [](const KeptRecord& k) {
         // All of them, in the record's order, which is the reverse here.
         const auto all = k.numbers(k.record.bgp_communities);
         return all.empty() ? uint64_t{0} : all.back();
       }},
      {"as_path",
       {{"512", {list(512, basic_list({17, 4}, {u32(1)}))}, 1},
        {"511", {list(511, basic_list({16, 4}, {u32(2)}))}, 2},
        {"basicList", {list(291, basic_list({17, 4}, {u32(3)}))}, 3}},
       [](const KeptRecord& k) { return first_number(k, k.record.as_path); }},
      {"user_name",
       {{"371", {{{371, 2}, text("u1")}}, '1'}},
       [](const KeptRecord& k) -> uint64_t {
         return static_cast<uint8_t>(k.text(k.record.user_name).back());
       }},
      {"server_name",
       {{"460", {{{460, 2}, text("s1")}}, '1'}, {"YAF's", {{{294, 2, 6871}, text("s2")}}, '2'}},
       [](const KeptRecord& k) -> uint64_t {
         return static_cast<uint8_t>(k.text(k.record.server_name).back());
       },
       {},
       OnlyIn::ipfix},
      {"post_nat_src_port", in_order({{227, 2}}), GET(post_nat_src_port)},
      {"post_nat_dst_port", in_order({{228, 2}}), GET(post_nat_dst_port)},
      {"nat_event", in_order({{230, 1}}), GET(nat_event)},
      {"firewall_event", in_order({{233, 1}}), GET(firewall_event)},
      {"port_range_start", in_order({{361, 2}}), GET(port_range_start)},
      {"port_range_end", in_order({{362, 2}}), GET(port_range_end)},
      {"port_range_step", in_order({{363, 2}}), GET(port_range_step)},
      {"port_range_num", in_order({{364, 2}}), GET(port_range_num)},
      {"sampler_id", in_order({{48}, {302}, {301}}), GET(sampler_id)},
  };
}

TEST(Precedence, TheFirstSourceOfARowFillsTheField) {
  for (const FieldRow& row : rows()) {
    for (size_t first = 0; first < row.sources.size(); ++first) {
      SCOPED_TRACE(std::string(row.field) + ", source " + std::to_string(first) + " " +
                   row.sources[first].name);
      // The least preferred first: the order in the template says nothing.
      std::vector<Value> values = row.beside;
      for (size_t i = row.sources.size(); i-- > first;) {
        values.insert(values.end(), row.sources[i].values.begin(), row.sources[i].values.end());
      }
      if (values.empty()) values.push_back({{61, 1}, u8(0)});
      for (const bool v9 : {true, false}) {
        if (v9 && row.only == OnlyIn::ipfix) continue;
        SCOPED_TRACE(v9 ? "NetFlow v9" : "IPFIX");
        Bench b;
        b.send(v9 ? v9_with(values) : ipfix_with(values));
        ASSERT_EQ(b.records(), 1u);
        EXPECT_EQ(row.get(b.kept(0)), row.sources[first].expected);
      }
    }
  }
}

/// What a record says is never lost: whoever does not win is an element without a column.
TEST(Precedence, WhatDoesNotWinIsKept) {
  Bench b;
  b.send(ipfix_with({{{1, 4}, u32(1)},
                     {{85, 4}, u32(2)},
                     {{52, 1}, u8(3)},
                     {{192, 1}, u8(4)},
                     {{81, 6}, mac(5)},
                     {{56, 6}, mac(6)},
                     {{243, 2}, u16(7)},
                     {{58, 2}, u16(8)}}));
  std::vector<uint16_t> ids;
  for (const Unmapped& u : b.kept(0).unmapped()) ids.push_back(u.id);
  EXPECT_EQ(ids, (std::vector<uint16_t>{85, 52, 81, 243}));
}

}  // namespace
}  // namespace weir::decode

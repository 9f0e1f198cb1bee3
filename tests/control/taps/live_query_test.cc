#include "control/taps/live_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace weir::control {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kListeners = {"netflow", "sflow"};

Result<LiveQuery> read(const std::map<std::string, std::string>& parameters) {
  return read_live_query(parameters, kListeners);
}
dataplane::FlowFilter filter_of(const std::string& name, const std::string& value) {
  const auto query = read({{name, value}});
  EXPECT_TRUE(query) << name << "=" << value << ": " << (query ? "" : query.error().message);
  return query ? query->filter : dataplane::FlowFilter{};
}
IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

TEST(LiveQuery, WhoSaysNothingGetsALookAtAllFlows) {
  const auto query = read({});
  ASSERT_TRUE(query);
  EXPECT_EQ(query->seconds, kLiveSecondsDefault);
  EXPECT_EQ(query->flows_max, kLiveFlowsDefault);
  EXPECT_FALSE(query->filter.has_numbers());
  EXPECT_FALSE(query->filter.has_addresses());
  EXPECT_FALSE(query->filter.exporter || query->filter.listener || query->filter.type);
}

TEST(LiveQuery, ReadsEveryConditionIntoItsOwnPlace) {
  EXPECT_TRUE(filter_of("exporter", "192.0.2.7").exporter->covers(ip("192.0.2.7")));
  EXPECT_FALSE(filter_of("exporter", "192.0.2.7").exporter->covers(ip("192.0.2.8")));
  EXPECT_TRUE(filter_of("src", "192.0.2.0/24").source->covers(ip("192.0.2.255")));
  EXPECT_TRUE(filter_of("dst", "2001:db8::/32").destination->covers(ip("2001:db8:1::1")));
  EXPECT_FALSE(filter_of("dst", "2001:db8::/32").destination->covers(ip("2001:db9::")));
  EXPECT_TRUE(filter_of("net", "10.0.0.0/8").either->covers(ip("10.1.2.3")));
  EXPECT_EQ(filter_of("src_port", "53").source_port, 53);
  EXPECT_EQ(filter_of("dst_port", "65535").destination_port, 65535);
  EXPECT_EQ(filter_of("port", "0").either_port, 0);
  EXPECT_EQ(filter_of("in_if", "7").in_interface, 7u);
  EXPECT_EQ(filter_of("out_if", "4294967295").out_interface, 4294967295u);
  EXPECT_EQ(filter_of("if", "9").either_interface, 9u);
  EXPECT_EQ(filter_of("listener", "sflow").listener, ListenerId{1});
  for (const auto& [text, number] : std::vector<std::pair<std::string, uint16_t>>{
           {"6", 6}, {"tcp", 6}, {"TCP", 6}, {"udp", 17}, {"gre", 47}, {"ipv6-icmp", 58}, {"icmp6", 58}, {"ospf", 89}, {"255", 255}}) {
    EXPECT_EQ(filter_of("proto", text).protocol, number) << text;
  }
  for (const auto& [text, type] : std::vector<std::pair<std::string, FlowType>>{
           {"netflow_v5", FlowType::netflow_v5}, {"NETFLOW_V9", FlowType::netflow_v9}, {"ipfix", FlowType::ipfix},
           {"sflow", FlowType::sflow_5}, {"sflow_5", FlowType::sflow_5}}) {
    EXPECT_EQ(filter_of("type", text).type, type) << text;
  }
  const auto bounds = read({{"seconds", "3600"}, {"max", "1000000"}});
  ASSERT_TRUE(bounds);
  EXPECT_EQ(bounds->seconds, 3600u);
  EXPECT_EQ(bounds->flows_max, 1'000'000u);
}

TEST(LiveQuery, RefusesInWordsWhatItCannotRead) {
  const std::string prefix = "an address or a prefix", port = "a number from 0 to 65535";
  for (const auto& [name, value, why] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"exporter", "router1", prefix},
           {"src", "192.0.2.0/33", prefix},
           {"dst", "", prefix},
           {"net", "2001:db8::/129", prefix},
           {"port", "65536", port},
           {"src_port", "-1", port},
           {"dst_port", "80x", port},
           {"port", "https", port},
           {"in_if", "4294967296", "an interface's index"},
           {"proto", "256", "an IP protocol's number or its name"},
           {"proto", "banana", "an IP protocol's number or its name"},
           {"proto", "", "an IP protocol's number or its name"},
           {"type", "v9", "one of netflow_v1"},
           {"listener", "ipfix", "one of the listeners: netflow, sflow"},
           {"seconds", "0", "a number from 1 to 3600"},
           {"seconds", "3601", "a number from 1 to 3600"},
           {"max", "99999999999999999999", "a number from 1 to 1000000"},
           {"max", "0", "a number from 1 to 1000000"},
       }) {
    const auto query = read({{name, value}});
    ASSERT_FALSE(query) << name << "=" << value;
    EXPECT_THAT(query.error().message, HasSubstr(name + ": '" + value + "' is not " + why));
  }
  EXPECT_THAT(read({{"sorce", "192.0.2.1"}}).error().message,
              HasSubstr("there is no parameter 'sorce', only exporter, src, dst, net"));
}

}  // namespace
}  // namespace weir::control

// What applications are called by ports and addresses.
#include "enrich/applications.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/read_file.h"
#include "enrich/csv.h"

namespace weir::enrich {
namespace {

using testing::HasSubstr;

constexpr uint8_t kTcp = 6, kUdp = 17, kGre = 47, kSctp = 132;

std::string wire(const char* text) {
  const IpAddress a = *IpAddress::parse(text);
  return {reinterpret_cast<const char*>(a.wire_data()), a.wire_octets()};
}

class Applications : public ::testing::Test {
 protected:
  void read(const std::string& lines) {
    auto made = ApplicationTable::parse("name,protocol,ports,prefix\n" + lines, "a.csv");
    ASSERT_TRUE(made) << made.error().message;
    table_ = std::move(*made);
  }
  /// The same both ways.
  std::string ask(uint8_t protocol, const char* one, int one_port, const char* other, int other_port) {
    const std::string a = wire(one), b = wire(other);
    const FlowEnd first{a, static_cast<uint16_t>(one_port)}, second{b, static_cast<uint16_t>(other_port)};
    const std::string there(table_.find(protocol, first, second));
    EXPECT_EQ(there, table_.find(protocol, second, first)) << "an answer's packets are the same application's";
    return there;
  }
  std::string ask(uint8_t protocol, int one_port, int other_port) { return ask(protocol, "192.0.2.1", one_port, "198.51.100.1", other_port); }
  static std::string why_not(const std::string& text) {
    const auto made = ApplicationTable::parse(text, "a.csv");
    return made ? "" : made.error().message;
  }
  ApplicationTable table_;
};

TEST_F(Applications, TheLowerPortThatHasANameDecides) {
  read("https,tcp,443,\nhttp-alt,tcp,8080,\nquic,udp,443,\n");
  EXPECT_EQ(ask(kTcp, 51514, 443), "https");
  EXPECT_EQ(ask(kUdp, 51514, 443), "quic");
  EXPECT_EQ(ask(kTcp, 443, 8080), "https");
  EXPECT_EQ(ask(kTcp, 1025, 8080), "http-alt") << "a lower port without a name says nothing";
  EXPECT_EQ(ask(kTcp, 1025, 8081), "");
  EXPECT_EQ(ask(kSctp, 51514, 443), "");
  EXPECT_EQ(ask(kGre, 443, 443), "") << "what has no ports";
}

TEST_F(Applications, TheFirstOfLinesThatFitAlikeHolds) {
  read("first,tcp,7000-7010,\nsecond,,7000 7005 7020,\n");
  EXPECT_EQ(ask(kTcp, 7005, 50000), "first");
  EXPECT_EQ(ask(kUdp, 7005, 50000), "second");
  EXPECT_EQ(ask(kSctp, 7020, 50000), "second");
  EXPECT_EQ(ask(kTcp, 7010, 50000), "first");
  EXPECT_EQ(ask(kTcp, 7011, 50000), "");
}

TEST_F(Applications, PrefixesGoBeforePortsAndLongerOnesBeforeShorter) {
  read("https,tcp,443,\n"
       "branch,,,10.1.0.0/16\n"
       "payroll,tcp,8443 9443,10.0.0.0/8\n"
       "ssh-jump,tcp,22,10.1.2.0/24\n"
       "backup,,,2001:db8::7\n");
  EXPECT_EQ(ask(kTcp, "10.2.0.1", 8443, "192.0.2.1", 443), "payroll");
  EXPECT_EQ(ask(kTcp, "10.2.0.1", 8444, "192.0.2.1", 443), "https") << "the prefix's line is about other ports";
  EXPECT_EQ(ask(kTcp, "10.1.0.1", 8443, "192.0.2.1", 50000), "branch");
  EXPECT_EQ(ask(kTcp, "10.1.2.1", 22, "192.0.2.1", 50000), "ssh-jump");
  EXPECT_EQ(ask(kTcp, "10.1.2.1", 23, "192.0.2.1", 50000), "branch") << "what a prefix lies in is asked next";
  EXPECT_EQ(ask(kTcp, "10.2.0.1", 8443, "10.1.2.1", 22), "ssh-jump") << "of two ends the longer prefix";
  EXPECT_EQ(ask(kTcp, "10.3.0.1", 9443, "10.4.0.1", 8443), "payroll");
  EXPECT_EQ(ask(kGre, "10.1.0.1", 0, "192.0.2.1", 0), "branch") << "flows without ports have addresses";
  EXPECT_EQ(ask(kUdp, "2001:db8::7", 5000, "2001:db8::8", 6000), "backup");
  EXPECT_EQ(ask(kUdp, "2001:db8::6", 5000, "2001:db8::8", 6000), "");
}

TEST_F(Applications, TwoEndsThatFitAlikeAreDecidedByPortThenByLine) {
  read("a,,,192.0.2.0/24\nb,,,198.51.100.0/24\n");
  EXPECT_EQ(ask(kTcp, 2000, 1000), "b") << "the end with the lower port";
  EXPECT_EQ(ask(kTcp, 1000, 2000), "a");
  EXPECT_EQ(ask(kTcp, 1000, 1000), "a") << "the line higher up";
}

TEST_F(Applications, AProtocolAloneIsTheLastResort) {
  read("gre,gre,,\nospf,89,,\nany-tcp,tcp,,\nssh,tcp,22,\n");
  EXPECT_EQ(ask(kGre, 0, 0), "gre");
  EXPECT_EQ(ask(89, 0, 0), "ospf");
  EXPECT_EQ(ask(kTcp, 5000, 6000), "any-tcp");
  EXPECT_EQ(ask(kTcp, 22, 6000), "ssh");
}

TEST_F(Applications, MistakesAreSaidWithFileAndLine) {
  EXPECT_THAT(why_not(""), HasSubstr("a.csv: the first line is to be name,protocol,ports,prefix"));
  EXPECT_THAT(why_not("name,port\n"), HasSubstr("the first line"));
  const std::string heading = "name,protocol,ports,prefix\n";
  EXPECT_THAT(why_not(heading + "# a comment\n\nx,tcp,0,\n"), HasSubstr("a.csv:4: '0' are no ports"));
  for (const char* ports : {"65536", "a", "5-4", "-", "1-", "80;81", " "}) {
    EXPECT_THAT(why_not(heading + "x,tcp," + ports + ",\n"), HasSubstr("are no ports")) << ports;
  }
  EXPECT_THAT(why_not(heading + "x,tpc,80,\n"), HasSubstr("tpc is no protocol"));
  EXPECT_THAT(why_not(heading + "x,256,,\n"), HasSubstr("256 is no protocol"));
  EXPECT_THAT(why_not(heading + "x,gre,80,\n"), HasSubstr("gre has no ports"));
  EXPECT_THAT(why_not(heading + ",tcp,80,\n"), HasSubstr("a name has 1 to"));
  EXPECT_THAT(why_not(heading + "x,tcp,80,10.0.0.0/40\n"), HasSubstr("is no prefix"));
  EXPECT_THAT(why_not(heading + "x,,,\n"), HasSubstr("it needs a protocol, ports or a prefix"));
  EXPECT_THAT(why_not(heading + "x,tcp,80\n"), HasSubstr("3 columns"));
  EXPECT_THAT(why_not(heading + "\"x,tcp,80,\n"), HasSubstr("a.csv:2: a quote has no end"));
  std::string many = heading;
  for (size_t i = 0; i <= kRowsOfAddressMax; ++i) many += "x,tcp,80,10.0.0.0/8\n";
  EXPECT_THAT(why_not(many), HasSubstr("lines are about 10.0.0.0"));
}

/// Each line looked at for each flow.
std::string plainly(const std::vector<std::array<std::string, 4>>& lines, uint8_t protocol, const FlowEnd& one, const FlowEnd& other) {
  struct Found {
    int length = -2;
    int port = 0;
    size_t line = 0;
  };
  std::optional<Found> best;
  const auto end = [&](const FlowEnd& e) {
    const bool has_ports = protocol == kTcp || protocol == kUdp;
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto& [name, said, ports, prefix] = lines[i];
      if (!said.empty() && said != (protocol == kTcp ? "tcp" : protocol == kUdp ? "udp" : "gre")) continue;
      if (!ports.empty() && (!has_ports || std::stoi(ports) != e.port)) continue;
      int length = ports.empty() ? -1 : 0;  // without a prefix
      if (!prefix.empty()) {
        const Prefix p = *parse_prefix(prefix);
        const IpAddress a = IpAddress::from_v4(reinterpret_cast<const uint8_t*>(e.address.data()));
        bool under = true;
        for (unsigned bit = 0; bit < p.length; ++bit) under &= ((a.octets[bit / 8] ^ p.address.octets[bit / 8]) >> (7 - bit % 8) & 1) == 0;
        if (!under) continue;
        length = p.length;
      }
      const Found found{length, length == -1 ? 0 : e.port, i};
      const auto key = [](const Found& f) { return std::tuple(-f.length, f.port, f.line); };
      if (!best || key(found) < key(*best)) best = found;
    }
  };
  end(one);
  end(other);
  return best ? lines[best->line][0] : "";
}

TEST_F(Applications, AreWhatLookingAtEachLineWouldFind) {
  std::mt19937 random(7);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  for (int round = 0; round < 30; ++round) {
    std::vector<std::array<std::string, 4>> lines;
    std::string text;
    for (unsigned i = 0, n = 1 + pick(30); i < n; ++i) {
      const char* const protocols[] = {"", "tcp", "udp", "gre"};
      std::array<std::string, 4> line = {"n" + std::to_string(i), protocols[pick(4)], "", ""};
      if (line[1] != "gre" && pick(3) != 0) line[2] = std::to_string(1 + pick(6));
      if (pick(2) == 0) line[3] = "10.0.0." + std::to_string(pick(16)) + "/" + std::to_string(24 + pick(9));
      if (line[1].empty() && line[2].empty() && line[3].empty()) line[1] = "tcp";
      text += line[0] + "," + line[1] + "," + line[2] + "," + line[3] + "\n";
      lines.push_back(line);
    }
    read(text);
    for (int i = 0; i < 500; ++i) {
      const std::string a = {10, 0, 0, static_cast<char>(pick(20))}, b = {10, 0, 0, static_cast<char>(pick(20))};
      const uint8_t protocol = std::array<uint8_t, 3>{kTcp, kUdp, kGre}[pick(3)];
      const FlowEnd one{a, static_cast<uint16_t>(protocol == kGre ? 0 : 1 + pick(8))}, other{b, static_cast<uint16_t>(protocol == kGre ? 0 : 1 + pick(8))};
      EXPECT_EQ(table_.find(protocol, one, other), plainly(lines, protocol, one, other)) << text << int{protocol} << " " << one.port << " " << other.port;
    }
  }
}

/// Each port is taken once: entered line by line these would be 65 thousand million.
TEST_F(Applications, LinesAboutTheSamePortsTakeNoTime) {
  std::string all;
  for (int i = 0; i < 100; ++i) all += "1-65535 ";
  std::string lines = "ssh,,22,\nhigh,tcp,1000-65535,\n";
  for (int i = 0; i < 2000; ++i) lines += "any" + std::to_string(i) + ",," + all + ",\n";
  read(lines);
  EXPECT_EQ(ask(kTcp, 22, 60000), "ssh");
  EXPECT_EQ(ask(kTcp, 1000, 60000), "high");
  EXPECT_EQ(ask(kTcp, 999, 60000), "any0");
  EXPECT_EQ(ask(kUdp, 65535, 65535), "any0");
}

TEST_F(Applications, OurOwnTableIsRead) {
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  ASSERT_NE(root, nullptr);
  const auto text = read_file(std::string(root) + "/conf/applications.csv", kApplicationsOctetsMax);
  ASSERT_TRUE(text) << text.error().message;
  auto made = ApplicationTable::parse(*text, "applications.csv");
  ASSERT_TRUE(made) << made.error().message;
  table_ = std::move(*made);
  EXPECT_GT(table_.rows(), 130u);
  EXPECT_EQ(ask(kTcp, 443, 50123), "https");
  EXPECT_EQ(ask(kUdp, 443, 50123), "quic");
  EXPECT_EQ(ask(kUdp, 53, 53), "dns");
  EXPECT_EQ(ask(kTcp, 5432, 61000), "postgresql");
  EXPECT_EQ(ask(kSctp, 38412, 38412), "ngap");
  EXPECT_EQ(ask(50, 0, 0), "ipsec-esp");
}

}  // namespace
}  // namespace weir::enrich

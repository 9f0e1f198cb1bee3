// `weir generate` as its users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace weir {
namespace {

using test::built;
using test::Outcome;
using test::run_program;
using testing::HasSubstr;

Outcome generate(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {built("weir"), "generate"});
  return run_program(arguments);
}

class Generate : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(Generate, WritesRecordsThatTsharkCountsAlike) {
  if (run_program({"tshark", "--version"}).status != 0) {
    GTEST_SKIP() << "tshark is not installed (Debian package tshark)";
  }
  for (const std::string protocol : {"v5", "v9", "ipfix"}) {
    SCOPED_TRACE(protocol);
    const std::string file = folder_ / protocol + ".pcap";
    const Outcome made = generate({"--pcap", file, "--protocol", protocol, "--count", "300",
                                   "--exporters", "3", "--sampling", "100", "--json"});
    ASSERT_EQ(made.status, 0) << made.err;
    const auto report = nlohmann::json::parse(made.out);
    // One value of the field for each record with a protocol, which are the flows.
    const Outcome seen = run_program({"tshark", "-r", file, "-d", "udp.port==2055,cflow", "-T",
                                      "fields", "-E", "occurrence=a", "-e", "cflow.protocol"});
    ASSERT_EQ(seen.status, 0) << seen.err;
    uint64_t records = 0;
    for (const std::string& line : test::lines_of(seen.out)) {
      if (!line.empty())
        records += 1 + static_cast<uint64_t>(std::count(line.begin(), line.end(), ','));
    }
    EXPECT_EQ(records, report["records"]);
    const Outcome wrong = run_program(
        {"tshark", "-r", file, "-d", "udp.port==2055,cflow", "-Y",
         "_ws.malformed || _ws.expert.severity >= \"Warning\" || cflow.unexpected_sequence_number"});
    EXPECT_EQ(wrong.status, 0) << wrong.err;  // a filter that it does not understand finds nothing either
    EXPECT_EQ(wrong.out, "");
  }
}

TEST_F(Generate, MakesTheSameFileFromTheSameSeedAndStart) {
  const auto make = [&](const std::string& name, const std::string& seed) {
    const Outcome made = generate({"--pcap", folder_ / name, "--protocol", "ipfix", "--count", "20",
                                   "--seed", seed, "--start", "1767225600"});
    EXPECT_EQ(made.status, 0) << made.err;
    return test::contents_of(folder_ / name);
  };
  const std::string first = make("a", "7");
  EXPECT_GT(first.size(), 20'000u);
  EXPECT_TRUE(first == make("b", "7"));
  EXPECT_FALSE(first == make("c", "8"));
}

// A collector that went on by the old order would read other values.
TEST_F(Generate, ChangesTemplatesAndTellsTheSameFlows) {
  for (const std::string protocol : {"v9", "ipfix"}) {
    SCOPED_TRACE(protocol);
    const auto make = [&](const std::string& name, std::vector<std::string> more) {
      std::vector<std::string> arguments = {"--pcap", folder_ / name, "--protocol", protocol, "--count", "40", "--seed", "7", "--start",
                                            "1767225600", "--template-refresh", "5"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const Outcome made = generate(arguments);
      EXPECT_EQ(made.status, 0) << made.err;
      const Outcome read = run_program({built("weir"), "decode", "--format", "json", folder_ / name});
      EXPECT_EQ(read.status, 0) << read.err;
      return read.out;
    };
    const std::string same = make("same", {});
    const std::string changed = make("changed", {"--template-changes"});
    EXPECT_GT(test::lines_of(same).size(), 400u);
    EXPECT_TRUE(same == changed);
    EXPECT_FALSE(test::contents_of(folder_ / "same") == test::contents_of(folder_ / "changed"));
  }
}

TEST_F(Generate, SaysOnStandardErrorWhatItSent) {
  const Outcome made = generate({"--pcap", folder_ / "x", "--count", "5", "--flows", "3"});
  EXPECT_EQ(made.status, 0);
  EXPECT_EQ(made.out, "");
  EXPECT_THAT(made.err, HasSubstr("5 datagrams"));
  EXPECT_THAT(made.err, HasSubstr("15 records"));
  EXPECT_THAT(made.err, HasSubstr("840 octets"));
}

TEST_F(Generate, RefusesWhatCannotBe) {
  const struct {
    std::vector<std::string> arguments;
    int status;
    std::string says;
  } cases[] = {
      {{}, 2, "--to HOST:PORT"},
      {{"--to", "127.0.0.1:2055", "--protocol", "v4"}, 2, "v4"},
      {{"--pcap", "/dev/null", "--flows", "31"}, 2, "at most 30"},
      {{"--pcap", "/dev/null", "--flows", "0"}, 2, "--flows"},
      {{"--pcap", "/dev/null", "--sampling", "16384"}, 2, "16383"},
      {{"--pcap", "/dev/null", "--count", "-1"}, 2, "--count"},
      {{"--pcap", "-", "--json"}, 2, "standard output"},
      {{"--pcap", "/dev/null", "--with", "bgp"}, 2, "--with bgp: v5 cannot say it, but v9, ipfix and sflow"},
      {{"--pcap", "/dev/null", "--protocol", "v9", "--with", "nat,variable"}, 2, "v9 cannot say it, but ipfix"},
      {{"--pcap", "/dev/null", "--protocol", "ipfix", "--with", "tunnels"}, 2, "ipfix cannot say it, but sflow"},
      {{"--pcap", "/dev/null", "--protocol", "ipfix", "--with", "everything"}, 2, "everything"},
      {{"--pcap", "/dev/null", "--protocol", "v9", "--with", "samplers", "--sampling", "125000001"}, 2, "at most 125000000"},
      {{"--pcap", "/dev/null", "--to", "localhost:2055"}, 2, "ADDRESS:PORT"},
      {{"--pcap", "/dev/null", "--template-changes"}, 2, "--template-changes: v5 has no templates"},
      {{"--to", "127.0.0.1:4739", "--tcp", "--protocol", "ipfix", "--template-changes"}, 2, "stay as they are"},
      {{"--to", "nonsense"}, 1, "HOST:PORT"},
      {{"--to", "127.0.0.1:99999"}, 1, "port 99999 is not allowed; allowed: 1 to 65535"},
      {{"--to", "127.0.0.1:0"}, 1, "port 0 is not allowed"},
      {{"--to", "[::1]:-1"}, 1, "port -1 is not allowed"},
      {{"--pcap", "/dev/null", "--to", "192.0.2.1:0"}, 2, "the port from 1 to 65535"},
      {{"--to", "127.0.0.1:2055", "--duration", "0"}, 2, "--duration"},
      {{"--to", "127.0.0.1:2055", "--duration", "nan"}, 2, "--duration"},
      {{"--pcap", "/no/such/folder/x.pcap"}, 1, "No such file"},
      {{"--pcap", "/dev/full"}, 1, "No space left"},
  };
  for (const auto& c : cases) {
    const Outcome refused = generate(c.arguments);
    EXPECT_EQ(refused.status, c.status) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(c.says));
  }
}

TEST_F(Generate, EndsWithFailureWhereNothingListens) {
  // Port 9 (discard) of an address nobody binds.
  const Outcome refused = generate({"--to", "127.255.254.253:9", "--count", "2"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("nothing listens"));
}

TEST_F(Generate, TeachesByExample) {
  const Outcome help = generate({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out,
              HasSubstr("weir generate --to 127.0.0.1:2055 --protocol v5 --count 5 --flows 3"));
}

}  // namespace
}  // namespace weir

// `weir decode` as its users run it: on generated captures, on damaged ones, on real ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/clock.h"
#include "flow.pb.h"
#include "lab/capture_file.h"
#include "lab/exporter_model.h"
#include "lab/frame_builder.h"
#include "support/captures.h"
#include "lab/sflow_builder.h"
#include "support/program.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::built;
using test::lines_of;
using test::Outcome;
using test::run_program;
using testing::HasSubstr;
using testing::Not;

Outcome decode(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {built("weir"), "decode"});
  return run_program(arguments);
}

/// The total of a row of the summary; 0 where there is no such row.
uint64_t summary(const Outcome& outcome, const std::string& row) {
  for (const std::string& line : lines_of(outcome.err)) {
    std::istringstream in(line);
    std::string name;
    uint64_t total = 0;
    if (in >> name >> total && name == row) return total;
  }
  return 0;
}

class Decode : public testing::Test {
 protected:
  std::string generated(const std::string& protocol, const std::string& count) {
    const std::string file = folder_ / (protocol + ".pcap");
    const Outcome made =
        run_program({built("weir"), "generate", "--pcap", file, "--protocol", protocol, "--count",
                     count, "--exporters", "2", "--sampling", "100", "--json"});
    EXPECT_EQ(made.status, 0) << made.err;
    generated_records_ = json::parse(made.out)["records"];
    return file;
  }
  std::string capture_of(const std::vector<lab::Octets>& frames,
                         packet::LinkType link = packet::LinkType::ethernet) {
    const std::string file = folder_ / "built.pcap";
    auto writer = lab::CaptureWriter::create(file, link);
    uint64_t time_ns = 1'700'000'000 * kNsPerSec;
    for (const lab::Octets& f : frames) EXPECT_TRUE(writer->write(f, time_ns++));
    EXPECT_TRUE(writer->close());
    return file;
  }

  test::TemporaryFolder folder_;
  uint64_t generated_records_ = 0;
};

const lab::UdpEnds kEnds = {"192.0.2.1", "198.51.100.1", 50000, 2055};

lab::Octets v5_of_three() {
  return lab::NetflowV5Builder{}
      .uptime_ms(1000)
      .unix_time(1'700'000'000)
      .record({})
      .record({})
      .record({})
      .build();
}

TEST_F(Decode, PrintsARecordALine) {
  for (const std::string protocol : {"v5", "v9", "ipfix"}) {
    SCOPED_TRACE(protocol);
    const std::string file = generated(protocol, "50");
    const Outcome decoded = decode({file});
    EXPECT_EQ(decoded.status, 0) << decoded.err;
    const std::vector<std::string> lines = lines_of(decoded.out);
    EXPECT_EQ(lines.size(), generated_records_);
    EXPECT_EQ(summary(decoded, "records"), generated_records_);
    const std::string type = protocol == "v5"   ? "NETFLOW_V5"
                             : protocol == "v9" ? "NETFLOW_V9"
                                                : "IPFIX";
    for (const std::string& line : lines) {
      const json flow = json::parse(line);
      ASSERT_EQ(flow["type"], type);
      ASSERT_EQ(flow["sampling_rate"], 100);
    }
  }
}

TEST_F(Decode, PrintsWhatWasOnTheWire) {
  const std::string file =
      capture_of({lab::udp_frame(kEnds, lab::NetflowV5Builder{}
                                            .uptime_ms(10'000)
                                            .unix_time(1'700'000'000)
                                            .sequence(77)
                                            .record({.src_addr = "192.0.2.10",
                                                     .dst_addr = "198.51.100.20",
                                                     .next_hop = "203.0.113.1",
                                                     .in_if = 3,
                                                     .out_if = 4,
                                                     .packets = 5,
                                                     .octets = 600,
                                                     .first_ms = 8'000,
                                                     .last_ms = 9'500,
                                                     .src_port = 1234,
                                                     .dst_port = 443,
                                                     .tcp_flags = 0x1b,
                                                     .proto = 6,
                                                     .src_as = 64500,
                                                     .dst_as = 64501,
                                                     .src_mask = 24,
                                                     .dst_mask = 16})
                                            .build())});
  const Outcome decoded = decode({file});
  ASSERT_EQ(decoded.status, 0) << decoded.err;
  const json flow = json::parse(decoded.out);
  EXPECT_EQ(flow["time_received_ns"], 1'700'000'000 * kNsPerSec);
  EXPECT_EQ(flow["sampler_address"], "192.0.2.1");
  EXPECT_EQ(flow["sequence_num"], 77);
  EXPECT_EQ(flow["src_addr"], "192.0.2.10");
  EXPECT_EQ(flow["dst_addr"], "198.51.100.20");
  EXPECT_EQ(flow["next_hop"], "203.0.113.1");
  EXPECT_EQ(flow["src_port"], 1234);
  EXPECT_EQ(flow["dst_port"], 443);
  EXPECT_EQ(flow["bytes"], 600);
  EXPECT_EQ(flow["packets"], 5);
  EXPECT_EQ(flow["proto"], "TCP");
  EXPECT_EQ(flow["in_if"], 3);
  EXPECT_EQ(flow["out_if"], 4);
  EXPECT_EQ(flow["time_flow_start_ns"], 1'699'999'998 * kNsPerSec);
  EXPECT_EQ(flow["time_flow_end_ns"], 1'699'999'999 * kNsPerSec + 500 * kNsPerMs);
}

TEST_F(Decode, PrintsWhatSflowTellsBesideFlowsInLinesOfTheirOwn) {
  const lab::Octets datagram =
      lab::SflowBuilder{}
          .counters({.source_index = 7, .blocks = {{1002, lab::sflow::words({1, 2, 3})}}})
          .discard({.reason = 258})
          .flow({.sampling_rate = 10})
          .build();
  const std::string file = capture_of({lab::udp_frame(kEnds, datagram)});
  const Outcome decoded = decode({file});
  EXPECT_EQ(decoded.status, 0) << decoded.err;
  const std::vector<std::string> lines = lines_of(decoded.out);
  ASSERT_EQ(lines.size(), 3u);
  std::map<std::string, json> by_kind;
  for (const std::string& line : lines) {
    const json record = json::parse(line);
    by_kind[record.value("kind", "flow")] = record;
  }
  EXPECT_EQ(by_kind["sflow_counters"]["source_index"], 7);
  EXPECT_EQ(by_kind["sflow_counters"]["radio"]["on_channel_time"], 2);
  EXPECT_EQ(by_kind["sflow_discard"]["reason"], "DROP_ACL");
  EXPECT_EQ(by_kind["flow"]["sampling_rate"], 10);
  EXPECT_THAT(decoded.err, HasSubstr("counter_records 1, discard_records 1"));
  EXPECT_EQ(summary(decoded, "records"), 1u);

  flowpb::FlowBatch batch;
  EXPECT_TRUE(batch.ParseFromString(decode({"--format", "protobuf", file}).out));
  EXPECT_EQ(batch.flows_size(), 1) << "a FlowBatch has room for flows only";

  const std::vector<std::string> events = lines_of(decode({"--format", "ocsf", file}).out);
  ASSERT_EQ(events.size(), 2u) << "of the flow and of the discarded packet; counters are no network activity";
  const bool is_first = json::parse(events[0]).contains("status_code");
  const json refused = json::parse(events[is_first ? 0 : 1]), passed = json::parse(events[is_first ? 1 : 0]);
  EXPECT_EQ(refused["activity_name"], "Refuse");
  EXPECT_EQ(refused["disposition"], "Blocked");
  EXPECT_EQ(refused["status_code"], "258");
  EXPECT_EQ(refused["status_detail"], "DROP_ACL");
  EXPECT_FALSE(passed.contains("status_code"));
  EXPECT_EQ(passed["activity_name"], "Traffic");
}

TEST_F(Decode, PrintsATable) {
  const Outcome decoded = decode({"--format", "table", generated("v9", "10")});
  EXPECT_EQ(decoded.status, 0);
  EXPECT_EQ(lines_of(decoded.out).size(), generated_records_ + 1);
  EXPECT_THAT(lines_of(decoded.out)[0], HasSubstr("SOURCE"));
}

TEST_F(Decode, PrintsAnEventALine) {
  const Outcome decoded = decode({"--format", "ocsf", generated("ipfix", "20")});
  EXPECT_EQ(decoded.status, 0) << decoded.err;
  const std::vector<std::string> lines = lines_of(decoded.out);
  EXPECT_EQ(lines.size(), generated_records_);
  for (const std::string& line : lines) {
    const json event = json::parse(line);
    ASSERT_EQ(event["type_uid"], 400106);
    ASSERT_EQ(event["unmapped"]["sampling_rate"], 100);
    ASSERT_TRUE(event["src_endpoint"].contains("ip"));
  }
}

TEST_F(Decode, GoesByRules) {
  const std::string file = generated("v5", "40");
  const std::string rules = folder_ / "rules.yaml";
  test::write_file(rules,
                   "version: 1\n"
                   "rules:\n"
                   "  - {id: no-udp, when: proto == 17, then: {drop: true}}\n"
                   "  - {id: tcp, when: proto == 6, then: {set: {app_name: \"'t'\"}, labels: [tcp]}}\n");
  const Outcome decoded = decode({"--format", "ocsf", "--rules", rules, file});
  EXPECT_EQ(decoded.status, 0) << decoded.err;
  size_t tcp = 0;
  for (const std::string& line : lines_of(decoded.out)) {
    const json event = json::parse(line);
    ASSERT_NE(event["connection_info"]["protocol_num"], 17);
    ASSERT_EQ(event.value("app_name", ""), event["connection_info"]["protocol_num"] == 6 ? "t" : "");
    tcp += event["metadata"].contains("labels");
  }
  EXPECT_GT(tcp, 0u);
  EXPECT_EQ(lines_of(decoded.out).size() + summary(decoded, "dropped"), generated_records_);
  EXPECT_GT(summary(decoded, "dropped"), 0u);
  EXPECT_THAT(decoded.err, HasSubstr("no-udp"));

  EXPECT_EQ(decode({"--rules", rules, file}).status, 2) << "only events go by rules";
  test::write_file(rules, "version: 1\nrules:\n  - {id: a, when: porto == 1, then: {drop: true}}\n");
  const Outcome wrong = decode({"--format", "ocsf", "--rules", rules, file});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("rules.yaml:3:19: rule a: when: there is no field porto; is it proto?"));
}

TEST_F(Decode, WritesOneBatchThatProtobufReads) {
  const Outcome decoded = decode({"--format", "protobuf", generated("ipfix", "50")});
  EXPECT_EQ(decoded.status, 0);
  flowpb::FlowBatch batch;
  ASSERT_TRUE(batch.ParseFromString(decoded.out));
  EXPECT_EQ(static_cast<uint64_t>(batch.flows_size()), generated_records_);
}

TEST_F(Decode, KeepsTemplatesFromOneFileToTheNext) {
  const auto datagram = [](const lab::Octets& payload) { return lab::udp_frame(kEnds, payload); };
  const std::string templates = capture_of({datagram(
      lab::NetflowV9Builder{}.templates({{.id = 256, .fields = {{8, 4}, {12, 4}}}}).build())});
  fs::rename(templates, folder_ / "first.pcap");
  const std::string data =
      capture_of({datagram(lab::NetflowV9Builder{}
                               .sequence(1)
                               .data(256, {{lab::ipv4("192.0.2.1"), lab::ipv4("192.0.2.2")}})
                               .build())});
  EXPECT_EQ(lines_of(decode({folder_ / "first.pcap", data}).out).size(), 1u);
  EXPECT_EQ(lines_of(decode({data, folder_ / "first.pcap"}).out).size(), 1u) << "it waited";
  const Outcome alone = decode({data});
  EXPECT_EQ(alone.out, "");
  EXPECT_EQ(alone.status, 0);
  EXPECT_THAT(alone.err, HasSubstr("waiting_for_template 1"));
}

TEST_F(Decode, TakesExportsOnAnyPortAndLeavesTheRest) {
  const lab::UdpEnds dns = {"192.0.2.1", "198.51.100.1", 50000, 53};
  const lab::UdpEnds odd = {"192.0.2.1", "198.51.100.1", 50000, 12345};
  const std::string file = capture_of({
      lab::udp_frame(dns, lab::text("what is the address of that name?")),
      lab::udp_frame(odd, v5_of_three()),
      lab::udp_frame(kEnds, lab::text("on an export port, but no export")),
      lab::ethernet(lab::kEtherTypeArp, lab::zeros(28)),
  });
  const Outcome decoded = decode({file});
  EXPECT_EQ(decoded.status, 0);
  EXPECT_EQ(lines_of(decoded.out).size(), 3u);
  EXPECT_THAT(decoded.err, HasSubstr("udp 3, not_ip 1"));
  EXPECT_THAT(decoded.err, HasSubstr("1  UDP datagrams are no exports"));
  EXPECT_THAT(decoded.err, HasSubstr("rejected: unknown_version 1"));

  EXPECT_EQ(lines_of(decode({"--port", "12345", file}).out).size(), 3u);
  EXPECT_EQ(decode({"--port", "2055", "--port", "53", file}).out, "");
}

TEST_F(Decode, LeavesOutWrongChecksumsWhenAsked) {
  const lab::Octets right = lab::udp_frame(kEnds, v5_of_three());
  const lab::Octets wrong =
      lab::ethernet(lab::kEtherTypeIpv4,
                    lab::ipv4_packet({.src = kEnds.src, .dst = kEnds.dst},
                                     lab::udp_segment(kEnds, v5_of_three(), {.checksum = 7})));
  const std::string file = capture_of({right, wrong});
  EXPECT_EQ(lines_of(decode({file}).out).size(), 6u);
  const Outcome verified = decode({"--verify-checksums", file});
  EXPECT_EQ(lines_of(verified.out).size(), 3u);
  EXPECT_THAT(verified.err, HasSubstr("bad_udp_checksum 1"));
}

TEST_F(Decode, PutsFragmentsTogether) {
  const lab::UdpEnds ends6 = {"2001:db8::1", "2001:db8::2", 50000, 2055};
  std::vector<lab::Octets> packets;
  for (const lab::UdpEnds& ends : {kEnds, ends6}) {
    for (const auto& p : lab::fragment_packets(ends, 7, lab::udp_segment(ends, v5_of_three()), 64))
      packets.push_back(p);
  }
  const size_t complete = packets.size();
  packets.push_back(lab::fragment_packets(kEnds, 8, lab::udp_segment(kEnds, v5_of_three()), 64)[0]);
  const Outcome decoded = decode({capture_of(packets, packet::LinkType::raw_ip)});
  EXPECT_EQ(decoded.status, 0) << decoded.err;
  EXPECT_EQ(lines_of(decoded.out).size(), 6u);
  EXPECT_THAT(decoded.err, HasSubstr("fragment " + std::to_string(complete + 1)));
  EXPECT_THAT(decoded.err, HasSubstr("joined " + std::to_string(complete) + ", expired 1"));
  EXPECT_THAT(decoded.err, HasSubstr("datagrams made of them: udp 2"));
}

TEST_F(Decode, CountsTheFragmentsOfADamagedFileAndJoinsNoneAcrossFiles) {
  const auto pieces = lab::fragment_packets(kEnds, 7, lab::udp_segment(kEnds, v5_of_three()), 64);
  const std::string first = folder_ / "first.pcap";
  std::filesystem::copy_file(capture_of({pieces.begin(), pieces.end() - 1}, packet::LinkType::raw_ip), first);
  test::write_file(first, test::contents_of(first) + "cut");
  const std::string second = capture_of({pieces.back()}, packet::LinkType::raw_ip);
  const Outcome decoded = decode({first, second});
  EXPECT_EQ(lines_of(decoded.out).size(), 0u);
  EXPECT_THAT(decoded.err, HasSubstr("expired " + std::to_string(pieces.size())));
}

TEST_F(Decode, ReadsPayloadsBackToBack) {
  lab::ExporterModel model({.protocol = lab::ExportProtocol::netflow_v9,
                            .flows = 7,
                            .start_ns = 1'700'000'000 * kNsPerSec});
  std::string raw;
  for (int i = 0; i < 11; ++i) {
    lab::ExportDatagram d;
    model.next(1'700'000'000 * kNsPerSec, d);
    raw.append(d.octets.begin(), d.octets.end());
  }
  test::write_file(folder_ / "x.dat", raw);
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--raw", folder_ / "x.dat"}, {folder_ / "x.dat"}}) {
    const Outcome decoded = decode(how);
    EXPECT_EQ(decoded.status, 0) << decoded.err;
    EXPECT_EQ(lines_of(decoded.out).size(), 70u);
    EXPECT_THAT(decoded.err, Not(HasSubstr("packets"))) << "there are none around them";
  }
  test::write_file(folder_ / "y.dat", "something else " + raw);
  const Outcome other = decode({folder_ / "y.dat"});
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("--raw"));
}

TEST_F(Decode, ReadsIpfixFiles) {
  lab::ExporterModel model(
      {.protocol = lab::ExportProtocol::ipfix, .flows = 7, .start_ns = 1'700'000'000 * kNsPerSec});
  std::string file;
  for (int i = 0; i < 300; ++i) {
    lab::ExportDatagram d;
    model.next((1'700'000'000 + static_cast<uint64_t>(i)) * kNsPerSec, d);
    file.append(d.octets.begin(), d.octets.end());
  }
  test::write_file(folder_ / "x.ipfix", file);
  const Outcome decoded = decode({folder_ / "x.ipfix"});
  EXPECT_EQ(decoded.status, 0) << decoded.err;
  EXPECT_EQ(summary(decoded, "datagrams"), 300u);
  const std::vector<std::string> lines = lines_of(decoded.out);
  EXPECT_EQ(lines.size(), summary(decoded, "records"));
  EXPECT_GE(lines.size(), 2000u);
  // Nobody received it: the export time is the time that it came.
  EXPECT_EQ(json::parse(lines.back())["time_received_ns"], 1'700'000'299 * kNsPerSec);

  test::write_file(folder_ / "cut.ipfix", file.substr(0, file.size() - 5));
  const Outcome cut = decode({folder_ / "cut.ipfix"});
  EXPECT_LT(lines_of(cut.out).size(), lines.size());
  EXPECT_GE(lines_of(cut.out).size(), lines.size() - 7) << "only the last set is gone";
  EXPECT_THAT(cut.err, HasSubstr("skipped_bad_length 1"));
}

TEST_F(Decode, OfATruncatedFilePrintsWhatIsWhole) {
  const std::string whole = test::contents_of(generated("v9", "12"));
  const uint64_t all = generated_records_;
  uint64_t before = 0;
  for (size_t length = 0; length < whole.size(); length += 97) {
    SCOPED_TRACE(length);
    test::write_file(folder_ / "cut.pcap", whole.substr(0, length));
    const Outcome decoded = decode({folder_ / "cut.pcap"});
    const uint64_t records = lines_of(decoded.out).size();
    EXPECT_GE(records, before) << "more of the file is never fewer records";
    EXPECT_LE(records, all);
    before = records;
    // Between two packets a file may end.
    if (decoded.status != 0 || decoded.err.find("cut.pcap") != std::string::npos) {
      EXPECT_EQ(decoded.status, 1);
      EXPECT_THAT(decoded.err, HasSubstr("cut.pcap"));
    }
    if (length < 24) {
      EXPECT_EQ(decoded.status, 1);
    }
  }
  EXPECT_GT(before, all / 2);
}

TEST_F(Decode, SurvivesDamageAnywhere) {
  std::string octets = test::contents_of(generated("ipfix", "3"));
  lab::Random random(5);
  for (int round = 0; round < 150; ++round) {
    std::string damaged = octets;
    for (int i = 0; i < 8; ++i) {
      damaged[random.below(static_cast<uint32_t>(damaged.size()))] =
          static_cast<char>(random.next());
    }
    test::write_file(folder_ / "damaged.pcap", damaged);
    const Outcome decoded = decode({folder_ / "damaged.pcap"});
    ASSERT_TRUE(decoded.status == 0 || decoded.status == 1) << decoded.status << decoded.err;
    for (const std::string& line : lines_of(decoded.out)) ASSERT_TRUE(json::accept(line)) << line;
  }
}

TEST_F(Decode, GoesOnWithTheNextFileAndFails) {
  const std::string good = generated("v5", "4");
  test::write_file(folder_ / "garbage", std::string(1000, 'x'));
  const Outcome decoded = decode({folder_ / "absent.pcap", folder_ / "garbage", good});
  EXPECT_EQ(decoded.status, 1);
  EXPECT_EQ(lines_of(decoded.out).size(), generated_records_);
  EXPECT_THAT(decoded.err, HasSubstr("absent.pcap: No such file"));
  EXPECT_THAT(decoded.err, HasSubstr("garbage: unknown file format"));
}

TEST_F(Decode, EndsQuietlyWhenItsReaderLeaves) {
  const std::string file = generated("v5", "4000");  // many times what a pipe holds
  const Outcome piped =
      run_program({"sh", "-c", "{ \"$0\" decode \"$1\"; echo \"status $?\" >&2; } | head -n 1",
                   built("weir"), file});
  EXPECT_EQ(lines_of(piped.out).size(), 1u);
  EXPECT_EQ(piped.err, "status 0\n");
}

TEST_F(Decode, WaitsForAReaderWhosePipeDoesNotBlock) {
  const std::string file = generated("v5", "400");  // several times what a pipe holds
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    execl(built("weir").c_str(), "weir", "decode", file.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // it fills the pipe
  std::string out;
  char some[4096];
  for (ssize_t n = 0; (n = read(ends[0], some, sizeof some)) > 0;) out.append(some, static_cast<size_t>(n));
  close(ends[0]);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(lines_of(out).size(), generated_records_);
}

TEST_F(Decode, OfStandardInputPrintsAtOnce) {
  // The capture stays open until the first record was seen; a record that waits for more of it is
  // seen by the timeout.
  const Outcome live = run_program(
      {"sh", "-c",
       "mkfifo \"$2\"; { cat \"$1\"; timeout 30 cat \"$2\" > /dev/null; echo waited $? >&2; }"
       " | \"$0\" decode - 2> /dev/null"
       " | { head -n 1; timeout 5 sh -c 'echo go > \"$0\"' \"$2\"; cat > /dev/null; }",
       built("weir"), capture_of({lab::udp_frame(kEnds, v5_of_three())}), folder_ / "fifo"});
  EXPECT_EQ(lines_of(live.out).size(), 1u);
  EXPECT_EQ(live.err, "waited 0\n");
}

TEST_F(Decode, SaysWhenItsOutputIsFull) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const Outcome full = run_program(
      {"sh", "-c", "\"$0\" decode \"$1\" > /dev/full", built("weir"), generated("v5", "4")});
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("standard output: No space left"));
}

TEST_F(Decode, RefusesAWrongCommandLine) {
  EXPECT_EQ(decode({}).status, 2);
  EXPECT_EQ(decode({"--format", "xml", "x.pcap"}).status, 2);
  EXPECT_EQ(decode({"--port", "0", "x.pcap"}).status, 2);
  EXPECT_EQ(decode({"--port", "65536", "x.pcap"}).status, 2);
  EXPECT_EQ(decode({"--help"}).status, 0);
}

// ---- Captures that nobody here wrote -----------------------------------------------------------

/// Files of NetFlow and IPFIX and nothing else.
std::vector<test::CaptureFile> netflow_captures() {
  std::vector<test::CaptureFile> rows = test::read_captures_index();
  std::erase_if(rows, [](const test::CaptureFile& c) {
    return c.kind == "traffic" || c.has("sFlow") || c.has("NFv6") ||
           !(c.has("NFv") || c.has("IPFIX"));
  });
  return rows;
}

/// Where fewer or more records are right, and why.
const std::map<std::string, std::pair<uint64_t, std::string>>& known_differences() {
  static const std::map<std::string, std::pair<uint64_t, std::string>> kDifferences = {
      {"generated-third-party/softflowd-ipfix-tcp.pcap", {0, "IPFIX over TCP"}},
  };
  return kDifferences;
}

TEST(DecodeCaptures, FindsTheRecordsThatTheIndexSays) {
  const std::vector<test::CaptureFile> index = netflow_captures();
  if (index.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  size_t files = 0;
  uint64_t records = 0;
  for (const test::CaptureFile& row : index) {
    SCOPED_TRACE(row.name);
    const Outcome decoded = decode({"--format", "protobuf", row.path()});
    EXPECT_EQ(decoded.status, 0) << decoded.err;
    uint64_t expected = row.data_records;
    if (const auto known = known_differences().find(row.name); known != known_differences().end()) {
      expected = known->second.first;
    }
    EXPECT_EQ(summary(decoded, "records"), expected) << row.protocols << "\n" << decoded.err;
    flowpb::FlowBatch batch;
    EXPECT_TRUE(batch.ParseFromString(decoded.out));
    EXPECT_EQ(static_cast<uint64_t>(batch.flows_size()), expected);
    ++files;
    records += expected;
  }
  std::cout << files << " files, " << records << " records\n";
}

TEST(DecodeCaptures, PrintsLinesOfJsonForEachOfThem) {
  const std::vector<test::CaptureFile> index = netflow_captures();
  if (index.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  for (const test::CaptureFile& row : index) {
    if (row.data_records > 2000) continue;  // a line each is slow in a sanitizer
    SCOPED_TRACE(row.name);
    const Outcome decoded = decode({row.path()});
    const std::vector<std::string> lines = lines_of(decoded.out);
    EXPECT_EQ(lines.size(), summary(decoded, "records") + summary(decoded, "sflow"));
    for (const std::string& line : lines) ASSERT_TRUE(json::accept(line)) << line;
  }
}

TEST(DecodeCaptures, WalksTrafficThatIsNoExport) {
  const std::vector<test::CaptureFile> index = test::read_captures_index();
  if (index.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  size_t files = 0;
  for (const test::CaptureFile& row : index) {
    if (row.kind != "traffic") continue;
    SCOPED_TRACE(row.name);
    const Outcome decoded = decode({row.path()});
    EXPECT_LE(decoded.status, 1) << decoded.err;
    if (decoded.status == 1) {
      EXPECT_THAT(decoded.err, HasSubstr("link type"))
          << "the only thing that may be wrong with them";
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace weir

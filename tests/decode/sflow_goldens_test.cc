// sFlow's counters and discards in captures, number by number against what others read in them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "capture_support.h"

namespace weir::decode {
namespace {

namespace fs = std::filesystem;

/// All numbers of a sample's block, in the order of its layout.
struct Numbers {
  std::vector<uint64_t> values;
  std::vector<std::string> texts;
  void on_value(uint32_t, CounterType type, const CounterValue& v) {
    if (type == CounterType::text) {
      texts.emplace_back(v.octets.begin(), v.octets.end());
    } else {
      values.push_back(v.number);
    }
  }
  void begin_element(uint32_t) {}
  void end_element() {}
};

Numbers numbers_of(const KeptCounters::Block& block) {
  Numbers numbers;
  XdrReader in(block.octets);
  EXPECT_TRUE(block.layout != nullptr && walk_counters(*block.layout, in, numbers)) << block.format;
  return numbers;
}

const KeptCounters::Block* find(const KeptCounters& sample, uint32_t format) {
  for (const auto& block : sample.blocks) {
    if (block.format == format && block.layout != nullptr) return &block;
  }
  return nullptr;
}

std::vector<KeptCounters> counters_in(const fs::path& path) {
  Bench b(capture_config());
  for (const Payload& p : read_payloads(path)) {
    b.send(p.octets, {.source = p.source, .port = p.source_port, .at_ns = p.received_ns});
  }
  return b.sink.counters;
}

/// The words of a line that are numbers: `ifindex 55, iftype 117, ifdirection 1 (full-duplex)`.
void append_numbers(const std::string& line, std::vector<uint64_t>& numbers) {
  std::istringstream in(line);
  for (std::string word; in >> word;) {
    if (word.back() == ',') word.pop_back();
    if (!word.empty() && std::all_of(word.begin(), word.end(),
                                     [](unsigned char c) { return std::isdigit(c) != 0; })) {
      numbers.push_back(std::strtoull(word.c_str(), nullptr, 10));
    }
  }
}

/// tcpdump prints the values of these blocks in their order, some lines a block.
TEST(SflowGoldens, TcpdumpReadsTheSameCounters) {
  const fs::path folder = captures_folder() / "the-tcpdump-group-tcpdump";
  const fs::path text = folder / "sflow_multiple_counter_30_pdus.out";
  if (!fs::exists(text)) GTEST_SKIP() << "no " << text;
  std::vector<std::vector<uint64_t>> theirs;
  std::ifstream file(text);
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    const bool is_block = line.find("\t    enterprise ") == 0;
    const bool is_value = line.find("\t      ") == 0;
    if (is_block) {
      inside = line.find("Generic counter") != std::string::npos ||
               line.find("Ethernet counter") != std::string::npos;
      if (inside) theirs.emplace_back();
    } else if (is_value && inside) {
      append_numbers(line, theirs.back());
    } else {
      inside = false;
    }
  }
  std::vector<std::vector<uint64_t>> ours;
  for (const KeptCounters& sample : counters_in(folder / "sflow_multiple_counter_30_pdus.pcap")) {
    for (const auto& block : sample.blocks) {
      if (block.format > 2) continue;
      ours.push_back(numbers_of(block).values);
    }
  }
  ASSERT_EQ(theirs.size(), 284u);
  EXPECT_EQ(ours, theirs);
}

/// influxdata-telegraf/sflow_*/expected.out.
TEST(SflowGoldens, TelegrafReadsTheSame) {
  const fs::path folder = captures_folder() / "influxdata-telegraf";
  if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder;
  auto samples = counters_in(folder / "sflow_issue_18876" / "message.bin");
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].header.sampler_address.to_string(), "172.16.254.196");
  EXPECT_EQ(samples[0].origin.sequence, 17'628u);
  EXPECT_EQ(samples[0].origin.agent_uptime_ms, 1'405'480'336u);
  ASSERT_NE(find(samples[0], 1), nullptr);
  EXPECT_EQ(numbers_of(*find(samples[0], 1)).values,
            (std::vector<uint64_t>{1'258'293'248, 1, 10'000'000'000, 1, 3, 59'347'538'341'644,
                                   1'698'396'964, 133'525'532, 160'001'596, 0, 58'690, 0,
                                   89'572'325'677'612, 2'754'096'045, 4'095'509'374, 255'518'929, 0,
                                   0, 1}));
  ASSERT_NE(find(samples[0], 2), nullptr);
  std::vector<uint64_t> errors(13, 0);
  errors[1] = 58'690;  // frame check sequences
  EXPECT_EQ(numbers_of(*find(samples[0], 2)).values, errors);

  samples = counters_in(folder / "sflow_v5_example" / "sflow_v5.bin");
  ASSERT_EQ(samples.size(), 1u);
  constexpr uint64_t kNone = UINT32_MAX;
  EXPECT_EQ(numbers_of(*find(samples[0], 1)).values,
            (std::vector<uint64_t>{3, 6, 1'000'000'000, 1, 3, 3910, 28, kNone, kNone, 0, 0, kNone,
                                   3946, 29, kNone, kNone, 0, 0, 0}));
  EXPECT_EQ(numbers_of(*find(samples[0], 1005)).texts, std::vector<std::string>{"eno1"});

  Bench b(capture_config());
  for (const Payload& p : read_payloads(folder / "sflow_issue_15375" / "sflow_drop_1036.bin")) {
    b.send(p.octets, {.source = p.source});
  }
  ASSERT_EQ(b.sink.discards.size(), 1u);
  const KeptDiscard& d = b.sink.discards[0];
  EXPECT_EQ(d.origin.sequence, 2u);
  EXPECT_EQ(d.origin.agent_uptime_ms, 12'414u);
  EXPECT_EQ(d.packet.header.sampler_address.to_string(), "192.168.119.184");
  EXPECT_EQ(d.packet.header.sub_agent_id, 100'000u);
  EXPECT_EQ(d.packet.record.in_if, 1u);
  EXPECT_EQ(d.packet.record.out_if, 2u);
  EXPECT_EQ(d.reason, 1u);
  EXPECT_EQ(d.drops, 256u);
  // Its only record, the egress queue 42, has no column.
  EXPECT_EQ(d.packet.unmapped(), (std::vector<Unmapped>{{0, 1036, std::string("\0\0\0\x2a", 4)}}));
}

/// No capture has a block that is cut short where the file is whole; none loses samples.
TEST(SflowGoldens, EveryCapturesBlocksAreWhole) {
  if (!fs::exists(captures_folder())) GTEST_SKIP() << "no captures in " << captures_folder();
  struct Case {
    const char* path;
    size_t counters;
    size_t discards;
  };
  const Case cases[] = {
      {"Preetam-sflow/counter_sample.dump", 1, 0},
      {"Preetam-sflow/host_sample.dump", 1, 0},
      {"generated-third-party/ovs-sflow.pcap", 3, 0},
      {"gopacket-gopacket/SFlowTestPacket9.frame", 1, 0},
      {"gopacket-gopacket/SFlowTestPacket13.frame", 1, 0},
      {"netsampler-goflow2/sflow_TestSFlowDecodeDropExtendedFunction_data.dat", 0, 1},
      {"the-tcpdump-group-tcpdump/sflow_multiple_counter_30_pdus.pcap", 144, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.path);
    Bench b(capture_config());
    for (const Payload& p : read_payloads(captures_folder() / c.path)) {
      b.send(p.octets, {.source = p.source, .port = p.source_port, .at_ns = p.received_ns});
    }
    EXPECT_EQ(b.sink.counters.size(), c.counters);
    EXPECT_EQ(b.sink.discards.size(), c.discards);
    EXPECT_EQ(b.quirk(Quirk::truncated_record), 0u);
    EXPECT_EQ(b.quirk(Quirk::unknown_counter_block), 0u);
    EXPECT_EQ(b.decoder->counters().samples_lost.value(), 0u);
    for (const KeptCounters& sample : b.sink.counters) {
      for (const auto& block : sample.blocks) EXPECT_NE(block.layout, nullptr) << block.format;
    }
  }
}

}  // namespace
}  // namespace weir::decode

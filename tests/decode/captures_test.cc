// Every capture of NetFlow v1, v5, v9, IPFIX and sFlow v5 in ../shared/captures: the records decoded
// are as many as an independent walker counted (INDEX.tsv), the books balance, and a second decoder
// says the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "capture_support.h"

namespace weir::decode {
namespace {

bool is_ours(const test::CaptureFile& row) {
  if (row.kind != "flow" && row.kind != "sequence" && row.kind != "generated") return false;
  return row.has("NFv1:") || row.has("NFv5") || row.has("NFv9") || row.has("IPFIX") ||
         row.has("sFlow5");
}

/// Folds all that was told into one number.
class HashingSink final : public RecordSink {
 public:
  void on_records(const RecordBurst& burst) noexcept override {
    for (const FlowRecord& r : burst.records) {
      fold(&r, sizeof r);
      if (r.unmapped.count != 0) fold(burst.arena + r.unmapped.offset, r.unmapped.count);
      fallback_times += r.time_source == static_cast<uint32_t>(TimeSource::received) ||
                        r.time_source == static_cast<uint32_t>(TimeSource::export_time);
    }
    records += burst.records.size();
  }
  uint64_t hash = 0xcbf29ce484222325ull;
  uint64_t records = 0;
  uint64_t fallback_times = 0;

 private:
  void fold(const void* p, size_t n) noexcept {
    const auto* octets = static_cast<const uint8_t*>(p);
    for (size_t i = 0; i < n; ++i) hash = (hash ^ octets[i]) * 0x100000001b3ull;
  }
};

struct Outcome {
  uint64_t records = 0;
  uint64_t options_records = 0;
  uint64_t hash = 0;
  uint64_t fallback_times = 0;
  std::string ledger;
};

Outcome decode_all(const std::vector<Payload>& payloads) {
  auto decoder = Decoder::create(capture_config());
  HashingSink sink;
  for (const Payload& p : payloads) {
    Datagram d;
    d.payload = p.octets;
    d.source = p.source;
    d.source_port = p.source_port;
    d.received_ns = p.received_ns;
    (*decoder)->decode(d, sink);
  }
  const DecoderCounters& c = (*decoder)->counters();
  EXPECT_EQ(c.records.value(), sink.records);
  return {sink.records, c.options_records.value(), sink.hash, sink.fallback_times, ledger_error(c)};
}

/// Where we know better than the index, and why.
const std::map<std::string, std::pair<uint64_t, std::string>>& known_differences() {
  static const std::map<std::string, std::pair<uint64_t, std::string>> kDifferences = {
      {"generated-third-party/softflowd-ipfix-tcp.pcap", {0, "by TCP"}},
      {"the-tcpdump-group-tcpdump/sflow_print-segv.pcap", {0, "its only sample is cut off"}},
  };
  return kDifferences;
}

TEST(Captures, DecodeToAsManyRecordsAsTheIndexSays) {
  const std::vector<test::CaptureFile> index = test::read_captures_index();
  if (index.empty()) GTEST_SKIP() << "no captures in " << captures_folder();
  size_t files = 0;
  uint64_t records = 0;
  uint64_t fallback_times = 0;
  for (const test::CaptureFile& row : index) {
    if (!is_ours(row)) continue;
    SCOPED_TRACE(row.name);
    const std::vector<Payload> payloads = read_payloads(row.path());
    const Outcome first = decode_all(payloads);
    uint64_t expected = row.data_records;
    if (const auto it = known_differences().find(row.name); it != known_differences().end()) {
      expected = it->second.first;
    }
    EXPECT_EQ(first.records, expected);
    if (expected == row.data_records) {
      EXPECT_EQ(first.options_records, row.options_records);
    }
    EXPECT_EQ(first.ledger, "");
    EXPECT_EQ(decode_all(payloads).hash, first.hash);
    ++files;
    records += first.records;
    fallback_times += first.fallback_times;
  }
  RecordProperty("files", static_cast<int>(files));
  RecordProperty("records", static_cast<int>(records));
  std::cout << files << " captures, " << records << " records, " << fallback_times
            << " of them without a plausible time of their own\n";
}

/// What tcpdump prints of it (sflow_expanded.out), and of its sampled header what is in the octets.
TEST(Captures, ASwitchsExpandedFlowSampleFieldByField) {
  const auto path = captures_folder() / "the-tcpdump-group-tcpdump" / "sflow_expanded.pcap";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  Bench b;
  for (const Payload& p : read_payloads(path)) b.send(p.octets, {.source = p.source});
  ASSERT_EQ(b.records(), 1u);
  const KeptRecord& k = b.kept(0);
  const FlowRecord& r = k.record;
  EXPECT_EQ(k.header.sampler_address.to_string(), "49.49.49.49");
  EXPECT_EQ(k.header.exporter_address.to_string(), "192.0.2.100");
  EXPECT_EQ(k.header.sequence_num, 115'694'180u);
  EXPECT_EQ(r.source_id, 11'001u);
  EXPECT_EQ(r.sampling_rate, 1000u);
  EXPECT_EQ(r.in_if, 29'001u);
  EXPECT_EQ(r.out_if, 1'285'816'721u);
  EXPECT_EQ(r.bytes, 126u);
  EXPECT_EQ(r.src_addr.to_string(), "52.52.52.52");
  EXPECT_EQ(r.dst_addr.to_string(), "53.53.53.53");
  EXPECT_EQ(r.src_port, 22u);
  EXPECT_EQ(r.dst_port, 52'237u);
  EXPECT_EQ(r.vlan_id, 809u);
  EXPECT_EQ(r.next_hop.to_string(), "54.54.54.54");
  EXPECT_EQ(r.src_net, 32u);
  EXPECT_EQ(r.dst_net, 22u);
  EXPECT_EQ(r.src_as, 203'476u);
  EXPECT_EQ(r.dst_as, 203'361u);
  EXPECT_EQ(k.numbers(r.as_path), (std::vector<uint32_t>{8218, 29'605, 203'361}));
}

/// tshark finds the same headers in it, and those that ICMP errors quote, which are no tunnels.
TEST(Captures, AnOpenVswitchsSamplesOfMixedTraffic) {
  const auto path = captures_folder() / "generated-third-party" / "ovs-sflow.pcap";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  Bench b;
  for (const Payload& p : read_payloads(path)) b.send(p.octets, {.source = p.source});
  EXPECT_EQ(b.records(), 223u);
  EXPECT_EQ(b.sink.counters.size(), 3u);
  size_t with_addresses = 0;
  size_t with_ports = 0;
  size_t icmp_errors = 0;
  size_t arp = 0;
  for (const KeptRecord& k : b.sink.records) {
    with_addresses += k.record.present.has(Field::src_addr);
    with_ports += k.record.present.has(Field::src_port);
    icmp_errors += k.record.proto == 1 && k.record.icmp_type == 3;
    arp += k.record.etype == 0x0806;
    EXPECT_FALSE(k.record.present.has(Field::inner_src_addr));
  }
  EXPECT_EQ(with_addresses, 200u);
  EXPECT_EQ(with_ports, 144u);
  EXPECT_EQ(icmp_errors, 13u);
  EXPECT_EQ(arp, 23u);
  EXPECT_EQ(b.decoder->counters().quirks.total(), 0u);
}

/// What looking into the packets told YAF (a subTemplateMultiList) stands beside the flow's counters;
/// the other direction's are reverse elements.
TEST(Captures, YafsBiflowsWithTheirLists) {
  const auto path = captures_folder() / "sequences" / "telegraf-ipfix_example.pcap";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  Bench b(capture_config());
  for (const Payload& p : read_payloads(path)) b.send(p.octets, {.source = p.source});
  ASSERT_EQ(b.records(), 29u);
  EXPECT_EQ(b.quirk(Quirk::opaque_list), 0u);
  const KeptRecord& k = b.kept(1);
  EXPECT_EQ(k.record.bytes, 80u);
  EXPECT_EQ(k.record.bytes_out, 80u);
  EXPECT_EQ(k.record.bytes_in, 40u);
  EXPECT_EQ(k.record.packets_out, 2u);
  EXPECT_EQ(k.record.packets_in, 1u);
  EXPECT_EQ(k.record.tcp_flags, 0x11u) << "its first packet's flags 0x11, the others' 0x10";
  EXPECT_NE(
      std::find(k.unmapped().begin(), k.unmapped().end(), Unmapped{29305, 184, "\x88\x4a\xf3\x6a"}),
      k.unmapped().end());
  size_t biflows = 0;
  for (const KeptRecord& each : b.sink.records) {
    biflows += each.record.present.has(Field::bytes_in);
    for (const Unmapped& u : each.unmapped()) EXPECT_NE(u.id, 293u);
  }
  EXPECT_EQ(biflows, 27u);
}

/// Ixia's reverse counters have numbers of its own.
TEST(Captures, AnIxiaProbesOtherDirection) {
  const auto path = captures_folder() / "logstash-plugins-logstash-codec-netflow" /
                    "ipfix_test_ixia_tpldata271.dat";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  Bench b(capture_config());
  for (const Payload& p : read_payloads(path)) b.send(p.octets, {.source = p.source});
  ASSERT_EQ(b.records(), 2u);
  EXPECT_EQ(b.record(0).bytes_out, 132u);
  EXPECT_EQ(b.record(0).bytes_in, 0u);
  EXPECT_EQ(b.record(1).bytes_out, 0u);
  EXPECT_EQ(b.record(1).bytes_in, 625u);
  EXPECT_EQ(b.record(1).packets_in, 6u);
}

}  // namespace
}  // namespace weir::decode

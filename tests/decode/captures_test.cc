// Every capture of NetFlow v5, v9, IPFIX and sFlow v5 in ../shared/captures: the records decoded are
// as many as an independent walker counted (INDEX.tsv), the books balance, and a second decoder says
// the same.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "capture_support.h"

namespace weir::decode {
namespace {

struct IndexRow {
  std::string path;
  std::string kind;
  std::string protocols;
  uint64_t data_records = 0;
  uint64_t options_records = 0;
};

std::vector<IndexRow> read_index() {
  std::ifstream file(captures_folder() / "INDEX.tsv");
  std::vector<IndexRow> rows;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, '\t');) cells.push_back(cell);
    if (cells.size() < 8) continue;
    rows.push_back({cells[0], cells[1], cells[2], std::strtoull(cells[6].c_str(), nullptr, 10),
                    std::strtoull(cells[7].c_str(), nullptr, 10)});
  }
  return rows;
}

bool is_ours(const IndexRow& row) {
  if (row.kind != "flow" && row.kind != "sequence" && row.kind != "generated") return false;
  if (row.protocols.find("NFv1:") != std::string::npos) return false;
  return row.protocols.find("NFv5") != std::string::npos ||
         row.protocols.find("NFv9") != std::string::npos ||
         row.protocols.find("IPFIX") != std::string::npos ||
         row.protocols.find("sFlow5") != std::string::npos;
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
  const std::vector<IndexRow> index = read_index();
  if (index.empty()) GTEST_SKIP() << "no captures in " << captures_folder();
  size_t files = 0;
  uint64_t records = 0;
  uint64_t fallback_times = 0;
  for (const IndexRow& row : index) {
    if (!is_ours(row)) continue;
    SCOPED_TRACE(row.path);
    const std::vector<Payload> payloads = read_payloads(captures_folder() / row.path);
    const Outcome first = decode_all(payloads);
    uint64_t expected = row.data_records;
    if (const auto it = known_differences().find(row.path); it != known_differences().end()) {
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

}  // namespace
}  // namespace weir::decode

// Every capture of NetFlow v5, v9 and IPFIX in ../shared/captures: the records decoded are as many as
// an independent walker counted (INDEX.tsv), the books balance, and a second decoder says the same.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/byte_order.h"
#include "decode_support.h"
#include "lab/capture_file.h"
#include "packet/frame.h"

namespace weir::decode {
namespace {

namespace fs = std::filesystem;

fs::path captures_folder() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return fs::path(root != nullptr ? root : ".") / ".." / "shared" / "captures";
}

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
  if (row.protocols.find("sFlow") != std::string::npos ||
      row.protocols.find("NFv1:") != std::string::npos) {
    return false;
  }
  return row.protocols.find("NFv5") != std::string::npos ||
         row.protocols.find("NFv9") != std::string::npos ||
         row.protocols.find("IPFIX") != std::string::npos;
}

struct Payload {
  std::vector<uint8_t> octets;
  IpAddress source;
  uint16_t source_port;
  uint64_t received_ns;
};

std::vector<uint8_t> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_capture(const std::vector<uint8_t>& octets) {
  if (octets.size() < 4) return false;
  const uint32_t magic = load_be32(octets.data());
  return magic == 0xa1b2c3d4 || magic == 0xd4c3b2a1 || magic == 0xa1b23c4d ||
         magic == 0x4d3cb2a1 || magic == 0x0a0d0d0a;
}

/// Where the first message of a file of messages ends.
size_t message_octets(const uint8_t* p, size_t size) {
  const uint16_t version = size >= 4 ? load_be16(p) : 0;
  if (version == 5) return std::min<size_t>(size, 24 + 48 * size_t{load_be16(p + 2)});
  if (version == 10) return std::max<size_t>(16, std::min<size_t>(size, load_be16(p + 2)));
  if (version != 9 || size < 20) return size;
  // v9 has no length: sets follow until a reserved id is really the next message's version.
  size_t at = 20;
  while (size - at >= 4) {
    const uint16_t id = load_be16(p + at);
    const uint16_t length = load_be16(p + at + 2);
    if (id == 5 || id == 9 || id == 10) break;
    if (length < 4 || length > size - at) return size;
    at += length;
  }
  return size - at < 4 ? size : at;
}

uint64_t export_time_ns(const std::vector<uint8_t>& octets) {
  if (octets.size() < 12) return kNow;
  const size_t at = load_be16(octets.data()) == 10 ? 4 : 8;
  return load_be32(octets.data() + at) * uint64_t{1'000'000'000};
}

std::vector<Payload> read_payloads(const fs::path& path) {
  std::vector<Payload> payloads;
  const std::vector<uint8_t> octets = read_file(path);
  if (!is_capture(octets)) {
    for (size_t at = 0; at < octets.size();) {
      const size_t n = std::min(octets.size() - at, message_octets(&octets[at], octets.size() - at));
      Payload p{{octets.begin() + static_cast<std::ptrdiff_t>(at),
                 octets.begin() + static_cast<std::ptrdiff_t>(at + n)},
                IpAddress::from_v4(0xC0000201), 2055, 0};
      p.received_ns = export_time_ns(p.octets);
      payloads.push_back(std::move(p));
      at += n;
    }
    return payloads;
  }
  auto reader = lab::CaptureReader::open(path.string());
  EXPECT_TRUE(reader.has_value()) << path;
  if (!reader) return payloads;
  lab::CapturedFrame frame;
  for (;;) {
    const auto more = reader->next(frame);
    if (!more || !*more) break;
    const packet::FrameView view = packet::parse_frame(frame.octets, reader->link());
    if (view.verdict != packet::FrameVerdict::udp) continue;
    payloads.push_back({{view.payload.begin(), view.payload.end()},
                        view.src,
                        view.src_port,
                        frame.timestamp_ns});
  }
  return payloads;
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
  DecoderConfig config = Bench::default_config();
  config.limits.time_future_max_ns = 50ull * 366 * 86'400 * 1'000'000'000;  // stamps are made up
  auto decoder = Decoder::create(config);
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

// golden_readers.h — Readers of the expected decodes that came with captures, one for each program.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "truth/golden.h"
#include "truth/our_decode.h"

namespace weir::truth {

struct Golden {
  std::vector<Record> flows;
  std::vector<Record> options;   // what options data says
  size_t events = 0;             // how many records there are, flows and options; 0: not told
  std::vector<Record> counters;  // sFlow counter samples: `places` are not used
  std::vector<Record> discards;
};

/// NetGauze's: a JSON object a datagram, elements by IANA's names; `.gz` too. Parts of one scenario are
/// read by one reader, because options data of one tells the times of the next.
class NetgauzeReader {
 public:
  void read(const std::filesystem::path& path, Golden& golden);

 private:
  std::map<uint64_t, uint64_t> boot_ms_;  // by observation domain
};

/// Logstash's netflow codec: some of its events, in their order, and how many there are.
void read_logstash(const std::filesystem::path& path, Golden& golden);

/// Telegraf's line protocol.
void read_telegraf(const std::filesystem::path& path, Golden& golden);

/// What tcpdump prints of sFlow datagrams.
void read_tcpdump_sflow(const std::filesystem::path& path, Golden& golden);

/// What a program makes of several flows (or packets) together.
struct Sum {
  enum class Op : uint8_t { total, count, any_bit, first, last, seen };
  std::string name;
  Op op = Op::total;
  std::string column;  // of all but count
  uint64_t value = 0;
  uint64_t tolerance = 0;
};
struct SumRecord {
  Record filter;  // flows that agree with it are those that it speaks of
  std::vector<Sum> sums;
  bool either_direction = false;
  bool of_ip = false;  // octets are those of IP packets, not of frames
};

/// pmacct: flows by the columns that it was told to keep, counters added up and multiplied by rates.
std::vector<SumRecord> read_pmacct(const std::filesystem::path& path);

/// softflowd's statistics: records, octets and packets by protocol.
std::vector<SumRecord> read_softflowd(const std::filesystem::path& path);

/// Of other traffic, whose frames are given to the decoder as sFlow samples:
/// what tcpdump prints of each packet; the time is in `@time_us`.
std::vector<Record> read_tcpdump_traffic(const std::filesystem::path& path);
/// Arkime's sessions, both directions in one.
std::vector<SumRecord> read_arkime(const std::filesystem::path& path);
/// ipfixprobe's biflows.
std::vector<SumRecord> read_ipfixprobe(const std::filesystem::path& path);

}  // namespace weir::truth

// fused_oracle.h — A template, records of it and what exporters say beside them, by FlowRecords and by fused forms.
//
// Oracles: those of fuse/two_ways.h, by the portable kernel and by the best one.
//
// Input: two octets of flags, the number of fields, two octets for each field (element and width, mostly of those
// that a form knows), the header's clock, then the records' octets. Template and records travel as the flags say: NetFlow
// v5 (no template), v9 or IPFIX; the data ahead of the template, or behind it, in one set or two. Or what follows is
// any datagrams, each behind its length as two octets, little end first.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "base/byte_order.h"
#include "fuse/two_ways.h"

namespace weir::fuse {

class FusedOracle {
 public:
  /// How many records there were, and how many were fused.
  struct Seen {
    uint64_t records = 0;
    uint64_t fused = 0;
  };

  Seen check(const uint8_t* data, size_t size) {
    in_ = {data, size};
    const uint8_t flags = octet();
    const uint8_t more = octet();
    std::vector<std::vector<uint8_t>> datagrams;
    if ((flags & 3) == 0) {
      datagrams.push_back(netflow_v5());
    } else if ((flags & 3) == 3) {
      any_datagrams(datagrams);
    } else {
      write_sets((flags & 3) == 1, flags, datagrams);
    }
    Seen seen;
    for (auto& ways : ways_) {
      // What was learned is forgotten now and then, so that no input depends on many others.
      if (ways == nullptr || ++rounds_ % kRoundsMax == 0) ways = make(&ways == &ways_[0]);
      const uint64_t records = ways->records(), fused = ways->fused();
      for (const auto& octets : datagrams) {
        ways->decode({.payload = octets,
                      .source = IpAddress::from_v4(0xC0000200u + (more & 3)),
                      .source_port = 2055,
                      .local_port = 2055,
                      .listener = {static_cast<uint16_t>(more >> 2 & 1)},
                      .received_ns = kReceivedNs});
      }
      ways->finish();
      seen.records = ways->records() - records;
      seen.fused = ways->fused() - fused;
      if (best_kernel() == Kernel::portable) break;
    }
    return seen;
  }

 private:
  static constexpr uint64_t kReceivedNs = 1'760'000'000ull * 1'000'000'000;
  static constexpr uint32_t kReceivedSecs = 1'760'000'000;
  static constexpr uint32_t kUptimeMs = 50'000'000;
  static constexpr uint32_t kRoundsMax = 4096;
  static constexpr size_t kRecordsOctetsMax = 8 * 1024;
  static constexpr uint32_t kFieldsMax = 48;

  static std::unique_ptr<TwoWays> make(bool is_portable) {
    TwoWaysConfig c;
    c.kernel = is_portable ? Kernel::portable : best_kernel();
    c.decoder.listeners.resize(2);
    c.decoder.listeners[1].sampling_rate_default = 512;
    c.decoder.sampling_override = {{*IpAddress::parse("192.0.2.3"), 128, 77}};
    c.decoder.limits.exporters_max = 4;
    // Forms take octets, too: where those are short, templates go earlier.
    c.decoder.limits.template_octets_total = 64 << 20;
    c.decoder.limits.pending_octets_total = 64 * 1024;
    c.batcher.buffers = 2;
    c.batcher.batch_octets = 4096;
    return std::make_unique<TwoWays>(c);
  }

  uint8_t octet() noexcept {
    if (in_.empty()) return 0;
    const uint8_t o = in_.front();
    in_ = in_.subspan(1);
    return o;
  }
  std::span<const uint8_t> rest() noexcept {
    return in_.first(std::min(in_.size(), kRecordsOctetsMax));
  }

  static void put16(std::vector<uint8_t>& to, uint32_t v) {
    to.push_back(static_cast<uint8_t>(v >> 8));
    to.push_back(static_cast<uint8_t>(v));
  }
  static void put32(std::vector<uint8_t>& to, uint32_t v) {
    put16(to, v >> 16);
    put16(to, v);
  }

  void any_datagrams(std::vector<std::vector<uint8_t>>& datagrams) {
    static constexpr size_t kDatagramsMax = 12;
    while (in_.size() >= 2 && datagrams.size() < kDatagramsMax) {
      const size_t length = in_[0] | size_t{in_[1]} << 8;
      in_ = in_.subspan(2);
      const auto octets = in_.first(std::min(length, in_.size()));
      datagrams.emplace_back(octets.begin(), octets.end());
      in_ = in_.subspan(octets.size());
    }
  }

  std::vector<uint8_t> netflow_v5() {
    std::vector<uint8_t> d;
    const uint8_t clock = octet();
    const std::span<const uint8_t> records = rest();
    put16(d, 5);
    put16(d, static_cast<uint32_t>(records.size() / 48 + (clock & 1)));
    put32(d, kUptimeMs);
    put32(d, kReceivedSecs - (clock >> 1));
    put32(d, 0);
    put32(d, sequence_++);
    put16(d, clock & 3);
    put16(d, uint32_t{clock} << 7);
    d.insert(d.end(), records.begin(), records.end());
    make_plausible(std::span(d).subspan(24), kFieldsV5, 48, clock);
    return d;
  }

  struct FieldSpec {
    uint16_t id;
    uint16_t length;
  };

  /// Elements that a form has a place for, and some that it has none for.
  FieldSpec field() {
    static constexpr FieldSpec kUsual[] = {
        {8, 4},   {12, 4},  {15, 4},  {27, 16}, {28, 16}, {62, 16}, {18, 4},  {63, 16}, {1, 4},
        {1, 8},   {2, 4},   {2, 8},   {4, 1},   {5, 1},   {6, 1},   {6, 2},   {7, 2},   {11, 2},
        {10, 4},  {10, 2},  {14, 4},  {14, 2},  {16, 4},  {17, 2},  {9, 1},   {13, 1},  {21, 4},
        {22, 4},  {152, 8}, {153, 8}, {150, 4}, {151, 4}, {61, 1},  {58, 2},  {59, 2},  {56, 6},
        {80, 6},  {57, 6},  {32, 2},  {139, 2}, {176, 1}, {177, 1}, {60, 1},  {256, 2}, {136, 1},
        {192, 1}, {31, 3},  {195, 1}, {48, 1},  {48, 4},  {34, 4},  {225, 4}, {226, 4}, {227, 2},
        {228, 2}, {281, 16}, {23, 4}, {24, 8},  {231, 8}, {232, 8}, {298, 8}, {233, 1}, {230, 1},
        {234, 4}, {235, 4}, {210, 3}, {89, 1},  {52, 1},  {70, 3},  {95, 4},  {96, 8},  {82, 16},
        {45, 4},  {243, 2}, {36, 2},  {1000, 4}, {302, 8}, {301, 8}};
    const FieldSpec& usual = kUsual[octet() % std::size(kUsual)];
    const uint8_t width = octet();
    return {usual.id, width < 0xe0 ? usual.length : static_cast<uint16_t>(width & 0x1f)};
  }

  void write_sets(bool v9, uint8_t flags, std::vector<std::vector<uint8_t>>& datagrams) {
    std::vector<FieldSpec> fields(1 + octet() % kFieldsMax);
    uint32_t record_octets = 0;
    for (FieldSpec& f : fields) {
      f = field();
      record_octets += f.length;
    }
    const uint16_t id = static_cast<uint16_t>(256 + octet() % 4);
    const uint8_t clock = octet();
    std::vector<uint8_t> definition;
    put16(definition, v9 ? 0 : 2);
    put16(definition, static_cast<uint32_t>(8 + 4 * fields.size()));
    put16(definition, id);
    put16(definition, static_cast<uint32_t>(fields.size()));
    for (const FieldSpec& f : fields) {
      put16(definition, f.id);
      put16(definition, f.length);
    }
    std::vector<uint8_t> records(rest().begin(), rest().end());
    if (record_octets != 0) make_plausible(records, fields, record_octets, clock);
    const bool is_halved = (flags & 8) != 0 && record_octets != 0;
    const size_t first =
        is_halved ? records.size() / record_octets / 2 * record_octets : records.size();
    std::vector<uint8_t> data;
    for (const auto& [begin, end] :
         {std::pair{size_t{0}, first}, std::pair{first, records.size()}}) {
      if (begin == end && begin != 0) continue;
      put16(data, id);
      put16(data, static_cast<uint32_t>(4 + end - begin));
      data.insert(data.end(), records.begin() + static_cast<std::ptrdiff_t>(begin),
                  records.begin() + static_cast<std::ptrdiff_t>(end));
    }
    const bool is_together = (flags & 16) != 0;
    const bool data_first = (flags & 4) != 0;
    if (is_together) {
      std::vector<uint8_t> both = data_first ? data : definition;
      const auto& other = data_first ? definition : data;
      both.insert(both.end(), other.begin(), other.end());
      datagrams.push_back(message(v9, both, clock));
    } else {
      datagrams.push_back(message(v9, data_first ? data : definition, clock));
      datagrams.push_back(message(v9, data_first ? definition : data, clock));
    }
  }

  std::vector<uint8_t> message(bool v9, const std::vector<uint8_t>& sets, uint8_t clock) {
    std::vector<uint8_t> d;
    put16(d, v9 ? 9 : 10);
    put16(d, v9 ? 1 : static_cast<uint32_t>(16 + sets.size()));
    if (v9) put32(d, kUptimeMs);
    put32(d, kReceivedSecs - clock);
    put32(d, sequence_++);
    put32(d, 7);
    d.insert(d.end(), sets.begin(), sets.end());
    return d;
  }

  /// Random octets are seldom times near the receipt, versions or protocols: most records are made to have them.
  static void make_plausible(std::span<uint8_t> records, std::span<const FieldSpec> fields,
                             uint32_t record_octets, uint8_t seed) {
    for (size_t at = 0; at + record_octets <= records.size(); at += record_octets) {
      size_t p = at;
      for (const FieldSpec& f : fields) {
        uint8_t* const o = records.data() + p;
        p += f.length;
        seed = static_cast<uint8_t>(seed * 37 + 11);
        if (f.length == 0 || seed % 32 == 0) continue;
        if ((f.id == 21 || f.id == 22) && f.length == 4) store_be32(o, kUptimeMs - load_be32(o) % 600'000);
        if ((f.id == 150 || f.id == 151) && f.length == 4) store_be32(o, kReceivedSecs - o[3]);
        if ((f.id == 152 || f.id == 153) && f.length == 8) store_be64(o, kReceivedNs / 1'000'000 - o[7]);
        if (f.id == 34 && f.length == 4) store_be32(o, seed % 16 == 2 ? 0 : *o % 4 * 100u);
        if (f.id == 60 && f.length == 1) *o = (*o & 1) != 0 ? 4 : 6;
        if (f.id == 256 && f.length == 2) store_be16(o, (*o & 1) != 0 ? 0x0800 : 0x86dd);
        if (f.id == 4 && f.length == 1 && *o % 4 != 0) *o = 6;
        if ((f.id == 27 || f.id == 28) && f.length == 16 && seed % 8 == 1) {
          std::fill(o, o + 10, uint8_t{0});
          o[10] = o[11] = 0xff;
        }
      }
    }
  }

  static constexpr FieldSpec kFieldsV5[] = {{8, 4},  {12, 4}, {15, 4}, {10, 2}, {14, 2},
                                            {2, 4},  {1, 4},  {22, 4}, {21, 4}, {7, 2},
                                            {11, 2}, {210, 1}, {6, 1}, {4, 1},  {5, 1},
                                            {16, 2}, {17, 2}, {9, 1},  {13, 1}, {210, 2}};

  std::span<const uint8_t> in_;
  std::unique_ptr<TwoWays> ways_[2];
  uint32_t rounds_ = 0;
  uint32_t sequence_ = 1;
};

}  // namespace weir::fuse

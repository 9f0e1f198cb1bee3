// corpus.h — Export datagrams of many exporters, as they would come in, for benchmarks.
//
// Fixed seed. The flows are the lab's: documentation addresses, few busy hosts and many quiet ones,
// sizes over four orders of magnitude. The datagrams of all exporters are interleaved and take more
// than a core's L2.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "flow/export_header.h"

namespace weir::perf {

/// What exporters send. Except in the mixes there are 256 of them, with 16 datagrams each.
enum class Protocol : uint8_t {
  netflow_v5,              // 30 records a datagram
  netflow_v9,              // 22 records of a template of 20 fields
  ipfix,                   // 15 or so of 24 fields, IPv4 and IPv6
  ipfix_20_fields,         // 20 records of a template of 20 fields: counters of 64 bits, times in milliseconds
  ipfix_varlen,            // 13 or so of 23 fields, three of them strings of variable length
  netflow_v9_options_mix,  // 20 of 21 fields; options data or refreshed templates in each fourth
  mixed_1000_exporters,    // all of the above from 1000 exporters in turn: 2400 templates
  mixed_10_exporters,      // the same from 10: their templates stay in the caches
  fixed_1000_exporters,    // the first three: records of fixed length, from 1000 exporters in turn
  fixed_10_exporters,      // the same from 10
  sflow_raw_header,        // 7 flow samples of 128 octets of header and the VLANs
};
std::string_view name_of(Protocol p);

inline constexpr uint64_t kReceivedNs = 1'755'636'366'839'794'752;

struct Corpus {
  struct Packet {
    uint32_t offset;
    uint32_t octets;
    IpAddress exporter;
  };
  Datagram datagram(const Packet& p) const {
    return {.payload = {octets.data() + p.offset, p.octets},
            .source = p.exporter,
            .source_port = 2055,
            .local_port = 2055,
            .listener = {},
            .received_ns = kReceivedNs};
  }

  Protocol protocol{};
  std::vector<uint8_t> octets;
  std::vector<Packet> templates;  // to be decoded once, ahead of the others
  std::vector<Packet> packets;
  uint64_t records = 0;
  /// Sequence numbers go on from pass to pass, as an exporter's do: otherwise each pass would look
  /// like 256 restarts. Called between passes.
  void advance_sequences();

 private:
  friend Corpus make_corpus(Protocol);
  std::vector<uint32_t> sequence_steps_;  // of each packet, from one pass to the next
};

Corpus make_corpus(Protocol protocol);

}  // namespace weir::perf

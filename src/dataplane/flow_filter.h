// flow_filter.h — Which flows somebody wants to see: conditions that all must hold.
//
// Runs on:  made on any thread, constant from then on; asked on rx_lcore for every record while somebody looks.
// Bounds:   some twenty comparisons a record; what all records of a datagram share is compared once.
// Failure:  none. A field that a record does not have meets no condition on it.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "base/ip_address.h"
#include "flow/export_header.h"
#include "flow/flow_record.h"

namespace weir::dataplane {

/// The addresses under a prefix, as two comparisons of 64 bits.
class PrefixMatch {
 public:
  PrefixMatch() = default;
  /// `bits` of 128: IPv4 prefixes are 96 longer. What of `address` lies behind them is ignored.
  PrefixMatch(const IpAddress& address, uint8_t bits) noexcept;

  bool covers(const IpAddress& address) const noexcept {
    uint64_t words[2];
    std::memcpy(words, address.octets.data(), sizeof words);
    return (((words[0] ^ value_[0]) & mask_[0]) | ((words[1] ^ value_[1]) & mask_[1])) == 0;
  }

 private:
  uint64_t value_[2]{};  // as the octets lie in memory
  uint64_t mask_[2]{};
};

struct FlowFilter {
  // Of a datagram.
  std::optional<PrefixMatch> exporter;  // where it came from, or the sFlow agent
  std::optional<ListenerId> listener;
  std::optional<FlowType> type;
  // Of a record.
  std::optional<PrefixMatch> source, destination, either;
  std::optional<uint16_t> source_port, destination_port, either_port;
  std::optional<uint16_t> protocol;
  std::optional<uint32_t> in_interface, out_interface, either_interface;

  bool admits(const ExportHeader& header, ListenerId from) const noexcept;
  bool admits(const FlowRecord& record) const noexcept { return admits_numbers(record) && admits_addresses(record); }
  // Of a record, in two parts: whoever asks often leaves out the one without conditions.
  bool has_numbers() const noexcept {
    return source_port || destination_port || either_port || protocol || in_interface || out_interface ||
           either_interface;
  }
  bool admits_numbers(const FlowRecord& record) const noexcept;
  bool has_addresses() const noexcept { return source || destination || either; }
  bool admits_addresses(const FlowRecord& record) const noexcept;
};

}  // namespace weir::dataplane

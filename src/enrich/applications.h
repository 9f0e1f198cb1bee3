// applications.h — What applications are called by the ports and addresses that they use.
//
// Spec:     docs/ENRICHMENT.md, "Applications". A CSV file: name,protocol,ports,prefix.
// Runs on:  made when files are read, constant from then on; asked on any thread, without an allocation.
// Bounds:   kApplicationRowsMax lines, kPortsTextMax octets of a line's ports, kRowsOfAddressMax lines with prefixes that hold one address.
// Failure:  an Error with the file and the line.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "enrich/address_table.h"

namespace weir::enrich {

inline constexpr size_t kApplicationRowsMax = 60'000;
inline constexpr size_t kApplicationsOctetsMax = 16 << 20;
inline constexpr size_t kPortsTextMax = 1024;
inline constexpr size_t kRowsOfAddressMax = 256;

/// One end of a flow. `address`: 4 or 16 octets, else none. `port`: 0 where the protocol has none.
struct FlowEnd {
  std::string_view address;
  uint16_t port = 0;
};

class ApplicationTable {
 public:
  /// `path` is for errors.
  static Result<ApplicationTable> parse(std::string_view text, const std::string& path);

  /// The same whichever end is called the source; empty where no line fits.
  std::string_view find(uint8_t protocol, const FlowEnd& one, const FlowEnd& other) const noexcept;
  size_t rows() const noexcept { return rows_.size() - 1; }

 private:
  friend class ApplicationReader;
  struct PortRange {
    uint16_t first, last;  // not 0
  };
  struct Row {
    std::string name;
    int protocol = -1;             // any
    std::vector<PortRange> ports;  // none: any port, and flows without
    int prefix_length = -1;        // none
    bool fits(uint8_t p, uint16_t port) const noexcept {
      if (protocol >= 0 && protocol != p) return false;
      for (const PortRange& range : ports) {
        if (port >= range.first && port <= range.last) return true;
      }
      return ports.empty();
    }
  };
  using Page = std::array<uint16_t, 256>;  // rows by the port's low octet; 0: none
  static constexpr size_t kPortProtocols = 5;

  /// `443`, `80 8080`, `6000-6063`.
  static bool read_ports(std::string_view text, std::vector<PortRange>& ports);
  /// Of one end, by lines with prefixes: a row, 0 for none.
  uint16_t by_address(uint8_t protocol, const FlowEnd& end) const noexcept;
  /// Where of `page_of_` a protocol's ports are; nothing for a protocol without ports.
  static int place_of(uint8_t protocol) noexcept;
  uint16_t by_port(int place, uint16_t port) const noexcept {
    return pages_[page_of_[static_cast<size_t>(place)][port >> 8]][port & 0xff];
  }
  Result<void> index_prefixes(const std::vector<Prefix>& prefixes, const std::string& path);
  void index_ports();

  std::vector<Row> rows_ = std::vector<Row>(1);  // the first is nobody's
  // PERF: most ports of most flows are nobody's: their pages are all the first, which stays in the cache.
  std::vector<Page> pages_ = std::vector<Page>(1);
  std::array<std::array<uint16_t, 256>, kPortProtocols> page_of_{};
  std::array<uint16_t, 256> by_protocol_{};      // lines with a protocol only
  AddressTable addresses_;
  std::vector<std::vector<uint16_t>> groups_ = std::vector<std::vector<uint16_t>>(1);  // by the table's values: rows, the best first
};

}  // namespace weir::enrich

// payload_names.h — The name that a connection's first octets ask for: a TLS client's SNI, HTTP's Host, a DNS question.
//
// Spec:     RFC 8446 §4.1.2 and RFC 5246 §7.4.1.2 (ClientHello), RFC 6066 §3 (server_name); RFC 9112 §2 and §3, RFC 9110
//           §7.2 (Host); RFC 1035 §4.1 (messages), RFC 7766 §8 (their length, over TCP).
// Runs on:  rx_lcore. Pure: reads the octets given, keeps nothing.
// Bounds:   each step consumes at least one octet; names of kNameOctetsMax octets, in lower case, of printable ASCII.
// Failure:  no name. A sample is cut off by design: what of a name is not there whole is not told, nor is a name with
//           octets that belong in none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/named_enum.h"

namespace weir::classify {

inline constexpr size_t kNameOctetsMax = 253;  // of a host name, RFC 1035 §2.3.4 without dots at the ends

/// What a rule takes out of a payload that its pattern matches.
#define WEIR_EXTRACTS(X) X(none) X(tls) X(http) X(dns)
WEIR_NAMED_ENUM(Extract, uint8_t, WEIR_EXTRACTS)

struct ExtractedName {
  std::array<char, kNameOctetsMax> octets;
  uint8_t size = 0;
  std::string_view method;  // HTTP's, of a constant list; empty: none

  std::string_view name() const noexcept { return {octets.data(), size}; }
};

/// From the TLS record on. Over more than one record, or fragmented: no name.
void read_tls_name(std::span<const uint8_t> payload, ExtractedName& to) noexcept;
/// From the request line on.
void read_http_name(std::span<const uint8_t> payload, ExtractedName& to) noexcept;
/// From the header on. The first question's.
void read_dns_name(std::span<const uint8_t> message, ExtractedName& to) noexcept;

/// `proto` is the transport's: over TCP a DNS message has its length before it.
void extract(Extract what, std::span<const uint8_t> payload, uint8_t proto, ExtractedName& to) noexcept;

}  // namespace weir::classify

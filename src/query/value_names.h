// value_names.h — Names of the numbers that some fields hold.
//
// Spec:     IANA's registries of protocol numbers, firewallEvent (233), natEvent (230), flowEndReason (136) and DSCP.
//
// Private to src/query.
#pragma once

#include <array>
#include <cstddef>

#include "export/protocol_names.h"
#include "query/fields.h"

namespace weir::query {

inline constexpr int64_t kNatEventBase = 100;  // of `event`: NAT's lie behind the firewall's

/// IANA's keywords in lower case, as OCSF has them.
struct LowerName {
  char octets[24] = {};
  size_t size = 0;
};
inline constexpr auto kLowerProtocolNames = [] {
  std::array<LowerName, 256> names{};
  for (unsigned i = 0; i < 256; ++i) {
    for (const char c : outbound::protocol_name(static_cast<uint8_t>(i))) {
      names[i].octets[names[i].size++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return names;
}();
inline constexpr auto kProtocolNames = [] {
  std::array<ValueName, 256> names{};
  for (size_t i = 0; i < 256; ++i) {
    names[i] = {static_cast<int64_t>(i), {kLowerProtocolNames[i].octets, kLowerProtocolNames[i].size}};
  }
  return names;
}();

inline constexpr ValueName kProtocolGroups[] = {{6, "tcp"}, {17, "udp"}, {0, "other"}};

inline constexpr ValueName kFlowSources[] = {
    {1, "sFlow v5"},   {2, "NetFlow v5"},    {3, "NetFlow v9"},    {4, "IPFIX"},      {1001, "NetFlow v1"},
    {1007, "NetFlow v7"}, {1012, "sFlow v2"}, {1014, "sFlow v4"},  {0, "unknown"},    {1, "sFlow 5"},
    {1, "sFlow"},
};

inline constexpr ValueName kDirections[] = {{1, "ingress"}, {2, "egress"},   {3, "bidirectional"},
                                            {0, "unknown"}, {1, "inbound"},  {2, "outbound"}};

inline constexpr ValueName kObservedDirections[] = {{1, "egress"}};

inline constexpr ValueName kDurationBuckets[] = {{0, "<1s"}, {1, "1-10s"}, {2, "10-60s"}, {3, "1-5m"}, {4, ">5m"}};

inline constexpr ValueName kFlowEndReasons[] = {
    {1, "idle_timeout"}, {2, "active_timeout"}, {3, "end_of_flow"}, {4, "forced_end"}, {5, "lack_of_resources"}};

inline constexpr ValueName kEvents[] = {
    {1, "flow_created"},    {2, "flow_deleted"},    {3, "flow_denied"},      {4, "flow_alert"},
    {5, "flow_updated"},    {101, "nat_created"},   {102, "nat_deleted"},    {103, "nat_addresses_exhausted"},
    {104, "nat44_session_created"}, {105, "nat44_session_deleted"}, {106, "nat64_session_created"},
    {107, "nat64_session_deleted"}, {108, "nat44_bib_created"},     {109, "nat44_bib_deleted"},
    {110, "nat64_bib_created"},     {111, "nat64_bib_deleted"},     {112, "nat_ports_exhausted"},
    {113, "nat_quota_exceeded"},    {114, "nat_address_binding_created"}, {115, "nat_address_binding_deleted"},
    {116, "nat_port_block_allocated"}, {117, "nat_port_block_deleted"},   {118, "nat_threshold_reached"},
    {3, "denied"},
};

inline constexpr ValueName kDscps[] = {
    {0, "CS0"},   {8, "CS1"},   {16, "CS2"},  {24, "CS3"},  {32, "CS4"},  {40, "CS5"},  {48, "CS6"},  {56, "CS7"},
    {10, "AF11"}, {12, "AF12"}, {14, "AF13"}, {18, "AF21"}, {20, "AF22"}, {22, "AF23"}, {26, "AF31"}, {28, "AF32"},
    {30, "AF33"}, {34, "AF41"}, {36, "AF42"}, {38, "AF43"}, {46, "EF"},   {44, "VA"},   {1, "LE"},
};

/// RFC 9293 §3.1, RFC 3540; low bit first.
inline constexpr FlagName kTcpFlags[] = {{1, "FIN"},  {2, "SYN"},  {4, "RST"},   {8, "PSH"},  {16, "ACK"},
                                         {32, "URG"}, {64, "ECE"}, {128, "CWR"}, {256, "AE"}};

}  // namespace weir::query

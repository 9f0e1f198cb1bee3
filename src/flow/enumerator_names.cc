#include "flow/enumerator_names.h"

#include <array>

namespace weir {
namespace {

constexpr std::array<std::string_view, 5> kFlowTypes = {"FLOWUNKNOWN", "SFLOW_5", "NETFLOW_V5", "NETFLOW_V9", "IPFIX"};
constexpr std::array<std::string_view, 14> kLayers = {
    "Ethernet", "IPv4", "IPv6", "TCP", "UDP", "MPLS", "Dot1Q",
    "ICMP", "ICMPv6", "GRE", "IPv6HeaderRouting", "IPv6HeaderFragment", "Geneve", "Teredo"};
constexpr std::array<std::string_view, 5> kOwnLayers = {"VXLAN", "GTPU", "PPPoE", "SRv6", "IPIP"};  // from 1001
constexpr std::array<std::string_view, 9> kSamplingSources = {
    "SAMPLING_UNKNOWN", "SAMPLING_OVERRIDE", "SAMPLING_RECORD", "SAMPLING_SAMPLER", "SAMPLING_INTERFACE",
    "SAMPLING_DOMAIN", "SAMPLING_EXPORTER", "SAMPLING_HEADER", "SAMPLING_DEFAULT"};
constexpr std::array<std::string_view, 10> kTimeSources = {
    "TIME_UNKNOWN", "TIME_UPTIME", "TIME_SECONDS", "TIME_MILLISECONDS", "TIME_MICROSECONDS",
    "TIME_NANOSECONDS", "TIME_DELTA", "TIME_EXPORT", "TIME_RECEIVED", "TIME_SAMPLED"};

template <size_t N>
std::string_view name_in(const std::array<std::string_view, N>& names, uint64_t number) noexcept {
  return number < N ? names[number] : std::string_view();
}

}  // namespace

std::string_view flow_type_name(uint64_t number) noexcept {
  switch (number) {
    case 1001: return "NETFLOW_V1";
    case 1007: return "NETFLOW_V7";
    case 1012: return "SFLOW_2";
    case 1014: return "SFLOW_4";
    default: return name_in(kFlowTypes, number);
  }
}

std::string_view layer_name(uint64_t number) noexcept {
  if (number == 99) return "Custom";
  return number > 1000 ? name_in(kOwnLayers, number - 1001) : name_in(kLayers, number);
}

std::string_view sampling_source_name(uint64_t number) noexcept { return name_in(kSamplingSources, number); }

std::string_view time_source_name(uint64_t number) noexcept { return name_in(kTimeSources, number); }

}  // namespace weir

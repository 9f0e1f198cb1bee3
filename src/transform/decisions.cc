#include "transform/decisions.h"

#include <array>
#include <cassert>

namespace weir::transform {
namespace {

constexpr std::array<std::string_view, 7> kSeverities = {"Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal"};
constexpr std::array<std::string_view, 5> kDirections = {"Unknown", "Inbound", "Outbound", "Lateral", "Local"};
constexpr std::array<std::string_view, 12> kBoundaries = {
    "Unknown",  "Localhost",            "Internal",                "External",         "Same VPC",
    "Internet/VPC Gateway", "Virtual Private Gateway", "Intra-region VPC", "Inter-region VPC", "Local Gateway",
    "Gateway VPC", "Internet Gateway"};

template <size_t N>
struct MemberTexts {
  struct Text {
    char members[64];
    uint8_t octets;
  };
  std::array<Text, N> texts{};
  constexpr MemberTexts(std::string_view key, const std::array<std::string_view, N>& captions) {
    for (size_t i = 0; i < N; ++i) {
      Text& text = texts[i];
      const auto put = [&text](std::string_view part) {
        for (const char c : part) text.members[text.octets++] = c;
      };
      put("\"");
      put(key);
      put("_id\":");
      if (i >= 10) text.members[text.octets++] = static_cast<char>('0' + i / 10);
      text.members[text.octets++] = static_cast<char>('0' + i % 10);
      put(",\"");
      put(key);
      put("\":\"");
      put(captions[i]);
      put("\",");
    }
  }
  std::string_view of(uint64_t id) const noexcept {
    assert(id < N);
    return {texts[id].members, texts[id].octets};
  }
};
constexpr MemberTexts kSeverityTexts("severity", kSeverities);
constexpr MemberTexts kDirectionTexts("direction", kDirections);
constexpr MemberTexts kBoundaryTexts("boundary", kBoundaries);

std::vector<int64_t> up_to(int64_t last) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i <= last; ++i) all.push_back(i);
  return all;
}

}  // namespace

const std::vector<rules::Target>& event_targets() {
  using rules::TargetKind;
  static const std::vector<rules::Target> kTargets = {
      {"severity_id", TargetKind::integer, up_to(6)},
      {"app_name", TargetKind::text, {}},
      {"message", TargetKind::text, {}},
      {"connection_info.direction_id", TargetKind::integer, up_to(4)},
      {"connection_info.boundary_id", TargetKind::integer, up_to(11)},
      {"src_endpoint.name", TargetKind::text, {}},
      {"src_endpoint.hostname", TargetKind::text, {}},
      {"src_endpoint.svc_name", TargetKind::text, {}},
      {"src_endpoint.zone", TargetKind::text, {}},
      {"dst_endpoint.name", TargetKind::text, {}},
      {"dst_endpoint.hostname", TargetKind::text, {}},
      {"dst_endpoint.svc_name", TargetKind::text, {}},
      {"dst_endpoint.zone", TargetKind::text, {}},
      {"device.name", TargetKind::text, {}},
      {"device.hostname", TargetKind::text, {}},
      {"metadata.tenant_uid", TargetKind::text, {}},
  };
  return kTargets;
}

std::string_view severity_members(uint64_t id) noexcept { return kSeverityTexts.of(id); }
std::string_view direction_members(uint64_t id) noexcept { return kDirectionTexts.of(id); }
std::string_view boundary_members(uint64_t id) noexcept { return kBoundaryTexts.of(id); }

}  // namespace weir::transform

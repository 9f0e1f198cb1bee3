#include "transform/decisions.h"

#include <array>

namespace weir::transform {
namespace {

constexpr std::array<std::string_view, 7> kSeverities = {"Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal"};
constexpr std::array<std::string_view, 5> kDirections = {"Unknown", "Inbound", "Outbound", "Lateral", "Local"};
constexpr std::array<std::string_view, 12> kBoundaries = {
    "Unknown",  "Localhost",            "Internal",                "External",         "Same VPC",
    "Internet/VPC Gateway", "Virtual Private Gateway", "Intra-region VPC", "Inter-region VPC", "Local Gateway",
    "Gateway VPC", "Internet Gateway"};

template <size_t N>
std::string_view caption(const std::array<std::string_view, N>& captions, uint64_t id) noexcept {
  return id < N ? captions[id] : std::string_view();
}

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

std::string_view severity_name(uint64_t id) noexcept { return caption(kSeverities, id); }
std::string_view direction_name(uint64_t id) noexcept { return caption(kDirections, id); }
std::string_view boundary_name(uint64_t id) noexcept { return caption(kBoundaries, id); }

}  // namespace weir::transform

// How a table takes in the operator's list, and how it is written as a line of JSON.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "control/exporters/exporter_directory.h"

namespace weir::control {
namespace {

flowpb::InterfaceBoundary boundary_on_wire(InterfaceBoundary boundary) {
  switch (boundary) {
    case InterfaceBoundary::internal: return flowpb::BOUNDARY_INTERNAL;
    case InterfaceBoundary::external: return flowpb::BOUNDARY_EXTERNAL;
    default: return flowpb::BOUNDARY_UNKNOWN;
  }
}

}  // namespace

/// The list's words into a table that options data made; interfaces stay in order.
void ExporterDirectory::write_listed(const IpAddress& address, flowpb::ExporterInfo& out) const {
  const ListedExporter* said = listed(address);
  if (said == nullptr) return;
  out.set_name(said->name);
  out.set_site(said->site);
  const int known = out.interfaces_size();
  int at = 0;
  for (const ListedInterface& interface : said->interfaces) {
    while (at < known && out.interfaces(at).if_index() < interface.index) ++at;
    const bool is_known = at < known && out.interfaces(at).if_index() == interface.index;
    flowpb::InterfaceInfo& i = is_known ? *out.mutable_interfaces(at) : *out.add_interfaces();
    i.set_if_index(interface.index);
    if (!interface.name.empty()) i.set_name(interface.name);
    i.set_speed_bps(interface.speed_bps);
    i.set_boundary(boundary_on_wire(interface.boundary));
  }
  std::inplace_merge(out.mutable_interfaces()->pointer_begin(), out.mutable_interfaces()->pointer_begin() + known,
                     out.mutable_interfaces()->pointer_end(),
                     [](const auto* a, const auto* b) { return a->if_index() < b->if_index(); });
}

std::string_view name_of(flowpb::InterfaceBoundary boundary) noexcept {
  switch (boundary) {
    case flowpb::BOUNDARY_INTERNAL: return name_of(InterfaceBoundary::internal);
    case flowpb::BOUNDARY_EXTERNAL: return name_of(InterfaceBoundary::external);
    default: return name_of(InterfaceBoundary::unknown);
  }
}

namespace {

std::string hex(const std::string& octets) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : octets) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

}  // namespace

void append_exporter_json_line(const flowpb::ExporterInfo& info, std::string& out) {
  using Json = nlohmann::ordered_json;
  const IpAddress address = address_of(info).value_or(IpAddress{});
  Json line = {{"type", "EXPORTER_INFO"},
               {"exporter_address", address.to_string()},
               {"version", info.version()},
               {"first_seen_ns", info.first_seen_ns()},
               {"last_seen_ns", info.last_seen_ns()},
               {"partition", info.partition()},
               {"omitted", info.omitted()},
               {"name", info.name()},
               {"site", info.site()}};
  Json& interfaces = line["interfaces"] = Json::array();
  for (const auto& i : info.interfaces()) {
    interfaces.push_back(
        {{"if_index", i.if_index()},
         {"name", i.name()},
         {"description", i.description()},
         {"speed_bps", i.speed_bps()},
         {"boundary", name_of(i.boundary())}});
  }
  Json& vrfs = line["vrfs"] = Json::array();
  for (const auto& v : info.vrfs()) vrfs.push_back({{"id", v.id()}, {"name", v.name()}});
  Json& applications = line["applications"] = Json::array();
  for (const auto& a : info.applications()) {
    applications.push_back(
        {{"id", hex(a.id())}, {"name", a.name()}, {"description", a.description()}});
  }
  Json& samplers = line["samplers"] = Json::array();
  for (const auto& s : info.samplers()) {
    samplers.push_back({{"id", s.id()}, {"name", s.name()}, {"rate", s.rate()}});
  }
  out += line.dump(-1, ' ', false, Json::error_handler_t::replace);
  out += '\n';
}

}  // namespace weir::control

#include "truth/generated.h"

#include <algorithm>

#include "base/clock.h"
#include "support/program.h"

namespace weir::truth {

using lab::ExportProtocol;

std::string GeneratedKind::name() const {
  std::string text = protocol_name;
  if (*with != 0) text += std::string(" with ") + with;
  return text;
}

const std::vector<GeneratedKind>& generated_kinds() {
  static const std::vector<GeneratedKind> kinds = [] {
    std::vector<GeneratedKind> all = {
        {"v5", "", {.protocol = ExportProtocol::netflow_v5, .sampling = 100}},
        {"v9", "", {.protocol = ExportProtocol::netflow_v9, .sampling = 100}},
        {"v9",
         "bgp,nat,interfaces,samplers",
         {.protocol = ExportProtocol::netflow_v9,
          .extras = {.interfaces = true, .samplers = true, .nat = true, .bgp = true}}},
        {"ipfix", "", {.protocol = ExportProtocol::ipfix, .sampling = 100}},
        {"ipfix", "variable", {.protocol = ExportProtocol::ipfix, .extras = {.variable = true}}},
        {"ipfix",
         "bgp,nat,interfaces,samplers",
         {.protocol = ExportProtocol::ipfix,
          .extras = {.interfaces = true, .samplers = true, .nat = true, .bgp = true}}},
        {"ipfix",
         "all",
         {.protocol = ExportProtocol::ipfix,
          .extras = {.variable = true, .interfaces = true, .samplers = true, .nat = true, .bgp = true}}},
        {"sflow", "", {.protocol = ExportProtocol::sflow, .sampling = 1000}},
        {"sflow", "tunnels,counters", {.protocol = ExportProtocol::sflow, .extras = {.counters = true, .tunnels = true}}},
        {"sflow",
         "all",
         {.protocol = ExportProtocol::sflow,
          .sampling = 1000,
          .extras = {.bgp = true, .expanded = true, .counters = true, .tunnels = true}}},
    };
    for (GeneratedKind& k : all) {
      k.config.seed = 7;
      k.config.start_ns = kGeneratedStartS * kNsPerSec;
    }
    return all;
  }();
  return kinds;
}

std::vector<GeneratedDatagram> model_of(const GeneratedKind& kind) {
  lab::ExporterModel model(kind.config);
  std::vector<GeneratedDatagram> all;
  for (uint32_t with_flows = 0; with_flows < kGeneratedDatagrams;) {
    GeneratedDatagram& d = all.emplace_back();
    d.time_ns = kind.config.start_ns + (all.size() - 1) * kNsPerMs;
    model.next(d.time_ns, d.content);
    if (d.content.templates != 0) continue;
    ++with_flows;
    d.flows.assign(model.flows().begin(), model.flows().end());
    if (kind.config.protocol == ExportProtocol::sflow || kind.config.protocol == ExportProtocol::netflow_v5) continue;
    std::stable_sort(d.flows.begin(), d.flows.end(), [](const auto& a, const auto& b) { return a.kind < b.kind; });
  }
  return all;
}

std::vector<std::string> arguments_of(const GeneratedKind& kind) {
  std::vector<std::string> arguments = {
      test::built("weir"), "generate", "--json", "--protocol", kind.protocol_name,
      "--seed", std::to_string(kind.config.seed), "--start", std::to_string(kGeneratedStartS),
      "--count", std::to_string(kGeneratedDatagrams), "--rate", "1000",
      "--sampling", std::to_string(kind.config.sampling)};
  if (*kind.with != 0) arguments.insert(arguments.end(), {"--with", kind.with});
  return arguments;
}

}  // namespace weir::truth

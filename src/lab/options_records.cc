#include "lab/options_records.h"

#include <fmt/format.h>

#include "lab/flow_fields.h"

namespace weir::lab {
namespace {

constexpr uint8_t kSystematic = 1, kRandom = 2;  // values of 35 and 49
constexpr uint8_t kSystematicCount = 1;          // of 304
constexpr uint8_t kSamplerId = 1;
constexpr uint16_t kNameOctets = 12, kDescriptionOctets = 20, kSamplerNameOctets = 12;

OptionsData samplers_v9(const OptionsWanted& w) {
  OptionsData all;
  all.layout = {.id = kTemplateSampler, .scopes = {{1, 4}}, .fields = {{48, 1}, {49, 1}, {50, 4}}};
  if (!w.extras.samplers) {
    // Sampler 1 of the system samples at random, 1 in N.
    all.records.push_back({u32(0), u8(kSamplerId), u8(kRandom), u32(w.sampling)});
    return all;
  }
  all.layout.fields.push_back({84, kSamplerNameOctets});
  for (uint8_t id = 1; id <= kSamplers; ++id) {
    all.records.push_back({u32(0), u8(id), u8(kRandom), u32(sampling_of(w, id)),
                           text(fmt::format("sampler-{}", id), kSamplerNameOctets)});
  }
  return all;
}

OptionsData samplers_ipfix(const OptionsWanted& w) {
  OptionsData all;
  if (!w.extras.samplers) {
    // The whole observation domain samples every N-th packet.
    all.layout = {.id = kTemplateSampler, .scopes = {{149, 4}}, .fields = {{34, 4}, {35, 1}}};
    all.records.push_back({u32(w.domain), u32(w.sampling), u8(kSystematic)});
    return all;
  }
  // Of N packets one is taken and N - 1 are passed over.
  all.layout = {.id = kTemplateSampler, .scopes = {{302, 8}}, .fields = {{304, 2}, {305, 4}, {306, 4}}};
  for (uint8_t id = 1; id <= kSamplers; ++id) {
    all.records.push_back({u64(id), u16(kSystematicCount), u32(1), u32(sampling_of(w, id) - 1)});
  }
  return all;
}

}  // namespace

uint32_t sampling_of(const OptionsWanted& w, uint8_t id) {
  if (!w.extras.samplers) return w.sampling;
  return (w.sampling != 0 ? w.sampling : kSamplingOfSamplersDefault) << (id - 1);
}

OptionsData sampler_options(const OptionsWanted& w) {
  if (w.sampling == 0 && !w.extras.samplers) return {};
  return w.protocol == ExportProtocol::netflow_v9 ? samplers_v9(w) : samplers_ipfix(w);
}

std::string interface_name(uint32_t if_index) { return fmt::format("Gi0/0/{}", if_index); }
std::string interface_description(uint32_t if_index) {
  return fmt::format("{} {}", if_index <= kUplinks ? "uplink" : "customer", if_index);
}

OptionsData interface_options(const OptionsWanted& w) {
  const bool v9 = w.protocol == ExportProtocol::netflow_v9;
  constexpr uint16_t kInterface = 2, kIngressInterface = 10;  // scope types of v9, elements
  OptionsData all;
  const bool variable = w.extras.variable;
  all.layout = {.id = kTemplateInterface,
                .scopes = {{v9 ? kInterface : kIngressInterface, 4}},
                .fields = {{82, variable ? kVariableLength : kNameOctets},
                           {83, variable ? kVariableLength : kDescriptionOctets}}};
  const auto add = [&](uint32_t i) {
    const std::string called = interface_name(i), described = interface_description(i);
    all.records.push_back(variable ? Record{u32(i), lab::variable(text(called)), lab::variable(text(described))}
                                   : Record{u32(i), text(called, kNameOctets), text(described, kDescriptionOctets)});
  };
  for (uint32_t i = 1; i <= kUplinks; ++i) add(i);
  for (uint32_t i = 0; i < kAccessInterfaces; ++i) add(kAccessInterfaceFirst + i);
  return all;
}

}  // namespace weir::lab

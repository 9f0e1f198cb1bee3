// options_records.h — What made-up exporters tell of themselves: samplers and the names of interfaces.
//
// Spec:     RFC 3954 §6; RFC 7011 §3.4.2.2; RFC 5477 §8.2 (selectors).
#pragma once

#include "lab/flow_details.h"
#include "lab/message_builder.h"

namespace weir::lab {

struct OptionsData {
  OptionsTemplate layout;
  std::vector<Record> records;
};

struct OptionsWanted {
  ExportProtocol protocol = ExportProtocol::netflow_v9;
  Extras extras;
  uint32_t sampling = 0;  // 1 in this many
  uint32_t domain = 0;
};

inline constexpr uint32_t kSamplingOfSamplersDefault = 1000;

/// What sampler `id`, from 1 on, samples one of. Without Extras::samplers all records are of one.
uint32_t sampling_of(const OptionsWanted& wanted, uint8_t id);

/// No records where nothing is sampled.
OptionsData sampler_options(const OptionsWanted& wanted);
/// Of all interfaces that TrafficModel's flows pass.
OptionsData interface_options(const OptionsWanted& wanted);
/// As in the interface's record: `Gi0/0/101`.
std::string interface_name(uint32_t if_index);
std::string interface_description(uint32_t if_index);

}  // namespace weir::lab

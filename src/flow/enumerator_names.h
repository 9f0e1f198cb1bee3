// enumerator_names.h — Names of flow.proto's enumerators.
//
// They stand here a second time so that events are written, and rules run, without protobuf's descriptors; a test compares.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

/// Empty where the schema has no name for the number.
std::string_view flow_type_name(uint64_t number) noexcept;
std::string_view layer_name(uint64_t number) noexcept;
std::string_view sampling_source_name(uint64_t number) noexcept;
std::string_view time_source_name(uint64_t number) noexcept;
std::string_view sflow_drop_reason_name(uint64_t number) noexcept;

}  // namespace weir

// sets.h — Numbers that whoever reads Sets shares: sets.cc, template_sets.cc, options_data.cc.
#pragma once

#include <cstdint>

namespace weir::decode {

inline constexpr uint32_t kSetHeaderOctets = 4;
inline constexpr uint16_t kFirstDataSetId = 256;  // and of templates
inline constexpr uint32_t kPaddingOctetsMax = 3;  // to the next multiple of four

enum SetId : uint16_t { kTemplatesV9 = 0, kOptionsV9 = 1, kTemplatesIpfix = 2, kOptionsIpfix = 3 };

}  // namespace weir::decode

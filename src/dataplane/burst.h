// burst.h — How many frames or datagrams are taken in one go.
#pragma once

namespace weir::dataplane {

inline constexpr unsigned kBurst = 32;

}  // namespace weir::dataplane

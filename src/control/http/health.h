// health.h — Whether the appliance is alive: its control thread looks around, its cores' loops turn.
//
// Runs on:  any thread; pure.
// Bounds:   a core's loop turns at least every 100 ms, busy or idle, and a view is taken every 250 ms.
//           What stands still for kStandstillMaxNs is stuck, on the slowest machine as well.
//
// Health is about this process: who cannot reach a broker is healthy and not ready.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "control/view.h"

namespace weir::control {

inline constexpr uint64_t kStandstillMaxNs = 5 * kNsPerSec;
/// DPDK takes its time to clear hugepages.
inline constexpr uint64_t kStartMaxNs = 120 * kNsPerSec;

/// Empty while all is well, else what stands still and for how long. `view` may be null: not yet
/// taken, since `started_steady_ns`.
std::string unhealthy_because(const ApplianceView* view, uint64_t started_steady_ns,
                              uint64_t steady_now_ns);

/// The same of the thread that answers: nobody else would tell of it.
std::string http_stands_because(uint64_t turned_steady_ns, uint64_t steady_now_ns);

}  // namespace weir::control

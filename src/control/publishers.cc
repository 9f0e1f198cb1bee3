#include "control/publishers.h"

#include <algorithm>

namespace weir::control {

size_t publisher_queue_batches(const ApplianceConfig& config) {
  // channel_size speaks of datagrams of 30 records; a batch holds several hundred. The bound in
  // records is kept by Delivery, so this one only has to be generous enough for small batches.
  return std::clamp<size_t>(config.channel_size, 16, 65'536);
}

}  // namespace weir::control

// drop_policy.h — What happens to a batch for which a publisher has no room.
#pragma once

#include "base/named_enum.h"

namespace weir::control {

/// drop_newest loses it, drop_oldest loses the oldest that waits, block lets the receive cores wait, and
/// with them the NIC's queues; spool writes it to disk.
#define WEIR_DROP_POLICIES(X) X(drop_newest) X(drop_oldest) X(block) X(spool)
WEIR_NAMED_ENUM(DropPolicy, uint8_t, WEIR_DROP_POLICIES)

}  // namespace weir::control

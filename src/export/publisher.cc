#include "export/publisher.h"

namespace weir::outbound {

std::string RunIdentity::message_id(const OutboundBatch& batch) const {
  return appliance_uuid + '.' + std::to_string(start_ns) + '.' + std::to_string(batch.core) + '.' +
         std::to_string(batch.sequence);
}

std::string RunIdentity::message_id(const OutboundBatch& batch, uint32_t part) const {
  return message_id(batch) + '.' + std::to_string(part);
}

}  // namespace weir::outbound

// publishers.h — The configured publishers, made but not yet running.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/config.h"
#include "export/meta_publisher.h"
#include "export/publisher.h"

namespace weir::control {

struct NamedPublisher {
  std::string name;
  std::unique_ptr<outbound::Publisher> publisher;
};

Result<std::vector<NamedPublisher>> make_publishers(const ApplianceConfig& config,
                                                    const outbound::RunIdentity& identity);

/// How many sealed batches may wait for a publisher, beside its own window.
size_t publisher_queue_batches(const ApplianceConfig& config);

/// The publisher of tables of names; null where the configuration has none.
Result<std::unique_ptr<outbound::MetaPublisher>> make_meta_publisher(const ApplianceConfig& config);

}  // namespace weir::control

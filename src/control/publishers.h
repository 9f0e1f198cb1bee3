// publishers.h — The configured publishers, made but not yet running.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/waker.h"
#include "control/config.h"
#include "control/delivery.h"
#include "export/meta_publisher.h"
#include "export/publisher.h"

namespace weir::control {

struct NamedPublisher {
  std::string name;
  std::unique_ptr<outbound::Publisher> publisher;
};

Result<std::vector<NamedPublisher>> make_publishers(const ApplianceConfig& config,
                                                    const outbound::RunIdentity& identity,
                                                    const outbound::Subjects& subjects);

/// How many sealed batches may wait for a publisher, beside its own window.
size_t publisher_queue_batches(uint32_t channel_size);

/// How many of them its thread has at hand.
size_t batches_at_hand(uint32_t channel_size);

/// What the publisher of that configuration may hold, with its spool, which is opened.
Result<PublisherBounds> publisher_bounds(const ApplianceConfig& config,
                                         const PublisherConfig& publisher,
                                         const outbound::RunIdentity& identity,
                                         const outbound::Subjects& subjects, size_t batches_in_all, Waker& on_news);

/// The publisher of tables of names; null where the configuration has none.
Result<std::unique_ptr<outbound::MetaPublisher>> make_meta_publisher(const ApplianceConfig& config);

}  // namespace weir::control

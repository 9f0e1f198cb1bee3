// publishers.h — The configured publishers, made but not yet running.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/waker.h"
#include "control/config/config.h"
#include "control/delivery/delivery.h"
#include "export/meta_publisher.h"
#include "export/publisher.h"

namespace weir::control {

struct NamedPublisher {
  std::string name;
  std::unique_ptr<outbound::Publisher> publisher;
};

/// That one of the configuration's. It connects to nothing until its thread runs.
Result<std::unique_ptr<outbound::Publisher>> make_publisher(const ApplianceConfig& config, const PublisherConfig& publisher,
                                                            const outbound::RunIdentity& identity,
                                                            const outbound::Subjects& subjects);

Result<std::vector<NamedPublisher>> make_publishers(const ApplianceConfig& config,
                                                    const outbound::RunIdentity& identity,
                                                    const outbound::Subjects& subjects);

/// How many sealed batches may wait for a publisher, beside its own window.
size_t publisher_queue_batches(uint32_t channel_size);

/// How many of them its thread has at hand.
size_t batches_at_hand(uint32_t channel_size);

/// What the publisher of that configuration may hold; without its spool.
PublisherBounds publisher_bounds(const ApplianceConfig& config, const PublisherConfig& publisher);

/// What publishers of a run share.
struct PublisherGround {
  outbound::RunIdentity identity;
  outbound::Subjects subjects;
  size_t batches_in_all = 0;  // that can exist
  Waker* on_news = nullptr;   // woken where there is something for the control thread
};

/// Opens the spool of that publisher, and its journal.
Result<void> open_spool(const ApplianceConfig& config, const PublisherConfig& publisher, const PublisherGround& ground,
                        PublisherBounds& bounds);

/// A thread for that publisher.
std::unique_ptr<PublisherThread> make_publisher_thread(const ApplianceConfig& config, const PublisherConfig& publisher,
                                                       std::unique_ptr<outbound::Publisher> made,
                                                       const PublisherGround& ground);

/// Where only one publisher may write at a time; empty: as many as like.
std::string exclusive_place(const PublisherConfig& publisher);

/// The publisher of tables of names; null where the configuration has none.
Result<std::unique_ptr<outbound::MetaPublisher>> make_meta_publisher(const ApplianceConfig& config);

}  // namespace weir::control

// publisher_plan.h — What another configuration means to publishers: which are made anew, which spools are opened.
//
// Runs on:  judged and given on the control_thread; make() anywhere, for it reads files and opens spools.
// Failure:  make() names the publisher that cannot be made; what was made goes with the plan, unused.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/config/config.h"
#include "control/delivery/delivery.h"
#include "control/delivery/publishers.h"

namespace weir::control {

class PublisherPlan {
 public:
  PublisherPlan(const ApplianceConfig& running, const ApplianceConfig& wanted);

  /// Publishers are as they were, but for bounds perhaps.
  bool is_empty() const noexcept;
  /// A line where it cannot be done while what an earlier change replaced has not ended.
  Result<void> check(const Delivery& delivery) const WEIR_RUNS_ON(control_thread);
  Result<void> make(const PublisherGround& ground);
  /// For Delivery::change, once made.
  std::vector<PublisherChange> take();
  /// What goes on and comes and goes, for the log.
  std::string text() const;

  /// Tables of names go out by another connection, or another way.
  bool remakes_feed() const noexcept { return remakes_feed_; }
  std::unique_ptr<outbound::MetaPublisher> take_meta() noexcept { return std::move(meta_); }

 private:
  struct Step {
    bool is_new = false;      // there was none of its name
    bool makes_thread = false;
    bool opens_spool = false;
    bool closes_spool = false;
    PublisherChange change;
  };

  Result<void> make_all(const PublisherGround& ground);

  ApplianceConfig wanted_;
  std::vector<Step> steps_;         // by publisher of `wanted`
  std::vector<std::string> going_;  // names
  bool remakes_feed_ = false;
  std::unique_ptr<outbound::MetaPublisher> meta_;
};

/// Who prints tables of names as lines; empty: nobody.
std::string printer_of_tables(const ApplianceConfig& config);

}  // namespace weir::control

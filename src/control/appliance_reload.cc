// How the appliance goes by another configuration while it runs.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/clock.h"
#include "control/appliance.h"
#include "service/log.h"

namespace weir::control {
namespace {

// A reload is told as ended after this, should what it replaced still deliver what it had: long enough for all but
// destinations that are away, so that the next reload finds nothing in its way.
constexpr uint64_t kChangeOverMaxNs = 2 * kNsPerSec;

}  // namespace

Reloader::Steps Appliance::reload_steps() {
  return {.prepare =
              [this](const ApplianceConfig& config) {
                RoleScope role(control_thread);
                return prepare_config(config);
              },
          .apply =
              [this](const ApplianceConfig& config, const service::Origins& origins) {
                RoleScope role(control_thread);
                return take_config(config, origins);
              },
          .is_settled =
              [this] {
                RoleScope role(control_thread);
                return has_settled();
              }};
}

/// Whether publishers can be changed just now, and what to make for that.
Result<Reloader::Preparation> Appliance::prepare_config(const ApplianceConfig& config) {
  Numbering numbers = numbers_;
  numbers.extend(config);
  if (!numbers.fits()) return Error{fmt::format("there were {} subjects and {} listeners since the start: only a restart takes up more", numbers.subjects.size(), numbers.listeners.size())};
  plan_ = std::make_unique<PublisherPlan>(config_, config);
  if (auto checked = plan_->check(*delivery_); !checked) return checked.error();
  if (plan_->remakes_feed() && (leaving_feed_ || !disposal_.is_idle())) {
    return Error{"exporter_info: the connection that an earlier reload has replaced is not closed yet: try again"};
  }
  if (plan_->is_empty()) return Reloader::Preparation();
  return Reloader::Preparation([this]() -> Result<void> { return plan_->make(ground_); });
}

/// What was judged already: `config` differs from what goes in keys that need no restart.
Result<void> Appliance::take_config(const ApplianceConfig& config, const service::Origins& origins) {
  Numbering numbers = numbers_;
  numbers.extend(config);
  // Before the first batch that has a new route.
  subjects_.replace(numbers.subjects);
  rates_.set_total(config.limits.records_per_second);
  balance_rates();
  const auto stages_before = data_plane_->stages();
  if (auto changed = data_plane_->change(data_plane_config(config, numbers)); !changed) {
    rates_.set_total(config_.limits.records_per_second);
    plan_.reset();
    return changed.error();
  }
  numbers_ = std::move(numbers);
  census_->expect(exporters_of_core(config));
  if (data_plane_->stages() != stages_before) rule_book_.leave(stages_before);
  service::set_log_level(config.log.level);
  if (config.exporter_list != config_.exporter_list) {
    directory_.set_list(config.exporter_list, steady_clock_ns(), wall_clock_ns());
  }
  config_ = config;
  show_config(origins);
  change_publishers();
  return {};
}

/// From the next batch on.
void Appliance::change_publishers() {
  const std::unique_ptr<PublisherPlan> plan = std::move(plan_);
  const uint64_t now_ns = steady_clock_ns();
  const uint64_t deadline_ns = now_ns + uint64_t{config_.shutdown_deadline_ms} * kNsPerMs;
  settled_by_ns_ = now_ns + kChangeOverMaxNs;
  if (const std::string text = plan->text(); !text.empty()) service::log_info("publishers: {}", text);
  delivery_->change(plan->take(), deadline_ns);
  if (!plan->remakes_feed()) return;
  leaving_feed_ = std::move(feed_);
  if (leaving_feed_) leaving_feed_->begin_leave(deadline_ns);
  make_feed(plan->take_meta());
  if (!feed_) return;
  feed_->start();
  directory_.publish_all_again(now_ns);
}

bool Appliance::has_settled() {
  const bool plane_has = data_plane_->settle_change();
  if (plane_has) rule_book_.settle();
  const bool publishers_have = delivery_->has_changed_over() && !leaving_feed_ && disposal_.is_idle();
  return plane_has && (publishers_have || steady_clock_ns() >= settled_by_ns_);
}

/// For tables of names: their stream, and whoever prints them.
void Appliance::make_feed(std::unique_ptr<outbound::MetaPublisher> meta) {
  ExporterFeed::PrintLine print;
  if (std::string name = printer_of_tables(config_); !name.empty()) {
    print = [this, name = std::move(name)](const std::string& line) {
      RoleScope role(control_thread);
      return delivery_->offer_line(name, line);
    };
  }
  if (meta == nullptr && !print) return;
  feed_ = std::make_unique<ExporterFeed>(
      ExporterFeedConfig{config_.exporter_info.subject_prefix, fmt::format("{}.{}", uuid_, started_ns_)},
      std::move(meta), std::move(print));
}

bool Appliance::step_feed(uint64_t steady_now_ns) {
  bool moved = false;
  if (leaving_feed_) {
    // Asked before: then all that there will be is decided.
    const bool has_ended = leaving_feed_->finished();
    moved |= leaving_feed_->step(directory_, steady_now_ns);
    if (has_ended) {
      add_past(feed_past_, leaving_feed_->view(directory_));
      disposal_.add(std::move(leaving_feed_));
    }
  }
  disposal_.step();
  if (feed_) moved |= feed_->step(directory_, steady_now_ns);
  return moved;
}

ExporterFeedView Appliance::feed_view() {
  ExporterFeedView view = feed_ ? feed_->view(directory_) : ExporterFeedView{};
  if (leaving_feed_) add_past(view, leaving_feed_->view(directory_));
  add_past(view, feed_past_);
  return view;
}

}  // namespace weir::control

#include "control/delivery/publisher_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "control/config/config_security.h"

namespace weir::control {
namespace {

// Every key that a publisher is made from stands in one of these, so that it is made anew where one differs.

auto connection_keys(const ApplianceConfig& c) {
  return std::tie(c.nats_url, c.nats_creds_file, c.nats_nkey_file, c.nats_user, c.nats_password, c.nats_token,
                  c.security.mode, c.security.cert_dir, c.security.server_name, c.security.tls.cert_file,
                  c.security.tls.key_file, c.security.tls.ca_file, c.stream_replicas, c.stream_adopt,
                  c.publish_timeout_ms);
}

auto stream_keys(const ApplianceConfig& c) {
  return std::tie(c.stream_name, c.stream_subjects, c.stream_max_bytes, c.stream_storage, c.stream_retention,
                  c.stream_max_age_secs, c.stream_duplicate_window_secs, c.nats_connections);
}

auto message_keys(const ApplianceConfig& c) { return std::tie(c.framing, c.compression); }

auto own_keys(const PublisherConfig& p) {
  return std::tie(p.kind, p.format, p.path, p.rotate_bytes, p.rotate_secs, p.keep_files, p.url, p.token_file, p.ca_file,
                  p.cert_file, p.key_file, p.requests_max, p.brokers, p.topic, p.options);
}

auto feed_keys(const ApplianceConfig& c) {
  return std::tie(c.exporter_info.publish, c.exporter_info.stream_name, c.exporter_info.subject_prefix,
                  c.exporter_info.stream_max_bytes);
}

bool makes_alike(const ApplianceConfig& a, const PublisherConfig& pa, const ApplianceConfig& b,
                 const PublisherConfig& pb) {
  const auto at_hand = [](const ApplianceConfig& c, const PublisherConfig& p) {
    return batches_at_hand(p.channel_size.value_or(c.channel_size));
  };
  if (own_keys(pa) != own_keys(pb) || at_hand(a, pa) != at_hand(b, pb)) return false;
  switch (pa.kind) {
    case PublisherKind::jetstream:
      return connection_keys(a) == connection_keys(b) && stream_keys(a) == stream_keys(b) &&
             message_keys(a) == message_keys(b);
    case PublisherKind::kafka: return message_keys(a) == message_keys(b);
    case PublisherKind::http: return a.publish_timeout_ms == b.publish_timeout_ms;
    case PublisherKind::standard_output:
    case PublisherKind::file:
    case PublisherKind::discard: break;
  }
  return true;
}

bool feeds_alike(const ApplianceConfig& a, const ApplianceConfig& b) {
  if (printer_of_tables(a) != printer_of_tables(b) || publishes_to_nats(a) != publishes_to_nats(b)) return false;
  return !publishes_to_nats(a) || (feed_keys(a) == feed_keys(b) && connection_keys(a) == connection_keys(b));
}

const PublisherConfig* find(const ApplianceConfig& config, const std::string& name) {
  for (const PublisherConfig& p : config.publishers) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

}  // namespace

std::string printer_of_tables(const ApplianceConfig& config) {
  for (const PublisherConfig& p : config.publishers) {
    if (p.exporter_info) return p.name;
  }
  return {};
}

PublisherPlan::PublisherPlan(const ApplianceConfig& running, const ApplianceConfig& wanted)
    : wanted_(wanted), remakes_feed_(!feeds_alike(running, wanted)) {
  for (const PublisherConfig& p : wanted.publishers) {
    const PublisherConfig* const before = find(running, p.name);
    Step step;
    step.change.name = p.name;
    step.change.bounds = publisher_bounds(wanted, p);
    step.is_new = before == nullptr;
    step.makes_thread = before == nullptr || !makes_alike(running, *before, wanted, p);
    const bool spooled = before != nullptr && drop_policy_of(running, *before) == DropPolicy::spool;
    step.closes_spool = spooled && step.change.bounds.policy != DropPolicy::spool;
    if (step.change.bounds.policy == DropPolicy::spool) {
      const outbound::SpoolConfig spool = spool_config(wanted, p);
      step.opens_spool = !spooled || spool_config(running, *before).dir != spool.dir;
      step.change.spool_limits = {spool.octets_max, spool.age_max_ns, spool.sync};
    }
    steps_.push_back(std::move(step));
  }
  for (const PublisherConfig& p : running.publishers) {
    if (find(wanted, p.name) == nullptr) going_.push_back(p.name);
  }
}

bool PublisherPlan::is_empty() const noexcept {
  return going_.empty() && !remakes_feed_ && std::none_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.makes_thread || step.opens_spool;
  });
}

Result<void> PublisherPlan::check(const Delivery& delivery) const {
  size_t more = 0;
  for (const Step& step : steps_) {
    more += step.is_new;
    if (!step.makes_thread && !step.opens_spool && !step.closes_spool) continue;
    if (delivery.is_busy(step.change.name)) {
      return Error{fmt::format("publisher {}: what an earlier reload has replaced or removed still delivers what it had, "
                               "for shutdown_deadline_ms at most: try again then",
                               step.change.name)};
    }
  }
  if (delivery.destinations() + more > kDestinationsMax) {
    return Error{fmt::format("publishers: {} would work or deliver what they had at once, limit {}",
                             delivery.destinations() + more, kDestinationsMax)};
  }
  return {};
}

/// What was made of a whole that cannot be made keeps no spool open.
Result<void> PublisherPlan::make(const PublisherGround& ground) {
  auto made = make_all(ground);
  if (!made) steps_.clear();
  return made;
}

Result<void> PublisherPlan::make_all(const PublisherGround& ground) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    const PublisherConfig& p = wanted_.publishers[i];
    Step& step = steps_[i];
    if (step.makes_thread) {
      auto made = make_publisher(wanted_, p, ground.identity, ground.subjects);
      if (!made) return made.error();
      step.change.thread = make_publisher_thread(wanted_, p, std::move(*made), ground);
    }
    if (step.opens_spool) {
      if (auto opened = open_spool(wanted_, p, ground, step.change.bounds); !opened) return opened.error();
    }
  }
  if (!remakes_feed_) return {};
  auto meta = make_meta_publisher(wanted_);
  if (!meta) return Error{"exporter_info: " + meta.error().message};
  meta_ = std::move(*meta);
  return {};
}

std::vector<PublisherChange> PublisherPlan::take() {
  std::vector<PublisherChange> changes;
  for (Step& step : steps_) changes.push_back(std::move(step.change));
  return changes;
}

std::string PublisherPlan::text() const {
  std::string text;
  const auto say = [&](const std::string& name, const char* what) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, what);
  };
  for (const Step& step : steps_) {
    if (step.is_new) say(step.change.name, "comes");
    if (!step.is_new && step.makes_thread) say(step.change.name, "is made anew");
    if (!step.is_new && step.opens_spool) say(step.change.name, "has another spool");
    if (step.closes_spool) say(step.change.name, "has no spool any more");
  }
  for (const std::string& name : going_) say(name, "goes");
  return text;
}

}  // namespace weir::control

// addressing.h — Where a batch is published and under what id.
//
// Spec:     DESIGN: subjects, Nats-Msg-Id.
// Runs on:  any thread. Constant once made, but for subjects that are added.
//
// A subject may have the placeholders {protocol} and {exporter}, which add no tokens. Batches of such a
// route hold one exporter's or one protocol's records only (BatcherConfig::splits).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/snapshot.h"
#include "export/outbound_batch.h"

namespace weir::outbound {

/// What identifies messages of this run: `<appliance uuid>.<start>` (DESIGN: Nats-Msg-Id).
struct RunIdentity {
  std::string appliance_uuid;
  uint64_t start_ns = 0;
};

/// How {protocol} is written: netflow_v5, ipfix, sflow, …
std::string_view protocol_token(FlowType type) noexcept;

/// An address as part of a token, with - for . and :.
std::string address_token(const IpAddress& address);

/// How the batches of a route are told apart beside their route.
struct RouteSplit {
  bool by_protocol = false;
  bool by_exporter = false;
};

/// Of a subject: what its placeholders ask for.
RouteSplit split_of(std::string_view subject) noexcept;

/// The subject with * for each token that has a placeholder: what a stream takes them all by.
std::string stream_pattern(std::string_view subject);

/// Subjects by RouteId. Copies share the list, to which one thread may add while others read it.
class Subjects {
 public:
  using List = std::vector<std::string>;
  Subjects(List list = {}) : shared_(std::make_shared<Snapshot<List>>()) { replace(std::move(list)); }
  Subjects(std::initializer_list<std::string> list) : Subjects(List(list)) {}

  /// `list` begins with what was there.
  void replace(List list) { shared_->publish(std::make_shared<const List>(std::move(list))); }
  std::shared_ptr<const List> read() const { return shared_->read(); }

 private:
  std::shared_ptr<Snapshot<List>> shared_;
};

class Addressing {
 public:
  /// What routes there are beyond `subjects` go to the last.
  Addressing(RunIdentity identity, Subjects subjects)
      : identity_(std::move(identity)), subjects_(std::move(subjects)) {}

  std::string subject_of(const OutboundBatch& batch) const;
  /// Unique for each batch. A message that is a part of it adds its own number behind a dot.
  std::string id_of(const OutboundBatch& batch) const;

  /// The batch's subject with its placeholders.
  std::string pattern_of(const OutboundBatch& batch) const;
  std::shared_ptr<const Subjects::List> subjects() const { return subjects_.read(); }
  const RunIdentity& identity() const noexcept { return identity_; }

 private:
  RunIdentity identity_;
  Subjects subjects_;
};

}  // namespace weir::outbound

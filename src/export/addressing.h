// addressing.h — Where a batch is published and under what id.
//
// Spec:     DESIGN: subjects, Nats-Msg-Id.
// Runs on:  any thread. Constant once made.
//
// A subject may have the placeholders {protocol} and {exporter}, which add no tokens. Batches of such a
// route hold one exporter's or one protocol's records only (BatcherConfig::splits).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

class Addressing {
 public:
  /// `subjects` by RouteId; what routes there are beyond them go to the last.
  Addressing(RunIdentity identity, std::vector<std::string> subjects)
      : identity_(std::move(identity)), subjects_(std::move(subjects)) {}

  std::string subject_of(const OutboundBatch& batch) const;
  /// Unique for each batch. A message that is a part of it adds its own number behind a dot.
  std::string id_of(const OutboundBatch& batch) const;

  const std::vector<std::string>& subjects() const noexcept { return subjects_; }
  const RunIdentity& identity() const noexcept { return identity_; }

 private:
  RunIdentity identity_;
  std::vector<std::string> subjects_;
};

}  // namespace weir::outbound

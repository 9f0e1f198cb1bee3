// hostile_traffic.h — Datagrams by which somebody would try to hurt a collector.
//
// Each is a header that is right, so that it gets past the first check, and one of: templates without
// end, templates that flap between ports, templates of nothing, data whose template never comes, names
// and rates by the thousand, domains and agents by the thousand, records of one octet, lengths and
// counts that lie, good messages cut and damaged.
#pragma once

#include <cstdint>

#include "lab/message_builder.h"
#include "lab/traffic.h"

namespace weir::soak {

class HostileTraffic {
 public:
  explicit HostileTraffic(uint64_t seed) noexcept : random_(seed) {}

  /// At most kOctetsMax octets.
  lab::Octets next();

  static constexpr size_t kOctetsMax = 1400;

 private:
  lab::Octets noise(size_t octets);
  lab::Octets netflow_v9(const lab::Octets& sets);
  lab::Octets ipfix(const lab::Octets& sets);
  lab::Octets of_either(const lab::Octets& sets_v9, const lab::Octets& sets_ipfix);
  lab::Octets sflow(const lab::Octets& samples, uint32_t count);
  /// Few mostly, or there would be no room left for anything else.
  uint32_t domain() { return random_.below(random_.below(8) == 0 ? 1000 : 2); }
  uint16_t template_id() { return static_cast<uint16_t>(256 + random_.below(65'280)); }

  lab::Octets template_flood();
  lab::Octets template_flapping();
  lab::Octets templates_of_nothing();
  lab::Octets data_without_template();
  lab::Octets options_flood();
  lab::Octets records_of_one_octet();
  lab::Octets lying_lengths();
  lab::Octets sflow_flood();
  lab::Octets damaged();

  lab::Random random_;
};

}  // namespace weir::soak

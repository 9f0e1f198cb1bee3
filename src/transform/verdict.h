// verdict.h — What became of a flow: passed on, opened, closed, refused, translated; from what its exporter says of
// firewalls, drops and NAT.
//
// Spec:     IANA's registries of elements 233 (firewallEvent), 89 (forwardingStatus, RFC 7270 §4.12) and 230
//           (natEvent, RFC 8158 §4.3); OCSF 1.7.0's activity_id, status_id, action_id and disposition_id.
// Runs on:  any thread. Pure.
#pragma once

#include <cstdint>

#include "base/named_enum.h"
#include "flow/flow_view.h"

namespace weir::transform {

#define WEIR_VERDICTS(X)                                                                             \
  X(traffic) X(forwarded) X(dropped) X(firewall_opened) X(firewall_closed) X(firewall_denied)        \
  X(firewall_alert) X(firewall_updated) X(nat_opened) X(nat_closed) X(nat_exhausted) X(nat_threshold)
WEIR_NAMED_ENUM(Verdict, uint8_t, WEIR_VERDICTS)

/// A firewall's word goes first, then whether the packets were dropped, then NAT.
inline Verdict verdict_of(const FlowView& flow) noexcept {
  switch (flow[NumberSlot::firewall_event]) {
    case 1: return Verdict::firewall_opened;
    case 2: return Verdict::firewall_closed;
    case 3: return Verdict::firewall_denied;
    case 4: return Verdict::firewall_alert;
    case 5: return Verdict::firewall_updated;
    default: break;
  }
  const uint64_t status = flow[NumberSlot::forwarding_status] >> 6;  // 1 forwarded, 2 dropped, 3 consumed
  if (status == 2) return Verdict::dropped;
  switch (flow[NumberSlot::nat_event]) {
    case 1:    // translation
    case 4:    // NAT44 session
    case 6:    // NAT64 session
    case 8:    // NAT44 BIB
    case 10:   // NAT64 BIB
    case 14:   // address binding
    case 16:   // port block
      return Verdict::nat_opened;
    case 2:
    case 5:
    case 7:
    case 9:
    case 11:
    case 15:
    case 17: return Verdict::nat_closed;
    case 3:   // addresses
    case 12:  // ports
    case 13:  // quota
      return Verdict::nat_exhausted;
    case 18: return Verdict::nat_threshold;
    default: break;
  }
  return status == 1 ? Verdict::forwarded : Verdict::traffic;
}

}  // namespace weir::transform

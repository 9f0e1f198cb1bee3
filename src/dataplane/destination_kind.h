// destination_kind.h — Whose an address is, as this host's kernel would route to it just now.
//
// Runs on:  start-up, reloads, and once a second whoever sends there: asks the kernel by netlink, sends nothing.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>

#include "base/ip_address.h"
#include "base/named_enum.h"

namespace weir::dataplane {

#define WEIR_DESTINATION_KINDS(X) X(elsewhere) X(own) X(broadcast) X(multicast)
WEIR_NAMED_ENUM(DestinationKind, uint8_t, WEIR_DESTINATION_KINDS)

/// `elsewhere` also where no route leads there, or where the kernel does not answer.
DestinationKind destination_kind(const IpAddress& address) noexcept;

}  // namespace weir::dataplane

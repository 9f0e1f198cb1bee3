// capture_pcap.h — Copied datagrams as a capture file, for those who look at packets.
//
// Runs on:  http_thread. Pure.
// Failure:  an Error when memory is short.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/datagram_copy.h"

namespace weir::control {

/// pcap of IP packets (LINKTYPE_RAW) with nanoseconds, by the time of receipt. A datagram of a kernel socket, or one
/// that came in fragments, gets headers that say what is known; of a socket's the destination is not, and is 0.0.0.0
/// or ::. Of one that was not kept whole the headers tell the true lengths, and the UDP checksum is left out.
Result<std::string> pcap_of(std::vector<dataplane::DatagramView> datagrams);

}  // namespace weir::control

// xdp_program.h — The XDP program that gives an AF_XDP port its listeners' datagrams and leaves the kernel the rest.
//
// Spec:     linux/bpf.h; IEEE 802.1Q, 802.1ad; RFC 791, RFC 8200 §4.
// Runs on:  control_thread makes it; the kernel runs it for every frame of the interface.
// Bounds:   kVlanTags tags and kExtensionHeaders headers are walked; what has more is the kernel's. kXdpDatagramsMax
//           datagrams of others are remembered, in fragments; beyond, those go that were least recently asked for. Who exports
//           is remembered by kXdpSources places for all addresses: two may share one.
//
// Private to src/dataplane. Written as instructions, since a compiler for BPF is none of what Weir is built with. It
// reads by bpf_xdp_load_bytes (Linux 5.18), so that the verifier has no pointer to follow and CAP_BPF is enough.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace weir::dataplane {

inline constexpr uint32_t kXdpQueuesMax = 1024;  // places in the map of sockets

enum class XdpScope : uint8_t { listeners, everything };

/// One that comes in fragments; octets in network order.
struct XdpDatagram {
  uint32_t id;
  uint32_t vlan;    // of the inner tag; 0: none
  uint8_t src[16];  // IPv4 in the first four, then zeros
  uint8_t dst[16];
};
inline constexpr uint32_t kXdpDatagramsMax = 16'384;  // about 2 MiB of the kernel's memory

/// Each address has one of these: its 16-bit words, exclusively or-ed.
inline constexpr uint32_t kXdpSources = 65'536;

struct XdpMaps {
  int ports = -1;      // array of 65,536 u32: not 0 where a listener has that UDP port
  int of_others = -1;  // LRU hash of XdpDatagram to u32: those that no listener wants; not for XdpScope::everything, as the next
  int exporters = -1;  // array of kXdpSources u32: not 0 where a source has sent to a listener
  int sockets = -1;    // by receive queue
};

/// Redirects UDP datagrams for `ports`, whole and in fragments, to the socket of their queue; passes all else, and what
/// comes on a queue without socket, to the kernel. Only the first fragment has the port: others that come before it are
/// redirected where their source is known to export.
std::vector<bpf_insn> xdp_program(XdpScope scope, const XdpMaps& maps);

}  // namespace weir::dataplane

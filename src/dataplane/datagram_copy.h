// datagram_copy.h — Copies of datagrams for an operator to look at: what is kept of each, and where it lay.
//
// Runs on:  rx_lcore copies; any thread reads what was handed to it.
//
// Of a frame the IP packet is kept as it came, without what lies before and behind it. A kernel socket gives a
// payload only, and so do fragments; who wants a packet builds headers from the note.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "flow/export_header.h"
#include "packet/frame.h"

namespace weir::dataplane {

/// The frame that a datagram came in; an empty one: it came from a kernel socket, or in several.
struct Arrival {
  std::span<const uint8_t> frame{};
  packet::LinkType link = packet::LinkType::ethernet;
  uint8_t vlan_tags = 0;
  const IpAddress* destination = nullptr;  // null: not known
};

/// What is known of a datagram beside the octets that were kept.
struct DatagramNote {
  uint64_t received_ns = 0;
  IpAddress source;
  IpAddress destination;        // ::, not known
  uint16_t source_port = 0;
  uint16_t local_port = 0;
  ListenerId listener;
  bool has_templates = false;   // it defines or withdraws some
  uint16_t header_octets = 0;   // of IP and UDP, before the payload; 0: there are none
  uint32_t payload_octets = 0;  // of the datagram, whatever was kept of it
  uint32_t octets = 0;          // of what there was to keep: IP packet or payload
  uint32_t kept_octets = 0;     // of these, from the first one on
};

/// A copy that lies somewhere else.
struct DatagramView {
  DatagramNote note;
  std::span<const uint8_t> octets;  // note.kept_octets

  std::span<const uint8_t> payload() const noexcept {
    return octets.size() < note.header_octets ? std::span<const uint8_t>{}
                                              : octets.subspan(note.header_octets);
  }
};

/// What there is to keep of a datagram.
inline DatagramView look_at(const Datagram& datagram, const Arrival& arrival) noexcept {
  DatagramView view;
  view.octets = arrival.frame.empty()
                    ? datagram.payload
                    : packet::ip_packet_of(arrival.frame, arrival.link, arrival.vlan_tags);
  const size_t header =
      arrival.frame.empty() ? 0 : static_cast<size_t>(datagram.payload.data() - view.octets.data());
  view.note = {.received_ns = datagram.received_ns,
               .source = datagram.source,
               .destination = arrival.destination != nullptr ? *arrival.destination : IpAddress{},
               .source_port = datagram.source_port,
               .local_port = datagram.local_port,
               .listener = datagram.listener,
               .header_octets = static_cast<uint16_t>(header),
               .payload_octets = static_cast<uint32_t>(datagram.payload.size()),
               .octets = static_cast<uint32_t>(view.octets.size()),
               .kept_octets = static_cast<uint32_t>(view.octets.size())};
  return view;
}

}  // namespace weir::dataplane

// pcap_file.h — What net_pcap does not look at before it replays a file: is it there, is anything
// in it, and which link layer do its packets begin with.
//
// Spec:     the pcap and pcapng file formats, as far as the first link type.
// Runs on:  start-up.
// Bounds:   reads the first blocks only.
// Failure:  an Error that names the file.
#pragma once

#include <string>

#include "base/result.h"
#include "packet/frame.h"

namespace weir::dataplane {

struct PcapFile {
  packet::LinkType link = packet::LinkType::ethernet;
  bool has_packets = false;  // as its length says
};

Result<PcapFile> look_at_pcap_file(const std::string& path);

}  // namespace weir::dataplane

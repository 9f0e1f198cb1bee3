// kernel_interface.h — The kernel's interface under net_af_packet, net_af_xdp and a live net_pcap,
// whose loss those drivers do not notice: they go on saying that their link is up.
//
// Runs on:  control_thread.
// Failure:  what cannot be asked counts as gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace weir::dataplane {

struct InterfaceFacts {
  bool is_loopback = false;
  bool is_tap = false;           // whose other end a program has, or may have
  uint32_t receive_queues = 1;   // in use, those that send as well included
  uint32_t combined_queues = 0;  // that send as well
  uint32_t mtu = 1500;
};

/// Empty: there is no such interface. One whose driver tells no queues has one.
std::optional<InterfaceFacts> interface_facts(const std::string& name);

class KernelInterface {
 public:
  /// The interface that has this name now.
  explicit KernelInterface(std::string name);

  /// Why nothing can arrive: down, without carrier, gone, or another one under its name. Empty: up.
  std::string trouble() const;

 private:
  std::string name_;
  unsigned index_;
};

}  // namespace weir::dataplane

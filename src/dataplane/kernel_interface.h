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
  bool hides_vlan_tags = false;  // takes them off what it receives, and notes them beside
};

/// Empty: there is no such interface. One whose driver tells no queues has one.
std::optional<InterfaceFacts> interface_facts(const std::string& name);

class KernelInterface {
 public:
  /// The interface that has this name now.
  explicit KernelInterface(std::string name);

  /// Why nothing can arrive: down, without carrier, gone, or another one under its name. Empty: up.
  std::string trouble() const;
  /// Of the interface that has the name now. None: there is none.
  std::optional<uint16_t> mtu() const;
  /// That it has more receive queues than when this was made, which nobody serves where a port takes queues (net_af_xdp). Empty: it
  /// has not.
  std::string more_queues() const;

 private:
  std::string name_;
  unsigned index_;
  uint32_t receive_queues_;
};

/// An interface that takes frames for other MAC addresses, too, for as long as this lives or its process does, however
/// that ends: the kernel counts who wants it. An ioctl's flag would stay.
class PromiscuousMode {
 public:
  PromiscuousMode() = default;
  ~PromiscuousMode() { leave(); }
  PromiscuousMode(const PromiscuousMode&) = delete;
  PromiscuousMode& operator=(const PromiscuousMode&) = delete;

  /// Needs CAP_NET_RAW. 0, or the errno.
  int enter(const std::string& interface) noexcept;
  void leave() noexcept;

 private:
  int fd_ = -1;  // a packet socket that receives nothing
};

}  // namespace weir::dataplane

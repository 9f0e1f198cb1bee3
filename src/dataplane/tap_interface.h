// tap_interface.h — An interface of the kernel's (TAP) whose other end is ours: frames that we write arrive on it, and
// what the kernel sends by it we read.
//
// Spec:     Linux's Documentation/networking/tuntap.rst; rtnetlink(7).
// Runs on:  control_thread makes it and sets it up; the exception thread reads and writes.
// Owns:     the interface, which goes with us, unless it was made persistent beforehand (`ip tuntap add`): such a one
//           is taken over, and what a script has set on it already is left as it is.
// Failure:  an Error that names the interface and what it wanted.
//
// Private to src/dataplane. Not DPDK's net_tap: that is polled by a system call a look and takes a real-time signal
// for itself; this one sleeps on its descriptor.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/data_plane.h"

namespace weir::dataplane {

inline constexpr const char* kTunDevice = "/dev/net/tun";

class TapInterface {
 public:
  static constexpr uint16_t kMtuMin = 1280;  // IPv6 wants no less (RFC 8200 §5)

  static Result<std::unique_ptr<TapInterface>> open(const std::string& name);
  ~TapInterface();
  TapInterface(const TapInterface&) = delete;
  TapInterface& operator=(const TapInterface&) = delete;

  struct Settings {
    std::array<uint8_t, 6> mac{};
    uint16_t mtu = 1500;
    std::span<const InterfaceAddress> addresses;
  };
  /// Sets what is not so already, and brings it up.
  Result<void> set_up(const Settings& settings) WEIR_RUNS_ON(control_thread);
  /// The wire behind it carries so much from now on. What cannot be set now is tried again by trouble().
  void follow_mtu(uint16_t mtu) WEIR_RUNS_ON(control_thread) {
    mtu_ = mtu;
    sets_mtu_ = true;
  }
  /// The kernel is told of the wire behind it.
  void set_carrier(bool is_up) noexcept WEIR_RUNS_ON(control_thread);
  /// Why nothing goes by it, or not all: gone, set down, or without what it is to have and this process may not set. Empty: all does.
  /// One that somebody has deleted is made again under our descriptor, as it was but for its routes, which nobody told us.
  std::string trouble() WEIR_RUNS_ON(control_thread);
  bool was_made_again() const noexcept { return was_made_again_; }
  /// Frames for us that the kernel has dropped since open, its queue being full. Gone: as many as were known.
  uint64_t dropped() WEIR_RUNS_ON(control_thread);

  /// Of an interface, whoever made it. None: there is none of that name.
  static std::optional<std::array<uint8_t, 6>> mac_of(const std::string& name);
  /// Gives an interface that MAC address, if it has another, and sets it up.
  static Result<void> bring_up(const std::string& name, const std::array<uint8_t, 6>& mac);

  const std::string& name() const noexcept { return name_; }
  /// Does not block; readable when the kernel has sent something.
  int fd() const noexcept { return fd_; }

 private:
  TapInterface(std::string name, int fd);
  Result<void> add_address(const InterfaceAddress& address);
  std::string lost_addresses(const std::string& name);
  std::string other_mtu(const std::string& name);
  std::string other_mac(const std::string& name);
  std::string make_again();

  const std::string name_;
  const int fd_;
  unsigned index_;
  std::vector<InterfaceAddress> addresses_;  // that it is to have
  uint64_t dropped_before_ = 0;  // it may be older than we are
  uint64_t dropped_ = 0;         // in all, as last known
  bool has_carrier_ = true;
  bool was_made_again_ = false;
  std::array<uint8_t, 6> mac_{};
  uint16_t mtu_ = 0;
  bool sets_mac_ = false, sets_mtu_ = false;  // not what it is to be yet
};

}  // namespace weir::dataplane

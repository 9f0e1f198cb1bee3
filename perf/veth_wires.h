// veth_wires.h — Wires between two network namespaces of a benchmark's own, and a process at their far ends that sends NetFlow v5.
//
// Runs on:  the process that made it, which is in the near namespace from then on. Needs root and ip(8).
// Bounds:   kWiresMax wires.
// Failure:  an Error that says which step the kernel refused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace weir::perf {

inline constexpr unsigned kWiresMax = 16;
inline constexpr uint16_t kWirePort = 2055;
inline constexpr unsigned kWireRecords = 30;  // of NetFlow v5 in a datagram: 1464 octets

class VethWires {
 public:
  /// `cpu`: the sender's.
  static Result<std::unique_ptr<VethWires>> lay(unsigned wires, unsigned cpu);
  ~VethWires();
  VethWires(const VethWires&) = delete;
  VethWires& operator=(const VethWires&) = delete;

  /// The near end of a wire, without an address, and the address to which is sent by it.
  static std::string interface_of(unsigned wire);
  static std::string address_of(unsigned wire);
  /// Gives the near end that address, for a socket of the kernel's.
  static Result<void> give_address(unsigned wire);

  struct Sent {
    uint64_t datagrams = 0;
    uint64_t elapsed_ns = 0;
  };
  /// Sends so many datagrams, or for so long (the other 0), at a rate (0: as fast as it goes), and waits for the end.
  struct Order {
    uint32_t wire = 0;
    uint64_t datagrams = 0;
    uint64_t ns = 0;
    uint64_t rate = 0;
  };
  Sent send(const Order& order);

 private:
  VethWires() = default;
  pid_t sender_ = -1;
  int orders_ = -1, answers_ = -1;
};

}  // namespace weir::perf

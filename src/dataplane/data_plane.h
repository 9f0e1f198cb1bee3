// data_plane.h — Ports, queues and receive cores: everything between the wire and the sealed batch.
//
// Runs on:  the control thread (the EAL main lcore) makes, starts and stops it; receive cores run
//           inside it. With kernel-socket ports only no EAL is started.
// Failure:  an Error that names the port and what is wrong; nothing is half started.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/thread_roles.h"
#include "dataplane/pipeline.h"
#include "dataplane/timekeeper.h"

namespace weir::dataplane {

/// What a core does when there is nothing to receive: waits (on the device's descriptor where it
/// has one, else in naps of up to 5 ms), and lets packets gather where that pays; sleeps until the device or the kernel
/// says that there is a packet, and takes it at once; or burns the CPU for latency.
enum class IdlePolicy : uint8_t { adaptive, interrupt, poll };

enum class EalLogLevel : uint8_t { critical, error, warning, info, debug };

struct EalConfig {
  bool hugepages = false;  // false: --no-huge
  uint32_t memory_mb = 256;
  std::string file_prefix;  // empty: no shared configuration
  /// CPU of the control thread, which stays there with the threads that it makes later. Default:
  /// the first allowed one while EAL starts; then all allowed ones again (IdlePolicy::poll: those
  /// that no receive core burns, if there are any).
  std::optional<unsigned> main_lcore;
  std::vector<std::string> extra_args;  // passed on as they are
  /// Takes what EAL and the drivers log, a line at a time, from any thread. Empty: standard error.
  std::function<void(EalLogLevel, std::string_view)> log;
};

/// An address and the prefix of its network.
struct InterfaceAddress {
  IpAddress address;
  uint8_t prefix_bits = 32;  // of 32 for IPv4
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

/// Where a device's frames go that are no export traffic: to an interface of the kernel's, which sends by the device
/// what it has to send. The interface has the device's MAC address.
struct ExceptionConfig {
  std::string interface;                    // its name; empty: such frames are dropped
  std::vector<InterfaceAddress> addresses;  // set on it
  uint16_t mtu = 0;                         // 0: the device's
  uint16_t vlan = 0;                        // its frames only, without their tag; 0: all, as they are
  uint32_t frames_per_second = 10'000;      // to the kernel, of each queue
  uint32_t to_wire_per_second = 0;          // what the kernel sends; 0: as many as the thread carries

  bool is_on() const noexcept { return !interface.empty(); }
};

struct DpdkPort {
  std::string name;
  std::string device;  // PCI address, or a vdev with its arguments: net_af_packet0,iface=eth0
  uint16_t queues = 1;
  std::vector<unsigned> lcores;  // CPUs, one for each queue in turn; empty: chosen
  uint16_t rx_descriptors = 0;    // of each queue; 0: 1024, and more where a NIC's speed wants them and memory holds them
  uint32_t mbufs = 0;             // per queue; 0: what rings and bursts need
  uint32_t data_room_octets = 0;  // 0: what the device's largest frame needs
  bool promiscuous = true;
  ExceptionConfig exception;
  /// Cores that decode what those of the queues receive, each some of the exporters: where the device cannot spread
  /// them, or one core is too little. 0: who receives decodes.
  uint16_t workers = 0;
  std::vector<unsigned> worker_lcores{};  // their CPUs, one for each; empty: chosen
  bool device_stamps = false;  // ask the device to note when frames come in
  packet::ChecksumPolicy::Check checksums = packet::ChecksumPolicy::Check::skip;  // of IPv4 headers, and of UDP
  std::vector<uint16_t> vlans{};  // that export traffic may come in, 0 for what has no tag; empty: all
  uint16_t mtu = 0;               // of the frames that the device takes; 0: the driver's, 1500 of a NIC
};

inline constexpr uint32_t kReceiveBufferOctets = 8u << 20;
inline constexpr uint16_t kSocketThreadsMax = 64;

/// udp: datagrams. tcp: sessions of IPFIX Messages (RFC 7011 §10.4).
#define WEIR_TRANSPORTS(X) X(udp) X(tcp)
WEIR_NAMED_ENUM(Transport, uint8_t, WEIR_TRANSPORTS)

struct SocketPort {
  std::string name;
  IpAddress address;  // :: listens on IPv4 and IPv6
  uint16_t port = 0;
  ListenerId listener;
  uint32_t receive_buffer_octets = 0;  // UDP: SO_RCVBUF; 0: kReceiveBufferOctets
  Transport transport = Transport::udp;
  bool address_comes_later = false;  // it is of an interface that is made after the sockets: a port's ExceptionConfig
};

/// Of the sessions that exporters open.
struct TcpLimits {
  uint32_t sessions_max = 1024;  // of all threads; divided among them
  uint32_t sessions_per_exporter_max = 8;
  uint64_t idle_ns = 1800ull * 1'000'000'000;   // without a whole message; 0: any time
  uint64_t message_ns = 30ull * 1'000'000'000;  // from a message's first octet to its last
};

/// Another collector, which gets datagrams as they were received.
struct ReplicaConfig {
  SocketAddress to;
  std::vector<ListenerId> listeners;  // whose; empty: of all
  bool spoof_source = false;          // from the exporter's address and port; needs CAP_NET_RAW
  /// A listener would hear it where the target's address were this host's. The data plane says it.
  bool would_come_back = false;
};

struct DataPlaneConfig {
  EalConfig eal;
  IdlePolicy idle = IdlePolicy::adaptive;
  std::vector<DpdkPort> dpdk_ports;
  std::vector<SocketPort> socket_ports;
  /// That receive from them, each some of the exporters, by a socket of each port.
  uint16_t socket_threads = 1;
  std::vector<unsigned> socket_lcores;  // CPUs of these threads, in turn; empty: chosen, or the kernel's to choose
  TcpLimits tcp;
  std::vector<ReplicaConfig> replicas;
  PipelineConfig pipeline;  // a copy for each core; core and cores are filled in
};

/// What went by a port's interface of the kernel's. What receive cores did not pass on is in their ledger.
struct ExceptionStats {
  std::string interface;
  std::string trouble;     // why nothing goes by it; empty: it does
  uint64_t delivered = 0;  // frames to the kernel
  uint64_t refused = 0;    // that it did not take: the interface is down or gone
  uint64_t waiting = 0;    // passed on by receive cores, not carried yet; what was joined from fragments counts for several
  uint64_t sent = 0;       // frames from the kernel to the wire
  uint64_t not_sent = 0;   // for which the device had no room
  uint64_t invalid = 0;    // given to the device, and not taken by the kernel under it (net_af_xdp)
  uint64_t too_long = 0;   // longer than the MTU that it was given
  uint64_t dropped = 0;    // by the kernel: more waited for us than its queue for the interface holds
};

/// Why a connection was closed before it was a session: none left of all, or of the exporter's; the access list says no.
#define WEIR_TCP_REFUSALS(X) X(sessions_max) X(sessions_per_exporter) X(not_allowed)
WEIR_NAMED_ENUM(TcpRefusal, uint8_t, WEIR_TCP_REFUSALS)

/// How a session ended: the exporter closed it, or the network did; a message was malformed; the access list says no
/// now; nothing came for too long, or not all of a message; it was idle and another needed its place; we stop.
#define WEIR_TCP_ENDS(X) X(by_exporter) X(failed) X(malformed) X(not_allowed) X(idle) X(message_late) X(displaced) X(stopped)
WEIR_NAMED_ENUM(TcpEnd, uint8_t, WEIR_TCP_ENDS)

struct TcpStats {
  uint64_t sessions = 0;  // open
  uint64_t opened = 0;
  Tally<TcpRefusal> refused;
  Tally<TcpEnd> ended;
};

/// Why a datagram did not go on to another collector: it found no room on its way to the thread that sends, or in the
/// kernel; no way leads to the target; it is longer than the target's path carries; the exporter's address, which it was to
/// have, is of another family than the target's; it was seen on its way to a target; the target's address has become ours, and a
/// listener of ours is there; the kernel says something else.
#define WEIR_REPLICA_DROPS(X) \
  X(no_room) X(busy) X(unreachable) X(too_long) X(other_family) X(on_its_way) X(would_come_back) X(failed)
WEIR_NAMED_ENUM(ReplicaDrop, uint8_t, WEIR_REPLICA_DROPS)

/// offered = sent + dropped + those that wait; all since it was first a target, also where a reload took it away meanwhile.
struct ReplicaStats {
  std::string to;
  bool is_spoofed = false;
  bool is_gone = false;  // a reload has taken it away
  uint64_t offered = 0;
  uint64_t sent = 0;
  uint64_t sent_octets = 0;  // of payload
  uint64_t returned = 0;     // of sent: of which the network said that nobody got them (ICMP)
  Tally<ReplicaDrop> dropped;

  ReplicaStats& operator+=(const ReplicaStats& other) {
    offered += other.offered;
    sent += other.sent;
    sent_octets += other.sent_octets;
    returned += other.returned;
    dropped += other.dropped;
    return *this;
  }
};

/// Counters of a port since it was started; what the device cannot tell stays nullopt.
struct PortStats {
  std::string name;
  std::string kind;    // dpdk, socket
  std::string driver;  // net_pcap, net_ixgbe, …; udp for sockets
  std::string device;
  bool link_up = false;
  std::string trouble;   // why nothing arrives, or not all, where that is known
  bool at_end = false;  // a replayed file has been read to its end
  uint64_t packets = 0;
  uint64_t octets = 0;
  std::optional<uint64_t> missed;  // by the NIC or the kernel, before we saw them
  std::optional<uint64_t> errors;
  std::optional<uint64_t> no_mbuf;
  std::string note;  // what this device does not count, RSS that it cannot do, …
  bool needs_attention = false;  // somebody should do something about what the note says
  std::optional<TcpStats> tcp;              // where it takes sessions; its packets are their messages
  std::optional<ExceptionStats> exception;  // of its interface, if it has one
};

struct CoreInfo {
  uint16_t core = 0;   // index; in message ids
  int cpu = -1;        // -1: not pinned
  std::string serves;  // `p0 queue 0`; of a worker `p0 worker 0`
  bool decodes = true;    // it does not only hand over to workers
  bool is_worker = false;
};

/// What a worker gets from receive cores.
struct WorkerStats {
  uint64_t handed = 0;    // frames, those that wait included
  uint64_t full = 0;      // frames that were dropped since it was too far behind
  uint64_t waiting = 0;
  uint64_t capacity = 0;  // of all its lanes
};

class DataPlane {
 public:
  static Result<std::unique_ptr<DataPlane>> create(const DataPlaneConfig& config)
      WEIR_RUNS_ON(control_thread);
  virtual ~DataPlane() = default;

  /// Devices, programs and interfaces come up, and nobody looks at a packet yet: what needs rights that receiving does not.
  /// start() does it too, where it was not asked for.
  virtual Result<void> bring_up() WEIR_RUNS_ON(control_thread) { return {}; }
  virtual Result<void> start() WEIR_RUNS_ON(control_thread) = 0;

  /// What `config` says of listeners (at their places, new ones behind), sampling, access, rates and kernel
  /// sockets goes from now on, while packets keep coming; all else it says is ignored. A kernel socket stays
  /// open where its address stays. On an Error nothing has changed.
  virtual Result<void> change(const DataPlaneConfig& config) WEIR_RUNS_ON(control_thread) = 0;
  /// Call now and then until it is true: every core goes by the last change, and what it took away is gone.
  virtual bool settle_change() WEIR_RUNS_ON(control_thread) = 0;
  /// Call several times a second while it runs: keeps cores' clocks right. Never called: they ask the kernel.
  virtual void keep_time(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread) { (void)steady_now_ns; }
  virtual TimeStats time_stats() const WEIR_RUNS_ON(control_thread) { return {}; }

  /// Tells the cores to take what waits in their queues (a bounded amount), seal, and end; does not
  /// wait. Who goes on taking sealed batches until has_ended loses nothing for want of buffers
  /// meanwhile.
  virtual void request_stop() WEIR_RUNS_ON(control_thread) = 0;
  virtual bool has_ended() const noexcept = 0;
  /// request_stop, and waits for the end. Pipelines and statistics stay readable; there is no new
  /// start.
  virtual void stop() WEIR_RUNS_ON(control_thread) = 0;

  virtual std::span<const CoreInfo> cores() const noexcept = 0;
  virtual Pipeline& pipeline(size_t core) noexcept = 0;
  /// Of a core that is a worker; else nullopt.
  virtual std::optional<WorkerStats> worker_stats(size_t core) const = 0;
  virtual std::vector<PortStats> port_stats() WEIR_RUNS_ON(control_thread) = 0;
  /// By target, as configured.
  virtual std::vector<ReplicaStats> replica_stats() const WEIR_RUNS_ON(control_thread) { return {}; }
  /// What classifies records as of the last change; null: nothing does.
  virtual std::shared_ptr<const classify::Stages> stages() const WEIR_RUNS_ON(control_thread) = 0;
  /// Every port replays files and all have been read to their end.
  virtual bool at_end() const noexcept = 0;
};

}  // namespace weir::dataplane

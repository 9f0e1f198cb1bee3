// capture_desk.h — Captures that operators asked for: begun, bounded, ended, and kept until somebody takes them.
//
// Runs on:  http_thread asks, looks and removes; control_thread hands taps to the cores and takes them back. Between
//           the two: a ring of what was asked for, and what a Capture says of itself in single-writer fields.
// Owns:     the captures, on the http_thread. One whose taps a core may still have is not freed.
// Bounds:   kCapturesMax captures, running or kept, kCapturesHeldMax with those just removed; kCaptureMemoryOctets
//           each, over all cores.
// Failure:  begin has no place while all of them run.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/named_enum.h"
#include "base/snapshot.h"
#include "base/spsc_ring.h"
#include "base/thread_roles.h"
#include "control/config/config.h"
#include "dataplane/data_plane.h"
#include "dataplane/datagram_tap.h"

namespace weir::control {

inline constexpr size_t kCapturesMax = dataplane::kDatagramTapsMax;
/// With those that were removed and that cores have not let go of yet, which is soon.
inline constexpr size_t kCapturesHeldMax = 2 * kCapturesMax;
inline constexpr uint64_t kCaptureMemoryOctets = 16u << 20;  // 10,000 datagrams on Ethernet
inline constexpr uint32_t kCaptureDatagramsMax = 100'000;
inline constexpr uint32_t kCaptureDatagramsDefault = 100;
/// Beyond the count, of those who wait for templates: a device spreads them over several datagrams.
inline constexpr uint32_t kCaptureTemplatesMax = 64;
inline constexpr uint64_t kCaptureTemplatesNs = 2 * kNsPerSec;
inline constexpr uint32_t kCaptureSecondsMax = 3600;
inline constexpr uint32_t kCaptureSecondsDefault = 60;

/// starting: not every core has heard of it.
#define WEIR_CAPTURE_STATES(X) X(starting) X(running) X(ended)
WEIR_NAMED_ENUM(CaptureState, uint8_t, WEIR_CAPTURE_STATES)
/// memory: a core's share of it held no more.
#define WEIR_CAPTURE_ENDS(X) X(count) X(octets) X(memory) X(seconds) X(request)
WEIR_NAMED_ENUM(CaptureEnd, uint8_t, WEIR_CAPTURE_ENDS)

struct CaptureSpec {
  std::optional<AddressPrefix> exporters{};  // absent: all
  std::string listener{};                    // a name; empty: all
  dataplane::TapWants only = dataplane::TapWants::all;
  uint32_t count = kCaptureDatagramsDefault;
  uint64_t octets = kCaptureMemoryOctets;  // of payload
  uint32_t seconds = kCaptureSecondsDefault;
  bool until_templates = false;  // beyond `count`, until some have come and a little longer
};

struct CaptureView {
  uint64_t id = 0;
  CaptureSpec spec;
  CaptureState state = CaptureState::starting;
  std::optional<CaptureEnd> ended_by;
  uint64_t asked_ns = 0;
  uint64_t ended_ns = 0;  // 0: it has not
  uint64_t datagrams = 0;
  uint64_t payload_octets = 0;
  uint64_t rejected = 0;
  uint64_t with_templates = 0;
  uint64_t missed = 0;  // there was no memory for them
};

/// What captures are made from.
struct CaptureGround {
  size_t cores = 0;
  std::vector<std::string> listeners;  // by ListenerId
};

class CaptureDesk {
 public:
  CaptureDesk();
  ~CaptureDesk();

  /// Control thread: before the first step, and when listeners have changed.
  void set_ground(CaptureGround ground) { ground_.publish(std::make_shared<const CaptureGround>(std::move(ground))); }
  /// Null while the appliance starts.
  std::shared_ptr<const CaptureGround> ground() const { return ground_.read(); }

  // One thread, the http_thread.
  /// Reserves its memory. What ended longest ago makes place; nullopt where all are running. The listener, if one is
  /// named, is in ground().
  std::optional<CaptureView> begin(const CaptureSpec& spec);
  std::vector<CaptureView> list();
  std::optional<CaptureView> find(uint64_t id);
  /// Ends it if need be and forgets it; how it stood.
  std::optional<CaptureView> remove(uint64_t id);
  /// What it has taken so far, whether it has ended or not; valid until it is removed or makes place.
  std::optional<std::vector<dataplane::DatagramView>> datagrams(uint64_t id);

  /// Begins and ends what is due. Cores take it up between two bursts.
  void step(dataplane::DataPlane& plane, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

 private:
  struct Capture;
  struct TapSet;

  Capture* listed(uint64_t id);
  void reap();
  static CaptureView view_of(const Capture& capture);
  static std::optional<CaptureEnd> end_of(Capture& capture, uint64_t steady_now_ns)
      WEIR_RUNS_ON(control_thread);
  void hand_out(dataplane::DataPlane& plane) WEIR_RUNS_ON(control_thread);
  bool settle(dataplane::DataPlane& plane, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

  Snapshot<CaptureGround> ground_;
  SpscRing<Capture*> asked_{kCapturesHeldMax};

  std::vector<std::unique_ptr<Capture>> captures_;  // http_thread's, the oldest first
  uint64_t last_id_ = 0;

  std::vector<Capture*> running_;  // control_thread's
  std::unique_ptr<TapSet> taps_;   // what cores go by
  std::unique_ptr<TapSet> next_;   // what they were given last
  bool is_changing_ = false;
};

}  // namespace weir::control

#include "control/taps/capture_desk.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "service/log.h"

namespace weir::control {

using dataplane::DatagramTape;
using dataplane::DatagramView;

struct CaptureDesk::Capture {
  uint64_t id = 0;
  CaptureSpec spec;
  std::optional<ListenerId> listener;
  uint64_t asked_ns = 0;
  std::vector<std::unique_ptr<DatagramTape>> tapes;  // by core
  bool is_listed = true;                             // the http_thread's
  std::atomic<bool> is_to_end{false};                // written there

  // Written by the control thread. What comes before the state is stored is seen with it.
  std::atomic<CaptureState> state{CaptureState::starting};
  std::atomic<CaptureEnd> ended_by{CaptureEnd::count_};
  std::atomic<uint64_t> ended_ns{0};
  uint64_t began_steady_ns = 0;
  uint64_t templates_steady_ns = 0;  // when they were first noticed; 0: not yet

  template <class Get>
  uint64_t sum(Get get) const {
    uint64_t total = 0;
    for (const auto& tape : tapes) total += ((*tape).*get)();
    return total;
  }
};

struct CaptureDesk::TapSet {
  std::vector<dataplane::DatagramTaps> cores;  // empty: none runs

  const dataplane::DatagramTaps* of(size_t core) const { return cores.empty() ? nullptr : &cores[core]; }
};

CaptureDesk::CaptureDesk() : taps_(std::make_unique<TapSet>()) {}
CaptureDesk::~CaptureDesk() = default;

// ── http_thread ──────────────────────────────────────────────────────────────────────────────────

CaptureView CaptureDesk::view_of(const Capture& c) {
  CaptureView view;
  view.id = c.id;
  view.spec = c.spec;
  view.state = c.state.load(std::memory_order_acquire);
  if (const CaptureEnd end = c.ended_by.load(std::memory_order_relaxed); end != CaptureEnd::count_)
    view.ended_by = end;
  view.asked_ns = c.asked_ns;
  view.ended_ns = c.ended_ns.load(std::memory_order_relaxed);
  // Each core takes as many as were asked for; the file has the first of them all.
  const uint64_t wanted = c.spec.count + (c.spec.until_templates ? kCaptureTemplatesMax : 0);
  view.datagrams = std::min<uint64_t>(c.sum(&DatagramTape::datagrams), wanted);
  view.payload_octets = c.sum(&DatagramTape::payload_octets);
  view.rejected = c.sum(&DatagramTape::rejected);
  view.with_templates = c.sum(&DatagramTape::with_templates);
  view.missed = c.sum(&DatagramTape::missed);
  return view;
}

/// What was removed while a core might still have written into it.
void CaptureDesk::reap() {
  std::erase_if(captures_, [](const auto& c) {
    return !c->is_listed && c->state.load(std::memory_order_acquire) == CaptureState::ended;
  });
}

CaptureDesk::Capture* CaptureDesk::listed(uint64_t id) {
  reap();
  for (const auto& c : captures_)
    if (c->id == id && c->is_listed) return c.get();
  return nullptr;
}

std::optional<CaptureView> CaptureDesk::begin(const CaptureSpec& spec) {
  const auto ground = this->ground();
  if (!ground || ground->cores == 0) return std::nullopt;
  reap();
  if (std::count_if(captures_.begin(), captures_.end(), [](const auto& c) { return c->is_listed; }) >=
      static_cast<ptrdiff_t>(kCapturesMax)) {
    const auto oldest = std::find_if(captures_.begin(), captures_.end(), [](const auto& c) {
      return c->is_listed && c->state.load(std::memory_order_acquire) == CaptureState::ended;
    });
    if (oldest == captures_.end()) return std::nullopt;
    captures_.erase(oldest);
  }
  if (captures_.size() >= kCapturesHeldMax) return std::nullopt;
  auto capture = std::make_unique<Capture>();
  capture->id = ++last_id_;
  capture->spec = spec;
  capture->asked_ns = wall_clock_ns();
  for (size_t i = 0; i < ground->listeners.size(); ++i)
    if (!spec.listener.empty() && ground->listeners[i] == spec.listener)
      capture->listener = ListenerId{static_cast<uint16_t>(i)};
  for (size_t i = 0; i < ground->cores; ++i)
    capture->tapes.push_back(std::make_unique<DatagramTape>(
        DatagramTape::Bounds{spec.count, spec.octets, spec.until_templates ? kCaptureTemplatesMax : 0},
        kCaptureMemoryOctets / ground->cores));
  Capture* const c = captures_.emplace_back(std::move(capture)).get();
  asked_.push(c);  // has room for all there are
  return view_of(*c);
}

std::vector<CaptureView> CaptureDesk::list() {
  reap();
  std::vector<CaptureView> views;
  for (const auto& c : captures_)
    if (c->is_listed) views.push_back(view_of(*c));
  return views;
}

std::optional<CaptureView> CaptureDesk::find(uint64_t id) {
  const Capture* const c = listed(id);
  return c != nullptr ? std::optional(view_of(*c)) : std::nullopt;
}

std::optional<CaptureView> CaptureDesk::remove(uint64_t id) {
  Capture* const c = listed(id);
  if (c == nullptr) return std::nullopt;
  const CaptureView view = view_of(*c);
  c->is_to_end.store(true, std::memory_order_release);
  c->is_listed = false;
  reap();
  return view;
}

std::optional<std::vector<DatagramView>> CaptureDesk::datagrams(uint64_t id) {
  const Capture* const c = listed(id);
  if (c == nullptr) return std::nullopt;
  std::vector<DatagramView> all;
  for (const auto& tape : c->tapes) {
    const std::vector<DatagramView> some = tape->read();
    all.insert(all.end(), some.begin(), some.end());
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.note.received_ns < b.note.received_ns;
  });
  // Each core took as many as were asked for.
  std::vector<DatagramView> kept;
  uint64_t octets = 0;
  for (const DatagramView& datagram : all) {
    if (kept.size() >= c->spec.count && !(c->spec.until_templates && datagram.note.has_templates)) continue;
    octets += datagram.note.payload_octets;
    if (octets > c->spec.octets) break;
    kept.push_back(datagram);
  }
  return kept;
}

// ── control_thread ───────────────────────────────────────────────────────────────────────────────

std::optional<CaptureEnd> CaptureDesk::end_of(Capture& c, uint64_t steady_now_ns) {
  if (c.is_to_end.load(std::memory_order_acquire)) return CaptureEnd::request;
  if (c.templates_steady_ns == 0 && c.sum(&DatagramTape::with_templates) != 0)
    c.templates_steady_ns = steady_now_ns;
  const bool has_templates =
      c.templates_steady_ns != 0 && steady_now_ns - c.templates_steady_ns >= kCaptureTemplatesNs;
  if (c.sum(&DatagramTape::datagrams) >= c.spec.count && (has_templates || !c.spec.until_templates))
    return CaptureEnd::count;
  const uint64_t octets = c.sum(&DatagramTape::payload_octets);
  if (octets >= c.spec.octets) return CaptureEnd::octets;
  for (const auto& tape : c.tapes)
    if (tape->missed() != 0) return tape->is_out_of_memory() ? CaptureEnd::memory : CaptureEnd::octets;
  if (steady_now_ns - c.began_steady_ns >= uint64_t{c.spec.seconds} * kNsPerSec)
    return CaptureEnd::seconds;
  return std::nullopt;
}

/// Taps for what runs on. Those before stay until no core goes by them.
void CaptureDesk::hand_out(dataplane::DataPlane& plane) {
  next_ = std::make_unique<TapSet>();
  for (const Capture* c : running_) {
    if (c->ended_by.load(std::memory_order_relaxed) != CaptureEnd::count_) continue;
    next_->cores.resize(c->tapes.size());
    for (size_t core = 0; core < c->tapes.size(); ++core) {
      dataplane::DatagramTaps& taps = next_->cores[core];
      dataplane::DatagramTap& tap = taps.taps[taps.count++];
      if (c->spec.exporters) tap.exporters = {c->spec.exporters->address, c->spec.exporters->bits};
      tap.listener = c->listener;
      tap.wants = c->spec.only;
      tap.tape = c->tapes[core].get();
    }
  }
  for (size_t core = 0; core < plane.cores().size(); ++core) plane.pipeline(core).set_datagram_taps(next_->of(core));
  is_changing_ = true;
}

/// Whether every core goes by what it was given; then what has ended is the http_thread's alone.
bool CaptureDesk::settle(dataplane::DataPlane& plane, uint64_t steady_now_ns) {
  if (!is_changing_) return true;
  for (size_t core = 0; core < plane.cores().size(); ++core)
    if (!plane.pipeline(core).has_datagram_taps(next_->of(core))) return false;
  is_changing_ = false;
  taps_ = std::move(next_);
  for (size_t i = 0; i < running_.size();) {
    Capture& c = *running_[i];
    if (c.ended_by.load(std::memory_order_relaxed) == CaptureEnd::count_) {
      if (c.state.load(std::memory_order_relaxed) == CaptureState::starting) {
        c.began_steady_ns = steady_now_ns;
        c.state.store(CaptureState::running, std::memory_order_release);
      }
      ++i;
      continue;
    }
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    c.ended_ns.store(wall_clock_ns(), std::memory_order_relaxed);
    service::log_info("capture {}: ended by {}, {} octets of {} datagrams", c.id,
                      name_of(c.ended_by.load(std::memory_order_relaxed)), c.sum(&DatagramTape::payload_octets),
                      c.sum(&DatagramTape::datagrams));
    c.state.store(CaptureState::ended, std::memory_order_release);  // the last that is done to it
  }
  return true;
}

void CaptureDesk::step(dataplane::DataPlane& plane, uint64_t steady_now_ns) {
  if (!settle(plane, steady_now_ns)) return;
  bool has_changed = false;
  for (Capture* c = nullptr; asked_.pop(c); has_changed = true) running_.push_back(c);
  for (Capture* c : running_) {
    // One that was removed before it began never does: the taps are for those that are listed.
    const bool is_to_end = c->is_to_end.load(std::memory_order_acquire);
    if (c->state.load(std::memory_order_relaxed) != CaptureState::running && !is_to_end) continue;
    const std::optional<CaptureEnd> end = end_of(*c, steady_now_ns);
    if (!end) continue;
    c->ended_by.store(*end, std::memory_order_relaxed);
    has_changed = true;
  }
  if (has_changed) hand_out(plane);
}

}  // namespace weir::control

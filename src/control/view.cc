#include "control/view.h"

#include <fmt/format.h>

namespace weir::control {

Ledger& Ledger::operator+=(const Ledger& other) {
  frames += other.frames;
  verdicts += other.verdicts;
  no_listener += other.no_listener;
  datagrams += other.datagrams;
  datagrams_decoded += other.datagrams_decoded;
  datagram_errors += other.datagram_errors;
  sets += other.sets;
  set_octets += other.set_octets;
  set_outcomes += other.set_outcomes;
  set_outcome_octets += other.set_outcome_octets;
  sequence_lost += other.sequence_lost;
  records += other.records;
  counter_records += other.counter_records;
  discard_records += other.discard_records;
  encoded += other.encoded;
  record_drops += other.record_drops;
  return *this;
}

namespace {

class Check {
 public:
  void expect(std::string_view equation, uint64_t in, uint64_t accounted_for) {
    if (in != accounted_for) {
      found_.push_back({std::string(equation), static_cast<int64_t>(in - accounted_for)});
    }
  }
  std::vector<Discrepancy> found() && { return std::move(found_); }

 private:
  std::vector<Discrepancy> found_;
};

}  // namespace

std::string Discrepancy::text() const {
  return difference > 0 ? fmt::format("{}: {} are not accounted for", equation, difference)
                        : fmt::format("{}: {} too many are accounted for", equation, -difference);
}

std::vector<Discrepancy> Ledger::discrepancies() const {
  Check check;
  check.expect("frames", frames, verdicts.total());
  // A core has frames or it serves kernel sockets, whose datagrams come without.
  if (frames > 0) {
    check.expect("udp frames", verdicts[packet::FrameVerdict::udp], no_listener + datagrams);
  }
  check.expect("datagrams", datagrams, datagrams_decoded + datagram_errors.total());
  check.expect("sets", sets, set_outcomes.total());
  check.expect("set octets", set_octets, set_outcome_octets.total());
  check.expect("records", records + counter_records + discard_records,
               encoded + record_drops.total());
  return std::move(check).found();
}

std::vector<Discrepancy> PublisherView::discrepancies() const {
  Check check;
  check.expect("records", records_routed,
               records_acknowledged + records_failed + records_dropped + records_in_flight);
  return std::move(check).found();
}

std::string_view name_of(ApplianceState state) noexcept {
  switch (state) {
    case ApplianceState::starting: return "starting";
    case ApplianceState::running: return "running";
    case ApplianceState::draining: return "draining";
    case ApplianceState::stopped: return "stopped";
  }
  return "invalid";
}

Ledger ApplianceView::total() const {
  Ledger sum;
  for (const CoreView& core : cores) sum += core.ledger;
  return sum;
}

std::string ApplianceView::not_ready_because() const {
  if (state != ApplianceState::running) return fmt::format("the appliance is {}", name_of(state));
  for (const auto& port : ports) {
    if (!port.link_up)
      return fmt::format("port {}: link is down{}{}", port.name, port.trouble.empty() ? "" : ": ",
                         port.trouble);
  }
  if (publishers.empty()) return "no publisher is configured";
  for (const auto& publisher : publishers) {
    if (publisher.connected && publisher.last_error.empty()) continue;
    return fmt::format("publisher {}: {}{}{}", publisher.name,
                       publisher.connected ? "cannot publish" : "not connected",
                       publisher.last_error.empty() ? "" : ": ", publisher.last_error);
  }
  return {};
}

}  // namespace weir::control

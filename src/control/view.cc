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
  records += other.records;
  encoded += other.encoded;
  record_drops += other.record_drops;
  return *this;
}

std::vector<std::string> Ledger::discrepancies() const {
  std::vector<std::string> lines;
  const auto expect = [&](std::string_view what, uint64_t in, uint64_t out) {
    if (in != out) {
      lines.push_back(fmt::format("{}: {} came in, {} are accounted for (difference {})", what, in,
                                  out, static_cast<int64_t>(in - out)));
    }
  };
  expect("frames", frames, verdicts.total());
  expect("datagrams", datagrams, datagrams_decoded + datagram_errors.total());
  expect("sets", sets, set_outcomes.total());
  expect("set octets", set_octets, set_outcome_octets.total());
  expect("records", records, encoded + record_drops.total());
  return lines;
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
    if (!port.link_up) return fmt::format("port {}: link is down", port.name);
  }
  for (const auto& publisher : publishers) {
    if (publisher.connected) return {};
  }
  if (publishers.empty()) return "no publisher is configured";
  const auto& first = publishers.front();
  return fmt::format("publisher {}: not connected{}{}", first.name,
                     first.last_error.empty() ? "" : ": ", first.last_error);
}

}  // namespace weir::control

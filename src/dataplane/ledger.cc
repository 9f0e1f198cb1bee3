#include "dataplane/ledger.h"

#include <fmt/format.h>

#include <utility>

namespace weir::dataplane {
namespace {

void expect(std::vector<Discrepancy>& found, std::string_view equation, uint64_t in,
            uint64_t accounted_for) {
  if (in == accounted_for) return;
  found.push_back({std::string(equation), static_cast<int64_t>(in - accounted_for)});
}

}  // namespace

std::string Discrepancy::text() const {
  return difference > 0 ? fmt::format("{}: {} are not accounted for", equation, difference)
                        : fmt::format("{}: {} too many are accounted for", equation, -difference);
}

Ledger& Ledger::operator+=(const Ledger& other) {
  frames += other.frames;
  verdicts += other.verdicts;
  fragments += other.fragments;
  fragments_waiting += other.fragments_waiting;
  reassembled += other.reassembled;
  no_listener += other.no_listener;
  exceptions += other.exceptions;
  handed += other.handed;
  worker_full += other.worker_full;
  taken += other.taken;
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

std::vector<Discrepancy> Ledger::discrepancies() const {
  std::vector<Discrepancy> found;
  expect(found, "frames", frames, verdicts.total());
  // A core has frames or it serves kernel sockets, whose datagrams come without.
  if (frames > 0 || taken.total() > 0) {
    using packet::FrameVerdict;
    const auto for_workers = [this](HandedKind kind) { return handed[kind] + worker_full[kind]; };
    expect(found, "fragments", verdicts[FrameVerdict::fragment] + taken[HandedKind::fragment],
           fragments.total() + fragments_waiting + for_workers(HandedKind::fragment));
    expect(found, "udp frames",
           verdicts[FrameVerdict::udp] + taken[HandedKind::datagram] + reassembled[FrameVerdict::udp],
           no_listener + datagrams + for_workers(HandedKind::datagram));
    expect(found, "other frames",
           verdicts[FrameVerdict::not_ip] + verdicts[FrameVerdict::not_udp] + verdicts[FrameVerdict::other_vlan] + no_listener +
               fragments[packet::FragmentOutcome::no_listener] + reassembled[FrameVerdict::not_udp],
           exceptions.total());
  }
  expect(found, "datagrams", datagrams, datagrams_decoded + datagram_errors.total());
  expect(found, "sets", sets, set_outcomes.total());
  expect(found, "set octets", set_octets, set_outcome_octets.total());
  expect(found, "records", records + counter_records + discard_records,
         encoded + record_drops.total());
  return found;
}

std::vector<Discrepancy> Ledger::handover_discrepancies() const {
  std::vector<Discrepancy> found;
  for (const HandedKind kind : {HandedKind::datagram, HandedKind::fragment})
    expect(found, fmt::format("{}s handed to workers", name_of(kind)), handed[kind], taken[kind]);
  return found;
}

std::vector<Discrepancy> CoreBooks::discrepancies() const {
  std::vector<Discrepancy> found = ledger.discrepancies();
  expect(found, "encoded records", ledger.encoded, records_open + records_sealed);
  return found;
}

}  // namespace weir::dataplane

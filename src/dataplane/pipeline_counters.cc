#include "dataplane/pipeline_counters.h"

namespace weir::dataplane {

Ledger ledger_of(const PipelineCounters& core, const packet::ReassemblyCounters& reassembly, const decode::DecoderCounters& d,
                 const outbound::BatcherCounters& b) noexcept {
  Ledger ledger;
  ledger.frames = core.frames.value();
  ledger.verdicts = Tally(core.verdicts);
  ledger.fragments = Tally(reassembly.fragments);
  ledger.fragments_waiting = reassembly.waiting.value();
  ledger.reassembled = Tally(reassembly.datagrams);
  ledger.no_listener = core.no_listener.value();
  ledger.exceptions = Tally(core.exceptions);
  ledger.handed = Tally(core.handover.handed);
  ledger.worker_full = Tally(core.handover.full);
  ledger.taken = Tally(core.taken);
  ledger.datagrams = d.datagrams.value();
  ledger.datagrams_decoded = d.datagrams_decoded.value();
  ledger.datagram_errors = Tally(d.datagram_errors);
  ledger.sets = d.sets.value();
  ledger.set_octets = d.set_octets.value();
  ledger.set_outcomes = Tally(d.set_outcomes);
  ledger.set_outcome_octets = Tally(d.set_outcome_octets);
  ledger.sequence_lost = d.sequence_lost.value();
  ledger.records = d.records.value();
  ledger.counter_records = d.counter_records.value();
  ledger.discard_records = d.discard_records.value();
  ledger.encoded = b.encoded.value();
  ledger.record_drops = Tally(b.drops);
  return ledger;
}

}  // namespace weir::dataplane

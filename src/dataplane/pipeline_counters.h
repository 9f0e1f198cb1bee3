// pipeline_counters.h — What a core counts of frames and datagrams, and the ledger that this comes to with what its parts count.
//
// Runs on:  the core writes; any thread reads.
#pragma once

#include "base/counter.h"
#include "dataplane/exception_lane.h"
#include "dataplane/ledger.h"
#include "dataplane/worker_lane.h"
#include "packet/frame.h"
#include "packet/reassembly.h"

namespace weir::dataplane {

/// frames = Σ verdicts; verdicts[not_ip] + verdicts[not_udp] + verdicts[other_vlan] + no_listener, of datagrams and of fragments, + what
/// fragments made that is not_udp = Σ exceptions; verdicts[udp] + taken
/// datagrams + what the reassembler made of fragments = no_listener + datagrams + datagrams for workers (handed or full);
/// verdicts[fragment] + taken fragments = the reassembler's + fragments for workers; datagrams = the decoder's.
/// A kernel socket's datagrams count in `datagrams` only.
struct PipelineCounters {
  Counter frames;
  Counter frame_octets;
  CounterArray<packet::FrameVerdict> verdicts;
  Counter no_listener;
  CounterArray<ExceptionOutcome> exceptions;
  HandedCounters handover;            // to workers
  CounterArray<HandedKind> taken;     // by this worker, from receive cores
  Counter datagrams;
  Counter records_fused;  // of the decoder's, those that went straight to wire octets: not what a form could not express, nor what was dropped
  Counter bursts;  // with at least one frame or datagram
  Counter empty_polls;
  Counter holds;    // polls that received nothing because buffers were short (may_receive)
  Counter busy_ns;  // time in bursts with work
  Counter sleeps;   // of any kind, these among them:
  Counter pauses;   // so that packets gather
  Counter wakes;    // that a descriptor ended
  Counter naps;     // with nothing to wait for
  Counter nap_ns;   // as long as they were to be
};

/// As any thread reads it; exact on the core's own between bursts.
Ledger ledger_of(const PipelineCounters& core, const packet::ReassemblyCounters& reassembly, const decode::DecoderCounters& decoder,
                 const outbound::BatcherCounters& batcher) noexcept;

}  // namespace weir::dataplane

#include "control/loss_log.h"

#include <fmt/format.h>

namespace weir::control {
namespace {

using dataplane::ExceptionOutcome;
using decode::DatagramError;
using outbound::DeliveryFailure;
using outbound::RecordDrop;
using packet::FragmentOutcome;
using packet::FrameVerdict;

const char* advice_for(RecordDrop reason) {
  switch (reason) {
    case RecordDrop::no_buffer:
      return "every batch buffer waits for a publisher: see why it is slow, or raise buffer_bytes";
    case RecordDrop::record_too_large: return "raise batch_bytes";
    default: return "";
  }
}

const char* advice_for(FragmentOutcome reason) {
  switch (reason) {
    case FragmentOutcome::expired:
      return "others of their datagrams did not come (or a mirror shows each twice, and these are copies); exporters "
             "that stay below the path's MTU lose less";
    case FragmentOutcome::source_limit:
      return "fragments are lost on the way, or are copies that a mirror makes; else raise "
             "limits.fragmented_datagrams_per_exporter";
    case FragmentOutcome::table_limit: return "more sources send fragments than limits.fragmented_datagrams admits";
    default: return "";
  }
}

const char* advice_for(DeliveryFailure reason) {
  switch (reason) {
    case DeliveryFailure::queue_full:
      return "it is slower than the flows: see why, or raise channel_size and buffer_bytes";
    case DeliveryFailure::too_large: return "raise what the destination takes: max_payload of a NATS server, max_msg_size of the stream";
    default: return "weirctl status says what ails it";
  }
}

}  // namespace

void LossLog::look_at(const std::string& whose, const char* unit, std::string_view reason,
                      uint64_t total, const char* advice, uint64_t steady_now_ns) {
  if (total == 0) return;
  Seen& seen = seen_[fmt::format("{}/{}/{}", whose, unit, reason)];
  if (total == seen.said) return;
  if (seen.said_at_ns != 0 && steady_now_ns - seen.said_at_ns < kLossLineIntervalNs) return;
  say_(fmt::format("{}: {} {} lost ({}, {} in all){}{}", whose, total - seen.said, unit, reason,
                   total, *advice == '\0' ? "" : ": ", advice));
  seen = {total, steady_now_ns};
}

void LossLog::look_at_fill(const PublisherView& p, uint64_t steady_now_ns) {
  if (p.queue_fill <= kFillWarned) return;
  uint64_t& said_at_ns = fill_said_at_ns_[p.name];
  if (said_at_ns != 0 && steady_now_ns - said_at_ns < kFillLineIntervalNs) return;
  said_at_ns = steady_now_ns;
  say_(fmt::format("Publisher channel {:.0f} % full: publisher {}: {}{} records in {} batches wait; "
                   "it is slower than the flows",
                   p.queue_fill * 100, p.name, p.records_in_flight,
                   p.records_max == 0 ? "" : fmt::format(" of {}", p.records_max),
                   p.batches_in_flight));
}

void LossLog::look(const ApplianceView& view, uint64_t steady_now_ns) {
  for (const auto& port : view.ports) {
    const std::string whose = "port " + port.name;
    look_at(whose, "packets", "missed", port.missed.value_or(0),
            "more came than was taken; raise buffer_size or queues, or give it more CPU",
            steady_now_ns);
    look_at(whose, "packets", "no_mbuf", port.no_mbuf.value_or(0), "raise mbufs", steady_now_ns);
    if (!port.exception) continue;
    const std::string interface = "interface " + port.exception->interface;
    look_at(interface, "frames", "refused", port.exception->refused, "the interface is down or gone", steady_now_ns);
    look_at(interface, "frames", "not_sent", port.exception->not_sent,
            "the host sends more than the device has room for", steady_now_ns);
    look_at(interface, "frames", "invalid", port.exception->invalid,
            "the kernel does not take them from the buffers that they are in, which is a defect of Weir's", steady_now_ns);
    look_at(interface, "frames", "dropped", port.exception->dropped,
            "the host, replicas among it, sends more than exception.to_wire_per_second admits or a thread carries",
            steady_now_ns);
  }
  for (const CoreView& core : view.cores) {
    if (!core.worker) continue;
    look_at(fmt::format("core {} ({})", core.info.core, core.info.serves), "frames", "worker_full", core.worker->full,
            "a worker was too far behind: raise workers, or give it a CPU of its own", steady_now_ns);
  }
  const Ledger total = view.total();
  for (size_t i = 0; i < total.fragments.values.size(); ++i) {
    const auto e = static_cast<FragmentOutcome>(i);
    if (e == FragmentOutcome::joined || e == FragmentOutcome::duplicate) continue;
    if (e == FragmentOutcome::not_allowed) continue;  // as the operator wants it
    if (e == FragmentOutcome::no_listener) continue;  // the exception path's: see there
    look_at("reassembly", "fragments", name_of(e), total.fragments[e], advice_for(e), steady_now_ns);
  }
  for (const ExceptionOutcome e : {ExceptionOutcome::rate_limited, ExceptionOutcome::no_room}) {
    look_at("exceptions", "frames", name_of(e), total.exceptions[e],
            "more that is no export traffic came for the kernel than exception.frames_per_second admits", steady_now_ns);
  }
  for (const FrameVerdict e : {FrameVerdict::bad_udp_checksum, FrameVerdict::bad_udp_length}) {
    look_at("reassembly", "datagrams", name_of(e), total.reassembled[e],
            "fragments of two datagrams with one identification, or damage on the way", steady_now_ns);
  }
  for (const DatagramError e :
       {DatagramError::exporter_table_full, DatagramError::domain_table_full}) {
    look_at("decoder", "datagrams", name_of(e), total.datagram_errors[e],
            "more sources than limits admits are at work", steady_now_ns);
  }
  for (size_t i = 0; i < total.record_drops.values.size(); ++i) {
    const auto e = static_cast<RecordDrop>(i);
    if (!is_loss(e)) continue;
    look_at("encoder", "records", name_of(e), total.record_drops[e], advice_for(e), steady_now_ns);
  }
  for (const PublisherView& p : view.publishers) {
    look_at_fill(p, steady_now_ns);
    for (size_t i = 0; i < p.failures.values.size(); ++i) {
      const auto e = static_cast<DeliveryFailure>(i);
      const char* const event = e == DeliveryFailure::queue_full ? "Publisher channel full: " : "";
      look_at(fmt::format("{}publisher {}", event, p.name), "records", name_of(e), p.failures[e], advice_for(e),
              steady_now_ns);
    }
    const std::string spool = fmt::format("publisher {}: spool", p.name);
    look_at(spool, "records", "expired", p.spool.records_expired,
            "by this machine's clock older than spool.max_age_secs", steady_now_ns);
    look_at(spool, "records", "damaged", p.spool.records_damaged, "the disk changed or cut what was written",
            steady_now_ns);
    for (size_t i = 0; i < p.spool.failures.values.size(); ++i) {
      const auto e = static_cast<DeliveryFailure>(i);
      look_at(spool, "records", name_of(e), p.spool.failures[e], advice_for(e), steady_now_ns);
    }
  }
}

}  // namespace weir::control

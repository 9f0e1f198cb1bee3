#include "base/byte_order.h"
#include "base/clock.h"
#include "base/copy_short.h"
#include "fuse/fused_run.h"

namespace weir::fuse {
namespace {

using outbound::parts::kTimeEnd;
using outbound::parts::kTimeStart;

uint64_t read_time(const FusedRun& run, const uint8_t* p) noexcept {
  switch (run.form.times) {
    case TimesForm::uptime: {
      const auto before = static_cast<int64_t>(static_cast<int32_t>(run.uptime_ms - load_be32(p)));
      return run.export_ns - static_cast<uint64_t>(before * static_cast<int64_t>(kNsPerMs));
    }
    case TimesForm::milliseconds: {
      const uint64_t ms = load_be64(p);
      return ms < UINT64_MAX / kNsPerMs ? ms * kNsPerMs : 0;
    }
    case TimesForm::seconds: return load_be32(p) * kNsPerSec;
    case TimesForm::shared: break;
  }
  return 0;
}

uint64_t read_number(const uint8_t* p, uint8_t width) noexcept {
  switch (width) {
    case 1: return *p;
    case 2: return load_be16(p);
    case 4: return load_be32(p);
    case 8: return load_be64(p);
    default: return load_be(p, width);
  }
}

/// Null where the record is not for a form.
uint8_t* put_record(uint8_t* p, const FusedRun& run,
                    const outbound::parts::ProtocolChunk* protocols, const uint8_t* r) noexcept {
  const FusedForm& form = run.form;
  bool is_odd = false;
  if (form.times != TimesForm::shared) {
    const uint64_t start = read_time(run, r + form.start_offset);
    const uint64_t end = read_time(run, r + form.end_offset);
    is_odd = start - run.window_begin_ns > run.window_span_ns ||
              end - run.window_begin_ns > run.window_span_ns;
    p = outbound::parts::put_time(p, kTimeStart, start);
    p = outbound::parts::put_time(p, kTimeEnd, end);
  }
  for (const Address& a : std::span(form.addresses, form.address_count)) {
    p = outbound::wire::put_tag(p, a.tag);
    *p++ = static_cast<uint8_t>(a.octets);
    if (a.octets == 4) {
      std::memcpy(p, r + a.offset, 4);
    } else {
      std::memcpy(p, r + a.offset, 16);
    }
    p += a.octets;
  }
  LaneSet set;
  const outbound::parts::ProtocolChunk* const family = find_family(form, protocols, r, set);
  if (is_odd || family == nullptr) return nullptr;
  p = put_family(p, *family);
  const Lane* const lanes = form.lanes(set);
  for (size_t i = 0; i < form.shared[set].count; ++i) {
    const Lane& lane = lanes[i];
    if (lane.piece != kSharedPieces && (lane.width == 0 || !run.records_say_rate)) {
      const FusedRun::Piece& piece = run.pieces[lane.piece];
      std::memcpy(p, &piece, sizeof piece);
      p += piece.length;
    } else {
      p = outbound::wire::put_field(p, lane.tag, read_number(r + lane.offset, lane.width));
    }
  }
  for (const Mac& mac : std::span(form.macs, form.mac_count)) {
    p = outbound::wire::put_field(p, mac.tag, load_be48(r + mac.offset));
  }
  if (form.tail_octets != 0) {
    std::memcpy(p, form.tail(), form.tail_chunk_count * kChunkOctets);
    for (const TailMove& move : std::span(form.tail_moves(), form.tail_move_count)) {
      copy_short(p + move.to, r + move.offset, move.octets);
    }
    p += form.tail_octets;
  }
  return p;
}

}  // namespace

void FusedRun::share(const uint64_t (&values)[kSharedPieces], Kernel kernel) noexcept {
  if (kernel == Kernel::portable) {
    for (size_t i = 0; i < kSharedPieces; ++i) {
      const Lane& lane = form.lanes(kPorts)[form.shared[kPorts].at[i]];
      uint8_t octets[2 + 8 + 8];
      const uint8_t* const end = outbound::wire::put_field(octets, lane.tag, values[i]);
      pieces[i].length = static_cast<uint8_t>(end - octets);
      std::memcpy(pieces[i].octets, octets, sizeof pieces[i].octets);
    }
    return;
  }
  for (const LaneSet set : {kPorts, kIcmp}) {
    const SharedLanes& lanes = form.shared[set];
    if (lanes.count == 0) continue;
    // By block, which takes no call.
    for (size_t i = 0; i < form.block_count; ++i) std::memset(shared[set] + kBlockLanes * i, 0, kBlockLanes * sizeof(uint64_t));
    for (size_t i = 0; i < kSharedPieces; ++i) shared[set][lanes.at[i]] = values[i];
  }
}

Progress run_portable(FusedRun& run, const uint8_t* records, uint32_t count, uint8_t* out,
                      const uint8_t* last) noexcept {
  const outbound::parts::ProtocolChunk* const protocols = protocols_of_all(run.form);
  uint8_t* p = out;
  const uint8_t* r = records;
  uint32_t n = 0;
  for (; n < count && p <= last; ++n, r += run.form.record_octets) {
    uint8_t* const end =
        put_record(outbound::parts::put_prefix(p + run.guess.octets, run.prefix), run, protocols, r);
    if (end == nullptr) return {n, p, true};
    p = outbound::parts::finish_frame(p, end, run.guess);
  }
  return {n, p, false};
}

}  // namespace weir::fuse

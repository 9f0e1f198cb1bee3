#include "feed/source_message.h"

#include <charconv>
#include <cstring>

#include "base/value_named.h"
#include "export/batch_reader.h"
#include "export/jetstream_reader.h"

namespace weir::feed {
namespace {

using outbound::Compression;
using outbound::Framing;

/// Whether every record's length ends where the next begins, and the last one's at the end, and there are as many as the header says: a
/// message that was cut between two records is whole by its lengths. Of a message that is one record there is one.
bool is_whole(std::span<const uint8_t> batch, Framing framing, const char* records) noexcept {
  outbound::BatchWalk walk(batch);
  uint64_t count = 0;
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (framing == Framing::single && entry.message.empty()) return false;
    ++count;
  }
  if (!walk.complete()) return false;
  if (records == nullptr) return true;
  uint64_t said = 0;
  const char* const end = records + std::strlen(records);
  const auto read = std::from_chars(records, end, said);
  return read.ec == std::errc() && read.ptr == end && said == count;
}

}  // namespace

std::optional<DeadReason> open_message(const outbound::NatsReply& message, std::optional<Framing> otherwise,
                                       SourceMessage& opened, Takes takes) {
  const auto kind = outbound::kind_of(message.header("Weir-Kind"), message.subject());
  if (kind == outbound::RecordKind::count_) return DeadReason::unknown_kind;
  opened.are_discards = kind == outbound::RecordKind::sflow_discard;
  const bool are_taken = kind == outbound::RecordKind::flow || (opened.are_discards && takes == Takes::flows_and_discards);
  if (!are_taken) return DeadReason::not_flows;

  const char* const packed = message.header("Weir-Compression");
  const auto compression = packed == nullptr ? Compression::none : value_named<Compression>(packed);
  if (!compression) return DeadReason::unknown_compression;

  const std::string_view body = message.body();
  const std::span<const uint8_t> octets(reinterpret_cast<const uint8_t*>(body.data()), body.size());
  const char* const said = message.header("Weir-Framing");
  std::optional<Framing> framing = said == nullptr ? otherwise : value_named<Framing>(said);
  if (said != nullptr && !framing) return DeadReason::unknown_framing;
  if (!framing) framing = outbound::looks_like_batch(octets) || body.empty() ? Framing::batch : Framing::single;

  // Lines of JSON and NetFlowRecords are read as flows.
  if (opened.are_discards && (framing == Framing::json || framing == Framing::netflow_record)) return DeadReason::not_flows;

  opened.own.clear();
  if (framing == Framing::batch && compression == Compression::none) {
    opened.batch = octets;
  } else {
    auto batch = outbound::unframe(octets, *framing, *compression);
    if (!batch) return DeadReason::undecodable;
    opened.own = std::move(*batch);
    opened.batch = opened.own;
  }
  const char* const records = message.header("Weir-Records");
  return is_whole(opened.batch, *framing, records) ? std::nullopt : std::optional(DeadReason::undecodable);
}

}  // namespace weir::feed

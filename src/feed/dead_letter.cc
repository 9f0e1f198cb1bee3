#include "feed/dead_letter.h"

#include <fmt/format.h>

#include <algorithm>

#include "export/jetstream_reader.h"

namespace weir::feed {
namespace {

// What of a message may be published again, beside the headers that say where it came from.
constexpr size_t kHeadersReserve = 8192;
constexpr size_t kHeaderOctetsMax = 256;
constexpr size_t kMessageIdOctetsMax = 200;

void begin(const DeadSource& source, DeadReason reason, std::string id, outbound::OutboundBatch& letter,
           outbound::ReplayedAs& as, outbound::BatchHeaders& headers) {
  as.id = std::move(id);
  as.subject = source.subject_prefix + "." + std::string(name_of(reason));
  headers.clear();
  letter.replayed_as = &as;
  letter.headers = &headers;
}

void add_origin(const DeadSource& source, DeadReason reason, outbound::BatchHeaders& headers) {
  headers.emplace_back("Weir-Dead-Reason", name_of(reason));
  headers.emplace_back("Weir-Dead-Subject", source.delivery.message.subject());
  headers.emplace_back("Weir-Dead-Stream", source.stream);
  headers.emplace_back("Weir-Dead-Sequence", std::to_string(source.delivery.sequence));
  headers.emplace_back("Weir-Dead-Deliveries", std::to_string(source.delivery.deliveries));
  headers.emplace_back("Weir-Dead-Id", source.id);
}

void put_octets(const DeadSource& source, std::span<const uint8_t> octets, outbound::OutboundBatch& letter,
                outbound::BatchHeaders& headers) {
  const size_t room = std::max(source.payload_max, 2 * kHeadersReserve) - kHeadersReserve;
  if (octets.size() > room) {
    headers.emplace_back("Weir-Dead-Octets", std::to_string(octets.size()));  // it had so many
    octets = octets.first(room);
  }
  // Outgoing octets are only read; the type is that of buffers.
  letter.data = const_cast<uint8_t*>(octets.data());
  letter.octets = static_cast<uint32_t>(octets.size());
}

}  // namespace

std::string id_of(const outbound::Delivery& delivery, const std::string& stream) {
  const char* const id = delivery.message.header("Nats-Msg-Id");
  if (id != nullptr && *id != '\0' && std::string_view(id).size() <= kMessageIdOctetsMax) return id;
  // A stream that was made anew counts from the beginning again.
  return fmt::format("{}.{}.{}", stream, delivery.sequence, delivery.stored_ns);
}

void write_dead_message(const DeadSource& source, DeadReason reason, outbound::OutboundBatch& letter, outbound::ReplayedAs& as,
                        outbound::BatchHeaders& headers) {
  begin(source, reason, "dead." + source.id, letter, as, headers);
  const outbound::NatsReply& message = source.delivery.message;
  for (const char* name : {"Weir-Framing", "Weir-Compression", "Weir-Records", "Weir-Kind"}) {
    const char* const value = message.header(name);
    if (value != nullptr) headers.emplace_back(name, std::string_view(value).substr(0, kHeaderOctetsMax));
  }
  add_origin(source, reason, headers);
  const std::string_view body = message.body();
  put_octets(source, {reinterpret_cast<const uint8_t*>(body.data()), body.size()}, letter, headers);
}

void write_dead_record(const DeadSource& source, DeadReason reason, uint32_t index, std::span<const uint8_t> record,
                       outbound::OutboundBatch& letter, outbound::ReplayedAs& as, outbound::BatchHeaders& headers, std::string_view detail) {
  begin(source, reason, "dead." + source.id + "." + std::to_string(index), letter, as, headers);
  letter.records = 1;
  headers.emplace_back("Weir-Framing", "single");
  headers.emplace_back("Weir-Compression", "none");
  headers.emplace_back("Weir-Records", "1");
  // Flows need not say what they are.
  const outbound::NatsReply& message = source.delivery.message;
  const auto kind = outbound::kind_of(message.header("Weir-Kind"), message.subject());
  if (kind != outbound::RecordKind::flow) headers.emplace_back("Weir-Kind", name_of(kind));
  headers.emplace_back("Weir-Dead-Index", std::to_string(index));
  if (!detail.empty()) headers.emplace_back("Weir-Dead-Detail", detail);
  add_origin(source, reason, headers);
  put_octets(source, record, letter, headers);
}

}  // namespace weir::feed

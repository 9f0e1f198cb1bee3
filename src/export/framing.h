// framing.h — How records lie in a broker's message: written from a batch, and read back.
//
// Spec:     docs/FLOW_MESSAGE.md, "Messages on the broker". batch: a flowpb.FlowBatch. single: one
//           flowpb.FlowMessage. delimited: for each record its length as a varint, and the FlowMessage.
//           netflow_record: one NetFlowRecord (proto/netflow_record.proto). json: lines of JSON, one a record,
//           which are read only. Compressed messages are one frame of LZ4 (lz4 -d reads it) or Zstandard
//           (RFC 8878).
// Runs on:  a publisher's thread, or a reader's.
// Bounds:   what is read unpacks to at most kUnframedOctetsMax.
// Failure:  octets that are not what they are said to be are nothing, for the caller to count.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/named_enum.h"
#include "export/outbound_batch.h"

namespace weir::outbound {

/// The names are the values of the headers Weir-Framing and Weir-Compression.
#define WEIR_FRAMINGS(X) X(batch) X(single) X(delimited) X(netflow_record) X(json)
WEIR_NAMED_ENUM(Framing, uint8_t, WEIR_FRAMINGS)
#define WEIR_COMPRESSIONS(X) X(none) X(lz4) X(zstd)
WEIR_NAMED_ENUM(Compression, uint8_t, WEIR_COMPRESSIONS)

inline constexpr size_t kUnframedOctetsMax = 64 << 20;

/// Whether each record is a message of its own.
constexpr bool is_record_a_message(Framing framing) noexcept {
  return framing == Framing::single || framing == Framing::netflow_record;
}

/// The part of a batch's payload that one message is made of; of a record that is a message, without
/// its tag and length.
struct MessageSlice {
  uint32_t offset = 0;
  uint32_t octets = 0;
  uint32_t records = 0;
  uint32_t first_record = 0;  // of the batch's
};

/// Makes a batch's messages: first where each begins and ends, then, whenever one is to be sent, its
/// octets.
class MessageFormer {
 public:
  MessageFormer(Framing framing, Compression compression);
  ~MessageFormer();
  MessageFormer(const MessageFormer&) = delete;
  MessageFormer& operator=(const MessageFormer&) = delete;

  /// The messages of `part` of a batch, none of more than `octets_max` octets. False where a record alone
  /// is larger.
  bool divide(const OutboundBatch& batch, const MessageSlice& part, size_t octets_max,
              std::vector<MessageSlice>& slices) const;

  /// The octets of one message; they last until the next call, or as long as the batch.
  std::span<const uint8_t> form(const OutboundBatch& batch, const MessageSlice& slice);

  /// What the message's header says: records that are no flows cannot be NetFlowRecords.
  Framing framing_of(RecordKind kind) const noexcept {
    return framing_ == Framing::netflow_record && kind != RecordKind::flow ? Framing::single
                                                                           : framing_;
  }
  Compression compression() const noexcept { return compression_; }

 private:
  std::span<const uint8_t> compressed(std::span<const uint8_t> octets);

  struct Zstd;
  const Framing framing_;
  const Compression compression_;
  std::unique_ptr<Zstd> zstd_;
  std::vector<uint8_t> formed_;
  std::vector<uint8_t> compressed_;
};

/// A NetFlowRecord of what a FlowMessage says, put behind `out`.
void append_netflow_record(std::span<const uint8_t> flow_message, std::vector<uint8_t>& out);

/// The records of a message as a FlowBatch, or its like of another kind.
std::optional<std::vector<uint8_t>> unframe(std::span<const uint8_t> message, Framing framing,
                                            Compression compression);

}  // namespace weir::outbound

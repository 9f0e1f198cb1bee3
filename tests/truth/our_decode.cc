#include "truth/our_decode.h"

#include "base/byte_order.h"
#include "decode/capture_support.h"
#include "export/batch_reader.h"
#include "export/encoder.h"
#include "export/sflow_encoder.h"
#include "lab/sflow_builder.h"

namespace weir::truth {
namespace {

class DecodingSink final : public RecordSink, public decode::EventSink {
 public:
  explicit DecodingSink(Decoded& decoded) : decoded_(decoded) {}

  void on_records(const RecordBurst& burst) noexcept override {
    const outbound::HeaderPrefix prefix(burst.header);
    size_t most = outbound::kStoreSlackOctets;
    for (const FlowRecord& r : burst.records) most += outbound::Encoder::octets_max(prefix, r);
    encoded_.resize(most);
    const size_t octets = encoder_.encode(prefix, burst.records, burst.arena, encoded_.data());
    const auto counts = outbound::read_flows(
        {encoded_.data(), octets},
        [&](const flowpb::FlowMessage& flow) { decoded_.flows.push_back(flow); });
    EXPECT_EQ(counts.malformed, 0u);
  }
  void on_counters(const SflowCounters& sample) noexcept override {
    read(sflow_encoder_.encode(sample), decoded_.counters.emplace_back());
  }
  void on_discard(const SflowDiscard& discard) noexcept override {
    read(sflow_encoder_.encode(discard), decoded_.discards.emplace_back());
  }
  bool on_event(const decode::Event& event) noexcept override {
    decoded_.events.push_back(event);
    return true;
  }

 private:
  template <class Message>
  static void read(std::span<const uint8_t> octets, Message& message) {
    EXPECT_TRUE(message.ParseFromArray(octets.data(), static_cast<int>(octets.size())));
  }

  Decoded& decoded_;
  outbound::Encoder encoder_;
  outbound::SflowEncoder sflow_encoder_;
  std::vector<uint8_t> encoded_;
};

class Run {
 public:
  Run() {
    decode::DecoderConfig config = decode::capture_config();
    config.events = &sink_;
    config.listeners[0].inline_names = true;
    auto made = decode::Decoder::create(config);
    EXPECT_TRUE(made.has_value());
    decoder_ = std::move(*made);
  }
  void send(std::span<const uint8_t> octets, const IpAddress& source, uint16_t port,
            uint64_t at_ns) {
    Datagram d;
    d.payload = octets;
    d.source = source;
    d.source_port = port;
    d.received_ns = at_ns;
    decoder_->decode(d, sink_);
  }
  Decoded end() {
    decode::DomainStats domain;
    uint32_t cursor = 0;
    do {
      if (decoder_->copy_domains(cursor, {&domain, 1}) == 0) break;
      decoded_.domain_rates.push_back(domain.sampling_rate);
    } while (cursor != 0);
    decoded_.options_records = decoder_->counters().options_records.value();
    EXPECT_EQ(decode::ledger_error(decoder_->counters()), "");
    return std::move(decoded_);
  }

 private:
  Decoded decoded_;
  DecodingSink sink_{decoded_};
  std::unique_ptr<decode::Decoder> decoder_;
};

/// What an sFlow agent would call the header of such a frame; 0 where there is no name for it.
uint32_t header_protocol(const lab::CapturedFrame& frame, std::span<const uint8_t>& octets) {
  uint16_t ether_type = 0;
  octets = frame.octets;
  switch (frame.link) {
    case packet::LinkType::ethernet: return lab::sflow::kHeaderEthernet;
    case packet::LinkType::raw_ip:
      if (octets.empty()) return 0;
      ether_type = octets[0] >> 4 == 4 ? 0x0800 : 0x86dd;
      break;
    case packet::LinkType::linux_sll:
      if (octets.size() < 16) return 0;
      ether_type = load_be16(&octets[14]);
      octets = octets.subspan(16);
      break;
    case packet::LinkType::ether_type:
      if (octets.size() < 2) return 0;
      ether_type = load_be16(octets.data());
      octets = octets.subspan(2);
      break;
    default: return 0;
  }
  if (ether_type == 0x0800) return lab::sflow::kHeaderIpv4;
  if (ether_type == 0x86dd) return lab::sflow::kHeaderIpv6;
  return ether_type == 0x8847 ? lab::sflow::kHeaderMpls : 0;
}

/// Leaves the IP packet of an Ethernet frame; `length` becomes its own.
uint32_t strip_ethernet(uint32_t protocol, std::span<const uint8_t>& octets, size_t& length) {
  if (protocol == lab::sflow::kHeaderEthernet) {
    if (octets.size() < 14 + 20) return 0;
    const uint16_t ether_type = load_be16(&octets[12]);
    if (ether_type != 0x0800 && ether_type != 0x86dd) return 0;
    protocol = ether_type == 0x0800 ? lab::sflow::kHeaderIpv4 : lab::sflow::kHeaderIpv6;
    octets = octets.subspan(14);
  }
  if (octets.size() < 20) return 0;
  length = protocol == lab::sflow::kHeaderIpv4 ? load_be16(&octets[2])
                                               : size_t{40} + load_be16(&octets[4]);
  return protocol;
}

constexpr size_t kSampledOctets = 4096;

}  // namespace

Decoded decode_captures(const std::vector<std::filesystem::path>& captures) {
  Run run;
  for (const auto& capture : captures) {
    for (const decode::Payload& p : decode::read_payloads(capture)) {
      run.send(p.octets, p.source, p.source_port, p.received_ns);
    }
  }
  return run.end();
}

Decoded decode_sampled(const std::filesystem::path& capture, SampleAs as) {
  Run run;
  auto reader = lab::CaptureReader::open(capture.string());
  EXPECT_TRUE(reader.has_value()) << capture;
  if (!reader) return run.end();
  lab::CapturedFrame frame;
  for (uint32_t number = 1;; ++number) {
    const auto more = reader->next(frame);
    if (!more || !*more) return run.end();
    std::span<const uint8_t> octets;
    uint32_t protocol = header_protocol(frame, octets);
    size_t length = frame.octets.size();
    if (as == SampleAs::ip) protocol = strip_ethernet(protocol, octets, length);
    if (protocol == 0) continue;
    octets = octets.first(std::min<size_t>(octets.size(), kSampledOctets));
    run.send(
        lab::SflowBuilder{}
            .sequence(number)
            .flow({.records = {lab::sflow::raw_header({octets.begin(), octets.end()},
                                                      static_cast<uint32_t>(length), protocol)}})
            .build(),
        IpAddress::from_v4(0xC0000209u), 6343, frame.timestamp_ns);
  }
}

}  // namespace weir::truth

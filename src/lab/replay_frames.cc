#include "lab/replay_frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>
#include <tuple>
#include <utility>

#include "base/byte_order.h"
#include "decode/decoder.h"
#include "lab/capture_file.h"
#include "packet/frame.h"

namespace weir::lab {

namespace {

constexpr size_t kEthernetOctets = 14;
constexpr uint16_t kEtherTypeV4 = 0x0800;
constexpr uint16_t kEtherTypeV6 = 0x86dd;

/// What the sequence is of, and how far one datagram carries it: by its own account, or by what was decoded.
enum class Counts : uint8_t { nothing, datagrams, records };

struct HeaderFacts {
  ReplayHeader header;
  Counts counts = Counts::nothing;
  uint32_t domain = 0;
  uint32_t version = 0;
  IpAddress agent{};  // of sFlow
};

HeaderFacts sflow_facts(std::span<const uint8_t> payload) {
  HeaderFacts facts;
  const uint32_t family = payload.size() >= 8 ? load_be32(payload.data() + 4) : 0;
  const size_t agent_octets = family == 1 ? 4 : family == 2 ? 16 : 0;
  if (agent_octets == 0 || payload.size() < 20 + agent_octets) return facts;
  facts.version = 5 << 16;
  facts.agent = family == 1 ? IpAddress::from_v4(payload.data() + 8) : IpAddress::from_v6(payload.data() + 8);
  facts.header.agent_at = 8;
  facts.header.agent_octets = static_cast<uint8_t>(agent_octets);
  facts.domain = load_be32(payload.data() + 8 + agent_octets);  // sub-agent
  facts.header.sequence_at = static_cast<uint8_t>(12 + agent_octets);
  facts.counts = Counts::datagrams;
  return facts;
}

HeaderFacts facts_of(std::span<const uint8_t> payload) {
  HeaderFacts facts;
  if (payload.size() < 16) return facts;
  facts.version = load_be16(payload.data());
  switch (facts.version) {
    case 0: return load_be32(payload.data()) == 5 ? sflow_facts(payload) : facts;
    case 1:
      facts.header = {.seconds_at = 8, .nanoseconds_at = 12};
      return facts;
    case 5:
    case 7:
      if (payload.size() < 24) return facts;
      facts.header = {.sequence_at = 16, .seconds_at = 8, .nanoseconds_at = 12};
      facts.counts = Counts::records;
      facts.domain = facts.version == 5 ? load_be16(payload.data() + 20) : 0;  // engine
      return facts;
    case 9:
      if (payload.size() < 20) return facts;
      facts.header = {.sequence_at = 12, .seconds_at = 8};
      facts.counts = Counts::datagrams;
      facts.domain = load_be32(payload.data() + 16);
      return facts;
    case 10:
      facts.header = {.sequence_at = 8, .seconds_at = 4};
      facts.counts = Counts::records;
      facts.domain = load_be32(payload.data() + 12);
      return facts;
    default: return facts;
  }
}

class Nowhere final : public RecordSink {
 public:
  void on_records(const RecordBurst&) noexcept override {}
};

}  // namespace

class ReplayFrames::Loader {
 public:
  explicit Loader(ReplayFrames& into) : into_(into) {}

  Result<void> open() {
    decode::DecoderConfig config;
    config.listeners.resize(1);
    auto decoder = decode::Decoder::create(config);
    if (!decoder) return decoder.error();
    decoder_ = std::move(*decoder);
    return {};
  }

  Result<void> read(const std::string& path) {
    auto reader = CaptureReader::open(path);
    if (!reader) return reader.error();
    CapturedFrame captured;
    // Of several captures each begins where the one before ends.
    const uint64_t begin_ns = into_.duration_ns_;
    std::optional<uint64_t> first_ns;
    for (;;) {
      const auto more = reader->next(captured);
      if (!more) return more.error();
      if (!*more) return {};
      if (!first_ns) first_ns = captured.timestamp_ns;
      const uint64_t after_ns = captured.timestamp_ns - std::min(captured.timestamp_ns, *first_ns);
      if (auto added = add(captured, begin_ns + after_ns); !added) return Error{path + ": " + added.error().message};
    }
  }

  void finish() {
    for (const auto& [key, stream] : streams_) {
      into_.streams_[stream.index].end = stream.end;
    }
    const size_t n = into_.frames_.size();
    // The way from the last frame to the first of the next round is an ordinary one.
    if (n > 1) into_.duration_ns_ += into_.duration_ns_ / (n - 1);
  }

 private:
  struct Stream {
    uint32_t index = 0;
    uint32_t end = 0;
  };

  Result<void> add(const CapturedFrame& captured, uint64_t after_ns) {
    const packet::FrameView view = packet::parse_frame(captured.octets, captured.link);
    if (captured.is_cut || view.verdict != packet::FrameVerdict::udp) {
      ++into_.left_out_;
      return {};
    }
    const auto ip = packet::ip_packet_of(captured.octets, captured.link, view.vlan_tags);
    const bool is_ethernet = captured.link == packet::LinkType::ethernet;
    const size_t before =
        is_ethernet ? static_cast<size_t>(ip.data() - captured.octets.data()) : kEthernetOctets;
    const size_t octets = before + ip.size();
    if (octets > kReplayFrameOctetsMax || view.dst_port == 0) {
      ++into_.left_out_;
      return {};
    }
    if (into_.octets_.size() + octets > kReplayOctetsMax || into_.frames_.size() == kReplayFramesMax) {
      return Error{fmt::format("more than {} octets or {} frames to replay", kReplayOctetsMax, kReplayFramesMax)};
    }
    ReplayFrame frame;
    frame.at = into_.octets_.size();
    frame.after_ns = after_ns;
    frame.octets = static_cast<uint32_t>(octets);
    frame.ip_at = static_cast<uint16_t>(before);
    frame.payload_at = static_cast<uint16_t>(before + static_cast<size_t>(view.payload.data() - ip.data()));
    const HeaderFacts facts = facts_of(view.payload);
    frame.source = source_of(view.src, facts.agent);
    if (is_ethernet) {
      into_.octets_.insert(into_.octets_.end(), captured.octets.data(), captured.octets.data() + octets);
    } else {
      into_.octets_.resize(into_.octets_.size() + kEthernetOctets);
      store_be16(into_.octets_.data() + frame.at + 12, view.src.is_v4() ? kEtherTypeV4 : kEtherTypeV6);
      into_.octets_.insert(into_.octets_.end(), ip.begin(), ip.end());
    }
    frame.header = facts.header;
    const uint32_t carried = decode(view, captured.timestamp_ns, frame);
    if (facts.header.sequence_at != ReplayHeader::kNone) {
      const uint32_t sequence = load_be32(view.payload.data() + facts.header.sequence_at);
      frame.stream = follow(view, facts, sequence, sequence + (facts.counts == Counts::datagrams ? 1 : carried));
    }
    into_.udp_ports_.insert(view.dst_port);
    into_.records_ += frame.records;
    into_.duration_ns_ = std::max(into_.duration_ns_, after_ns);
    into_.frame_octets_max_ = std::max(into_.frame_octets_max_, frame.octets);
    into_.frames_.push_back(frame);
    return {};
  }

  uint32_t source_of(const IpAddress& address, const IpAddress& agent) {
    const auto [it, is_new] = sources_.emplace(std::pair(address, agent), static_cast<uint32_t>(into_.sources_.size()));
    if (is_new) into_.sources_.push_back(address);
    return it->second;
  }

  /// Data records of the datagram, those of options included; and its flows in the frame.
  uint32_t decode(const packet::FrameView& view, uint64_t received_ns, ReplayFrame& frame) {
    const decode::DecoderCounters& counters = decoder_->counters();
    const uint64_t flows = counters.records.value();
    const uint64_t options = counters.options_records.value();
    decoder_->decode({.payload = view.payload,
                      .source = view.src,
                      .source_port = view.src_port,
                      .local_port = view.dst_port,
                      .listener = ListenerId{0},
                      .received_ns = received_ns},
                     nowhere_);
    frame.records = static_cast<uint32_t>(counters.records.value() - flows);
    return frame.records + static_cast<uint32_t>(counters.options_records.value() - options);
  }

  /// The stream that the datagram is of, which reaches `end` with it.
  uint32_t follow(const packet::FrameView& view, const HeaderFacts& facts, uint32_t sequence, uint32_t end) {
    const auto key = std::tuple(view.src, facts.agent, facts.version, facts.domain);
    const auto [it, is_new] = streams_.emplace(key, Stream{static_cast<uint32_t>(into_.streams_.size()), end});
    if (is_new) {
      into_.streams_.push_back({.first = sequence, .end = end});
    } else if (static_cast<int32_t>(end - it->second.end) > 0) {  // not one that came late
      it->second.end = end;
    }
    return it->second.index;
  }

  ReplayFrames& into_;
  std::unique_ptr<decode::Decoder> decoder_;
  Nowhere nowhere_;
  std::map<std::pair<IpAddress, IpAddress>, uint32_t> sources_;
  std::map<std::tuple<IpAddress, IpAddress, uint32_t, uint32_t>, Stream> streams_;
};

Result<ReplayFrames> ReplayFrames::load(std::span<const std::string> paths) try {
  ReplayFrames made;
  Loader loader(made);
  if (auto opened = loader.open(); !opened) return opened.error();
  for (const std::string& path : paths) {
    if (auto read = loader.read(path); !read) return read.error();
  }
  loader.finish();
  if (made.frames_.empty()) {
    return Error{fmt::format("{}: no datagram to replay{}", paths.empty() ? "" : paths.front(),
                             made.left_out_ == 0 ? "" : fmt::format(" ({} packets are no whole UDP datagrams)", made.left_out_))};
  }
  return made;
} catch (const std::bad_alloc&) {
  return Error{"no memory to hold the captures in"};
}

}  // namespace weir::lab

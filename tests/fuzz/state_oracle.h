// state_oracle.h — Any octets as what decoders knew before a restart.
//
// Oracles: an image that is accepted is stood by a decoder under small limits, whose state stays
// within them; what that decoder saves is an image again, and taken up by another it is the same;
// when its exporters are evicted nothing of theirs is left.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "decode/decoder_state.h"
#include "fuzz/clean_decoder.h"

namespace weir::decode {

class StateOracle {
 public:
  StateOracle()
      : config_(config()),
        decoder_(std::make_unique<DecoderState>(config_)),
        slice_(kStateChunkOctetsMin),
        stats_(config_.limits.exporters_max) {
    require(decoder_->reserve(), "a decoder");
    fill();
  }

  /// Whether the octets were an image.
  bool check(const uint8_t* data, size_t size) {
    auto image = StateImage::parse({data, data + size});
    if (!image) return false;
    auto once = StateImage::parse(take_up(*image));
    require(once.has_value(), "what is saved is an image");
    auto twice = StateImage::parse(take_up(*once));
    require(twice.has_value() && (*twice)->contents().templates == (*once)->contents().templates &&
                (*twice)->contents().rates == (*once)->contents().rates,
            "what was taken up once comes back as it was");
    return true;
  }

  static constexpr uint64_t kNowNs = 1'760'000'000ull * 1'000'000'000;
  // Version 10, a data set of template 256 with twelve octets.
  static constexpr uint8_t kMessage[] = {0, 10, 0, 32, 0x68, 0xe7, 0x78, 0, 0,  0, 0,
                                         0, 0,  0, 0,  1,    1,    0,    0, 16, 1, 1,
                                         1, 1,  1, 1,  1,    1,    1,    1, 1,  1};

 private:

  static DecoderConfig config() {
    DecoderConfig c = oracle_config();
    c.limits.template_lifetime_ns = 0;
    return c;
  }

  /// Has exporters heard of again, as many as there is place for; returns what is known of them then.
  std::vector<uint8_t> take_up(const std::shared_ptr<const StateImage>& image) {
    require(decoder_->adopt(image), "memory");
    std::vector<IpAddress> heard;
    const std::span<const StateImage::Piece> pieces = image->pieces();
    for (size_t i = 0; i < pieces.size() && heard.size() < config_.limits.exporters_max;) {
      const IpAddress address = pieces[i].address;
      size_t octets = 0;
      for (; i < pieces.size() && pieces[i].address == address; ++i) {
        octets += pieces[i].end - pieces[i].begin;
      }
      heard.push_back(address);
      hear(address, octets);
    }
    std::vector<uint8_t> state = saved();
    require(decoder_->adopt(nullptr), "memory");
    for (const IpAddress& address : heard) send(address, {}, 0);  // idle since then
    fill();
    return state;
  }

  /// Until all of its part of the image is taken up: a datagram takes up more than 1,400 octets.
  void hear(const IpAddress& address, size_t octets) {
    for (size_t n = 0; n < 2 + octets / 1400; ++n) {
      require(send(address, kMessage, kNowNs), "an exporter's place");
    }
    check_state(*decoder_, config_.limits, stats_);
  }

  std::vector<uint8_t> saved() {
    std::vector<uint8_t> all;
    StateCursor cursor;
    for (int slices = 0; !cursor.is_over; ++slices) {
      require(slices < 100'000, "the walk ends");
      const size_t n = decoder_->copy_state(cursor, slice_);
      require(n <= slice_.size(), "no more than there is room for");
      all.insert(all.end(), slice_.begin(), slice_.begin() + static_cast<std::ptrdiff_t>(n));
    }
    return all;
  }

  /// Others push out those that are idle, and are idle then.
  void fill() {
    static constexpr uint8_t kEmpty[20] = {0, 9};
    uint8_t filler[16] = {0xfd, 0x5e, 0xed};
    for (const bool idle : {false, true}) {
      for (uint32_t i = 0; i < config_.limits.exporters_max; ++i) {
        filler[15] = static_cast<uint8_t>(i);
        const IpAddress address = IpAddress::from_v6(filler);
        if (idle) {
          send(address, {}, 0);
        } else {
          require(send(address, kEmpty, kNowNs), "a new exporter's place");
        }
      }
    }
    const DecoderCounters& c = decoder_->counters();
    require(c.templates.value() == 0 && c.pending_octets.value() == 0 &&
                c.set_outcomes[SetOutcome::waiting_for_template].value() == 0,
            "nothing is left of exporters that went");
  }

  bool send(const IpAddress& source, std::span<const uint8_t> payload, uint64_t received_ns) {
    Datagram d;
    d.payload = payload;
    d.source = source;
    d.received_ns = received_ns;
    return decoder_->decode(d, sink_);
  }

  const DecoderConfig config_;
  const std::unique_ptr<DecoderState> decoder_;
  std::vector<uint8_t> slice_;
  std::vector<ExporterStats> stats_;
  OracleSink sink_{Folding::nothing};
};

}  // namespace weir::decode

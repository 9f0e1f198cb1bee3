// state_fuzz.cc — Any octets as what decoders knew before a restart.
//
// Oracles: an image that is accepted is stood by a decoder under small limits, whose state stays
// within them; what that decoder saves is an image again, and taken up by another it is the same.
#include <algorithm>
#include <vector>

#include "decode/state_image.h"
#include "fuzz/clean_decoder.h"

namespace weir::decode {
namespace {

std::vector<uint8_t> saved(Decoder& decoder) {
  std::vector<uint8_t> all;
  std::vector<uint8_t> room(kStateChunkOctetsMin);
  StateCursor cursor;
  for (int slices = 0; !cursor.is_over; ++slices) {
    require(slices < 100'000, "the walk ends");
    const size_t n = decoder.copy_state(cursor, room);
    require(n <= room.size(), "no more than there is room for");
    all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return all;
}

/// Has each exporter heard of again; returns what is known of them then.
std::vector<uint8_t> take_up(const std::shared_ptr<const StateImage>& image) {
  static constexpr uint64_t kNowNs = 1'760'000'000ull * 1'000'000'000;
  DecoderConfig config = oracle_config();
  config.limits.template_lifetime_ns = 0;
  config.restored = image;
  auto decoder = Decoder::create(config);
  require(decoder.has_value(), "a decoder");
  OracleSink sink;
  std::vector<ExporterStats> room(config.limits.exporters_max);
  // Version 10, a data set of template 256 with twelve octets.
  static constexpr uint8_t kMessage[] = {0, 10, 0, 32, 0x68, 0xe7, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                                         1, 0,  0, 16, 1,    1,    1,    1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (const StateImage::Piece& piece : image->pieces().first(
           std::min<size_t>(image->pieces().size(), config.limits.exporters_max))) {
    for (int i = 0; i < 80; ++i) {
      Datagram d;
      d.payload = kMessage;
      d.source = piece.address;
      d.received_ns = kNowNs;
      (*decoder)->decode(d, sink);
      check_state(**decoder, config.limits, room);
    }
  }
  return saved(**decoder);
}

}  // namespace
}  // namespace weir::decode

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::decode;
  auto image = StateImage::parse({data, data + size});
  if (!image) return 0;
  auto once = StateImage::parse(take_up(*image));
  require(once.has_value(), "what is saved is an image");
  auto twice = StateImage::parse(take_up(*once));
  require(twice.has_value() && (*twice)->contents().templates == (*once)->contents().templates &&
              (*twice)->contents().rates == (*once)->contents().rates,
          "what was taken up once comes back as it was");
  return 0;
}

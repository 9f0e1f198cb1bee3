// state_fuzz.cc — Any octets as what decoders knew before a restart. The oracles are in
// state_oracle.h; tests/decode runs them over images that decoders saved, whole and damaged. What was taken up
// decodes data by FlowRecords and by fused forms.
#include "fuse/two_ways.h"
#include "fuzz/state_oracle.h"

namespace {

/// Each exporter's domain 0 and template 256, which most images have.
void take_up_both_ways(const uint8_t* data, size_t size) {
  auto image = weir::decode::StateImage::parse({data, data + size});
  if (!image || weir::fuse::FusedWay::create() == nullptr) return;
  weir::fuse::TwoWaysConfig c;
  c.decoder = weir::decode::oracle_config();
  c.decoder.limits.template_lifetime_ns = 0;
  c.decoder.limits.template_octets_total = 64 << 20;  // forms take octets, too
  c.decoder.restored = *image;
  weir::fuse::TwoWays ways(c);
  constexpr int kMessages = 4;  // each takes up more than 1,400 octets of what is known of its exporter
  uint32_t exporters = 0;
  for (const auto& piece : (*image)->pieces()) {
    if (exporters++ == c.decoder.limits.exporters_max) break;
    for (int i = 0; i < kMessages; ++i) {
      weir::Datagram d;
      d.payload = weir::decode::StateOracle::kMessage;
      d.source = piece.address;
      d.received_ns = weir::decode::StateOracle::kNowNs;
      ways.decode(d);
    }
  }
  ways.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::decode::StateOracle oracle;
  if (oracle.check(data, size)) take_up_both_ways(data, size);
  return 0;
}

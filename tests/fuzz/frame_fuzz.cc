// frame_fuzz.cc — Any octets as a frame of any link layer.
//
// Oracles: the payload lies inside the input; the verdict is one of the list; cutting off whatever
// lies behind the payload, or adding a trailer, changes nothing; verifying checksums changes nothing
// but the verdict.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "packet/frame.h"

namespace {

using weir::packet::ChecksumPolicy;
using weir::packet::FrameVerdict;
using weir::packet::FrameView;
using weir::packet::LinkType;

void require(bool holds) {
  if (!holds) std::abort();
}

/// The payload apart, which lies elsewhere in a copy: only its length is compared.
bool same(const FrameView& a, const FrameView& b) {
  return a.verdict == b.verdict && a.vlan_tags == b.vlan_tags && a.vlan_ids == b.vlan_ids &&
         a.src_mac == b.src_mac && a.dst_mac == b.dst_mac && a.src == b.src && a.dst == b.dst &&
         a.src_port == b.src_port && a.dst_port == b.dst_port &&
         a.payload.size() == b.payload.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto link = static_cast<LinkType>(data[0] % 5);
  const std::vector<uint8_t> frame(data + 1, data + size);

  const FrameView view = parse_frame(frame, link);
  require(view.verdict < FrameVerdict::count_);
  require(view.vlan_tags <= weir::packet::kVlanTagsMax);

  const FrameView checked =
      parse_frame(frame, link, {ChecksumPolicy::Check::verify, ChecksumPolicy::Check::verify});
  require(checked.verdict == view.verdict || checked.verdict == FrameVerdict::bad_ip_checksum ||
          checked.verdict == FrameVerdict::bad_udp_checksum);

  if (view.verdict == FrameVerdict::fragment) {
    const uint8_t* const past = view.payload.data() + view.payload.size();
    require(view.payload.empty() || (view.payload.data() >= frame.data() && past <= frame.data() + frame.size()));
    require(view.fragment.offset_octets % 8 == 0);
    require(view.fragment.offset_octets != 0 || !view.fragment.is_last);
    return 0;
  }
  if (view.verdict != FrameVerdict::udp) {
    require(view.payload.empty());
    return 0;
  }
  const uint8_t* const end = view.payload.data() + view.payload.size();
  require(view.payload.data() >= frame.data() && end <= frame.data() + frame.size());

  std::vector<uint8_t> longer = frame;
  longer.insert(longer.end(), 9, 0xdb);
  require(same(parse_frame(longer, link), view));

  // The IP packet may end behind the UDP datagram; one octet short of the datagram is always short.
  const std::vector<uint8_t> shorter(frame.data(), end - 1);
  require(parse_frame(shorter, link).verdict != FrameVerdict::udp);
  return 0;
}

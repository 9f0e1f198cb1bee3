#include "dataplane/port_mtu.h"

#include <fmt/format.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

namespace weir::dataplane {

std::string ask_for_mtu(uint16_t mtu, uint32_t data_room, const rte_eth_dev_info& info, rte_eth_conf& conf) {
  if (mtu < info.min_mtu || mtu > info.max_mtu)
    return fmt::format("mtu: {} asked, it takes {} to {}", mtu, info.min_mtu, info.max_mtu);
  constexpr uint32_t kTwoTagsOctets = 8;
  const uint32_t frame_octets = uint32_t{mtu} + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + kTwoTagsOctets;
  const bool has_room = frame_octets + RTE_PKTMBUF_HEADROOM <= data_room;
  if (!has_room && (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) == 0)
    return fmt::format("mtu: {}, and its frames have no room in one buffer, nor does it put them into several: data_room_bytes of {}", mtu,
                       frame_octets + RTE_PKTMBUF_HEADROOM);
  conf.rxmode.mtu = mtu;
  if (!has_room) conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
  return {};
}

}  // namespace weir::dataplane

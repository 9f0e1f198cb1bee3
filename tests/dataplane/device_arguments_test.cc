// What DPDK's virtual drivers take, and what they would refuse, ignore or misread.
#include "dataplane/device_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::HasSubstr;

std::string why_not(std::string_view device) { return why_not_device(DeviceSpec::parse(device)); }

TEST(DeviceArguments, TakesWhatTheDriversTake) {
  TemporaryFolder folder;
  const std::string file = folder.file("out.pcap");
  for (const std::string& device : std::vector<std::string>{
           "0000:01:00.0,whatever=1",
           "net_af_packet0,iface=eth0",
           "net_af_packet12,iface=eth0,qpairs=2,qdisc_bypass=0",
           "net_af_packet0,iface=eth0,framecnt=256",
           "net_af_packet0,iface=eth0,framesz=2048",
           "net_af_packet0,iface=eth0,blocksz=8192,framecnt=8",
           "net_af_packet0,iface=eth0,framesz=128,blocksz=4096,framecnt=64",
           "net_af_xdp0,iface=eth0,start_queue=1,queue_count=2,busy_budget=0,force_copy=1",
           "net_pcap0,rx_pcap=a,rx_pcap=b,infinite_rx=1,tx_pcap=" + file,
           "net_pcap0,rx_iface=eth0,rx_iface_in=eth1,tx_iface=eth0",
           "net_pcap0,iface=eth0,phy_mac=1",
           "net_tap0",
           "net_tap0,iface=weir9,mac=02:00:00:00:00:aB",
           "net_tap0,mac=fixed,remote=eth0",
           "net_ring0",
           "net_ring0,nodeaction=net_ring0:0:CREATE",
           "net_null0,size=1500,copy=1,no-rx=0",
           "net_memif0,role=server,id=0,socket=/run/memif.sock,socket-abstract=no",
           "net_vhost0,iface=/tmp/weir.sock,queues=2,client=0",
           "net_virtio_user0,path=/dev/vhost-net,queues=2,queue_size=1024",
           "net_bonding0,slave=0000:01:00.0,slave=0000:01:00.1,mode=1"})
    EXPECT_EQ(why_not(device), "") << device;
}

TEST(DeviceArguments, SaysWhatADriverDoesNotTake) {
  TemporaryFolder folder;
  const std::string file = folder.file("a-file");
  std::ofstream(file) << "x";
  const struct {
    std::string device;
    const char* why;
  } cases[] = {
      {"net_foo0", "no such driver: a PCI address, or one of net_af_packet, net_af_xdp, net_pcap"},
      {"net_pcap_edge0,iface=lo", "no such driver"},  // EAL would take it for net_pcap
      {"eth_null0", "no such driver"},
      {"net_pcap0,rx_pcap=a,bogus=1", "net_pcap has no argument `bogus`; it takes rx_pcap, tx_pcap"},
      {"net_ring0,bogus=1", "net_ring has no argument `bogus`; it takes nodeaction"},
      {"net_null0,,size=64", "net_null has no argument ``"},
      {"net_null0,size", "size has no value"},
      {"net_null0,size=", "size has no value"},
      {"net_null0,size=-1", "size=-1 is not a number from 1"},
      {"net_null0,size=0x40", "size=0x40 is not a number"},
      {"net_af_packet0,iface=a,iface=b", "iface= is there 2 times, and may be once"},
      {"net_af_packet0,iface=a-name-too-long0", "is 16 octets long, limit 15"},
      {"net_af_packet0,iface=a,qpairs=0", "qpairs=0 is not a number from 1"},
      {"net_af_packet0,iface=a,qdisc_bypass=2", "qdisc_bypass=2 is neither 0 nor 1"},
      {"net_af_packet0,iface=a,framesz=100", "framesz=100 is not a multiple of 16 from 128"},
      {"net_af_packet0,iface=a,framesz=112", "framesz=112 is not a multiple of 16 from 128"},
      {"net_af_packet0,iface=a,framesz=3000,blocksz=4096", "framesz=3000 is not a multiple of 16"},
      {"net_af_packet0,iface=a,framesz=3008,blocksz=8192",
       "blocksz=8192 is not a multiple of a page (4096) and of framesz (3008)"},
      {"net_af_packet0,iface=a,framesz=9216", "blocksz=4096 is not a multiple"},
      {"net_af_packet0,iface=a,framecnt=3",
       "framecnt=3 is not a multiple of the 4 frames in a block"},
      {"net_af_xdp0,iface=a,start_queue=x", "start_queue=x is not a number from 0"},
      {"net_af_xdp0,iface=a,queue_count=0", "queue_count=0 is not a number from 1"},
      {"net_af_xdp0,iface=a,xdp_prog=/nowhere/x.o", "xdp_prog=/nowhere/x.o cannot be read"},
      {"net_pcap0,rx_pcap=a,tx_pcap=/nonexist/x", "tx_pcap=/nonexist/x there is no folder /nonexist"},
      {"net_pcap0,rx_pcap=a,tx_pcap=/tmp", "tx_pcap=/tmp is a folder"},
      {"net_pcap0,rx_pcap=a,rx_iface=lo", "are there together"},
      {"net_pcap0,iface=lo,rx_iface=lo", "are there together"},
      {"net_pcap0,iface=lo,tx_pcap=" + file, "would be ignored"},
      {"net_ring0,nodeaction=x", "nodeaction=x is not NAME:NODE:CREATE"},
      {"net_ring0,nodeaction=a:b:CREATE", "is not NAME:NODE:CREATE"},
      {"net_ring0,nodeaction=a:0:MAKE", "is not NAME:NODE:CREATE"},
      {"net_ring0,nodeaction=a:0:CREATE", "makes a port of another name: write net_ring0:NODE:CREATE"},
      {"net_ring0,nodeaction=net_ring0:0:ATTACH", "takes a ring that is there"},
      {"net_tap0,iface=lo", "iface=lo is there already, and net_tap makes its own"},
      {"net_tap0,iface=abcdefghijklmnopqrs", "is 19 octets long, limit 15"},
      {"net_tap0,iface=a/b", "is no name of an interface"},
      {"net_tap0,mac=1", "mac=1 is not a MAC address"},
      {"net_vhost0", "iface=SOCKET is missing"},
      {"net_vhost0,iface=/nonexist/z", "there is no folder /nonexist"},
      {"net_virtio_user0", "path=SOCKET is missing"},
      {"net_memif0,role=x", "role=x is neither server nor client"},
      {"net_memif0,zero-copy=1", "zero-copy=1 is neither yes nor no"},
      {"net_bonding0,mode=7", "mode=7 is not a number from 0 to 6"},
      {"net_bonding0,mode=1", "slave=DEVICE is missing"},
      {"net_bonding0,mode=4,slave=0000:01:00.0", "mode=4 (802.3ad) negotiates by sending, which Weir does not"},
  };
  for (const auto& c : cases) EXPECT_THAT(why_not(c.device), HasSubstr(c.why)) << c.device;
}

}  // namespace
}  // namespace weir::dataplane::testing

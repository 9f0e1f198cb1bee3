// ipfix_fuzz.cc — One datagram of IPFIX. The oracles are in protocol_oracle.h and both_ways.h.
#include "fuzz/both_ways.h"
#include "fuzz/protocol_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::decode::ProtocolOracle;
  static weir::fuse::BothWays ways(ProtocolOracle::config(weir::best_kernel()));
  static ProtocolOracle oracle(ProtocolOracle::Version::ipfix);
  oracle.also = [](const weir::Datagram& d) { ways.decode(d); };
  oracle.check(data, size);
  ways.end();
  return 0;
}

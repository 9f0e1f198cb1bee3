// netflow_v9_fuzz.cc — One datagram of NetFlow v9. The oracles are in protocol_oracle.h and both_ways.h.
#include "fuzz/both_ways.h"
#include "fuzz/protocol_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::decode::ProtocolOracle;
  static weir::fuse::BothWays ways(ProtocolOracle::config(weir::best_kernel()));
  static ProtocolOracle oracle(ProtocolOracle::Version::netflow_v9);
  oracle.also = [](const weir::Datagram& d) { ways.decode(d); };
  oracle.check(data, size);
  ways.end();
  return 0;
}

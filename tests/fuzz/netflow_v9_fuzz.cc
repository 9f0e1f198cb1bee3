// netflow_v9_fuzz.cc — One datagram of NetFlow v9. The oracles are in protocol_oracle.h.
#include "fuzz/protocol_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::decode::ProtocolOracle;
  static ProtocolOracle oracle(ProtocolOracle::Version::netflow_v9);
  oracle.check(data, size);
  return 0;
}

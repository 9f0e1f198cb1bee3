// sflow_v5_fuzz.cc — One datagram of sFlow v5. The oracles are in protocol_oracle.h.
#include "fuzz/protocol_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::decode::ProtocolOracle;
  static ProtocolOracle oracle(ProtocolOracle::Version::sflow_5);
  oracle.check(data, size);
  return 0;
}

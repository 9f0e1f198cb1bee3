// ipfix_fuzz.cc — One datagram of IPFIX. The oracles are in protocol_oracle.h.
#include "fuzz/protocol_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::decode::ProtocolOracle;
  static ProtocolOracle oracle(ProtocolOracle::Version::ipfix);
  oracle.check(data, size);
  return 0;
}

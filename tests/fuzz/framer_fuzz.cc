// framer_fuzz.cc — Octets of a TCP session, cut anyhow. The oracle is in framer_oracle.h; tests/decode runs it over
// messages that are cut at each octet.
#include "fuzz/framer_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::decode::FramerOracle oracle;
  oracle.check(data, size);
  return 0;
}

// state_fuzz.cc — Any octets as what decoders knew before a restart. The oracles are in
// state_oracle.h; tests/decode runs them over images that decoders saved, whole and damaged.
#include "fuzz/state_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::decode::StateOracle oracle;
  oracle.check(data, size);
  return 0;
}

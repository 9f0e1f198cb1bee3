// fused_fuzz.cc — Any template and any records of it, as FlowRecords and by fused forms. The oracles are in
// fused_oracle.h; tests/fuse runs them over seeded inputs.
#include "fuzz/fused_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::fuse::FusedOracle oracle;
  oracle.check(data, size);
  return 0;
}

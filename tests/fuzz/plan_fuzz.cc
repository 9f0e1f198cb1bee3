// plan_fuzz.cc — Any template and any records of it, by both kernels. The oracles are in
// plan_oracle.h; tests/decode runs them over seeded templates.
#include "fuzz/plan_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::decode::PlanOracle oracle;
  oracle.check(data, size);
  return 0;
}

// sequence_fuzz.cc — Any sequence of datagrams from a few exporters: templates and data in any order,
// repeated, by several ports and domains. The oracles are in datagram_oracle.h; tests/decode runs them
// over a seeded corpus.
#include "fuzz/datagram_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weir::decode::SequenceOracle oracle;
  oracle.check(data, size);
  return 0;
}

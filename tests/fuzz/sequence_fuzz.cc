// sequence_fuzz.cc — Any sequence of datagrams from a few exporters: templates and data in any order,
// repeated, by several ports and domains. The oracles are in datagram_oracle.h and both_ways.h; tests/decode
// runs the former over a seeded corpus.
#include "fuzz/both_ways.h"
#include "fuzz/datagram_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::decode::SequenceOracle;
  static weir::fuse::BothWays ways(SequenceOracle::config(weir::best_kernel()));
  static SequenceOracle oracle;
  oracle.also = [](const weir::Datagram& d) { ways.decode(d); };
  oracle.check(data, size);
  ways.end();
  return 0;
}

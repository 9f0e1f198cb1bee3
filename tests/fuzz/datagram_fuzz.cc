// datagram_fuzz.cc — Any sequence of datagrams from a few exporters. The oracles are in
// datagram_oracle.h; tests/decode runs them over a seeded corpus.
#include "fuzz/datagram_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::decode::check_datagrams(data, size);
  return 0;
}

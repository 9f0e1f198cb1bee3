// The oracles of the fuzz target over good messages, and over thousands of damaged ones.
#include "fuzz/datagram_oracle.h"

#include <gtest/gtest.h>

#include <random>

#include "fuzz/good_messages.h"

namespace weir::decode {
namespace {

using lab::append;
using lab::good_messages;
using lab::Octets;
using lab::u8;

Octets framed(const std::vector<Octets>& sequence, std::mt19937_64& random) {
  Octets input;
  for (const Octets& datagram : sequence) {
    const uint64_t r = random();
    // Mostly one exporter and port, or nothing would fit together.
    const auto control = static_cast<uint8_t>((r & 7) != 0 ? 0x10 : r >> 8);
    append(input, u8(control));
    append(input, {static_cast<uint8_t>(datagram.size() & 0xff),
                   static_cast<uint8_t>(datagram.size() >> 8)});
    append(input, datagram);
  }
  return input;
}

TEST(DatagramOracle, HoldsForWholeMessages) {
  SequenceOracle oracle;
  std::mt19937_64 random(1);
  for (const auto& sequence : good_messages()) {
    const Octets input = framed(sequence, random);
    oracle.check(input.data(), input.size());
    EXPECT_GT(oracle.check(input.data(), input.size()).records, 0u);
  }
}

TEST(DatagramOracle, HoldsForDamagedMessages) {
  static constexpr int kRounds = 1500;
  SequenceOracle oracle;
  std::mt19937_64 random(20'261'120);
  const auto good = good_messages();
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Octets> sequence;
    for (int i = 0; i < 3; ++i) {
      const auto& from = good[random() % good.size()];
      sequence.insert(sequence.end(), from.begin(), from.end());
    }
    for (Octets& datagram : sequence) {
      for (uint64_t hits = random() % 4; hits != 0; --hits) {
        const size_t at = random() % datagram.size();
        switch (random() % 4) {
          case 0: datagram[at] = static_cast<uint8_t>(random()); break;
          case 1: datagram[at] = static_cast<uint8_t>(datagram[at] ^ 1u << random() % 8); break;
          case 2: datagram[at] = random() % 2 != 0 ? 0 : 0xff; break;
          default: datagram.resize(at + 1); break;
        }
      }
    }
    const Octets input = framed(sequence, random);
    oracle.check(input.data(), input.size());
  }
}

}  // namespace
}  // namespace weir::decode

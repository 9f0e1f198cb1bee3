// The oracles of the protocols' fuzz targets over good messages, and over thousands of damaged ones.
#include "fuzz/protocol_oracle.h"

#include <gtest/gtest.h>

#include <random>

#include "fuzz/good_messages.h"

namespace weir::decode {
namespace {

using lab::Octets;
using Version = ProtocolOracle::Version;

/// The target's input that `datagram` is; empty if it is of another protocol.
Octets input_of(const Octets& datagram, Version version, uint8_t control) {
  const uint32_t first = load_be32(datagram.data());
  const bool fixed = first >> 16 == 1 || first >> 16 == 5 || first >> 16 == 7;
  const bool matches = version == Version::any_fixed ? fixed
                       : version == Version::sflow_5
                           ? first == 5
                           : first >> 16 == static_cast<uint32_t>(version);
  return matches ? lab::join({{control}, datagram}) : Octets{};
}

class Protocols : public ::testing::TestWithParam<Version> {};

TEST_P(Protocols, GiveRecordsForWholeMessages) {
  ProtocolOracle oracle(GetParam());
  uint64_t records = 0;
  for (const auto& sequence : lab::good_messages()) {
    for (const Octets& datagram : sequence) {
      const Octets input = input_of(datagram, GetParam(), 0);
      if (!input.empty()) records += oracle.check(input.data(), input.size()).records;
    }
  }
  EXPECT_GT(records, 0u);
}

TEST_P(Protocols, BalanceForDamagedMessages) {
  static constexpr int kRounds = 300;
  ProtocolOracle oracle(GetParam());
  std::mt19937_64 random(20'261'120);
  int rounds = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& sequence : lab::good_messages()) {
      for (const Octets& datagram : sequence) {
        Octets input = input_of(datagram, GetParam(), static_cast<uint8_t>(random()));
        if (input.empty()) continue;
        for (uint64_t hits = random() % 4; hits != 0; --hits) {
          const size_t at = 1 + random() % (input.size() - 1);
          if (random() % 4 == 0) {
            input.resize(at + 1);
          } else {
            input[at] = static_cast<uint8_t>(random());
          }
          if (input.size() < 3) break;
        }
        oracle.check(input.data(), input.size());
        ++rounds;
      }
    }
  }
  EXPECT_GE(rounds, kRounds);
}

std::string name_of_version(const ::testing::TestParamInfo<Version>& info) {
  switch (info.param) {
    case Version::any_fixed: return "NetflowFixed";
    case Version::netflow_v9: return "NetflowV9";
    case Version::ipfix: return "Ipfix";
    case Version::sflow_5: return "SflowV5";
  }
  return "Unknown";
}

INSTANTIATE_TEST_SUITE_P(Oracle, Protocols,
                         ::testing::Values(Version::any_fixed, Version::netflow_v9, Version::ipfix,
                                           Version::sflow_5),
                         name_of_version);

}  // namespace
}  // namespace weir::decode

// What the decoder's fuzz targets are given, by fused forms as well: damaged messages, each alone and all of an exporter.
#include "fuzz/both_ways.h"

#include <gtest/gtest.h>

#include <random>

#include "fuzz/datagram_oracle.h"
#include "fuzz/good_messages.h"
#include "fuzz/protocol_oracle.h"

namespace weir::fuse {
namespace {

using decode::ProtocolOracle;
using decode::SequenceOracle;
using lab::Octets;

void damage(Octets& octets, size_t first, std::mt19937& random) {
  for (uint32_t hits = random() % 4; hits != 0 && octets.size() > first; --hits) {
    octets[first + random() % (octets.size() - first)] = static_cast<uint8_t>(random());
  }
}

/// A template and records of it in one datagram: the targets of one protocol have no other.
template <class Builder>
Octets with_template() {
  const std::vector<lab::FieldSpecifier> fields = {{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {5, 1}, {1, 4}, {2, 4}};
  const lab::Record record{lab::u32(0x0a000001), lab::u32(0x0a000002), lab::u16(1000), lab::u16(443),
                           lab::u8(6), lab::u8(0), lab::u32(5000), lab::u32(10)};
  return Builder{}.templates({{.id = 256, .fields = fields}}).data(256, {record, record, record}).build();
}

TEST(BothWays, ComeToTheSameForDamagedMessages) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  std::mt19937 random(20'261'122);
  std::vector<std::vector<Octets>> messages = lab::good_messages();
  messages.push_back({with_template<lab::NetflowV9Builder>(), with_template<lab::IpfixBuilder>()});
  for (const auto version : {ProtocolOracle::Version::any_fixed, ProtocolOracle::Version::netflow_v9,
                             ProtocolOracle::Version::ipfix, ProtocolOracle::Version::sflow_5}) {
    BothWays ways(ProtocolOracle::config(best_kernel()));
    ProtocolOracle oracle(version);
    oracle.also = [&](const Datagram& d) { ways.decode(d); };
    for (int round = 0; round < 100; ++round) {
      for (const auto& sequence : messages) {
        for (const Octets& datagram : sequence) {
          Octets input = lab::join({{static_cast<uint8_t>(random())}, datagram});
          damage(input, 1, random);
          oracle.check(input.data(), input.size());
          ways.end();
        }
      }
    }
    const uint64_t fused_min = version == ProtocolOracle::Version::sflow_5 ? 0 : 100;
    EXPECT_GE(ways.fused, fused_min) << static_cast<int>(version);
  }
}

TEST(BothWays, ComeToTheSameForDamagedSequences) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  std::mt19937 random(20'261'123);
  BothWays ways(SequenceOracle::config(best_kernel()));
  SequenceOracle oracle;
  oracle.also = [&](const Datagram& d) { ways.decode(d); };
  for (int round = 0; round < 60; ++round) {
    for (const auto& sequence : lab::good_messages()) {
      Octets input;
      for (const Octets& datagram : sequence) {
        const auto control = static_cast<uint8_t>(random() & 0x8f);
        lab::append(input, {control, static_cast<uint8_t>(datagram.size()), static_cast<uint8_t>(datagram.size() >> 8)});
        lab::append(input, datagram);
      }
      damage(input, 3, random);
      oracle.check(input.data(), input.size());
      ways.end();
    }
  }
  EXPECT_GT(ways.fused, 100u);
}

}  // namespace
}  // namespace weir::fuse

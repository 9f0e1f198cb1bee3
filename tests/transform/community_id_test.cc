// Community IDs against the published vectors, and SHA-1 against OpenSSL's.
#include "transform/community_id.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstring>
#include <random>
#include <string>

#include "base/byte_order.h"
#include "base/ip_address.h"
#include "flow/flow_parser.h"

namespace weir::transform {
namespace {

struct Conversation {
  const char *source, *destination;
  uint64_t protocol, source_port, destination_port;  // of ICMP type and code
};

std::string id_of(const Conversation& c) {
  const auto source = IpAddress::parse(c.source), destination = IpAddress::parse(c.destination);
  FlowView view{};
  const auto octets = [](const IpAddress& a) { return std::string_view(reinterpret_cast<const char*>(a.wire_data()), a.wire_octets()); };
  view.octets[static_cast<size_t>(OctetsSlot::src_addr)] = octets(*source);
  view.octets[static_cast<size_t>(OctetsSlot::dst_addr)] = octets(*destination);
  const auto set = [&](NumberSlot slot, uint64_t v) { view.numbers[static_cast<size_t>(slot)] = v; };
  set(NumberSlot::proto, c.protocol);
  const bool is_icmp = c.protocol == 1 || c.protocol == 58;
  set(is_icmp ? NumberSlot::icmp_type : NumberSlot::src_port, c.source_port);
  set(is_icmp ? NumberSlot::icmp_code : NumberSlot::dst_port, c.destination_port);
  Sha1Digest digest;
  if (!community_digest_of(view, digest)) return "";
  char text[kBase64Room];
  write_base64(digest, text);
  return "1:" + std::string(text, kBase64Octets);
}

/// The specification's baseline (corelight/community-id-spec, baseline_deflt.json), and types whose code is not their answer.
TEST(CommunityId, IsThatOfTheSpecification) {
  constexpr const char *kA = "fe80::200:86ff:fe05:80da", *kB = "fe80::260:97ff:fe07:69ea", *kC = "3ffe:507:0:1:200:86ff:fe05:80da";
  constexpr const char *kMail = "2001:470:e5bf:dead:4957:2174:e82c:4887", *kMx = "2607:f8b0:400c:c03::1a";
  const std::pair<Conversation, const char*> vectors[] = {
      {{kA, kB, 58, 135, 0}, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
      {{kB, kA, 58, 136, 0}, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
      {{kB, kA, 58, 135, 0}, "1:zavyT/cezQr1fmImYCwYnMXbgck="},
      {{kA, kB, 58, 136, 0}, "1:zavyT/cezQr1fmImYCwYnMXbgck="},
      {{"3ffe:501:1800:2345::2", kC, 58, 3, 0}, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="},
      {{"3ffe:501:410:0:2c0:dfff:fe47:33e", kC, 58, 1, 4}, "1:hLZd0XGWojozrvxqE0dWB1iM6R0="},
      {{kC, "3ffe:501:0:1001::2", 58, 128, 0}, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
      {{"3ffe:501:0:1001::2", kC, 58, 129, 0}, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
      {{kA, "ff02::2", 58, 133, 0}, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="},
      {{kB, "ff02::1", 58, 134, 0}, "1:pkvHqCL88/tg1k4cPigmZXUtL00="},
      {{"192.168.0.89", "192.168.0.1", 1, 8, 0}, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
      {{"192.168.0.1", "192.168.0.89", 1, 0, 0}, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
      {{"10.0.0.1", "10.0.0.2", 1, 11, 0}, "1:YHxtAirCG//0OzkcVAukqKQN9xM="},
      {{kMail, kMx, 6, 63943, 25}, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
      {{kMx, kMail, 6, 25, 63943}, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
      {{"192.168.170.8", "192.168.170.56", 132, 7, 7}, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
      {{"192.168.170.56", "192.168.170.8", 132, 7, 7}, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
      {{"128.232.110.120", "66.35.250.204", 6, 34855, 80}, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
      {{"66.35.250.204", "128.232.110.120", 6, 80, 34855}, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
      {{"192.168.1.52", "8.8.8.8", 17, 54585, 53}, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
      {{"8.8.8.8", "192.168.1.52", 17, 53, 54585}, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
      {{"10.1.12.1", "10.1.12.2", 46, 0, 0}, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
      {{"10.1.12.2", "10.1.12.1", 46, 0, 0}, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
  };
  for (const auto& [c, id] : vectors) EXPECT_EQ(id_of(c), id) << c.source << " " << c.destination << " " << c.protocol << " " << c.source_port;
}

TEST(CommunityId, IsTheSameBothWaysWhereOneAddressTalksToItself) {
  EXPECT_EQ(id_of({"127.0.0.1", "127.0.0.1", 6, 1234, 80}), id_of({"127.0.0.1", "127.0.0.1", 6, 80, 1234}));
  EXPECT_NE(id_of({"127.0.0.1", "127.0.0.1", 6, 1234, 80}), id_of({"127.0.0.1", "127.0.0.1", 17, 1234, 80}));
}

TEST(CommunityId, IsNoneWhereSomethingOfItIsNotTold) {
  EXPECT_EQ(id_of({"10.0.0.1", "2001:db8::1", 6, 1, 2}), "") << "two kinds of addresses";
  EXPECT_EQ(id_of({"10.0.0.1", "10.0.0.2", 0, 1, 2}), "");
  EXPECT_EQ(id_of({"10.0.0.1", "10.0.0.2", 256, 1, 2}), "");
  EXPECT_EQ(id_of({"2001:db8::1", "2001:db8::2", 58, 0, 0}), "") << "ICMPv6 has no type 0";
  Sha1Digest digest;
  EXPECT_FALSE(community_digest_of(FlowView{}, digest));
}

TEST(Sha1, IsOpenSslsInBothForms) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    uint8_t block[64] = {};
    const size_t octets = random() % 56;
    for (size_t i = 0; i < octets; ++i) block[i] = static_cast<uint8_t>(random());
    Sha1Digest expected;
    unsigned n = 0;
    ASSERT_EQ(EVP_Digest(block, octets, expected.data(), &n, EVP_sha1(), nullptr), 1);
    block[octets] = 0x80;
    block[62] = static_cast<uint8_t>(8 * octets >> 8);
    block[63] = static_cast<uint8_t>(8 * octets);
    ASSERT_EQ(sha1_of_block_portable(block), expected) << octets;
    ASSERT_EQ(sha1_of_block(block), expected) << octets;
  }
}

TEST(Sha1, OfSixteenOctetsIsOpenSsls) {
  std::mt19937_64 random(9);
  for (int round = 0; round < 200; ++round) {
    const uint64_t first = random(), second = random();
    uint8_t octets[16];
    store_be64(octets, first);
    store_be64(octets + 8, second);
    Sha1Digest expected;
    unsigned n = 0;
    ASSERT_EQ(EVP_Digest(octets, sizeof octets, expected.data(), &n, EVP_sha1(), nullptr), 1);
    ASSERT_EQ(sha1_of_16(first, second), expected);
  }
}

TEST(Base64, IsOpenSslsInBothForms) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 2000; ++round) {
    Sha1Digest digest;
    for (uint8_t& octet : digest) octet = static_cast<uint8_t>(random());
    char expected[kBase64Octets + 1], vector[kBase64Room], portable[kBase64Room];
    ASSERT_EQ(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(expected), digest.data(), digest.size()), static_cast<int>(kBase64Octets));
    write_base64(digest, vector);
    write_base64_portable(digest, portable);
    ASSERT_EQ(std::string(vector, kBase64Octets), expected);
    ASSERT_EQ(std::string(portable, kBase64Octets), expected);
  }
}

}  // namespace
}  // namespace weir::transform

#include <gtest/gtest.h>

#include "control/config/config.h"

namespace weir::control {
namespace {

Result<LoadedConfig> with_sampling(const std::string& sampling) {
  return read_config(
      "listeners: [{protocol: netflow, listen_addr: ':2055'}]\nsampling:\n" + sampling, "weir.yaml",
      {});
}

TEST(SamplingConfig, SetsRatesByPrefix) {
  const auto loaded = with_sampling(
      "  override:\n"
      "    - {exporters: 192.0.2.0/24, rate: 1000}\n"
      "    - {exporters: 192.0.2.7, rate: 10}\n"
      "  default:\n"
      "    - {exporters: '2001:db8::/32', rate: 512}\n"
      "    - {exporters: 0.0.0.0/0, rate: 1}\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto decoder = data_plane_config(loaded->config).pipeline.decoder;
  ASSERT_EQ(decoder.sampling_override.size(), 2u);
  ASSERT_EQ(decoder.sampling_default.size(), 2u);
  const auto covers = [](const decode::SamplingRule& rule, const char* address) {
    return rule.covers(*IpAddress::parse(address));
  };
  EXPECT_EQ(decoder.sampling_override[0].rate, 1000u);
  EXPECT_TRUE(covers(decoder.sampling_override[0], "192.0.2.255"));
  EXPECT_FALSE(covers(decoder.sampling_override[0], "192.0.3.0"));
  EXPECT_TRUE(covers(decoder.sampling_override[1], "192.0.2.7"));
  EXPECT_FALSE(covers(decoder.sampling_override[1], "192.0.2.6"));
  EXPECT_TRUE(covers(decoder.sampling_default[0], "2001:db8:ffff::"));
  EXPECT_FALSE(covers(decoder.sampling_default[0], "2001:db9::"));
  EXPECT_TRUE(covers(decoder.sampling_default[1], "203.0.113.9"));
  EXPECT_FALSE(covers(decoder.sampling_default[1], "2001:db8::1"));
}

TEST(SamplingConfig, PrefixesReadAndPrintAlike) {
  for (const char* text : {"192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::1", "2001:db8::/33",
                           "::/0", "192.0.2.128/25"}) {
    const auto prefix = AddressPrefix::parse(text);
    ASSERT_TRUE(prefix.has_value()) << text;
    EXPECT_EQ(prefix->to_string(), text);
  }
  for (const char* text :
       {"", "192.0.2.7/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "2001:db8::/129",
        "2001:db8::1/64", "192.0.2/24", "/8", "192.0.2.0/24 "}) {
    EXPECT_FALSE(AddressPrefix::parse(text).has_value()) << text;
  }
}

TEST(SamplingConfig, RefusesWhatCannotBeMeant) {
  struct Case {
    const char* sampling;
    const char* says;
  };
  for (const Case& c : {
           Case{"  override: [{exporters: 192.0.2.7/24, rate: 5}]\n", "192.0.2.7/24"},
           Case{"  override: [{exporters: 192.0.2.0/24}]\n", "rate"},
           Case{"  override: [{rate: 5}]\n", "exporters"},
           Case{"  override: [{exporters: 192.0.2.0/24, rate: 0}]\n", "rate"},
           Case{"  default: [{exporters: 192.0.2.0/24, rate: 5}, {exporters: 192.0.2.0/24, rate: "
                "6}]\n",
                "says already"},
       }) {
    const auto loaded = with_sampling(c.sampling);
    ASSERT_FALSE(loaded) << c.sampling;
    EXPECT_NE(loaded.error().message.find(c.says), std::string::npos) << loaded.error().message;
  }
}

}  // namespace
}  // namespace weir::control

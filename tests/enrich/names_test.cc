// What exporters call what they have.
#include <gtest/gtest.h>

#include "enrich/exporter_names.h"

namespace weir::enrich {
namespace {

std::string_view octets(const IpAddress& a) { return {reinterpret_cast<const char*>(a.wire_data()), a.wire_octets()}; }

TEST(ExporterNames, AreFoundByWhatFlowsSay) {
  ExporterNames names;
  EXPECT_TRUE(names.add_interface(7, "xe-0/0/7"));
  EXPECT_TRUE(names.add_interface(7, "the second word does not count"));
  EXPECT_TRUE(names.add_interface(8, ""));
  EXPECT_TRUE(names.add_vrf(7, "blue"));
  EXPECT_TRUE(names.add_application(std::string_view("\x03\0\0\x50", 4), "http"));
  EXPECT_EQ(names.interface(7), "xe-0/0/7");
  EXPECT_EQ(names.interface(8), "");
  EXPECT_EQ(names.interface((uint64_t{1} << 32) + 7), "");
  EXPECT_EQ(names.vrf(7), "blue");
  EXPECT_EQ(names.application(std::string_view("\x03\0\0\x50", 4)), "http");
  EXPECT_EQ(names.application(""), "");
}

TEST(ExporterNames, AreCutAtTheEndOfACharacter) {
  ExporterNames names;
  std::string text(kNameTextMax - 1, 'x');
  names.set_name(text + "\xc3\xa9 and more");
  EXPECT_EQ(names.name(), text);
  names.set_name(std::string(kNameTextMax, 'y'));
  EXPECT_EQ(names.name().size(), kNameTextMax);
}

TEST(ExporterNames, AreBounded) {
  ExporterNames names;
  for (uint32_t i = 0; i < kNamesMax; ++i) ASSERT_TRUE(names.add_interface(i, "n"));
  EXPECT_FALSE(names.add_interface(kNamesMax, "n"));
  EXPECT_FALSE(names.add_vrf(1, "n"));
}

TEST(NamesTable, HoldsTheNewestOfEachExporterWithinItsBounds) {
  NamesTable table;
  const auto named = [](const char* name) {
    auto names = std::make_shared<ExporterNames>();
    names->set_name(name);
    return names;
  };
  const IpAddress v4 = *IpAddress::parse("192.0.2.1"), v6 = *IpAddress::parse("2001:db8::1");
  EXPECT_TRUE(table.put(v4, named("a")));
  EXPECT_TRUE(table.put(v6, named("b")));
  EXPECT_TRUE(table.put(v4, named("c")));
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.find(octets(v4))->name(), "c");
  EXPECT_EQ(table.find({reinterpret_cast<const char*>(v4.octets.data()), 16})->name(), "c") << "the mapped form is the same exporter";
  EXPECT_EQ(table.find(octets(v6))->name(), "b");
  EXPECT_EQ(table.find(octets(*IpAddress::parse("192.0.2.2"))), nullptr);
  EXPECT_EQ(table.find("no address"), nullptr);

  auto large = std::make_shared<ExporterNames>();
  for (uint32_t i = 0; i < kNamesMax; ++i) large->add_interface(i, std::string(kNameTextMax, 'x'));
  uint32_t kept = 0;
  while (kept < 1000 && table.put(IpAddress::from_v4(0x0a000000u + kept), large)) ++kept;
  EXPECT_GT(kept, 5u);
  EXPECT_LT(kept * large->octets(), kNamesOctetsMax);
  EXPECT_EQ(table.size(), 2u + kept);
  EXPECT_TRUE(table.put(IpAddress::from_v4(0x0a000000u), named("small now"))) << "what takes another's place needs no more room";
  EXPECT_TRUE(table.put(IpAddress::from_v4(0x0b000000u), large));
}

}  // namespace
}  // namespace weir::enrich

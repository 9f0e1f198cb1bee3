// Who made interfaces.
#include "enrich/mac_vendors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enrich/enrichment.h"

namespace weir::enrich {
namespace {

using testing::HasSubstr;

constexpr const char* kLarge =
    "Registry,Assignment,Organization Name,Organization Address\r\n"
    "MA-L,00000C,\"Cisco Systems, Inc\",\"170 WEST TASMAN DRIVE\nSAN JOSE CA US 95134-1706 \"\r\n"
    "MA-L,080030,CERN,CH 1211 GENEVE\r\n"
    "MA-L,080030,ROYAL MELBOURNE INST OF TECH,GPO BOX 2476V\r\n"
    "MA-L,70B3D5,IEEE Registration Authority,445 Hoes Lane\r\n"
    "MA-L,020701,RACAL-DATACOM,LAN INTERNETWORKING DIVISION\r\n";

TEST(MacVendors, AreFoundByTheLongestBlock) {
  VendorTable table;
  EXPECT_EQ(*table.add(kLarge, "oui.csv"), 3u);
  EXPECT_EQ(*table.add("Registry,Assignment,Organization Name,Organization Address\nMA-M,70B3D51,Medium,x\n", "mam.csv"), 1u);
  EXPECT_EQ(*table.add("Registry,Assignment,Organization Name,Organization Address\nMA-S,70B3D5123,Small,x\n", "oui36.csv"), 1u);
  EXPECT_EQ(table.find(0x00000c123456), "Cisco Systems, Inc");
  EXPECT_EQ(table.find(0x080030000001), "CERN") << "of a block that stands there twice the first line holds";
  EXPECT_EQ(table.find(0x70b3d5123456), "Small");
  EXPECT_EQ(table.find(0x70b3d5124456), "Medium");
  EXPECT_EQ(table.find(0x70b3d5224456), "") << "the registry itself makes nothing";
  EXPECT_EQ(table.find(0x00000d123456), "");
  EXPECT_EQ(table.find(0), "");
  EXPECT_EQ(table.find(uint64_t{0x00000c123456} | uint64_t{1} << 50), "");
}

TEST(MacVendors, GroupsAndMadeUpAddressesHaveNone) {
  VendorTable table;
  ASSERT_TRUE(table.add(kLarge, "oui.csv"));
  EXPECT_EQ(table.find(0x01000c123456), "");
  EXPECT_EQ(table.find(0x02000c123456), "");
  EXPECT_EQ(table.find(0x020701123456), "");
  EXPECT_EQ(table.find(0xffffffffffff), "");
}

TEST(MacVendors, AreReadFromWiresharksListToo) {
  VendorTable table;
  const auto added = table.add(
      "# comment\n\n00:00:0C\tCisco\tCisco Systems, Inc\n00:1B:C5:00:10:00/36\tOpenRBco\tOpenRB.com # note\n"
      "8C:1F:64:00/28     \tSome\tSome Body\n00-00-5E\tIcann\n01-80-C2-00-00-00/42\tSpanning-tree\n",
      "manuf");
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(*added, 4u);
  EXPECT_EQ(table.find(0x00000c000001), "Cisco Systems, Inc");
  EXPECT_EQ(table.find(0x001bc5001234), "OpenRB.com");
  EXPECT_EQ(table.find(0x001bc5002234), "");
  EXPECT_EQ(table.find(0x8c1f64012345), "Some Body");
  EXPECT_EQ(table.find(0x00005e000101), "Icann");
}

TEST(MacVendors, AreFoundAmongMany) {
  VendorTable table;
  std::string csv = "Registry,Assignment,Organization Name,Organization Address\n";
  const auto block = [](uint32_t i) { return i * 0x40 << 2 & 0xfcffff; };
  char line[64];
  for (uint32_t i = 0; i < 40'000; ++i) {
    std::snprintf(line, sizeof line, "MA-L,%06X,Vendor %u,x\n", block(i) ^ (i >> 8 & 0xff), i);
    csv += line;
  }
  const auto added = table.add(csv, "oui.csv");
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_GT(*added, 10'000u);
  EXPECT_EQ(table.find(uint64_t{block(77)} << 24 | 5), "Vendor 77");
}

TEST(MacVendors, MistakesAreSaidWithFileAndLine) {
  const auto why_not = [](const char* text) {
    VendorTable table;
    const auto added = table.add(text, "oui.csv");
    return added ? std::string() : added.error().message;
  };
  EXPECT_THAT(why_not("Registry,Assignment,Name\nMA-L,00000,Short,x\n"), HasSubstr("oui.csv:2: '00000' is no block"));
  EXPECT_THAT(why_not("Registry,Assignment,Name\nMA-L,00000G,No digit,x\n"), HasSubstr("is no block"));
  EXPECT_THAT(why_not("Registry,Assignment,Name\nMA-L\n"), HasSubstr("a block has a registry"));
  EXPECT_EQ(why_not(("Registry,Assignment,Name\n" + std::string(1 << 20, ',')).c_str()), "oui.csv:2: more than 64 columns");
  EXPECT_THAT(why_not("\n# c\nwhatever\n"), HasSubstr("oui.csv:3: a block and a name have a tab between them"));
  EXPECT_THAT(why_not("xyz\tname\n"), HasSubstr("oui.csv:1: 'xyz' is no block"));
}

}  // namespace
}  // namespace weir::enrich

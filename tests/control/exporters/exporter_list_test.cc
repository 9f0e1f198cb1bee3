#include "control/exporters/exporter_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "control/exporters/exporter_list_watch.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

using ::testing::HasSubstr;

/// address name site: index name speed boundary; …
std::string shown(const ExporterList& list) {
  std::string out;
  for (const ListedExporter& e : list.exporters()) {
    out += e.address.to_string() + " [" + e.name + "] [" + e.site + "]";
    for (const ListedInterface& i : e.interfaces) {
      out += " | " + std::to_string(i.index) + " [" + i.name + "] " + std::to_string(i.speed_bps) + " " +
             std::string(name_of(i.boundary));
    }
    out += "\n";
  }
  return out;
}

std::string parsed(std::string_view text) {
  const auto list = ExporterList::parse(text, "f.csv");
  return list ? shown(*list) : list.error().message;
}

constexpr const char* kAll = "address,name,site,ifIndex,ifName,speed,boundary\n";

TEST(ExporterList, ReadsWhatIsRight) {
  const std::pair<std::string, std::string> kTable[] = {
      {"address\n", ""},
      {"address", ""},
      {"address\n192.0.2.1", "192.0.2.1 [] []\n"},
      {"\xEF\xBB\xBF" "address,name\r\n192.0.2.1,a\r\n", "192.0.2.1 [a] []\n"},
      {"# of ours\n\n  \naddress,name\n#192.0.2.9,x\n192.0.2.1,a\n\n", "192.0.2.1 [a] []\n"},
      {"NAME,Address\na,2001:db8::1\n", "2001:db8::1 [a] []\n"},
      {"address,name\n192.0.2.1,\"a, \"\"b\"\"\"\n", "192.0.2.1 [a, \"b\"] []\n"},
      {"address , name\n 192.0.2.1 ,  a b \n", "192.0.2.1 [a b] []\n"},
      {"address,name\n192.0.2.1,\" a \" \n", "192.0.2.1 [ a ] []\n"},
      {"address,name\n192.0.2.1,#1\n", "192.0.2.1 [#1] []\n"},
      {"address,name\n192.0.2.1,M\xC3\xBCnchen\n", "192.0.2.1 [M\xC3\xBCnchen] []\n"},
      {std::string(kAll) + "192.0.2.2,b,s,7,xe7,10G,yes\n192.0.2.1,a,,,,,\n192.0.2.2,b,s,3,,2.5g,no\n192.0.2.2,,,4,x,,\n",
       "192.0.2.1 [a] []\n"
       "192.0.2.2 [b] [s] | 3 [] 2500000000 internal | 4 [x] 0 unknown | 7 [xe7] 10000000000 external\n"},
      {std::string(kAll) + "192.0.2.1,,,1,,400M,External\n192.0.2.1,,,2,,64K,INTERNAL\n192.0.2.1,,,4294967295,,1544000,\n",
       "192.0.2.1 [] [] | 1 [] 400000000 external | 2 [] 64000 internal | 4294967295 [] 1544000 unknown\n"},
      {"address,ifIndex,speed\n192.0.2.1,1,1000T\n192.0.2.1,2,1.544M\n",
       "192.0.2.1 [] [] | 1 [] 1000000000000000 unknown | 2 [] 1544000 unknown\n"},
  };
  for (const auto& [text, wanted] : kTable) EXPECT_EQ(parsed(text), wanted) << text;
}

TEST(ExporterList, RefusesWhatIsWrongAndSaysWhere) {
  const std::pair<std::string, std::string> kTable[] = {
      {"", "f.csv:1:1: empty; the first line names the columns, of: address, name"},
      {"# nothing\n", "f.csv:1:1: empty"},
      {"192.0.2.1,a\n", "f.csv:1:1: \"192.0.2.1\" is no column"},
      {"address,speeed\n", "f.csv:1:9: \"speeed\" is no column"},
      {"address,name,Address\n", "f.csv:1:14: column address stands there twice"},
      {"name,site\n", "f.csv:1:1: no column address"},
      {"address,name\n192.0.2.1\n", "f.csv:2:1: 1 fields, and the first line names 2"},
      {"address\n192.0.2.1,\n", "f.csv:2:1: 2 fields, and the first line names 1"},
      {"address\n192.0.2.256\n", "f.csv:2:1: address \"192.0.2.256\" is not allowed"},
      {"address\n0.0.0.0\n", "f.csv:2:1: address \"0.0.0.0\" is not allowed"},
      {"address,name\n,a\n", "f.csv:2:1: address \"\" is not allowed"},
      {"address,name\n192.0.2.1,\"a\n", "f.csv:2:11: a quotation mark that is not closed"},
      {"address,name\n192.0.2.1,\"a\"b\n", "f.csv:2:14: text behind a closing quotation mark"},
      {"address,name\n192.0.2.1,a\"b\"\n", "f.csv:2:12: a quotation mark in a field that does not begin with one"},
      {"address,name\n192.0.2.1,\"a\nb\"\n", "f.csv:2:11: name: a control character"},
      {"address,name\n192.0.2.1,a\x1b[31m\n", "f.csv:2:11: name: a control character"},
      {"address,name\n192.0.2.1,\xC2\x9B\n", "f.csv:2:11: name: a control character"},
      {"address,name\n192.0.2.1,M\xFCnchen\n", "f.csv:2:11: name: not UTF-8"},
      {"address,name,site\n192.0.2.1,\xC3\xBC,\xFF\n", "f.csv:2:13: site: not UTF-8"},  // in characters
      {"address,name\n192.0.2.1," + std::string(129, 'x') + "\n", "f.csv:2:11: name: 129 octets; at most 128"},
      {"address,name\n192.0.2.1,a\n192.0.2.1,a\n", "f.csv:3:1: 192.0.2.1 has a row without ifIndex in line 2 already"},
      {"address,ifIndex,name\n192.0.2.1,1,a\n192.0.2.1,2,b\n", "f.csv:3:13: name \"b\": line 2 has \"a\" for 192.0.2.1"},
      {"address,ifIndex\n192.0.2.1,7\n# c\n192.0.2.1,7\n", "f.csv:4:11: 192.0.2.1 has a row for ifIndex 7 in line 2 already"},
      {"address,ifIndex\n192.0.2.1,0\n", "f.csv:2:11: ifIndex \"0\" is not allowed"},
      {"address,ifIndex\n192.0.2.1,4294967296\n", "f.csv:2:11: ifIndex \"4294967296\" is not allowed"},
      {"address,ifIndex\n192.0.2.1,7x\n", "f.csv:2:11: ifIndex \"7x\" is not allowed"},
      {"address,ifName\n192.0.2.1,xe7\n", "f.csv:2:11: ifName without an ifIndex"},
      {"address,boundary\n192.0.2.1,yes\n", "f.csv:2:11: boundary without an ifIndex"},
      {"address,ifIndex,speed\n192.0.2.1,7,fast\n", "f.csv:2:13: speed \"fast\" is not allowed"},
      {"address,ifIndex,speed\n192.0.2.1,7,10Gbit\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,G\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,0\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,-1\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,1.\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,1.5\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,1000.1T\n", "f.csv:2:13: speed"},
      {"address,ifIndex,speed\n192.0.2.1,7,99999999999999999999\n", "f.csv:2:13: speed"},
      {"address,ifIndex,boundary\n192.0.2.1,7,maybe\n", "f.csv:2:13: boundary \"maybe\" is not allowed"},
      {"address\n" + std::string(40, ',') + "\n", "a row of more than 28 fields"},
      {"address\nx\n192.0.2.1\ny\n", "f.csv:4:1: address \"y\""},  // all of them are told
  };
  for (const auto& [text, wanted] : kTable) EXPECT_THAT(parsed(text), HasSubstr(wanted)) << text;
}

TEST(ExporterList, TellsABoundedNumberOfMistakes) {
  std::string text = "address\n";
  for (int i = 0; i < 100; ++i) text += "x\n";
  const std::string told = parsed(text);
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 20);
  EXPECT_THAT(told, HasSubstr("f.csv: and 80 mistakes more"));
}

TEST(ExporterList, HasBounds) {
  std::string interfaces = "address,ifIndex\n", names = "address,ifIndex,ifName\n", rows = "address,ifIndex\n";
  for (size_t i = 1; i <= kListedInterfacesMax; ++i) interfaces += "192.0.2.1," + std::to_string(i) + "\n";
  EXPECT_TRUE(ExporterList::parse(interfaces, "f"));
  EXPECT_THAT(parsed(interfaces + "192.0.2.1,9999\n"), HasSubstr("192.0.2.1 has too many interfaces; at most 4096"));
  for (size_t i = 1; i <= 2000; ++i) names += "192.0.2.1," + std::to_string(i) + "," + std::string(120, 'n') + "\n";
  EXPECT_THAT(parsed(names), HasSubstr("192.0.2.1 has too many interfaces"));
  for (size_t i = 0; i <= kExporterListRowsMax; ++i) {
    rows += IpAddress::from_v4(0x0A000000u + static_cast<uint32_t>(i)).to_string() + ",1\n";
  }
  EXPECT_THAT(parsed(rows), HasSubstr("f.csv:200002:1: more than 200000 rows"));
}

TEST(ExporterList, EveryTruncationAndEveryOctetOfAFileIsJudged) {
  const std::string text = "\xEF\xBB\xBF" + std::string(kAll) +
                           "# c\r\n192.0.2.1,\"a \"\"b\"\"\",s,7,xe7,2.5G,yes\r\n2001:db8::1,M\xC3\xBC,,,,,\n";
  for (size_t n = 0; n < text.size(); ++n) parsed(text.substr(0, n));
  for (size_t n = 0; n < text.size(); ++n) {
    for (int octet = 0; octet < 256; ++octet) {
      std::string other = text;
      other[n] = static_cast<char>(octet);
      parsed(other);
    }
  }
  EXPECT_EQ(parsed(text), "192.0.2.1 [a \"b\"] [s] | 7 [xe7] 2500000000 external\n2001:db8::1 [M\xC3\xBC] []\n");
}

TEST(ExporterList, ReadsTheShippedExample) {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  const auto list = ExporterList::read(std::string(root != nullptr ? root : ".") + "/conf/exporters.csv");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(shown(**list),
            "192.0.2.1 [edge1] [Berlin, Nord] | 1 [xe-0/0/1] 100000000000 external | 7 [xe-0/0/7] 10000000000 internal\n"
            "2001:db8::7 [core1] [Wien]\n");
}

class ListWatchTest : public ::testing::Test {
 protected:
  ListWatchTest() : folder_(std::filesystem::temp_directory_path() / ("weir-list-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "exporters.csv";
  }
  ~ListWatchTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    std::filesystem::rename(path_ + ".new", path_);
  }
  /// As many looks as it takes to see a file twice, and to judge it.
  std::shared_ptr<const ExporterList> look() {
    const RoleScope role(control_thread);
    std::shared_ptr<const ExporterList> taken;
    for (int i = 0; i < 4; ++i) {
      now_ns_ += kListLookNs;
      if (auto list = watch_.step(path_, running_, now_ns_)) running_ = taken = list;
      while (watch_.is_reading()) std::this_thread::yield();
    }
    return taken;
  }

  std::filesystem::path folder_;
  std::string path_;
  ExporterListWatch watch_;
  std::shared_ptr<const ExporterList> running_;
  uint64_t now_ns_ = 0;
};

TEST_F(ListWatchTest, TakesUpWhatWasWrittenAnewAndKeepsWhatWasWhereItIsWrongOrGone) {
  write("address,name\n192.0.2.1,a\n");
  running_ = *ExporterList::read(path_);
  EXPECT_EQ(look(), nullptr);

  write("address,name\n192.0.2.1,other\n");
  ASSERT_NE(look(), nullptr);
  EXPECT_EQ(shown(*running_), "192.0.2.1 [other] []\n");
  EXPECT_EQ(look(), nullptr) << "it is taken once";

  write("address,name\n192.0.2,wrong\n");
  EXPECT_EQ(look(), nullptr);
  EXPECT_THAT(watch_.trouble(), HasSubstr("exporters.csv:2:1: address"));

  std::filesystem::remove(path_);
  EXPECT_EQ(look(), nullptr);
  EXPECT_THAT(watch_.trouble(), HasSubstr("No such file"));

  write("address,name\n192.0.2.1,other\n");
  EXPECT_NE(look(), nullptr);
  EXPECT_EQ(watch_.trouble(), "");
}

}  // namespace
}  // namespace weir::control

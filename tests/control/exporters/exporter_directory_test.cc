#include "control/exporters/exporter_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

using decode::Event;
using decode::EventKind;
using decode::NameKind;
using testing::ElementsAre;

IpAddress exporter(uint32_t i) { return IpAddress::from_v4(0xC0000200u + i); }

constexpr uint64_t kSecond = kNsPerSec;

class DirectoryTest : public testing::Test {
 protected:
  static Event name(NameKind kind, std::string key, std::string_view text,
                    std::optional<std::string_view> description = {}, uint64_t rate = 0) {
    Event e;
    e.kind = EventKind::name_learned;
    e.name_kind = kind;
    e.exporter = exporter(1);
    e.at_ns = 2'000;
    e.exporter_since_ns = 1'000;
    e.rate = rate;
    e.key_octets = static_cast<uint8_t>(key.size());
    std::memcpy(e.key, key.data(), key.size());
    e.has_name = true;
    e.name_octets = static_cast<uint8_t>(text.size());
    std::memcpy(e.text, text.data(), text.size());
    if (description) {
      e.has_description = true;
      e.description_octets = static_cast<uint8_t>(description->size());
      std::memcpy(e.text + text.size(), description->data(), description->size());
    }
    return e;
  }
  static Event interface(uint8_t index, std::string_view text,
                         std::optional<std::string_view> description = {}) {
    return name(NameKind::interface, std::string(1, static_cast<char>(index)), text, description);
  }
  static Event from(Event e, uint32_t i) {
    e.exporter = exporter(i);
    return e;
  }
  static std::vector<std::string> interfaces_of(const flowpb::ExporterInfo& info) {
    std::vector<std::string> all;
    for (const auto& i : info.interfaces()) {
      all.push_back(std::to_string(i.if_index()) + " " + i.name() + " " + i.description());
    }
    return all;
  }

  RoleScope role_{control_thread};
  flowpb::ExporterInfo info_;
};

TEST_F(DirectoryTest, HoldsOneTableForEachExporter) {
  ExporterDirectory directory({}, "lab");
  directory.on_event(interface(7, "Gi7", "uplink"), 0);
  directory.on_event(interface(9, "Gi9"), 0);
  directory.on_event(name(NameKind::interface, "\x01\x02", "Gi258"), 0);
  directory.on_event(name(NameKind::vrf, "\x05", "red"), 0);
  directory.on_event(name(NameKind::application, std::string("\x03\0\0\x50", 4), "http", "WWW"), 0);
  directory.on_event(name(NameKind::sampler, "\x02", "FS", {}, 1000), 0);
  directory.on_event(from(interface(7, "other"), 2), 0);
  ASSERT_TRUE(directory.find(exporter(1), info_));
  EXPECT_EQ(info_.exporter_address(), std::string("\xC0\0\x02\x01", 4));
  EXPECT_EQ(info_.partition(), "lab");
  EXPECT_EQ(info_.first_seen_ns(), 1'000u);
  EXPECT_EQ(info_.last_seen_ns(), 2'000u);
  EXPECT_THAT(interfaces_of(info_), ElementsAre("7 Gi7 uplink", "9 Gi9 ", "258 Gi258 "));
  ASSERT_EQ(info_.vrfs_size(), 1);
  EXPECT_EQ(info_.vrfs(0).id(), 5u);
  EXPECT_EQ(info_.vrfs(0).name(), "red");
  ASSERT_EQ(info_.applications_size(), 1);
  EXPECT_EQ(info_.applications(0).id(), std::string("\x03\0\0\x50", 4));
  EXPECT_EQ(info_.applications(0).name(), "http");
  EXPECT_EQ(info_.applications(0).description(), "WWW");
  ASSERT_EQ(info_.samplers_size(), 1);
  EXPECT_EQ(info_.samplers(0).rate(), 1000u);
  EXPECT_EQ(directory.counters().exporters, 2u);
  EXPECT_EQ(directory.counters().names, 7u);
  EXPECT_FALSE(directory.find(exporter(3), info_));
}

TEST_F(DirectoryTest, ChangesWhatIsSaidAndKeepsWhatIsNot) {
  ExporterDirectory directory;
  directory.on_event(interface(7, "Gi7", "old"), 0);
  directory.find(exporter(1), info_);
  const uint64_t version = info_.version();
  directory.on_event(interface(7, "Gi7b"), 0);
  directory.find(exporter(1), info_);
  EXPECT_THAT(interfaces_of(info_), ElementsAre("7 Gi7b old"));
  EXPECT_GT(info_.version(), version);
  directory.on_event(interface(7, "Gi7b", ""), 0);
  directory.find(exporter(1), info_);
  EXPECT_THAT(interfaces_of(info_), ElementsAre("7 Gi7b "));
  directory.on_event(interface(7, "", ""), 0);
  directory.find(exporter(1), info_);
  EXPECT_THAT(interfaces_of(info_), ElementsAre());
  EXPECT_EQ(directory.counters().names, 0u);
  EXPECT_EQ(directory.counters().octets, 0u);
}

std::shared_ptr<const ExporterList> list_of(const std::string& rows) {
  auto list = ExporterList::parse("address,name,site,ifIndex,ifName,speed,boundary\n" + rows, "list");
  return list ? std::make_shared<const ExporterList>(std::move(*list)) : nullptr;
}

TEST_F(DirectoryTest, TheOperatorsWordGoesBeforeOptionsDataWhichFillTheRest) {
  ExporterDirectory directory;
  directory.on_event(interface(7, "Gi7", "uplink"), 0);
  directory.on_event(interface(9, "Gi9", "lan"), 0);
  directory.on_event(interface(3, "Gi3"), 0);
  directory.set_list(list_of("192.0.2.1,edge1,Berlin,7,xe7,10G,yes\n192.0.2.1,,,8,xe8,,no\n192.0.2.1,,,9,,400M,\n"), 0, 5'000);
  ASSERT_TRUE(directory.find(exporter(1), info_));
  EXPECT_EQ(info_.name(), "edge1");
  EXPECT_EQ(info_.site(), "Berlin");
  EXPECT_THAT(interfaces_of(info_), ElementsAre("3 Gi3 ", "7 xe7 uplink", "8 xe8 ", "9 Gi9 lan"));
  EXPECT_EQ(info_.interfaces(1).speed_bps(), 10'000'000'000u);
  EXPECT_EQ(info_.interfaces(1).boundary(), flowpb::BOUNDARY_EXTERNAL);
  EXPECT_EQ(info_.interfaces(2).boundary(), flowpb::BOUNDARY_INTERNAL);
  EXPECT_EQ(info_.interfaces(3).speed_bps(), 400'000'000u);
  EXPECT_EQ(info_.interfaces(3).boundary(), flowpb::BOUNDARY_UNKNOWN);
  EXPECT_EQ(directory.interface_name(exporter(1), 7), "xe7");
  EXPECT_EQ(directory.interface_name(exporter(1), 9), "Gi9");
  EXPECT_EQ(directory.exporter_name(exporter(1)), "edge1");
  EXPECT_EQ(directory.exporter_name(exporter(2)), "");

  directory.on_event(interface(7, "Gi7 renamed"), 0);
  EXPECT_EQ(directory.interface_name(exporter(1), 7), "xe7") << "whatever the exporter says since";
  directory.set_list(nullptr, 0, 6'000);
  EXPECT_EQ(directory.interface_name(exporter(1), 7), "Gi7 renamed");
  ASSERT_TRUE(directory.find(exporter(1), info_));
  EXPECT_EQ(info_.name(), "");
  EXPECT_THAT(interfaces_of(info_), ElementsAre("3 Gi3 ", "7 Gi7 renamed uplink", "9 Gi9 lan"));
}

TEST_F(DirectoryTest, WhatTheListChangesIsDueAndNothingElse) {
  ExporterDirectory directory;
  const auto taken = [&] {
    std::vector<std::string> all;
    while (directory.take_due(100 * kSecond, info_)) {
      all.push_back(address_of(info_)->to_string() + " " + info_.name());
      directory.published(*address_of(info_));
    }
    return all;
  };
  directory.set_list(list_of("192.0.2.1,a,,,,,\n192.0.2.2,b,,,,,\n192.0.2.3,c,,,,,\n"), 0, 1'000);
  EXPECT_THAT(taken(), ElementsAre("192.0.2.1 a", "192.0.2.2 b", "192.0.2.3 c"));
  EXPECT_EQ(info_.first_seen_ns(), 0u) << "it has sent nothing";
  const uint64_t version = info_.version();
  directory.set_list(list_of("192.0.2.2,b,,,,,\n192.0.2.3,c2,,,,,\n"), 0, 1'000);
  EXPECT_THAT(taken(), ElementsAre("192.0.2.1 ", "192.0.2.3 c2"));
  EXPECT_GT(info_.version(), version);
  EXPECT_EQ(directory.counters().exporters, 2u) << "of one that is listed no more nothing stays";
  EXPECT_EQ(directory.counters().forgotten, 0u) << "which is no loss";
}

TEST_F(DirectoryTest, KeepsOverARestartWhatExportersSaidAndNotTheList) {
  ExporterDirectory directory;
  directory.on_event(interface(7, "Gi7"), 0);
  directory.set_list(list_of("192.0.2.1,a,,7,xe7,,\n192.0.2.2,b,,,,,\n"), 0, 5'000);
  flowpb::ExporterInfoList saved;
  directory.save(saved);
  ASSERT_EQ(saved.exporters_size(), 1);
  EXPECT_THAT(interfaces_of(saved.exporters(0)), ElementsAre("7 Gi7 "));
  EXPECT_EQ(saved.exporters(0).name(), "");
}

TEST_F(DirectoryTest, WhereThereIsNoRoomWhatIsListedStays) {
  ExporterDirectory directory({.octets_total = 200});
  directory.set_list(list_of("192.0.2.1,a,,7,xe7,,\n192.0.2.3,c,,,,,\n"), 0, 5'000);
  for (uint32_t i = 1; i <= 20; ++i) directory.on_event(from(interface(8, "Gi8"), i), 0);
  EXPECT_LE(directory.counters().octets, 200u);
  ASSERT_TRUE(directory.find(exporter(1), info_));
  EXPECT_THAT(interfaces_of(info_), ElementsAre("7 xe7 "));
  EXPECT_EQ(directory.exporter_name(exporter(3)), "c");
}

TEST_F(DirectoryTest, MakesTextValid) {
  ExporterDirectory directory;
  directory.on_event(interface(7,
                               "G\xff"
                               "7"),
                     0);
  directory.find(exporter(1), info_);
  EXPECT_EQ(info_.interfaces(0).name(), "G?7");
}

TEST_F(DirectoryTest, IsDueWhenATableHasBeenQuietAndOnceForManyChanges) {
  ExporterDirectory directory({.settle_ns = kSecond, .settle_max_ns = 3 * kSecond});
  const uint64_t start = 100 * kSecond;
  directory.on_event(interface(1, "one"), start);
  directory.on_event(interface(2, "two"), start + kSecond / 2);
  EXPECT_FALSE(directory.take_due(start + kSecond, info_)) << "half a second ago it changed";
  ASSERT_TRUE(directory.take_due(start + 3 * kSecond / 2, info_));
  EXPECT_EQ(info_.interfaces_size(), 2);
  EXPECT_FALSE(directory.take_due(start + 9 * kSecond, info_));
  directory.published(exporter(1));
  EXPECT_FALSE(directory.take_due(start + 9 * kSecond, info_));
  // The same again is no change.
  directory.on_event(interface(2, "two"), start + 9 * kSecond);
  EXPECT_EQ(directory.changed(), 0u);
  // One that never is quiet is published all the same.
  bool was_due = false;
  for (uint8_t i = 0; i < 40 && !was_due; ++i) {
    const uint64_t now = start + 10 * kSecond + i * kSecond / 10;
    directory.on_event(interface(3, std::to_string(i)), now);
    was_due = directory.take_due(now, info_);
    EXPECT_EQ(was_due, i == 30);
  }
}

TEST_F(DirectoryTest, HasOneMessageOfAnExporterUnderWay) {
  ExporterDirectory directory;
  directory.on_event(interface(1, "one"), 0);
  ASSERT_TRUE(directory.take_due(5 * kSecond, info_));
  directory.on_event(interface(1, "newer"), 6 * kSecond);
  EXPECT_FALSE(directory.take_due(20 * kSecond, info_)) << "the older one could overtake it";
  directory.published(exporter(1));
  ASSERT_TRUE(directory.take_due(20 * kSecond, info_));
  EXPECT_EQ(info_.interfaces(0).name(), "newer");
  directory.put_back(exporter(1), 21 * kSecond);
  EXPECT_TRUE(directory.take_due(30 * kSecond, info_));
}

TEST_F(DirectoryTest, BoundsTheNamesOfAnExporterAndCountsTheRest) {
  ExporterDirectory directory({.names_per_exporter = 2});
  for (uint8_t i = 1; i <= 5; ++i) directory.on_event(interface(i, "x"), 0);
  directory.on_event(interface(2, "changed"), 0);
  directory.find(exporter(1), info_);
  EXPECT_THAT(interfaces_of(info_), ElementsAre("1 x ", "2 changed "));
  EXPECT_EQ(info_.omitted(), 3u);
  EXPECT_EQ(directory.counters().omitted, 3u);

  ExporterDirectory small({.octets_per_exporter = 300});
  for (uint8_t i = 1; i <= 5; ++i) small.on_event(interface(i, std::string(60, 'x')), 0);
  EXPECT_LE(small.counters().octets, 300u);
  EXPECT_EQ(small.counters().names, 2u);
}

TEST_F(DirectoryTest, ForgetsTheExporterThatChangedLongestAgo) {
  ExporterDirectory directory({.octets_total = 300});
  directory.on_event(from(interface(1, std::string(60, 'a')), 1), 0);
  directory.on_event(from(interface(1, std::string(60, 'b')), 2), 0);
  directory.on_event(from(interface(1, std::string(60, 'c')), 1), 0);
  directory.on_event(from(interface(1, std::string(60, 'd')), 3), 0);
  EXPECT_TRUE(directory.find(exporter(1), info_));
  EXPECT_FALSE(directory.find(exporter(2), info_));
  EXPECT_TRUE(directory.find(exporter(3), info_));
  EXPECT_EQ(directory.counters().forgotten, 1u);
  EXPECT_LE(directory.counters().octets, 300u);
  EXPECT_EQ(directory.changed(), 2u);
}

TEST_F(DirectoryTest, SurvivesARestart) {
  flowpb::ExporterInfoList kept;
  {
    ExporterDirectory directory({}, "lab");
    directory.on_event(interface(7, "Gi7", "uplink"), 0);
    directory.on_event(name(NameKind::interface, "\x01\x02", "Gi258"), 0);
    directory.on_event(name(NameKind::vrf, "\x05", "red"), 0);
    directory.on_event(name(NameKind::application, std::string("\x03\0\0\x50", 4), "http"), 0);
    directory.on_event(name(NameKind::sampler, "\x02", "FS", {}, 1000), 0);
    directory.on_event(from(interface(1, "x"), 2), 0);
    directory.save(kept);
    ASSERT_TRUE(directory.find(exporter(1), info_));
  }
  kept.add_exporters()->set_exporter_address("nonsense");
  ExporterDirectory directory({}, "lab");
  directory.restore(kept, 0);
  EXPECT_EQ(directory.counters().exporters, 2u);
  EXPECT_EQ(directory.counters().names, 6u);
  EXPECT_EQ(directory.changed(), 2u) << "published again";
  flowpb::ExporterInfo restored;
  ASSERT_TRUE(directory.find(exporter(1), restored));
  EXPECT_EQ(restored.SerializeAsString(), info_.SerializeAsString());
  // What the exporter repeats is no change.
  const uint64_t changes = directory.counters().changes;
  directory.on_event(interface(7, "Gi7", "uplink"), 0);
  directory.on_event(name(NameKind::sampler, "\x02", "FS", {}, 1000), 0);
  EXPECT_EQ(directory.counters().changes, changes);

  ExporterDirectory small({.names_per_exporter = 1, .octets_total = 200});
  small.restore(kept, 0);
  EXPECT_LE(small.counters().octets, 200u);
}

TEST_F(DirectoryTest, AnotherReaderGetsAllTablesOnce) {
  ExporterDirectory directory;
  directory.on_event(interface(7, "Gi7"), 0);
  directory.on_event(from(interface(7, "other"), 2), 0);
  ASSERT_TRUE(directory.take_due(10 * kSecond, info_));
  directory.published(exporter(1));
  ASSERT_TRUE(directory.take_due(10 * kSecond, info_)) << "under way to the reader before";
  directory.publish_all_again(10 * kSecond);
  EXPECT_EQ(directory.changed(), 2u);
  ASSERT_TRUE(directory.take_due(20 * kSecond, info_));
  EXPECT_EQ(address_of(info_), exporter(1));
  EXPECT_FALSE(directory.take_due(20 * kSecond, info_)) << "not before it is known what became of it there";
  directory.published(exporter(2));
  ASSERT_TRUE(directory.take_due(20 * kSecond, info_));
  EXPECT_EQ(address_of(info_), exporter(2));
  EXPECT_FALSE(directory.take_due(20 * kSecond, info_));
}

TEST(ExporterInfo, IsNamedByItsAddressAndPrintsAsALineOfItsOwnKind) {
  EXPECT_EQ(subject_token(IpAddress::from_v4(0xC0000201u)), "192-0-2-1");
  EXPECT_EQ(subject_token(*IpAddress::parse("2001:db8::1")), "2001-db8--1");
  flowpb::ExporterInfo info;
  info.set_exporter_address(std::string("\xC0\0\x02\x01", 4));
  info.add_interfaces()->set_name("Gi0/0/1");
  info.add_applications()->set_id("\x03\x50");
  std::string line;
  append_exporter_json_line(info, line);
  EXPECT_EQ(line.back(), '\n');
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["type"], "EXPORTER_INFO");
  EXPECT_EQ(json["exporter_address"], "192.0.2.1");
  EXPECT_EQ(json["interfaces"][0]["name"], "Gi0/0/1");
  EXPECT_EQ(json["applications"][0]["id"], "0350");
}

}  // namespace
}  // namespace weir::control

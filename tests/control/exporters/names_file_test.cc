#include "control/exporters/names_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support/hanging_file.h"
#include "support/process.h"
#include "support/refused_threads.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

class NamesFileTest : public testing::Test {
 protected:
  NamesFileTest() {
    decode::Event e;
    e.kind = decode::EventKind::name_learned;
    e.name_kind = decode::NameKind::interface;
    e.exporter = IpAddress::from_v4(0xC0000201u);
    e.key_octets = 1;
    e.key[0] = 7;
    e.has_name = true;
    e.name_octets = 3;
    std::memcpy(e.text, "Gi7", 3);
    const RoleScope role(control_thread);
    before_.on_event(e, 0);
  }
  std::string path() const { return folder_ / "exporter_names"; }
  std::string state_dir() const { return path().substr(0, path().rfind('/')); }
  void save() {
    const RoleScope role(control_thread);
    NamesKeeper keeper(state_dir(), kNsPerSec);
    keeper.begin_finish(before_);
    EXPECT_TRUE(test::eventually([&] { return keeper.has_finished(); }));
  }
  /// How many names are known after a start.
  uint64_t names_restored(const std::string& state_dir) {
    const RoleScope role(control_thread);
    ExporterDirectory after;
    NamesKeeper(state_dir, kNsPerSec).restore(after, 0);
    return after.counters().names;
  }

  test::TemporaryFolder folder_;
  ExporterDirectory before_;
};

TEST_F(NamesFileTest, BringsNamesBack) {
  EXPECT_EQ(names_restored(state_dir()), 0u) << "there is no file yet";
  save();
  EXPECT_EQ(names_restored(state_dir()), 1u);
  EXPECT_EQ(names_restored(""), 0u) << "nothing is kept without state_dir";
}

TEST_F(NamesFileTest, WritesWhatChangedOnceAnIntervalHasPassed) {
  const RoleScope role(control_thread);
  ExporterDirectory empty;
  NamesKeeper keeper(state_dir(), 10 * kNsPerSec);
  keeper.restore(empty, kNsPerSec);
  keeper.step(empty, kNsPerSec);
  keeper.step(empty, 20 * kNsPerSec);
  EXPECT_FALSE(std::filesystem::exists(path())) << "nothing changed";
  keeper.step(before_, 29 * kNsPerSec);
  EXPECT_FALSE(std::filesystem::exists(path())) << "the interval is not over";
  keeper.step(before_, 30 * kNsPerSec);
  while (names_restored(state_dir()) != 1) std::this_thread::yield();
  std::filesystem::remove(path());
  keeper.step(before_, 50 * kNsPerSec);
  keeper.step(before_, 70 * kNsPerSec);
  EXPECT_FALSE(std::filesystem::exists(path())) << "what is written is not written again";
}

TEST_F(NamesFileTest, AFileSystemThatHangsHoldsUpNobodyAndTheLastNamesAreKeptOnceItMoves) {
  const RoleScope role(control_thread);
  test::HangingFile hanging(path() + ".new");
  NamesKeeper keeper(state_dir(), kNsPerSec);
  keeper.step(before_, kNsPerSec);
  keeper.step(before_, 3 * kNsPerSec);
  EXPECT_FALSE(keeper.has_finished());
  keeper.begin_finish(before_);
  EXPECT_FALSE(keeper.has_finished());
  hanging.let_go();
  ASSERT_TRUE(test::eventually([&] { return keeper.has_finished(); }));
  EXPECT_EQ(names_restored(state_dir()), 1u);
}

TEST_F(NamesFileTest, TriesAgainAtTheNextIntervalWhenNoThreadCanBeMade) {
  const RoleScope role(control_thread);
  NamesKeeper keeper(state_dir(), kNsPerSec);
  keeper.step(before_, kNsPerSec);
  {
    const test::RefusedThreads refused;
    keeper.step(before_, 3 * kNsPerSec);
    EXPECT_TRUE(keeper.has_finished());
  }
  EXPECT_EQ(names_restored(state_dir()), 0u);
  keeper.step(before_, 5 * kNsPerSec);
  EXPECT_TRUE(test::eventually([&] { return keeper.has_finished(); }));
  EXPECT_EQ(names_restored(state_dir()), 1u);
}

TEST_F(NamesFileTest, IgnoresAFileWithAnyOctetDamaged) {
  save();
  const std::string good = test::contents_of(path());
  ASSERT_FALSE(good.empty());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << damaged;
    ASSERT_EQ(names_restored(state_dir()), 0u) << "octet " << i;
  }
}

}  // namespace
}  // namespace weir::control

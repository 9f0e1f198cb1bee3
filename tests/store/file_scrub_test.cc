#include "store/file_scrub.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "damaged_file.h"
#include "history_folder.h"
#include "store/file_watch.h"
#include "store/history.h"
#include "store/rollups.h"

namespace weir::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kHour = 489'600;
constexpr int64_t kWritten = (kHour + 100) * kMicrosPerHour;
constexpr const char* kQuestion = "SELECT sum(hash(src_endpoint_addr)), sum(hash(remainder)) FROM flow_rows";

struct FileScrubTest : testing::Test, HistoryFolder {
  FileScrub scrub;
  int64_t passed = kWritten;

  std::string file_of(int64_t hour, int rows) { return HistoryFolder::file_of(hour, rows, passed); }
  std::vector<StateChange> step(uint64_t octets_max = UINT64_MAX) {
    std::vector<StateChange> changes;
    const auto read = scrub.step(*store->connection, octets_max, UINT64_MAX, passed, changes);
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_TRUE(watch->change(*store->connection, changes));
    return changes;
  }
  /// As an older version left it.
  void forget_sums() { store->run("UPDATE history_files SET crc32c = NULL, checked = 0"); }
};

TEST_F(FileScrubTest, ABitThatTurnsWithoutAnybodysNoticeIsFoundAndItsFileLeftOut) {
  const std::string path = file_of(kHour, 20'000);
  file_of(kHour + 1, 7);
  const std::string before = store->ask(kQuestion);
  const auto at = flip_bit_unnoticed(*store, path, kQuestion);
  ASSERT_NE(at, 0) << "an answer that looks whole and is not: what this is for";
  EXPECT_EQ(rows(), "20007\n");
  passed += kScrubAgainMicros;
  const auto changes = step();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].path, path);
  EXPECT_EQ(changes[0].state, "damaged");
  EXPECT_THAT(changes[0].trouble, HasSubstr("its octets are not those that were written: their CRC-32C is "));
  EXPECT_EQ(scrub.view().damaged, 1u);
  EXPECT_EQ(rows(), "7\n");
  EXPECT_EQ(header_of(*left_out_sums(*store->connection)), "files=1; rows=20000; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z");
  EXPECT_THAT(watch->view().newly_broken, testing::ElementsAre(path + ": " + changes[0].trouble));
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().files, 2u) << "the other one too";
  // Decoding finds nothing, so only its octets can take it back.
  EXPECT_EQ(*watch->look(*store->connection, 0), 0u);
  EXPECT_EQ(*watch->look(*store->connection, 120'000'000), 0u);
  flip_bit(path, at);
  EXPECT_EQ(*watch->look(*store->connection, 240'000'000), 1u);
  EXPECT_EQ(store->ask(kQuestion), before);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().files, 3u) << "what was taken back is read through at once";
}

TEST_F(FileScrubTest, EachFileIsReadOnceADaySoManyOctetsAtATime) {
  file_of(kHour, 20'000);
  file_of(kHour + 1, 7);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().octets, 0u) << "they have just been written";
  passed += kScrubAgainMicros;
  uint64_t most = 0, steps = 0;
  for (uint64_t before = 0; scrub.view().files < 2 && steps < 10'000; ++steps, before = scrub.view().octets) {
    step(10'000);
    most = std::max(most, scrub.view().octets - before);
  }
  EXPECT_EQ(scrub.view().files, 2u);
  EXPECT_LE(most, 10'000 + kSumPageOctets);
  EXPECT_EQ(std::to_string(scrub.view().octets) + "\n", store->ask("SELECT sum(octets) FROM history_files"));
  EXPECT_GE(steps, scrub.view().octets / (10'000 + kSumPageOctets));
  for (int hour = 0; hour < 23; ++hour) {
    passed += kMicrosPerHour;
    EXPECT_TRUE(step().empty());
  }
  EXPECT_EQ(scrub.view().files, 2u);
  passed += kMicrosPerHour;
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().files, 4u);
  EXPECT_EQ(scrub.view().damaged + scrub.view().summed, 0u);
}

TEST_F(FileScrubTest, FilesOfAnOlderVersionGetTheirSumsFirst) {
  const std::string path = file_of(kHour, 20'000);
  const std::string sums = "SELECT hour, crc32c FROM history_files ORDER BY hour";
  file_of(kHour + 1, 7);
  const std::string before = store->ask(sums);
  forget_sums();
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().summed, 2u);
  EXPECT_EQ(store->ask(sums), before);
  EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().files, 2u);
  flip_bit(path, static_cast<std::streamoff>(fs::file_size(path) / 4));
  passed += kScrubAgainMicros;
  EXPECT_EQ(step().size(), 1u);
}

TEST_F(FileScrubTest, OneOfAnOlderVersionThatCannotBeDecodedGetsNone) {
  const std::string path = file_of(kHour, 20'000);
  file_of(kHour + 1, 7);
  forget_sums();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4);
    file << std::string(fs::file_size(path) / 2, '\xff');
  }
  while (!step().empty()) {}
  EXPECT_EQ(store->ask("SELECT state, crc32c IS NULL FROM history_files ORDER BY hour"), "damaged|true\nkept|false\n");
  EXPECT_EQ(rows(), "7\n");
}

TEST_F(FileScrubTest, OneThatIsAwayIsBroken) {
  const std::string path = file_of(kHour, 20);
  file_of(kHour + 1, 7);
  passed += kScrubAgainMicros;
  fs::rename(path, folder + "/saved");
  const auto changes = step();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].state, "broken");
  EXPECT_THAT(changes[0].trouble, HasSubstr("No such file"));
  EXPECT_EQ(rows(), "7\n");
}

TEST_F(FileScrubTest, AllAreReadAtOnceWhereSomebodyAsks) {
  std::vector<std::string> paths;
  for (int64_t hour = kHour; hour < kHour + 5; ++hour) paths.push_back(file_of(hour, 1000));
  flip_bit(paths[1], 2000);
  flip_bit(paths[3], 2000);
  scrub.verify(1);
  EXPECT_TRUE(scrub.is_verifying());
  std::vector<std::string> found;
  for (int steps = 0; scrub.is_verifying() && steps < 100; ++steps) {
    for (const StateChange& change : step()) found.push_back(change.path);
  }
  EXPECT_EQ(found, (std::vector<std::string>{paths[3], paths[1]})) << "newest first";
  const VerifyView verify = scrub.view().verify;
  EXPECT_EQ(verify.number, 1u);
  EXPECT_TRUE(verify.is_over);
  EXPECT_EQ(verify.files, 5u);
  EXPECT_EQ(verify.damaged, 2u);
  EXPECT_EQ(verify.left, 0u);
  EXPECT_EQ(rows(), "3000\n");
  scrub.verify(1);
  EXPECT_FALSE(scrub.is_verifying());
  scrub.verify(2);
  while (scrub.is_verifying()) EXPECT_TRUE(step().empty());
  EXPECT_EQ(scrub.view().verify.files, 3u);
}

TEST(FileSum, IsOfAllOctetsHoweverTheyAreRead) {
  char name[] = "/tmp/weir-sum-XXXXXX";
  const fs::path folder = mkdtemp(name);
  for (const size_t octets : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{kSumPieceOctets}, size_t{3 * kSumPieceOctets + 5}}) {
    std::string text(octets, ' ');
    for (size_t i = 0; i < octets; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
    std::ofstream(folder / "file", std::ios::binary) << text;
    const uint32_t wanted = crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    for (const ReadFrom from : {ReadFrom::cache, ReadFrom::disk}) {
      EXPECT_EQ(*sum_of_file(folder / "file", from), wanted) << octets;
      FileSum by_pages(folder / "file", from);
      for (uint64_t steps = 0; !by_pages.is_over() && steps < 1000; ++steps) EXPECT_LE(*by_pages.step(1), kSumPageOctets);
      EXPECT_EQ(by_pages.sum(), wanted) << octets;
    }
  }
  EXPECT_THAT(sum_of_file(folder / "nowhere", ReadFrom::disk).error().message, HasSubstr("nowhere: No such file"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace weir::store

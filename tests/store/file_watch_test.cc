#include "store/file_watch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "history_folder.h"
#include "store/history.h"
#include "store/open_store.h"
#include "store/rollups.h"
#include "store/schema.h"

namespace weir::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kHour = 489'600;
constexpr int64_t kMinute = 60'000'000;

void damage(const std::string& path) {
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const std::string junk(400, '\xff');
  for (int part = 1; part < 20; ++part) {
    file.seekp(size * part / 20);
    file.write(junk.data(), static_cast<std::streamsize>(junk.size()));
  }
}

struct FileWatchTest : testing::Test, HistoryFolder {
  int64_t steady = 0;

  uint64_t look() {
    const auto found = watch->look(*store->connection, steady);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : 0;
  }
};

TEST_F(FileWatchTest, NothingThatTheDatabaseDoesNotKnowIsRemoved) {
  const std::string known = file_of(kHour, 500);
  const fs::path where = fs::path(known).parent_path();
  for (const char* name : {"flows-489600-5.parquet", "flows-489600-6.parquet.unfinished", "notes.txt", "other.parquet"}) {
    std::ofstream(where / name) << "x";
  }
  ASSERT_TRUE(watch->begin(*store->connection));
  EXPECT_EQ(watch->view().unknown, 2u);
  EXPECT_EQ(watch->view().unknown_named, (std::vector<std::string>{where / "flows-489600-5.parquet", where / "flows-489600-6.parquet.unfinished"}));
  EXPECT_EQ(std::distance(fs::directory_iterator(where), {}), 5);
  EXPECT_EQ(rows(), "500\n");
}

TEST_F(FileWatchTest, WhatWasNotEndedIsRemoved) {
  const std::string known = file_of(kHour, 500);
  const fs::path where = fs::path(known).parent_path();
  const std::string whole = where / "flows-489600-5.parquet", part = where / "flows-489600-6.parquet";
  for (const std::string& path : {whole, part}) ASSERT_TRUE(note_making(*store->connection, path, kHour, 1));
  fs::copy_file(known, whole);
  std::ofstream(part + ".unfinished") << "x";
  ASSERT_TRUE(watch->begin(*store->connection));
  EXPECT_EQ(watch->view().unknown, 0u);
  EXPECT_EQ(std::distance(fs::directory_iterator(where), {}), 1);
  EXPECT_EQ(store->ask("SELECT state FROM history_files"), "kept\n");
}

TEST_F(FileWatchTest, OneThatWhoeverMakesViewsDoesNotFindIsKnownAsLeftOutFromThenOn) {
  const std::string path = file_of(kHour, 500);
  ASSERT_TRUE(watch->begin(*store->connection));
  fs::rename(path, folder + "/saved");
  file_of(kHour + 1, 7);  // a new hour's table: views are made
  EXPECT_EQ(rows(), "7\n");
  EXPECT_EQ(header_of(*left_out_sums(*store->connection)), "files=1; rows=500; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z");
  EXPECT_EQ(look(), 1u);
  ASSERT_EQ(watch->view().newly_broken.size(), 1u);
  EXPECT_THAT(watch->view().newly_broken[0], HasSubstr(path + ": No such file"));
  EXPECT_EQ(look(), 0u);
  fs::rename(folder + "/saved", path);
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(rows(), "507\n");
  EXPECT_EQ(header_of(*left_out_sums(*store->connection)), "");
}

TEST_F(FileWatchTest, OneThatIsCutShortIsLeftOutAndTakenBackWithoutARestart) {
  const std::string path = file_of(kHour, 500);
  file_of(kHour + 1, 7);
  ASSERT_TRUE(watch->begin(*store->connection));
  fs::copy_file(path, folder + "/saved");
  fs::resize_file(path, 100);
  EXPECT_EQ(look(), 1u);
  ASSERT_EQ(watch->view().newly_broken.size(), 1u);
  EXPECT_THAT(watch->view().newly_broken[0], HasSubstr(path + ": it has 100 octets where"));
  EXPECT_EQ(rows(), "7\n");
  EXPECT_EQ(look(), 0u);
  fs::copy_file(folder + "/saved", path, fs::copy_options::overwrite_existing);
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(watch->view().taken_back, 1u);
  EXPECT_EQ(rows(), "507\n");
}

TEST_F(FileWatchTest, AFolderThatIsAwayForAWhileComesBack) {
  file_of(kHour, 500);
  file_of(kHour + 1, 7);
  ASSERT_TRUE(watch->begin(*store->connection));
  fs::rename(folder, folder + ".away");
  EXPECT_EQ(look(), 2u);
  EXPECT_EQ(rows(), "0\n");
  fs::rename(folder + ".away", folder);
  look();  // seen here, and again where the first look had not noted that they are away
  steady += kMinute;
  look();
  EXPECT_EQ(rows(), "507\n");
}

TEST_F(FileWatchTest, DamageInsideThatAQuestionMetIsFoundAndLeftOut) {
  const std::string path = file_of(kHour, 20'000);
  file_of(kHour + 1, 7);
  ASSERT_TRUE(watch->begin(*store->connection));
  EXPECT_EQ(look(), 0u);
  fs::copy_file(path, folder + "/saved");
  damage(path);
  const std::string question = "SELECT sum(hash(remainder)), sum(hash(src_endpoint_addr)) FROM flow_rows";
  const std::string answer = store->ask(question);
  ASSERT_THAT(answer, HasSubstr("error: "));
  watch->suspect(answer);
  EXPECT_TRUE(watch->has_suspicion());
  EXPECT_EQ(look(), 1u);
  EXPECT_FALSE(watch->is_reading());
  EXPECT_EQ(store->ask("SELECT state, path FROM history_files WHERE state <> 'kept'"), "damaged|" + path + "\n");
  EXPECT_EQ(rows(), "7\n");
  EXPECT_THAT(store->ask(question), testing::Not(HasSubstr("error")));
  // Its end is right, but that is not enough: at a start, and later.
  FileWatch next(folder);
  ASSERT_TRUE(next.begin(*store->connection));
  EXPECT_EQ(rows(), "7\n");
  for (int i = 0; i < 3; ++i, steady += kMinute) EXPECT_EQ(look(), 0u);
  fs::copy_file(folder + "/saved", path, fs::copy_options::overwrite_existing);
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(rows(), "20007\n");
}

// A machine that has been up for a month: how long that is has nothing to do with how long a look took.
TEST_F(FileWatchTest, AFileThatIsNamedHoldsUpALookAtAllForAMinute) {
  steady = 30 * 24 * 60 * kMinute;
  const std::string named = file_of(kHour, 10), other = file_of(kHour + 1, 20'000);
  ASSERT_TRUE(watch->begin(*store->connection));
  watch->suspect("IO Error: " + named);
  EXPECT_EQ(look(), 0u);
  damage(other);
  watch->suspect("ZSTD Decompression failure");
  EXPECT_EQ(look(), 0u);
  steady += kMinute;
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(rows(), "10\n");
}

TEST_F(FileWatchTest, WordsThatAreOfNoFileMakeNobodyReadAll) {
  file_of(kHour, 10);
  ASSERT_TRUE(watch->begin(*store->connection));
  watch->suspect("Conversion Error: Could not convert string 'x' to INT32");
  look();
  EXPECT_FALSE(watch->is_reading());
  EXPECT_EQ(watch->view().in_doubt, 0u);
}

// The folder is written otherwise, moved, or the database is lost: no file goes, and what the database knows it finds.
struct FolderTest : testing::Test {
  fs::path place;
  FolderTest() {
    char name[] = "/tmp/weir-folder-XXXXXX";
    place = mkdtemp(name);
    fs::create_directories(place / "history");
  }
  ~FolderTest() override { fs::remove_all(place); }

  static size_t files_in(const fs::path& folder) {
    size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) files += entry.is_regular_file() ? 1 : 0;
    return files;
  }
  Result<std::unique_ptr<OpenStore>> open(const std::string& folder) {
    DatabaseOptions options;
    options.path = place / "flows.duckdb";
    options.folders = {folder};
    options.history_folder = folder;
    return OpenStore::open(options);
  }
  void archive_one(const std::string& folder) {
    auto opened = open(folder);
    ASSERT_TRUE(opened) << opened.error().message;
    auto connection = (*opened)->database()->connect();
    ASSERT_TRUE(open_hours(*connection, std::span(&kHour, 1)));
    ASSERT_TRUE(connection->execute(fmt::format("INSERT INTO {} (time, bytes_total, packets_total, bytes_raw, packets_raw) SELECT "
                                                "make_timestamptz({} + i), 1, 1, 1, 1 FROM range(1000) t(i)",
                                                hour_table(kHour), kHour * kMicrosPerHour)));
    ASSERT_TRUE(fold(*connection));
    History history(folder);
    ASSERT_TRUE(*history.archive(*connection, kHour, 1));
  }
  /// How many rows are answered when it is started again.
  int64_t rows_at(const std::string& folder) {
    auto opened = open(folder);
    EXPECT_TRUE(opened) << opened.error().message;
    if (!opened) return -1;
    auto connection = (*opened)->database()->connect();
    FileWatch watch(canonical_folder(folder));
    const auto begun = watch.begin(*connection);
    EXPECT_TRUE(begun) << begun.error().message;
    unknown = watch.view().unknown;
    auto rows = connection->query("SELECT count(*) FROM flow_rows");
    EXPECT_TRUE(rows) << rows.error().message;
    return rows ? rows->next()->at<int64_t>(0, 0) : -1;
  }
  uint64_t unknown = 0;
};

TEST_F(FolderTest, ASlashAtItsEndChangesNothing) {
  archive_one(place / "history/");
  EXPECT_EQ(rows_at(place / "history/"), 1000);
  EXPECT_EQ(rows_at(place / "history"), 1000);
  EXPECT_EQ(unknown, 0u);
}

TEST_F(FolderTest, ItMayBeMovedAndSpeltOtherwise) {
  archive_one(place / "history");
  fs::rename(place / "history", place / "disk2");
  EXPECT_EQ(rows_at(place / "disk2"), 1000);
  EXPECT_EQ(unknown, 0u);
  fs::create_directory_symlink(place / "disk2", place / "link");
  EXPECT_EQ(rows_at(canonical_folder(place / "link")), 1000);
}

TEST_F(FolderTest, PathsAsTheyWereWrittenOnceAreTakenOver) {
  archive_one(place / "history");
  {
    auto opened = open(place / "history");
    auto connection = (*opened)->database()->connect();
    ASSERT_TRUE(connection->execute("UPDATE history_files SET path = replace(path, 'history/day', 'history//day')"));
  }
  EXPECT_EQ(rows_at(place / "history"), 1000);
  EXPECT_EQ(unknown, 0u);
}

TEST_F(FolderTest, AConfigurationThatNamesAnotherWhileFilesLieInThisOneIsRefused) {
  archive_one(place / "history");
  fs::create_directories(place / "empty");
  const auto opened = open(place / "empty");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("is not in " + (place / "empty").string()));
}

TEST_F(FolderTest, ALostDatabaseCostsNoFile) {
  archive_one(place / "history");
  for (const char* name : {"flows.duckdb", "flows.duckdb.wal"}) fs::remove(place / name);
  EXPECT_EQ(rows_at(place / "history"), 0);
  EXPECT_EQ(unknown, 1u);
  EXPECT_EQ(files_in(place / "history"), 1u);
}

}  // namespace
}  // namespace weir::store

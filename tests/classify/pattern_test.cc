#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "classify_support.h"

namespace weir::classify {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::octets;
namespace fs = std::filesystem;

class Patterns : public ::testing::Test {
 protected:
  void SetUp() override {
    WEIR_NEEDS_ENGINE();
    testing::use_built_compiler();
  }
  static std::vector<uint16_t> hits_of(std::span<const uint8_t> database, std::string_view text) {
    const auto loaded = PatternDatabase::load(database);
    EXPECT_TRUE(loaded);
    PatternScratch scratch;
    EXPECT_TRUE(scratch.fit(**loaded));
    std::vector<uint16_t> found;
    EXPECT_TRUE((*loaded)->scan(octets(text), scratch, [&](uint16_t pattern) { found.push_back(pattern); }));
    std::sort(found.begin(), found.end());
    return found;
  }
};

TEST_F(Patterns, AreCompiledInAProcessOfTheirOwn) {
  Databases database;
  const auto error = compile_apart(std::vector<Pattern>{{"^GET "}, {"host", pattern_flag::kCaseless}, {"a.c"}}, database);
  ASSERT_FALSE(error) << error->message;
  EXPECT_THAT(hits_of(database.at(0).database, "GET / Host: a\nc"), ElementsAre(0, 1, 2));
  EXPECT_THAT(hits_of(database.at(0).database, "nothing"), ElementsAre());
}

TEST_F(Patterns, OfEachGroupHaveADatabaseOfTheirOwn) {
  Databases database;
  const auto error = compile_apart(std::vector<Pattern>{{"a"}, {"b"}, {.expression = "c", .group = 1}}, database);
  ASSERT_FALSE(error) << error->message;
  ASSERT_EQ(database.size(), 2u);
  EXPECT_THAT(hits_of(database[0].database, "abc"), ElementsAre(0, 1));
  EXPECT_THAT(hits_of(database[1].database, "abc"), ElementsAre(0));
  const auto wrong = compile_apart(std::vector<Pattern>{{"a"}, {"b"}, {.expression = "c*", .group = 1}}, database);
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->pattern, 2u);
}

TEST_F(Patterns, SayWhichOneIsRefusedAndInTheEnginesWords) {
  Databases database;
  const auto error = compile_apart(std::vector<Pattern>{{"fine"}, {"(a)\\1"}}, database);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->pattern, 1u);
  EXPECT_THAT(error->message, HasSubstr("ack-reference"));
  EXPECT_TRUE(database.empty());
}

// What takes minutes and gigabytes ends at the bound, and which it is gets found out.
TEST_F(Patterns, ThatWouldExplodeEndAtTheBound) {
  testing::use_built_compiler("0");  // seconds; it has the one that has begun, too
  Databases database;
  const auto error = compile_apart(std::vector<Pattern>{{"fine"}, {"a.{0,32000}b.{0,32000}c"}, {"too"}}, database);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->pattern, 1u) << error->message;
  EXPECT_THAT(error->message, HasSubstr("too much CPU time"));
  EXPECT_TRUE(database.empty());
}

// The engine blames the first one where memory is short.
TEST_F(Patterns, ThatTakeTooMuchMemoryAreNamed) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a sanitizer's shadow is beyond each bound of addresses";
#endif
  testing::use_built_compiler("60", "48000000");
  Databases database;
  const auto error = compile_apart(std::vector<Pattern>{{"fine"}, {"a.{0,32000}b.{0,32000}c"}, {"too"}}, database);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->pattern, 1u) << error->message;
  EXPECT_THAT(error->message, HasSubstr("too much memory"));
  EXPECT_TRUE(database.empty());
}

/// Each takes a few milliseconds, also on a busy machine and under a sanitizer: all together more than the second they get.
TEST_F(Patterns, ThatExplodeTogetherBlameNoneOfThem) {
  testing::use_built_compiler("1");
  std::vector<Pattern> patterns;
  for (int i = 0; i < 500; ++i) patterns.push_back({fmt::format(".{{0,400}}p{:03x}.{{0,400}}Y", i)});
  Databases database;
  const auto error = compile_apart(patterns, database);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->pattern, std::nullopt) << error->message;
  EXPECT_THAT(error->message, HasSubstr("together"));
}

TEST_F(Patterns, NeedAProgramThatCompiles) {
  set_compiler_program({"/nonexistent/compiler", {}});
  Databases database;
  const auto error = compile_apart(std::vector<Pattern>{{"fine"}}, database);
  ASSERT_TRUE(error);
  EXPECT_THAT(error->message, HasSubstr("/nonexistent/compiler cannot be started"));
  // One that is something else.
  set_compiler_program({"/bin/true", {}});
  EXPECT_TRUE(compile_apart(std::vector<Pattern>{{"fine"}}, database));
  set_compiler_program({"/bin/echo", {"nonsense"}});
  EXPECT_TRUE(compile_apart(std::vector<Pattern>{{"fine"}}, database));
  EXPECT_TRUE(database.empty());
}

class PatternCache : public Patterns {
 protected:
  void SetUp() override {
    Patterns::SetUp();
    folder_ = (fs::temp_directory_path() / ("weir-patterns-" + std::to_string(::getpid()))).string();
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::optional<PatternError> compile(const std::vector<Pattern>& patterns, Databases& databases, bool is_written = true) {
    return compile_or_recall(patterns, {folder_, is_written}, databases, trouble_);
  }
  size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {})); }
  std::string folder_, trouble_;
};

TEST_F(PatternCache, RemembersWhatWasCompiled) {
  const std::vector<Pattern> patterns{{"one"}, {"two"}};
  Databases first, again;
  ASSERT_FALSE(compile(patterns, first));
  EXPECT_EQ(files(), 1u);
  set_compiler_program({"/nonexistent/compiler", {}});
  ASSERT_FALSE(compile(patterns, again));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(first[0].database, again[0].database);
  EXPECT_EQ(first[0].width_max, 3u);
  EXPECT_EQ(again[0].width_max, 3u);
  // Other flags are another database.
  Databases other;
  EXPECT_TRUE(compile(std::vector<Pattern>{{"one", 0}, {"two"}}, other));
}

TEST_F(PatternCache, MakesAnewWhatIsDamaged) {
  const std::vector<Pattern> patterns{{"^one"}, {.expression = "^two", .group = 1}};
  Databases database;
  ASSERT_FALSE(compile(patterns, database));
  const fs::path file = fs::directory_iterator(folder_)->path();
  std::ifstream from(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(from), {}};
  std::vector<std::string> damaged;
  std::vector<uint8_t> first, both;
  append_database(first, database[0]);
  append_database(both, database[0]);
  append_database(both, database[1]);
  const size_t head = whole.size() - both.size();
  // The format, the digest, the width of the first one, the engine's octets, the second one's width.
  for (const size_t place : {size_t{0}, size_t{20}, head, head + 20, head + first.size(), whole.size() - 1}) {
    for (const int mask : {0x40, 0x01}) {
      damaged.push_back(whole);
      damaged.back()[place] = static_cast<char>(damaged.back()[place] ^ mask);
    }
  }
  for (const size_t size : {size_t{0}, size_t{10}, head, head + 3, head + first.size(), whole.size() - 1}) damaged.push_back(whole.substr(0, size));
  damaged.push_back(std::string(first.begin(), first.end()));  // as files once were: between two databases
  damaged.push_back(std::string(both.begin(), both.end()));
  for (const std::string& octets : damaged) {
    std::ofstream(file, std::ios::binary) << octets;
    Databases again;
    ASSERT_FALSE(compile(patterns, again));
    ASSERT_EQ(again.size(), 2u);
    EXPECT_EQ(again[0].width_max, 3u);
    EXPECT_THAT(hits_of(again[0].database, "one"), ElementsAre(0));
    EXPECT_THAT(hits_of(again[1].database, "two"), ElementsAre(0));
    std::ifstream made(file, std::ios::binary);
    EXPECT_EQ((std::string{std::istreambuf_iterator<char>(made), {}}), whole) << "the file is made anew";
  }
}

TEST_F(PatternCache, IsOnlyWrittenByWhoSaysSo) {
  Databases database;
  ASSERT_FALSE(compile({{"one"}}, database, false));
  EXPECT_FALSE(fs::exists(folder_));
  ASSERT_FALSE(compile({{"one"}}, database));
  set_compiler_program({"/nonexistent/compiler", {}});
  EXPECT_FALSE(compile({{"one"}}, database, false)) << "it is recalled";
}

// In a container each start has the same number.
TEST_F(PatternCache, IsNotKeptFromWritingByADraftOfOneThatDied) {
  Databases database;
  ASSERT_FALSE(compile({{"one"}}, database));
  const std::string file = fs::directory_iterator(folder_)->path();
  fs::rename(file, file + "." + std::to_string(::getpid()));
  ASSERT_FALSE(compile({{"one"}}, database));
  EXPECT_EQ(trouble_, "");
  EXPECT_TRUE(fs::exists(file));
  EXPECT_EQ(files(), 1u);
}

TEST_F(PatternCache, IsBounded) {
  fs::create_directories(folder_);
  for (int i = 0; i < 100; ++i) std::ofstream(folder_ + "/" + std::to_string(i) + ".patterns") << "old";
  Databases database;
  ASSERT_FALSE(compile(std::vector<Pattern>{{"one"}}, database));
  EXPECT_LE(files(), 64u);
  EXPECT_THAT(hits_of(database.at(0).database, "one"), ElementsAre(0));
}

TEST_F(PatternCache, DoesWithoutAFolder) {
  std::ofstream(folder_) << "a file";
  Databases database;
  ASSERT_FALSE(compile(std::vector<Pattern>{{"one"}}, database));
  EXPECT_THAT(trouble_, HasSubstr("Not a directory"));
  EXPECT_THAT(hits_of(database.at(0).database, "one"), ElementsAre(0));
}

}  // namespace
}  // namespace weir::classify

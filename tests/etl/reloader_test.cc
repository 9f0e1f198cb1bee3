// Files that somebody writes anew while a program runs: when they are taken, and when what was read before goes on.
#include "feed/reloader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

namespace weir::feed {
namespace {

using service::ReloadState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr uint64_t kLookEveryNs = 10 * kNsPerMs;

struct Loaded {
  std::string path;
  std::vector<std::string> warnings;
};

/// What is read is a file's text; "wrong …" is refused.
class ReloaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("weir_reloader_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "file";
    write("first");
    StampedFiles read;
    look_at(path_, &read);
    reloader_.begin_with(read);
  }
  void TearDown() override {
    reloader_.has_ended_within(10 * kNsPerSec);
    std::filesystem::remove_all(folder_);
  }

  void write(const std::string& text) { std::ofstream(path_) << text; }
  /// As editors and packages do it.
  void replace(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    std::filesystem::rename(path_ + ".new", path_);
  }
  /// Turns of the control thread, until `until` holds; false where it does not in two seconds.
  template <class Until>
  bool turn(Until until, uint64_t look_every_ns = kLookEveryNs) {
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (!until()) {
      if (std::chrono::steady_clock::now() > end) return false;
      reloader_.step(look_every_ns);
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  void turn_for(std::chrono::milliseconds time, uint64_t look_every_ns = kLookEveryNs) {
    const auto end = std::chrono::steady_clock::now() + time;
    turn([end] { return std::chrono::steady_clock::now() > end; }, look_every_ns);
  }
  Result<std::string> read(StampedFiles& files) {
    look_at(path_, &files);
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    ++reads_;
    if (while_reading_) while_reading_();
    if (passing_error_) return Error{"no memory"};
    if (!std::filesystem::exists(path_)) return Error{"it is gone"};
    if (text.str().starts_with("wrong")) return Error{text.str().substr(0, text.str().find('\n'))};
    return text.str();
  }

  std::filesystem::path folder_;
  std::string path_;
  std::vector<std::string> taken_;
  std::atomic<int> reads_{0};
  std::atomic<bool> passing_error_{false};
  std::function<void()> while_reading_;
  std::atomic<bool> is_settled_{true};
  Reloader<Loaded, std::string> reloader_{
      {.load = [this]() -> Result<Loaded> { return Loaded{path_, {}}; },
       .read_files = [this](const Loaded&, const std::atomic<bool>&, StampedFiles& files) { return read(files); },
       .take_up =
           [this](Loaded&, std::string& text, service::ReloadView& view) {
             if (!taken_.empty() && taken_.back() == text) return;
             taken_.push_back(text);
             view.applied.push_back(text);
           },
       .running = [this] { return Loaded{path_, {}}; },
       .is_settled = [this] { return is_settled_.load(); },
       .slow_ns = kNsPerSec,
       .again_ns = 200 * kNsPerMs}};
};

// What was refused because nobody may read it changes in nothing else when somebody may.
TEST_F(ReloaderTest, ReadsAgainWhatOthersMayReadNow) {
  write("wrong: nobody may");
  ASSERT_TRUE(turn([&] { return reads_ == 1; }));
  turn_for(60ms);
  EXPECT_EQ(reads_, 1);
  std::filesystem::permissions(path_, std::filesystem::perms::owner_read);
  EXPECT_TRUE(turn([&] { return reads_ == 2; }));
}

TEST_F(ReloaderTest, TakesAFileThatWasWrittenAnewWithoutBeingAsked) {
  turn_for(60ms);
  EXPECT_EQ(reads_, 0) << "it is as it was";
  write("second");
  ASSERT_TRUE(turn([&] { return reloader_.files()->taken == 1; }));
  replace("third");
  ASSERT_TRUE(turn([&] { return reloader_.files()->taken == 2; }));
  EXPECT_THAT(taken_, ElementsAre("second", "third"));
  turn_for(60ms);
  EXPECT_EQ(reads_, 2);
  EXPECT_EQ(reloader_.view()->number, 0u) << "nobody asked";
  EXPECT_TRUE(reloader_.files()->are_watched);
  EXPECT_GT(reloader_.files()->taken_ns, 0u);
}

TEST_F(ReloaderTest, ReadsAFileOnlyOnceItWasTheSameInTwoLooks) {
  constexpr uint64_t kSlowly = 60 * kNsPerMs;
  turn_for(70ms, kSlowly);
  std::ofstream file(path_, std::ios::trunc);
  for (int i = 0; i < 12; ++i) {
    file << "line " << i << "\n" << std::flush;
    turn_for(20ms, kSlowly);
    EXPECT_EQ(reads_, 0) << "it is being written";
  }
  file.close();
  ASSERT_TRUE(turn([&] { return reads_ == 1; }, kSlowly));
  ASSERT_TRUE(turn([&] { return taken_.size() == 1; }, kSlowly));
  EXPECT_THAT(taken_[0], HasSubstr("line 11\n"));
}

TEST_F(ReloaderTest, TakesNothingOfAFileThatIsWrittenWhileItIsRead) {
  while_reading_ = [&] {
    if (reads_ == 1) replace("third");
  };
  write("second");
  ASSERT_TRUE(turn([&] { return !taken_.empty(); }));
  EXPECT_THAT(taken_, ElementsAre("third"));
  EXPECT_EQ(reads_, 2);
}

TEST_F(ReloaderTest, KeepsWhatWentAndSaysOnceWhatIsWrong) {
  ::testing::internal::CaptureStderr();
  write("wrong: one");
  ASSERT_TRUE(turn([&] { return !reloader_.files()->error.empty(); }));
  EXPECT_EQ(reloader_.files()->error, "wrong: one");
  turn_for(60ms);
  EXPECT_EQ(reads_, 1) << "it is wrong as it was";
  replace("wrong: one\nand more");
  ASSERT_TRUE(turn([&] { return reads_ == 2; }));
  turn_for(30ms);
  write("wrong: two");
  ASSERT_TRUE(turn([&] { return reloader_.files()->error == "wrong: two"; }));
  EXPECT_THAT(taken_, IsEmpty());
  write("right");
  ASSERT_TRUE(turn([&] { return reloader_.files()->error.empty(); }));
  EXPECT_THAT(taken_, ElementsAre("right"));
  const std::string log = ::testing::internal::GetCapturedStderr();
  const size_t first = log.find("refused, what was read before goes on: wrong: one");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("wrong: one", first + 60), std::string::npos) << log;
  EXPECT_THAT(log, HasSubstr("wrong: two"));
  EXPECT_THAT(log, HasSubstr("go again"));
}

TEST_F(ReloaderTest, NoticesAFileThatGoesAndComes) {
  std::filesystem::remove(path_);
  ASSERT_TRUE(turn([&] { return reloader_.files()->error == "it is gone"; }));
  write("again");
  ASSERT_TRUE(turn([&] { return taken_.size() == 1; }));
  EXPECT_EQ(reloader_.files()->error, "");
}

TEST_F(ReloaderTest, SaysNothingOfAFileThatWasTouched) {
  write("second");
  ASSERT_TRUE(turn([&] { return reloader_.files()->taken == 1; }));
  replace("second");
  ASSERT_TRUE(turn([&] { return reads_ == 2; }));
  turn_for(30ms);
  EXPECT_EQ(reloader_.files()->taken, 1u);
}

TEST_F(ReloaderTest, SaysThatAFileNeverRests) {
  int i = 0;
  const auto write_again = [&] { replace("text " + std::to_string(i++)); };
  ::testing::internal::CaptureStderr();
  ASSERT_TRUE(turn([&] {
    write_again();
    return !reloader_.files()->error.empty();
  }));
  EXPECT_EQ(reloader_.files()->error, path_ + ": each time that it is looked at somebody has written it again");
  EXPECT_GE(i, 10);
  int more = 0;
  turn([&] {
    write_again();
    return ++more == 60;
  });
  replace("last");
  ASSERT_TRUE(turn([&] { return !taken_.empty() && taken_.back() == "last"; }));
  EXPECT_EQ(reloader_.files()->error, "");
  const std::string log = ::testing::internal::GetCapturedStderr();
  const size_t first = log.find("files are not taken while they are written");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("files are not taken while they are written", first + 10), std::string::npos) << log;
}

TEST_F(ReloaderTest, SaysThatAFileIsAlwaysWrittenWhileItIsRead) {
  while_reading_ = [&] { replace("text " + std::to_string(reads_)); };
  write("second");
  ASSERT_TRUE(turn([&] { return !reloader_.files()->error.empty(); }));
  EXPECT_THAT(reloader_.files()->error, HasSubstr("somebody has written it again"));
  EXPECT_GE(reads_, 5) << "each of them after two looks";
  EXPECT_THAT(taken_, IsEmpty());
  const int reads = reads_;
  while_reading_ = nullptr;
  ASSERT_TRUE(turn([&] { return !taken_.empty(); }));
  EXPECT_GT(reads_, reads);
  EXPECT_EQ(reloader_.files()->error, "");
}

TEST_F(ReloaderTest, ReadsWhatIsWrittenAllTheTimeHalfOfTheTimeAtMost) {
  constexpr auto kReading = 60ms;
  while_reading_ = [&] {
    std::this_thread::sleep_for(kReading);
    replace("text " + std::to_string(reads_));
  };
  write("second");
  ASSERT_TRUE(turn([&] { return reads_ >= 1; }));
  turn_for(10 * kReading);
  EXPECT_LE(reads_, 6);
}

// The disk was full of holes, or memory was short: nobody writes the file for that.
TEST_F(ReloaderTest, ReadsAgainAfterAWhileWhatWasRefused) {
  passing_error_ = true;
  write("second");
  ASSERT_TRUE(turn([&] { return reloader_.files()->error == "no memory"; }));
  ASSERT_TRUE(turn([&] { return reads_ >= 3; }));
  EXPECT_EQ(reloader_.files()->error, "no memory");
  passing_error_ = false;
  ASSERT_TRUE(turn([&] { return !taken_.empty(); }));
  EXPECT_THAT(taken_, ElementsAre("second"));
  EXPECT_EQ(reloader_.files()->error, "");
}

TEST_F(ReloaderTest, SaysThatItNeverRestsAlsoWhenAReloadHasTakenIt) {
  int i = 0;
  const auto write_again = [&] { replace("text " + std::to_string(i++)); };
  ASSERT_TRUE(turn([&] {
    write_again();
    return !reloader_.files()->error.empty();
  }));
  ASSERT_TRUE(reloader_.ask());
  ASSERT_TRUE(turn([&] { return reloader_.view()->state == ReloadState::applied; }));
  EXPECT_THAT(reloader_.files()->error, HasSubstr("somebody has written it again"));
  ASSERT_TRUE(turn([&] { return reloader_.files()->error.empty(); })) << "it rests";
}

TEST_F(ReloaderTest, AReloadIsUnderWayWhileALookHangs) {
  std::atomic<bool> answers{false};
  while_reading_ = [&] {
    while (!answers) std::this_thread::sleep_for(1ms);
  };
  write("second");
  ASSERT_TRUE(turn([&] { return reads_ == 1; }));
  ASSERT_TRUE(reloader_.ask());
  turn_for(20ms);
  EXPECT_EQ(reloader_.view()->number, 1u);
  EXPECT_EQ(reloader_.view()->state, ReloadState::running);
  answers = true;
  ASSERT_TRUE(turn([&] { return reloader_.view()->state != ReloadState::running; }));
  EXPECT_EQ(reloader_.view()->number, 1u);
}

TEST_F(ReloaderTest, AReloadTakesNothingThatIsWrittenWhileItIsRead) {
  while_reading_ = [&] {
    if (reads_ == 1) replace("third");
  };
  write("second");
  ASSERT_TRUE(reloader_.ask());
  ASSERT_TRUE(turn([&] { return reloader_.view()->state == ReloadState::applied; }, 0));
  EXPECT_THAT(taken_, ElementsAre("third"));
  EXPECT_EQ(reads_, 2);

  while_reading_ = [&] { replace("text " + std::to_string(reads_)); };
  ASSERT_TRUE(reloader_.ask());
  ASSERT_TRUE(turn([&] { return reloader_.view()->state == ReloadState::refused; }, 0));
  EXPECT_EQ(reloader_.view()->error, path_ + ": somebody writes it while it is read");
  EXPECT_THAT(taken_, ElementsAre("third"));
  EXPECT_EQ(reads_, 5);
}

TEST_F(ReloaderTest, ASecondSignalIsTakenUpAfterTheFirst) {
  std::atomic<bool> goes_on{false};
  while_reading_ = [&] {
    while (!goes_on) std::this_thread::sleep_for(1ms);
  };
  write("second");
  reloader_.ask_next();
  ASSERT_TRUE(turn([&] { return reads_ == 1; }, 0));
  reloader_.ask_next();
  turn_for(20ms, 0);
  write("third");
  goes_on = true;
  ASSERT_TRUE(turn([&] { return reloader_.view()->number == 2 && reloader_.view()->state != ReloadState::running; }, 0));
  EXPECT_EQ(taken_.back(), "third");
  turn_for(30ms, 0);
  EXPECT_EQ(reloader_.view()->number, 2u);
}

TEST_F(ReloaderTest, SaysThatADiskDoesNotAnswerAndDoesNotEndWithIt) {
  std::atomic<bool> answers{false};
  while_reading_ = [&] {
    while (!answers) std::this_thread::sleep_for(1ms);
  };
  write("second");
  ASSERT_TRUE(turn([&] { return !reloader_.files()->error.empty(); }));
  EXPECT_THAT(reloader_.files()->error, HasSubstr("looked at or read for over"));
  reloader_.give_up();
  EXPECT_FALSE(reloader_.has_ended_within(20 * kNsPerMs));
  answers = true;
  EXPECT_TRUE(reloader_.has_ended_within(2 * kNsPerSec));
  ASSERT_TRUE(turn([&] { return taken_.size() == 1; }));
  EXPECT_EQ(reloader_.files()->error, "");
}

// Whoever edits a file puts others beside it, and takes them away again.
TEST_F(ReloaderTest, OfAFolderOnlyTheNamesOfItsFilesCount) {
  StampedFiles before;
  look_at_folder(folder_, ".yaml", &before);
  write("again");
  std::ofstream(folder_ / ".a.yaml.swp") << "an editor's";
  std::ofstream(folder_ / ".#a.yaml") << "another's";
  EXPECT_EQ(look_again(before), before);
  std::ofstream(folder_ / "a.yaml") << "a";
  const StampedFiles one = look_again(before);
  EXPECT_EQ(first_other(before, one), folder_.string());
  std::filesystem::rename(folder_ / "a.yaml", folder_ / "b.yaml");
  EXPECT_NE(look_again(before), one);
  std::filesystem::remove(folder_ / "b.yaml");
  EXPECT_EQ(look_again(before), before);
  std::filesystem::remove_all(folder_);
  EXPECT_NE(look_again(before), before);
}

TEST_F(ReloaderTest, LooksAtNothingWhereThatIsSwitchedOff) {
  write("second");
  turn_for(80ms, 0);
  EXPECT_EQ(reads_, 0);
  EXPECT_FALSE(reloader_.files()->are_watched);
  ASSERT_TRUE(reloader_.ask());
  ASSERT_TRUE(turn([&] { return reloader_.view()->state == ReloadState::applied; }, 0));
  EXPECT_THAT(taken_, ElementsAre("second"));
}

TEST_F(ReloaderTest, ReloadsWhatItIsAskedForAlsoWhileItReadsFilesByItself) {
  std::atomic<bool> goes_on{false};
  while_reading_ = [&] {
    while (!goes_on) std::this_thread::sleep_for(1ms);
  };
  write("second");
  ASSERT_TRUE(turn([&] { return reads_ == 1; }));
  EXPECT_EQ(reloader_.ask(), std::optional<uint64_t>(1));
  EXPECT_EQ(reloader_.ask(), std::nullopt) << "one at a time";
  goes_on = true;
  ASSERT_TRUE(turn([&] { return reloader_.view()->number == 1 && reloader_.view()->state == ReloadState::unchanged; }));
  EXPECT_THAT(taken_, ElementsAre("second"));
}

TEST_F(ReloaderTest, ReadsNothingTwiceThatAReloadHasTaken) {
  write("second");
  ASSERT_TRUE(reloader_.ask());
  ASSERT_TRUE(turn([&] { return reloader_.view()->state == ReloadState::applied; }));
  turn_for(60ms);
  EXPECT_EQ(reads_, 1);
}

TEST_F(ReloaderTest, IsOverWhenFlowsGoByWhatItTook) {
  is_settled_ = false;
  write("second");
  ASSERT_TRUE(reloader_.ask());
  ASSERT_TRUE(turn([&] { return taken_.size() == 1; }));
  turn_for(50ms);
  EXPECT_EQ(reloader_.view()->state, ReloadState::running);
  is_settled_ = true;
  ASSERT_TRUE(turn([&] { return reloader_.view()->state == ReloadState::applied; }));
}

}  // namespace
}  // namespace weir::feed

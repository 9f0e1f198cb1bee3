#include "control/state/state_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/process.h"

namespace weir::control {
namespace {

using testing::HasSubstr;

TEST(StateLock, IsOnesAtATime) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "a/b";
  EXPECT_FALSE(StateLock::is_taken(path)) << "nothing is there";
  auto first = StateLock::take(path);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_TRUE(StateLock::is_taken(path));
  const auto second = StateLock::take(path);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("state_dir: " + path + ": another weir keeps its state there"));
  { const StateLock gone = std::move(*first); }
  EXPECT_FALSE(StateLock::is_taken(path));
  EXPECT_TRUE(StateLock::take(path));
}

TEST(StateLock, IsNoneWhereNothingIsKeptOrCanBe) {
  const test::TemporaryFolder folder;
  const auto nothing = StateLock::take(""), again = StateLock::take("");
  EXPECT_TRUE(nothing && again);
  std::ofstream(folder / "file") << "x";
  EXPECT_TRUE(StateLock::take(folder / "file")) << "who writes there says that it is no folder";
  EXPECT_FALSE(StateLock::is_taken(folder / "file"));
}

}  // namespace
}  // namespace weir::control

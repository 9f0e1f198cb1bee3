// `weir check` as users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "support/program.h"

namespace weir {
namespace {

TEST(WeirCheck, PrintsTheKeysThatTheDocumentLists) {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  ASSERT_NE(root, nullptr) << "set by meson test";
  const std::string document = test::contents_of(std::string(root) + "/docs/CONFIG.md");
  const auto keys = test::run_program({test::built("weir"), "check", "--keys"});
  EXPECT_EQ(keys.status, 0) << keys.err;
  ASSERT_GT(std::count(keys.out.begin(), keys.out.end(), '\n'), 50);
  EXPECT_NE(document.find(keys.out), std::string::npos)
      << "put what `weir check --keys` prints in the place of the table in docs/CONFIG.md";
}

TEST(Programs, FailWhenThereIsNoRoomForWhatTheyPrint) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  for (const char* command : {"version", "check --keys", "--help", "check --help"}) {
    const auto full = test::run_program({"sh", "-c", "\"$0\" $1 > /dev/full", test::built("weir"), command});
    EXPECT_EQ(full.status, 1) << command;
    EXPECT_EQ(full.err, "standard output cannot be written\n") << command;
    const auto enough =
        test::run_program({"sh", "-c", "{ \"$0\" $1; echo $? >&2; } | true", test::built("weir"), command});
    EXPECT_EQ(enough.err, "0\n") << command;
  }
}

}  // namespace
}  // namespace weir

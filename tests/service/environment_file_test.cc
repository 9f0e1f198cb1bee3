#include "service/environment_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/process.h"

namespace weir::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What systemd 252 (src/basic/env-file.c) makes of the same lines.
TEST(EnvironmentFile, IsReadAsSystemdReadsIt) {
  const struct {
    const char* text;
    const char* value;  // of A
  } cases[] = {
      {"A=b", "b"},
      {"A=b\n", "b"},
      {"A=b\r\n", "b"},
      {"  A =  b c  \n", "b c"},
      {"A=", ""},
      {"A=1\nA=2", "2"},
      {"A=nats://a:b&c@h:4222", "nats://a:b&c@h:4222"},
      {"A=[192.0.2.0/24, 10.0.0.0/8]", "[192.0.2.0/24, 10.0.0.0/8]"},
      {"A=$HOME `id` $(id)", "$HOME `id` $(id)"},
      {"A=b # no comment", "b # no comment"},
      {"A='b  \"c\" \\d'", "b  \"c\" \\d"},
      {"A=\"b  'c' \\\"d\\\" \\$e \\n\"", "b  'c' \"d\" $e \\n"},
      {"A=\"b\nc\"", "b\nc"},
      {"A=\"b\\\nc\"", "bc"},
      {"A=b\\\nc", "bc"},
      {"A=b\\ ", "b "},
      {"A=\\'b", "'b"},
      {"A=b'c'", "b'c'"},
      {"A='b' \"c\" d", "bcd"},
      {"A=\"b", "b"},
      {"A=b\\", "b"},
  };
  for (const auto& c : cases) {
    const auto found = parse_environment_file(c.text);
    ASSERT_FALSE(found.empty()) << c.text;
    EXPECT_EQ(found.back(), std::string("A=") + c.value) << c.text;
  }
}

TEST(EnvironmentFile, LeavesOutWhatIsNoAssignment) {
  EXPECT_THAT(parse_environment_file("# A=1\n; B=2 \\\nC=3\nexport D=4\n5E=5\nF\n\n=6\n_G1=7\n"), ElementsAre("_G1=7"))
      << "a comment goes on where a \\ ends its line";
  EXPECT_THAT(parse_environment_file(""), ElementsAre());
}

TEST(EnvironmentFile, MayBeAbsentButNotUnreadable) {
  const test::TemporaryFolder folder;
  const auto absent = read_environment_file(folder / "absent");
  ASSERT_TRUE(absent);
  EXPECT_TRUE(absent->empty());
  std::ofstream(folder / "there") << "A=b\n";
  EXPECT_THAT(*read_environment_file(folder / "there"), ElementsAre("A=b"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const char* name : {"pipe", "."}) {
    const auto wrong = read_environment_file(folder / name);
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, HasSubstr("not a regular file"));
  }
  std::ofstream(folder / "large") << std::string(kEnvironmentFileOctetsMax + 1, 'x');
  EXPECT_FALSE(read_environment_file(folder / "large"));
}

}  // namespace
}  // namespace weir::service

#include "control/state/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "decode/state_image.h"
#include "support/process.h"

namespace weir::control {
namespace {

using test::TemporaryFolder;

std::vector<uint8_t> some_records() {
  std::mt19937 random(1);
  std::vector<uint8_t> records(500);
  for (uint8_t& o : records) o = static_cast<uint8_t>(random());
  return records;
}
std::vector<uint8_t> whole_file(const std::vector<uint8_t>& records) {
  std::vector<uint8_t> file = state_file_header(records, 77);
  file.insert(file.end(), records.begin(), records.end());
  return file;
}
void write(const std::string& path, const std::vector<uint8_t>& octets) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(octets.data()),
             static_cast<std::streamsize>(octets.size()));
}

TEST(StateFile, IsReadAsItWasWritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const auto records = some_records();
  ASSERT_TRUE(write_state_file(path, records, 77));
  const auto read = read_state_file(path);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->records, records);
  EXPECT_EQ((*read)->written_ns, 77u);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  // Over the old one; empty, too.
  ASSERT_TRUE(write_state_file(path, {}, 78));
  EXPECT_TRUE((*read_state_file(path))->records.empty());
  EXPECT_EQ((*read_state_file(path))->written_ns, 78u);
}

TEST(StateFile, ThatIsNotThereIsNoFailure) {
  const TemporaryFolder folder;
  for (const char* path : {"state", "no/such/folder/state"}) {
    const auto read = read_state_file(folder / path);
    ASSERT_TRUE(read.has_value());
    EXPECT_FALSE(read->has_value());
  }
}

TEST(StateFile, IsRefusedAtEveryTruncation) {
  const auto whole = whole_file(some_records());
  ASSERT_TRUE(parse_state_file(whole));
  for (size_t n = 0; n < whole.size(); ++n) {
    ASSERT_FALSE(parse_state_file(std::span(whole).first(n))) << n;
  }
  auto longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(parse_state_file(longer));
}

TEST(StateFile, IsRefusedWithAnyOctetChanged) {
  const auto whole = whole_file(some_records());
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff, 0x40}) {
      auto changed = whole;
      changed[at] ^= static_cast<uint8_t>(change);
      ASSERT_FALSE(parse_state_file(changed)) << at;
    }
  }
}

TEST(StateFile, SaysWhatIsWrong) {
  const auto why = [](const std::vector<uint8_t>& octets) {
    const auto parsed = parse_state_file(octets);
    return parsed ? std::string() : parsed.error().message;
  };
  const auto whole = whole_file(some_records());
  auto other = whole;
  other[11] = 9;
  EXPECT_NE(why(other).find("version 9"), std::string::npos) << why(other);
  other = whole;
  other[0] = 'X';
  EXPECT_NE(why(other).find("not a file of Weir's"), std::string::npos) << why(other);
  other = whole;
  other[100] ^= 1;
  EXPECT_NE(why(other).find("damaged"), std::string::npos) << why(other);
  other = whole;
  other.pop_back();
  EXPECT_NE(why(other).find("were written"), std::string::npos) << why(other);
}

TEST(StateFile, ThatIsTooLargeOrNoFileIsRefusedUnread) {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path, {});
  std::filesystem::resize_file(path, decode::kStateOctetsMax + kStateFileHeaderOctets + 1);
  const auto large = read_state_file(path);
  ASSERT_FALSE(large.has_value());
  EXPECT_NE(large.error().message.find("limit"), std::string::npos);
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(read_state_file(pipe).has_value()) << "and does not wait for a writer";
  EXPECT_FALSE(read_state_file(folder / "").has_value());
}

TEST(StateFile, ThatIsSetAsideKeepsItsContent) {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path, {1, 2, 3});
  const auto aside = set_state_file_aside(path);
  ASSERT_TRUE(aside.has_value());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(std::filesystem::file_size(*aside), 3u);
  EXPECT_FALSE(set_state_file_aside(path).has_value());
}

TEST(StateFile, ThatCannotBeWrittenLeavesTheOldOne) {
  const TemporaryFolder folder;
  EXPECT_FALSE(write_state_file(folder / "no/such/folder/state", {}, 1).has_value());
  const std::string path = folder / "state";
  ASSERT_TRUE(write_state_file(path, some_records(), 1));
  std::filesystem::create_directory(path + ".new");  // where it would be written
  const auto written = write_state_file(path, {}, 2);
  ASSERT_FALSE(written.has_value());
  EXPECT_NE(written.error().message.find(path), std::string::npos);
  EXPECT_EQ((*read_state_file(path))->written_ns, 1u);
}

}  // namespace
}  // namespace weir::control

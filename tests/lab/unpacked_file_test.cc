#include "lab/unpacked_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <fstream>

#include "lab/traffic.h"
#include "support/program.h"

namespace weir::lab {
namespace {

std::string gzip(const std::string& text) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class UnpackedFile : public testing::Test {
 protected:
  struct Read {
    std::string text;
    bool failed = false;
  };
  Read read(const std::string& octets) {
    std::ofstream(folder_ / "f", std::ios::binary) << octets;
    const auto file = open_unpacked(folder_ / "f");
    EXPECT_TRUE(file) << file.error().message;
    Read got;
    char some[1000];
    for (size_t n; (n = std::fread(some, 1, sizeof some, *file)) > 0;) got.text.append(some, n);
    got.failed = std::ferror(*file) != 0;
    std::fclose(*file);
    return got;
  }
  /// Of which a third can be packed away.
  static std::string text() {
    Random random(5);
    std::string all;
    for (int i = 0; i < 300'000; ++i) all += static_cast<char>(random.below(40));
    return all;
  }

  test::TemporaryFolder folder_;
};

TEST_F(UnpackedFile, GivesWhatWasPacked) {
  const std::string all = text();
  for (const std::string& octets : {all, gzip(all), zstd(all)}) {
    const Read got = read(octets);
    EXPECT_TRUE(got.text == all) << got.text.size();
    EXPECT_FALSE(got.failed);
  }
}

TEST_F(UnpackedFile, GoesOnOverMembersAndFrames) {
  const std::string all = text();
  EXPECT_TRUE(read(gzip(all) + gzip("") + gzip("end")).text == all + "end");
  EXPECT_TRUE(read(zstd(all) + zstd("") + zstd("end")).text == all + "end");
}

TEST_F(UnpackedFile, TakesShortFilesAsTheyAre) {
  for (const std::string& octets : {std::string(), std::string("a"), std::string("\x1f"), std::string("(\xb5/")}) {
    const Read got = read(octets);
    EXPECT_EQ(got.text, octets);
    EXPECT_FALSE(got.failed);
  }
}

TEST_F(UnpackedFile, FailsBehindWhatIsWholeOfADamagedOne) {
  const std::string all = text();
  for (std::string octets : {gzip(all), zstd(all)}) {
    const Read cut = read(octets.substr(0, octets.size() / 2));
    EXPECT_TRUE(cut.failed);
    EXPECT_GT(cut.text.size(), all.size() / 4);
    EXPECT_TRUE(all.starts_with(cut.text));
    octets[octets.size() / 2] = static_cast<char>(octets[octets.size() / 2] ^ 0x55);
    octets.resize(octets.size() - 3);
    EXPECT_TRUE(read(octets).failed);
  }
  EXPECT_TRUE(read(gzip("a") + "garbage").failed);
}

TEST_F(UnpackedFile, NamesWhatIsNotThere) {
  const auto file = open_unpacked(folder_ / "none");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, testing::HasSubstr("none: No such file"));
}

}  // namespace
}  // namespace weir::lab

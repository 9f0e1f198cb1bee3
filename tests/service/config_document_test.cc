#include "service/config_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace weir::service {
namespace {

using testing::HasSubstr;
using Kind = ConfigNode::Kind;

std::string error_of(std::string_view text) {
  const auto document = parse_config_document(text, "f.yaml");
  return document ? "no error" : document.error().message;
}

TEST(ConfigDocument, KnowsWhereEachValueStands) {
  const auto document = parse_config_document("a: 1\nb:\n  - x\n  - {c: \"y\"}\nn:\n", "f.yaml");
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->kind, Kind::map);
  ASSERT_EQ(document->keys.size(), 3u);
  EXPECT_EQ(document->values[0].text, "1");
  EXPECT_EQ(document->values[0].origin.to_string(), "f.yaml:1:4");
  const ConfigNode& list = document->values[1];
  ASSERT_EQ(list.kind, Kind::list);
  EXPECT_EQ(list.values[1].keys[0].text, "c");
  EXPECT_EQ(list.values[1].values[0].origin.to_string(), "f.yaml:4:9");
  EXPECT_EQ(document->values[2].kind, Kind::null);
}

TEST(ConfigDocument, ReadsJson) {
  const auto document = parse_config_document(
      "{\n  \"a\": [1, true, null],\n  \"b\": { \"c\": \"d\\u00e9\" }\n}\n", "f");
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->values.size(), 2u);
  EXPECT_EQ(document->values[0].values[1].text, "true");
  EXPECT_EQ(document->values[0].values[2].kind, Kind::null);
  EXPECT_EQ(document->values[1].values[0].text, "dé");
}

TEST(ConfigDocument, ReadsQuotedText) {
  const auto document = parse_config_document("\xc3\xbc: ['it''s', \"a \\\" b\", \"\"]", "f");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->values[0].values[0].text, "it's");
  EXPECT_EQ(document->values[0].values[1].text, "a \" b");
  EXPECT_EQ(document->values[0].values[2].text, "");
}

TEST(ConfigDocument, TakesNothingForAnEmptyMap) {
  for (const char* text : {"", "# only a comment\n", "---\n", "~"}) {
    const auto document = parse_config_document(text, "f");
    ASSERT_TRUE(document) << text;
    EXPECT_EQ(document->kind, Kind::map) << text;
    EXPECT_TRUE(document->keys.empty()) << text;
  }
}

TEST(ConfigDocument, RefusesWhatCouldSurprise) {
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {"a: &x 1\nb: 2\n", "f.yaml:1:4: anchors"},
      {"a: &x [*x]\n", "anchors"},
      {"a: *x\n", "f.yaml:1:"},
      {"a: !!int 1\n", "f.yaml:1:4: tags"},
      {"a: !include b\n", "tags"},
      {"a: 1\n---\nb: 2\n", "a second document"},
      {"a: [1\n", "f.yaml:2:1"},
      {"a: b: c\n", "f.yaml:1:5"},
      {"a: \"no end\nb: 2\n", "f.yaml:1:4: the quote that begins here is never closed"},
      {"\xc3\xbc: \"ok\"\r\n\xc3\xa9: 'it''s\nb: 2\n", "f.yaml:2:5: the quote"},
      {"a: \"\\\"\n", "f.yaml:1:4: the quote"},
      {"\xef\xbb\xbf"
       "a: \"b\n",
       "never closed"},
      {std::string("a: 1\n\x04"
                   "b: 2\n"),
       "f.yaml:2:1: control character 0x04"},
      {std::string("a: 1\0", 5), "f.yaml:1:5: control character 0x00"},
      {std::string("\xff\xfe"
                   "a\0:\0",
                   6),
       "control character 0x00"},
      {std::string(40, '[') + std::string(40, ']'), "nested deeper than 32 levels"},
      {std::string(100'000, '['), "f.yaml:1:"},
      {std::string(100'000, '{'), "f.yaml:1:"},
      {std::string(kConfigOctetsMax + 1, '#'), "octets, limit 1048576"},
      {"a: [" + std::string(2 * kConfigNodesMax, ',') + "]", "f.yaml:1:"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(error_of(c.text), HasSubstr(c.error)) << c.text.substr(0, 60);
  }
}

TEST(ConfigDocument, RefusesMoreValuesThanItsBound) {
  std::string text = "a: [";
  for (size_t i = 0; i <= kConfigNodesMax; ++i) text += "1,";
  EXPECT_THAT(error_of(text + "]"), HasSubstr("more than 100000 values"));
}

/// A name for a file that is gone at the end.
class TemporaryFile {
 public:
  TemporaryFile() : path_("/tmp/weir-config-test-" + std::to_string(getpid())) {}
  ~TemporaryFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ConfigFile, IsReadWhole) {
  const TemporaryFile file;
  std::ofstream(file.path()) << "a: 1\n";
  const auto text = read_config_file(file.path());
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "a: 1\n");
}

TEST(ConfigFile, IsRefusedWhenItIsNoneOrTooLarge) {
  EXPECT_THAT(read_config_file("/nowhere/weir.yaml").error().message,
              HasSubstr("/nowhere/weir.yaml: No such file"));
  EXPECT_THAT(read_config_file("/tmp").error().message, HasSubstr("not a regular file"));
  EXPECT_THAT(read_config_file("/dev/zero").error().message, HasSubstr("not a regular file"));

  const TemporaryFile fifo;
  ASSERT_EQ(mkfifo(fifo.path().c_str(), 0600), 0);
  EXPECT_THAT(read_config_file(fifo.path()).error().message, HasSubstr("not a regular file"));
  unlink(fifo.path().c_str());

  const TemporaryFile huge;
  std::ofstream(huge.path()).close();
  ASSERT_EQ(truncate(huge.path().c_str(), 1l << 40), 0);
  EXPECT_THAT(read_config_file(huge.path()).error().message,
              HasSubstr("larger than 1048576 octets"));
}

}  // namespace
}  // namespace weir::service

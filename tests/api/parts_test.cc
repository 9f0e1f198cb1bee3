// What needs no server: the store's answer read octet by octet, formats, cursors, tokens, the configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "api/config.h"
#include "api/cursor.h"
#include "api/row_format.h"
#include "api/store_rows.h"
#include "api/tokens.h"

namespace weir::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kAnswer =
    R"( {"columns":[{"name":"a[","type":"VARCHAR"}], "rows":[ [1,"x,\"]"] , [null,[1,{"b":"]"}]],[ true , 2.5 ]],"truncated":false,"note":"\"rows\":["} )";

TEST(StoreRows, AreTheSameHoweverTheOctetsCome) {
  for (size_t step : {size_t{1}, size_t{2}, size_t{7}, kAnswer.size()}) {
    StoreRows rows;
    std::vector<std::string> seen;
    for (size_t at = 0; at < kAnswer.size(); at += step) {
      ASSERT_TRUE(rows.feed(kAnswer.substr(at, step), [&](const auto& cells) {
        for (const auto& cell : cells) seen.emplace_back(cell);
        return true;
      })) << rows.trouble();
    }
    EXPECT_TRUE(rows.is_whole());
    EXPECT_THAT(seen, ElementsAre("1", R"("x,\"]")", "null", R"([1,{"b":"]"}])", "true", "2.5"));
    EXPECT_EQ(nlohmann::json::parse(rows.members())["truncated"], false);
  }
}

TEST(StoreRows, WhatIsCutIsNotWhole) {
  for (size_t n = 0; n + 2 < kAnswer.size(); ++n) {
    StoreRows rows;
    EXPECT_TRUE(rows.feed(kAnswer.substr(0, n), [](const auto&) { return true; }));
    EXPECT_FALSE(rows.is_whole()) << n;
  }
}

TEST(StoreRows, WhatIsNoAnswerIsRefused) {
  for (const char* const text : {"[1]", "x", "{}}", "{\"rows\":[1]}"}) {
    StoreRows rows;
    EXPECT_FALSE(rows.feed(text, [](const auto&) { return true; })) << text;
    EXPECT_THAT(rows.trouble(), HasSubstr("not what it should be"));
  }
}

TEST(StoreRows, ARowThatIsTooLargeIsNotTheStoresFault) {
  StoreRows rows;
  const auto take = [](const auto&) { return true; };
  ASSERT_TRUE(rows.feed(R"({"columns":[],"rows":[["x"],[")", take));
  EXPECT_FALSE(rows.is_row_too_large());
  EXPECT_FALSE(rows.feed(std::string(kRowOctetsMax, 'x'), take));
  EXPECT_TRUE(rows.is_row_too_large());
  EXPECT_THAT(rows.trouble(), HasSubstr("a row of the answer has more than 4 MiB"));
}

TEST(RowFormat, CsvQuotesWhatItMust) {
  std::string out;
  const auto csv = row_format(Format::csv, "", JsonRows::objects);
  csv->begin(out, {{"a", "b,c"}, ""});
  csv->row(out, std::vector<std::string_view>{R"("x\ny")", R"("say \"hi\"")"});
  csv->row(out, std::vector<std::string_view>{"null", "1"});
  EXPECT_EQ(out, "a,\"b,c\"\n\"x\ny\",\"say \"\"hi\"\"\"\n,1\n");
  // A row is a row, though it has nothing in it.
  out.clear();
  const auto narrow = row_format(Format::csv, "", JsonRows::objects);
  narrow->begin(out, {{"a"}, ""});
  for (const char* const cell : {"null", "\"\"", "1", "\"\\n\""}) narrow->row(out, std::vector<std::string_view>{cell});
  EXPECT_EQ(out, "a\n\"\"\n\"\"\n1\n\"\n\"\n");
}

TEST(RowFormat, ObjectsHaveAMemberOfEachColumnWhateverItsName) {
  std::string out;
  const auto lines = row_format(Format::ndjson, "", JsonRows::objects);
  lines->begin(out, {{"a", "a", "a_1", "A", "a"}, ""});
  lines->row(out, std::vector<std::string_view>{"1", "2", "3", "4", "5"});
  EXPECT_EQ(out, "{\"a\":1,\"a_2\":2,\"a_1\":3,\"A\":4,\"a_3\":5}\n");
}

TEST(Cursor, IsGoodForItsQueryAlone) {
  const Cursor cursor{{1000, 2000}, {1500, -77, 3}};
  const std::string text = write_cursor(cursor, "in:flows");
  EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), std::string::npos);
  const auto read = read_cursor(text, "in:flows");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->window.start_us, 1000);
  EXPECT_EQ(read->window.end_us, 2000);
  EXPECT_EQ(read->start.time_us, 1500);
  EXPECT_EQ(read->start.tie, -77);
  EXPECT_EQ(read->start.skip, 3u);
  EXPECT_FALSE(read_cursor(text, "in:flows limit:5"));
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(read_cursor(text.substr(0, n), "in:flows")) << n;
  EXPECT_FALSE(read_cursor(std::string(300, 'A'), "in:flows"));
  EXPECT_FALSE(read_cursor("!!", "in:flows"));
}

TEST(Tokens, AreKnownByTheirDigests) {
  const auto tokens = Tokens::parse("# who may ask\ngrafana 0123456789abcdef\r\n\nnoc  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n", "t");
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ((*tokens)->name_of("0123456789abcdef"), "grafana");
  EXPECT_EQ((*tokens)->name_of("test"), "noc");
  EXPECT_EQ((*tokens)->name_of("0123456789abcdeF"), "");
  EXPECT_EQ((*tokens)->name_of(""), "");
  EXPECT_EQ((*tokens)->name_of(std::string(100'000, 'x')), "");
}

TEST(Tokens, ThatCannotBeReadAreNamedButNotShown) {
  for (const auto& [text, says] : {std::pair{"a short", "t:1: a: a token has 16 to 512 octets"}, {"\na sha256:12", "t:2: a: behind sha256: come 64"},
                                   {"a 0123456789abcdef b", "nothing else"}, {"a 0123456789abcdef\na 0123456789abcdef", "t:2: a: has two lines"}, {"# none", "has no token"}}) {
    const auto tokens = Tokens::parse(text, "t");
    ASSERT_FALSE(tokens) << text;
    EXPECT_THAT(tokens.error().message, HasSubstr(says));
    EXPECT_EQ(tokens.error().message.find("0123456789abcdef"), std::string::npos);
  }
}

TEST(ApiConfig, SaysWhatIsWrong) {
  const auto read = [](const char* text) { return read_config(text, "api.yaml", {}); };
  EXPECT_TRUE(read("{}"));
  EXPECT_THAT(read("listen: {tpc: 1}").error().message, HasSubstr("listen.tpc"));
  EXPECT_THAT(read("cors_origins: [\"*\"]").error().message, HasSubstr("an origin such as"));
  EXPECT_THAT(read("limits: {running: 0}").error().message, HasSubstr("1 to 1000"));
}

TEST(ApiConfig, NobodyListensToANetworkWithoutAskingWho) {
  auto loaded = read_config("listen: {unix: '', tcp: '0.0.0.0:0'}", "api.yaml", {});
  ASSERT_TRUE(loaded);
  const auto checked = check_files(loaded->config);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr("takes tokens_file or tls.client_ca_file"));
  loaded->config.listen.tcp = "127.0.0.1:0";
  EXPECT_TRUE(check_files(loaded->config));
}

TEST(ApiConfig, ItsKeysAreInTheDocumentationAndItsFileCanBeRead) {
  const std::string root = std::getenv("WEIR_SOURCE_ROOT");
  std::ifstream in(root + "/docs/API.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(text, HasSubstr(describe_keys())) << "weir-api check --keys prints them";
  const auto loaded = load_config(root + "/conf/weir-api.yaml", {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(api_schema().differences(&loaded->config, std::make_unique<ApiConfig>().get()).empty()) << "it shows defaults";
}

}  // namespace
}  // namespace weir::api

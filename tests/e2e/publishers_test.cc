// publishers_test.cc — The program with publishers that need no broker: what was sent is what is in the
// files, or at the other end of the connection.
#include <gtest/gtest.h>

#include <csignal>
#include <map>

#include "e2e/publishers_fixture.h"
#include "support/http_server.h"

namespace weir {
namespace {

TEST_F(PublishersTest, WritesFilesThatAreMovedAwayWhileItRuns) {
  const std::string file = folder_ / "flows.jsonl";
  auto weir = start("  - {kind: file, path: " + file + "}\n");
  uint64_t sent = generate(100, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged(0) == sent; })) << ledger().dump(2);
  std::filesystem::rename(file, file + ".1");
  weir->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file); }));
  EXPECT_EQ(flows_in(file + ".1"), sent);
  const uint64_t later = generate(50, 20);
  EXPECT_TRUE(eventually([&] { return acknowledged(0) == sent + later; })) << ledger().dump(2);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_EQ(flows_in(file + ".1"), sent);
  EXPECT_EQ(flows_in(file), later);
}

TEST_F(PublishersTest, SetsFilesAsideAndLosesNoLineOfThem) {
  const std::string file = folder_ / "flows.jsonl";
  auto weir = start("  - {kind: file, path: " + file + ", rotate_bytes: 256KiB}\n" +
                    "  - {name: octets, kind: file, format: flow_batch, path: " + file + ".pb}\n");
  const uint64_t sent = generate(500, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged(0) == sent && acknowledged(1) == sent; }))
      << ledger().dump(2);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  uint64_t found = flows_in(file);
  size_t files = 1;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(file).parent_path())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("flows-")) continue;
    ++files;
    found += flows_in(entry.path().string());
  }
  EXPECT_EQ(found, sent);
  EXPECT_GT(files, 3u);
}

TEST_F(PublishersTest, PostsToAServerThatFailsHalfOfTheCallsBesideAFile) {
  std::map<std::string, uint64_t> stored;  // flows, by key
  size_t calls = 0;
  test::HttpServer server([&](const test::HttpRequest& r) {
    if (++calls % 2 == 1) return test::HttpReply{503};
    stored.emplace(r.headers.at("idempotency-key"), flows_of(r.body));
    return test::HttpReply{};
  });
  const std::string file = folder_ / "flows.jsonl";
  auto weir = start("  - {kind: http, url: '" + server.url() + "'}\n  - {kind: file, path: " + file + "}\n");
  const uint64_t sent = generate(200, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged(0) == sent && acknowledged(1) == sent; }))
      << ledger().dump(2);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  uint64_t found = 0;
  for (const auto& [key, flows] : stored) found += flows;
  EXPECT_EQ(found, sent);
  EXPECT_EQ(flows_in(file), sent);
}

TEST_F(PublishersTest, AServerThatHangsHoldsNobodyElseUpAndEndsInTime) {
  test::HttpServer server([](const test::HttpRequest&) {
    return test::HttpReply{.way = test::HttpReply::Way::hang};
  });
  const std::string file = folder_ / "flows.jsonl";
  auto weir = start("  - {kind: http, url: '" + server.url() + "'}\n  - {kind: file, path: " + file +
                    "}\nshutdown_deadline_ms: 300\n");
  const uint64_t sent = generate(20, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged(1) == sent; })) << ledger().dump(2);
  EXPECT_EQ(acknowledged(0), 0u);
  EXPECT_EQ(weir->terminate(), 1);
  EXPECT_EQ(flows_in(file), sent);
  EXPECT_NE(weir->err().find(std::to_string(sent) + " records were not delivered"), std::string::npos)
      << weir->err();
}

}  // namespace
}  // namespace weir

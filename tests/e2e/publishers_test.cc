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

TEST_F(PublishersTest, WhatAServerMissedComesFromTheSpoolAfterARestart) {
  const uint16_t port = test::free_udp_port();  // where nobody listens for now
  const std::string publishers = "  - {kind: http, url: 'http://127.0.0.1:" + std::to_string(port) +
                                 "/in'}\ndrop_policy: spool\nspool: {dir: " + (folder_ / "spool") +
                                 "}\nshutdown_deadline_ms: 200\n";
  uint64_t sent = 0;
  {
    auto weir = start_without_waiting(publishers);
    sent = generate(100, 20);
    ASSERT_TRUE(eventually([&] {
      const json l = ledger();
      return l.is_object() && l["records"]["encoded"] == sent;
    })) << ledger().dump(2);
    EXPECT_EQ(weir->terminate(), 0) << weir->err();
  }
  std::map<std::string, uint64_t> stored;  // flows, by key
  test::HttpServer server(
      [&](const test::HttpRequest& r) {
        EXPECT_TRUE(stored.emplace(r.headers.at("idempotency-key"), flows_of(r.body)).second);
        EXPECT_EQ(r.headers.at("weir-subject"), "flows.raw.netflow");
        return test::HttpReply{};
      },
      {}, port);
  auto weir = start(publishers);
  const uint64_t later = generate(50, 20);
  ASSERT_TRUE(eventually([&] {
    const json l = ledger();
    return l.is_object() && acknowledged(0) == later &&
           l["publishers"][0]["spool"]["records"]["replayed"] == sent;
  })) << ledger().dump(2);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  uint64_t found = 0;
  for (const auto& [key, flows] : stored) found += flows;
  EXPECT_EQ(found, sent + later);
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

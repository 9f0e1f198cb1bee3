// What another configuration means to publishers: each key reaches those that are made from it, and no others.
#include "control/delivery/publisher_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/reload.h"
#include "support/process.h"

namespace weir::control {
namespace {

using ::testing::HasSubstr;

ApplianceConfig load(const std::string& text) {
  auto loaded = read_config("ports: [{kind: socket, address: 127.0.0.1}]\nlisteners: [{protocol: netflow, port: 2055}]\n" + text,
                            "test.yaml", {});
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? loaded->config : ApplianceConfig{};
}

constexpr char kTwo[] = "publishers: [{kind: jetstream}, {name: out, kind: stdout}]\n";

TEST(PublisherPlan, MakesAnewWhoeverIsMadeFromAKeyThatDiffers) {
  const std::string js = "jetstream is made anew";
  const struct {
    const char* keys;
    std::string plan;
  } rows[] = {
      {"", ""},
      {"nats_url: nats://other:4222\n", js},
      {"nats_creds_file: /etc/x.creds\n", js},
      {"nats_nkey_file: /etc/x.nk\n", js},
      {"nats_user: u\nnats_password: p\n", js},
      {"nats_token: t\n", js},
      {"nats_connections: 2\n", js},
      {"security: {mode: tls}\n", js},
      {"security: {mode: tls, server_name: broker}\n", js},
      {"security: {mode: tls, tls: {ca_file: /etc/ca.pem}}\n", js},
      {"stream_name: other\n", js},
      {"stream_subjects: [flows.more]\n", js},
      {"stream_max_bytes: 1MiB\n", js},
      {"stream_replicas: 3\n", js},
      {"stream_storage: memory\n", js},
      {"stream_retention: workqueue\n", js},
      {"stream_max_age_secs: 60\n", js},
      {"stream_duplicate_window_secs: 60\n", js},
      {"stream_adopt: true\n", js},
      {"publish_timeout_ms: 1000\n", js},
      {"framing: single\n", js},
      {"compression: lz4\n", js},
      {"channel_size: 20\n", "jetstream is made anew, out is made anew"},
      {"channel_size: 20000\n", ""},
      {"drop_policy: drop_oldest\n", ""},
      {"state_dir: /tmp/x\ndrop_policy: spool\n", "jetstream has another spool, out has another spool"},
      {"log: {level: debug}\n", ""},
  };
  const ApplianceConfig before = load(kTwo);
  for (const auto& row : rows) {
    const ApplianceConfig wanted = load(kTwo + std::string(row.keys));
    const PublisherPlan plan(before, wanted);
    EXPECT_EQ(plan.text(), row.plan) << row.keys;
    EXPECT_EQ(PublisherPlan(wanted, wanted).text(), "") << row.keys;
    for (const std::string& key : compare(before, before, wanted).at_restart) {
      EXPECT_EQ(key, "state_dir") << row.keys;
    }
  }
}

TEST(PublisherPlan, NamesThoseThatComeChangeAndGo) {
  const struct {
    const char* publishers;
    const char* plan;
  } rows[] = {
      {"[{name: out, kind: stdout}, {kind: jetstream}]", ""},
      {"[{kind: jetstream}]", "out goes"},
      {"[{name: out, kind: stdout}]", "jetstream goes"},
      {"[{kind: jetstream}, {name: print, kind: stdout}]", "print comes, out goes"},
      {"[{kind: jetstream}, {name: out, kind: stdout, format: flow_batch}]", "out is made anew"},
      {"[{kind: jetstream}, {name: out, kind: file, path: /tmp/x}]", "out is made anew"},
      {"[{kind: jetstream}, {name: out, kind: stdout, drop_policy: block}]", ""},
      {"[{kind: jetstream}, {name: out, kind: stdout, exporter_info: true}]", ""},
  };
  const ApplianceConfig before = load(kTwo);
  for (const auto& row : rows) {
    const ApplianceConfig wanted = load("publishers: " + std::string(row.publishers) + "\n");
    EXPECT_EQ(PublisherPlan(before, wanted).text(), row.plan) << row.publishers;
  }
}

TEST(PublisherPlan, TablesOfNamesGoOutByAnotherConnectionWhereTheirKeysDiffer) {
  const ApplianceConfig before = load(kTwo);
  const auto remakes = [&](const std::string& text) { return PublisherPlan(before, load(text)).remakes_feed(); };
  EXPECT_FALSE(remakes(kTwo));
  EXPECT_FALSE(remakes(std::string(kTwo) + "framing: single\n"));
  EXPECT_TRUE(remakes(std::string(kTwo) + "nats_url: nats://other:4222\n"));
  EXPECT_TRUE(remakes(std::string(kTwo) + "exporter_info: {publish: false}\n"));
  EXPECT_TRUE(remakes(std::string(kTwo) + "exporter_info: {stream_name: other}\n"));
  EXPECT_TRUE(remakes("publishers: [{name: out, kind: stdout}]\n"));
  EXPECT_TRUE(remakes("publishers: [{kind: jetstream}, {name: out, kind: stdout, exporter_info: true}]\n"));
}

TEST(PublisherPlan, WhatCannotBeMadeIsSaidBeforeAnythingChanges) {
  const ApplianceConfig before = load(kTwo);
  Waker waker;
  const PublisherGround ground{.identity = {"uuid", 1}, .subjects = {"flows.raw.netflow"}, .batches_in_all = 8,
                               .on_news = &waker};
  PublisherPlan file(before, load("publishers: [{kind: jetstream}, {kind: file, path: /no/such/folder/x}]\n"));
  const auto made = file.make(ground);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("publisher file: file /no/such/folder/x"));

  const test::TemporaryFolder folder;
  const std::string spool = "spool: {dir: " + std::string(folder / "spool") + "}\n";
  PublisherPlan half(before, load("publishers: [{kind: jetstream, drop_policy: spool}, "
                                  "{kind: file, path: /no/such/folder/x}]\n" + spool));
  ASSERT_FALSE(half.make(ground));
  EXPECT_FALSE(outbound::Spool::is_taken(folder / "spool/jetstream"));
  PublisherPlan good(before, load("publishers: [{kind: jetstream, drop_policy: spool}]\n" + spool));
  ASSERT_TRUE(good.make(ground));
  EXPECT_TRUE(outbound::Spool::is_taken(folder / "spool/jetstream"));
  auto changes = good.take();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].thread, nullptr) << "its connection goes on";
  EXPECT_NE(changes[0].bounds.spool, nullptr);
  changes.clear();
  EXPECT_FALSE(outbound::Spool::is_taken(folder / "spool/jetstream")) << "what is not used is given back";
}

}  // namespace
}  // namespace weir::control

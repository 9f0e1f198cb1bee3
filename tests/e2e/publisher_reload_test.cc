// Publishers that a reload adds, changes, moves and removes while flows come in: what was sent is what is there, once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "appliance_fixture.h"
#include "export/jetstream_reader.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

constexpr char kJetstream[] = "publishers: [{kind: jetstream}]\n";

class PublisherReloadTest : public ApplianceTest {
 protected:
  void SetUp() override {
    ApplianceTest::SetUp();
    ASSERT_TRUE(second_.start());
  }

  /// The configuration with another broker.
  std::string write(const std::string& url, const std::string& more) {
    const std::string path = write_config(more + "shutdown_deadline_ms: 3000\n");
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    std::string whole = text.str();
    whole.replace(whole.find(nats_.url()), nats_.url().size(), url);
    std::ofstream(path) << whole;
    return path;
  }
  json reload(const char* state = "applied") {
    const Answer answer = ctl({"--json", "reload"});
    const json told = json::parse(answer.out, nullptr, false);
    EXPECT_EQ(told["state"], state) << answer.out << answer.err;
    if (std::string(state) == "applied") {
      EXPECT_EQ(told["needs_restart"], json::array());
    }
    return told;
  }
  void reload_with(const std::string& url, const std::string& more) {
    write(url, more);
    reload();
    expect_all_adds_up();
  }

  json publisher(const std::string& name) {
    const json l = ledger();
    if (!l.is_object() || !l.contains("publishers")) return {};
    for (const json& p : l["publishers"]) {
      if (p["name"] == name) return p;
    }
    return {};
  }
  uint64_t count(const std::string& name, const char* what) {
    const json p = publisher(name);
    return p.is_object() ? p["records"][what].get<uint64_t>() : 0;
  }
  /// Each publisher's own, and the appliance's word for it. Cores are at work: the rows may be a burst apart, the
  /// checked books are not.
  void expect_all_adds_up() {
    const json l = ledger();
    EXPECT_EQ(l["balanced"], true) << l["discrepancies"];
    const uint64_t encoded = l["records"]["encoded"];
    for (const json& p : l["publishers"]) {
      const json& r = p["records"];
      uint64_t sum = 0;
      for (const char* what : {"acknowledged", "failed", "dropped", "spooled", "in_flight", "waiting", "absent"}) {
        sum += r[what].get<uint64_t>();
      }
      EXPECT_GE(sum, encoded) << p["name"];
      EXPECT_LE(sum, encoded + 10'000) << p["name"];
    }
  }
  void expect_exactly_adds_up() {
    const json l = ledger();
    EXPECT_EQ(l["balanced"], true) << l["discrepancies"];
    for (const json& p : l["publishers"]) {
      const json& r = p["records"];
      uint64_t sum = 0;
      for (const auto& [what, n] : r.items()) sum += n.get<uint64_t>();
      EXPECT_EQ(sum, l["records"]["encoded"].get<uint64_t>()) << p.dump(2);
      if (p["spool"].is_null()) continue;
      const json& s = p["spool"]["records"];
      uint64_t out = 0;
      for (const char* what : {"replayed", "expired", "damaged", "stored", "left"}) out += s[what].get<uint64_t>();
      EXPECT_EQ(r["spooled"].get<uint64_t>() + s["restored"].get<uint64_t>(), out) << p.dump(2);
    }
    EXPECT_THAT(ctl({"ledger"}).out, HasSubstr("the books balance: in each ledger"));
  }

  uint64_t records_at(const NatsServer& server) {
    const Answer answer = run({weir(), "read", "--stream", "events", "--all", "--format", "json"},
                              {"NATS_URL=" + server.url()});
    if (answer.status != 0) return 0;
    return static_cast<uint64_t>(std::count(answer.out.begin(), answer.out.end(), '\n'));
  }
  static uint64_t lines_of(const std::string& file) {
    const std::string text = test::contents_of(file);
    return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
  }
  bool is_there(const char* name, const char* state) {
    const json p = publisher(name);
    return p.is_object() && p["state"] == state;
  }

  /// Flows that come all the time.
  class Load {
   public:
    explicit Load(PublisherReloadTest& test)
        : thread_([this, &test](const std::stop_token& stop) {
            while (!stop.stop_requested()) sent_.fetch_add(test.generate("v5", 200, 20, 2000));
          }) {}
    uint64_t end() {
      thread_.request_stop();
      thread_.join();
      return sent_.load();
    }

   private:
    std::atomic<uint64_t> sent_{0};
    std::jthread thread_;
  };

  NatsServer second_;
};

TEST_F(PublisherReloadTest, TheyComeChangeMoveAndGoUnderLoadAndEachRecordIsThereOnce) {
  const std::string file = folder_ / "flows.jsonl";
  const std::string both = "publishers: [{kind: jetstream}, {kind: file, path: " + file + "}]\n";
  auto weir = start(kJetstream);
  Load load(*this);
  ASSERT_TRUE(eventually([&] { return count("jetstream", "acknowledged") > 1000; }));

  reload_with(nats_.url(), both);
  ASSERT_TRUE(eventually([&] { return count("file", "acknowledged") > 1000; }));
  EXPECT_GT(count("file", "absent"), 1000u);
  reload_with(nats_.url(), both + "framing: delimited\ncompression: lz4\n");
  reload_with(second_.url(), both + "framing: delimited\n");
  ASSERT_TRUE(eventually([&] { return records_at(second_) > 1000; }));
  EXPECT_EQ(ctl({"ready"}).status, 0);
  reload_with(second_.url(), kJetstream);
  ASSERT_TRUE(eventually([&] { return is_there("file", "gone"); })) << ledger().dump(2);
  const uint64_t in_file = count("file", "acknowledged");
  EXPECT_EQ(lines_of(file), in_file);
  reload_with(nats_.url(), "publishers: [{kind: jetstream}, {kind: file, path: " + file + ", format: json}]\nframing: single\n");
  ASSERT_TRUE(eventually([&] { return count("file", "acknowledged") > in_file + 1000; })) << "its count goes on";

  const uint64_t sent = load.end();
  ASSERT_TRUE(eventually([&] { return count("jetstream", "acknowledged") == sent; })) << sent << ledger().dump(2);
  ASSERT_TRUE(eventually([&] { return count("file", "in_flight") + count("file", "waiting") == 0; }));
  expect_exactly_adds_up();
  EXPECT_EQ(lines_of(file), count("file", "acknowledged"));
  EXPECT_EQ(count("jetstream", "failed") + count("jetstream", "dropped"), 0u) << ledger().dump(2);
  EXPECT_EQ(records_at(nats_) + records_at(second_), sent);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_THAT(weir->err(), HasSubstr("publishers: file comes"));
  EXPECT_THAT(weir->err(), HasSubstr("publishers: jetstream is made anew"));
  EXPECT_THAT(weir->err(), HasSubstr("file goes"));
  EXPECT_THAT(weir->err(), HasSubstr("publisher file: has gone: acknowledged "));
  EXPECT_EQ(weir->err().find("does not balance"), std::string::npos);
}

TEST_F(PublisherReloadTest, WhatWaitsForADeadBrokerIsDeliveredToTheOneItIsMovedTo) {
  auto weir = start(kJetstream);
  const uint64_t first = generate("v5", 20, 20);
  ASSERT_TRUE(eventually([&] { return count("jetstream", "acknowledged") == first; }));
  nats_.kill();
  const uint64_t waits = generate("v5", 200, 20);
  ASSERT_TRUE(eventually([&] { return count("jetstream", "in_flight") == waits; })) << ledger().dump(2);
  reload_with(second_.url(), kJetstream);
  const uint64_t after = generate("v5", 20, 20);
  ASSERT_TRUE(eventually([&] { return count("jetstream", "acknowledged") == first + waits + after; }))
      << ledger().dump(2);
  expect_exactly_adds_up();
  EXPECT_EQ(records_at(second_), waits + after);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(PublisherReloadTest, OneThatIsRemovedWhileItsBrokerIsDeadIsCountedAsLost) {
  const std::string file = folder_ / "flows.jsonl";
  const std::string only_file = "publishers: [{kind: file, path: " + file + "}]\n";
  auto weir = start("publishers: [{kind: jetstream}, {kind: file, path: " + file + "}]\n");
  nats_.kill();
  const uint64_t sent = generate("v5", 100, 20);
  ASSERT_TRUE(eventually([&] { return count("file", "acknowledged") == sent && count("jetstream", "in_flight") == sent; }));
  ASSERT_TRUE(eventually([&] { return ctl({"ready"}).status != 0; })) << "its broker is away";
  reload_with(nats_.url(), only_file);
  EXPECT_EQ(ctl({"ready"}).status, 0) << "whoever drains makes nobody unready";
  const json busy = [&] {
    write(nats_.url(), "publishers: [{kind: jetstream}, {kind: file, path: " + file + "}]\n");
    return reload("refused");
  }();
  EXPECT_THAT(busy["error"].get<std::string>(), HasSubstr("publisher jetstream: what an earlier reload"));
  ASSERT_TRUE(eventually([&] { return is_there("jetstream", "gone"); })) << ledger().dump(2);
  EXPECT_EQ(publisher("jetstream")["failures"]["shutdown_deadline"], sent);
  const uint64_t more = generate("v5", 10, 20);
  ASSERT_TRUE(eventually([&] { return count("file", "acknowledged") == sent + more; }));
  EXPECT_EQ(count("jetstream", "absent"), more);
  expect_exactly_adds_up();
  EXPECT_EQ(lines_of(file), sent + more);
  EXPECT_THAT(ctl({"publishers"}).out, HasSubstr("gone"));
  EXPECT_EQ(weir->terminate(), 1) << "records were not delivered";
  EXPECT_EQ(weir->err().find("publisher jetstream: working"), std::string::npos) << "it has gone";
}

TEST_F(PublisherReloadTest, OneThatSpoolsLeavesItsRecordsOnDiskUntilItComesBack) {
  const std::string file = folder_ / "flows.jsonl";
  const std::string only_file = "publishers: [{kind: file, path: " + file + "}]\n";
  const std::string both =
      "publishers: [{kind: jetstream, drop_policy: spool}, {kind: file, path: " + file + "}]\n";
  auto weir = start(both);
  nats_.kill();
  const uint64_t sent = generate("v5", 100, 20);
  ASSERT_TRUE(eventually([&] { return count("file", "acknowledged") == sent; }));
  reload_with(nats_.url(), only_file);
  ASSERT_TRUE(eventually([&] { return is_there("jetstream", "gone"); })) << ledger().dump(2);
  EXPECT_EQ(count("jetstream", "spooled"), sent);
  EXPECT_EQ(publisher("jetstream")["spool"]["records"]["stored"], sent);
  expect_exactly_adds_up();

  ASSERT_TRUE(nats_.start());
  reload_with(nats_.url(), both);
  ASSERT_TRUE(eventually([&] { return publisher("jetstream")["spool"]["records"]["replayed"] == sent; }))
      << ledger().dump(2);
  const uint64_t more = generate("v5", 10, 20);
  ASSERT_TRUE(eventually([&] { return count("jetstream", "acknowledged") == more; }));
  ASSERT_TRUE(eventually([&] { return publisher("jetstream")["spool"]["records"]["stored"] == 0; }));
  expect_exactly_adds_up();
  EXPECT_EQ(records_at(nats_), sent + more);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(PublisherReloadTest, TablesOfNamesGoToTheBrokerThatTheyAreMovedToAndPrintersTakeOver) {
  const std::string file = folder_ / "flows.jsonl";
  const std::string list = folder_ / "exporters.csv";
  std::ofstream(list) << "address,name,site,ifIndex,ifName,speed,boundary\n127.0.0.1,edge1,Berlin,7,uplink,10G,yes\n";
  const std::string names = "exporter_info: {stream_max_bytes: 16MiB, names_file: " + list + "}\n";
  auto weir = start(kJetstream + names);
  const auto tables_at = [&](const NatsServer& server) {
    outbound::ReaderConfig config;
    config.nats.urls = {server.url()};
    config.stream = "flow_meta";
    config.subject = "flows.meta.*";
    auto reader = outbound::JetStreamReader::open(config);
    if (!reader) return false;
    const auto message = (*reader)->next(200);
    return message && message->has_value();
  };
  generate("v5", 1, 1);
  ASSERT_TRUE(eventually([&] { return tables_at(nats_); }));
  reload_with(second_.url(), kJetstream + names);
  EXPECT_TRUE(eventually([&] { return tables_at(second_); })) << weir->err();
  reload_with(second_.url(), "publishers: [{kind: file, exporter_info: true, path: " + file + "}]\n" + names);
  EXPECT_TRUE(eventually([&] { return test::contents_of(file).find("uplink") != std::string::npos; })) << weir->err();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(PublisherReloadTest, APasswordThatIsRenewedGoesWithTheNextReload) {
  nats_.kill();
  nats_.set_extra("authorization { user: weir, password: dam }\n");
  ASSERT_TRUE(nats_.start());
  write(nats_.url(), kJetstream + std::string("nats_user: weir\nnats_password: wrong\n"));
  Process weir(folder_, {this->weir(), "run", "-c", folder_ / "weir.yaml"});
  ASSERT_TRUE(eventually([&] { return ctl({"health"}).status == 0; }));
  const uint64_t sent = generate("v5", 10, 10);
  ASSERT_TRUE(eventually([&] { return count("jetstream", "in_flight") == sent; }));
  reload_with(nats_.url(), kJetstream + std::string("nats_user: weir\nnats_password: dam\n"));
  EXPECT_TRUE(eventually([&] { return count("jetstream", "acknowledged") == sent; })) << ledger().dump(2);
  EXPECT_EQ(weir.terminate(), 0) << weir.err();
  EXPECT_EQ(weir.err().find("wrong"), std::string::npos) << "nobody reads passwords in the log";
}

TEST_F(PublisherReloadTest, AReloadThatIsWrongLeavesTheOldOnesRunning) {
  auto weir = start(kJetstream);
  const struct {
    const char* more;
    const char* why;
  } rows[] = {
      {"publishers: [{kind: jetstream}, {kind: file, path: /no/such/folder/x}]\n", "/no/such/folder/x"},
      {"publishers: []\n", "records would go nowhere"},
      {"publishers: [{kind: jetstream}, {name: jetstream, kind: stdout}]\n", "jetstream"},
      {"publishers: [{kind: jetstream}]\nframing: single\ncompression: lz4\n", "compression"},
      {"publishers: [{kind: jetstream, drop_policy: spool}]\nspool: {dir: /proc/no/such}\n", "/proc/no/such"},
      {"publishers: [{kind: jetstream}]\nnats_creds_file: /no/such.creds\n", "/no/such.creds"},
  };
  uint64_t sent = 0;
  for (const auto& row : rows) {
    write(second_.url(), row.more);
    EXPECT_THAT(reload("refused")["error"].get<std::string>(), HasSubstr(row.why)) << row.more;
    sent += generate("v5", 10, 10);
    EXPECT_TRUE(eventually([&] { return count("jetstream", "acknowledged") == sent; })) << row.more;
  }
  EXPECT_EQ(records_at(nats_), sent);
  EXPECT_THAT(ctl({"config"}).out, HasSubstr(nats_.url()));
  expect_exactly_adds_up();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(PublisherReloadTest, TenReloadsInARowLoseNothing) {
  auto weir = start(kJetstream);
  Load load(*this);
  const char* const changes[] = {"framing: single\n", "framing: delimited\n", "publish_timeout_ms: 4000\n",
                                 "drop_policy: spool\n", "channel_size: 20000\n"};
  for (int i = 0; i < 10; ++i) {
    reload_with(nats_.url(), std::string(kJetstream) + changes[i % 5]);
  }
  const uint64_t sent = load.end();
  ASSERT_TRUE(eventually([&] {
    const json p = publisher("jetstream");
    return p["records"]["acknowledged"].get<uint64_t>() +
               (p["spool"].is_null() ? 0 : p["spool"]["records"]["replayed"].get<uint64_t>()) == sent;
  })) << sent << ledger().dump(2);
  expect_exactly_adds_up();
  EXPECT_EQ(records_at(nats_), sent);
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
  EXPECT_EQ(weir->err().find("does not balance"), std::string::npos);
}

}  // namespace
}  // namespace weir

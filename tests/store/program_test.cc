// weir-store as it is run: killed under load, without room on its disk, told to stop, asked by weirctl and in SQL.
#include <curl/curl.h>
#include <sys/resource.h>

#include <chrono>
#include <random>
#include <thread>

#include "damaged_file.h"
#include "exporter.pb.h"
#include "store/config.h"
#include "store/history.h"
#include "store/rollups.h"
#include "store_database.h"
#include "support/flow_stream.h"
#include "support/program.h"
#include "support/web_client.h"

namespace weir {
namespace {

using test::built;
using test::eventually;
using test::flow_batch;
using test::json;
using test::Outcome;
using test::Process;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class StoreProgramTest : public test::FlowStreamFixture {
 protected:
  StoreProgramTest() { consumer_name_ = "weir-store-flows-raw-any"; }

  std::string socket() const { return folder_ / "store.sock"; }
  std::string config(const std::string& more = "") {
    const std::string path = folder_ / "store.yaml";
    std::ofstream(path) << "nats_url: " << nats_.url() << "\n"
                        << "source: {ack_wait_secs: 2}\n"
                        << "names: {stream_name: flow_meta}\n"
                        << "dead: {stream: {name: flows_dead, max_bytes: 64MiB}}\n"
                        << "database: {path: " << folder_ / "flows.duckdb" << ", temp_directory: " << folder_ / "temp" << "}\n"
                        << "history: {folder: " << folder_ / "history" << ", scrub_octets_per_second: 0}\n"
                        << "commit: {interval_ms: 100, rows: 20000}\n"
                        << "control_socket: {path: " << socket() << "}\n"
                        << "shutdown_deadline_ms: 5000\n"
                        << more;
    return path;
  }
  std::unique_ptr<Process> start(const std::string& more = "") {
    return std::make_unique<Process>(folder_, std::vector<std::string>{built("weir-store"), "run", "-c", config(more)});
  }
  Outcome ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {built("weirctl"), "--socket", socket()});
    Process process(folder_, std::move(arguments));
    const int status = process.wait();
    return {status, process.out(), process.err()};
  }
  bool is_ready() { return ctl({"ready"}).status == 0; }
  json ledger() { return json::parse(ctl({"--json", "ledger"}).out, nullptr, false); }

  struct Answer {
    long status = 0;
    std::string body;
    json parsed() const { return json::parse(body, nullptr, false); }
  };
  /// Takes at most `octets_max` of the answer, then goes away.
  Answer post(const std::string& body, size_t octets_max = SIZE_MAX) {
    struct Taken {
      Answer answer;
      size_t max;
    } taken{{}, octets_max};
    CURL* const curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket().c_str());
    curl_easy_setopt(curl, CURLOPT_URL, "http://localhost/v1/sql");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 30'000L);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &taken);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, +[](char* octets, size_t size, size_t count, void* to) -> size_t {
      auto& t = *static_cast<Taken*>(to);
      t.answer.body.append(octets, size * count);
      return t.answer.body.size() > t.max ? 0 : size * count;
    });
    curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &taken.answer.status);
    curl_easy_cleanup(curl);
    return taken.answer;
  }
  Answer ask(const std::string& sql, json more = json::object()) {
    more["sql"] = sql;
    return post(more.dump());
  }
  uint64_t number(const std::string& sql) {
    const json answer = ask(sql).parsed();
    return answer.contains("rows") && !answer["rows"].empty() && answer["rows"][0][0].is_number() ? answer["rows"][0][0].get<uint64_t>()
                                                                                                   : 999'999'999;
  }
};

TEST_F(StoreProgramTest, StoresEveryRowOnceThoughItIsKilledUnderLoad) {
  constexpr int kMessages = 1200, kRecords = 50;
  std::mt19937 random(11);
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  int kills = 0, next_kill = 60;
  for (int m = 1; m <= kMessages; ++m) {
    publish("flows.raw.netflow", flow_batch(static_cast<uint64_t>(m - 1) * kRecords, kRecords), {{"Nats-Msg-Id", "u.1.0." + std::to_string(m)}});
    if (m != next_kill) continue;
    next_kill = m + 40 + static_cast<int>(random() % 160);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 120));
    store->signal(SIGKILL);
    store->wait();
    ++kills;
    store = start();
  }
  EXPECT_GT(kills, 6);
  ASSERT_TRUE(eventually([&] { return is_all_done(); }, 60s)) << consumer().dump() << store->err();
  EXPECT_EQ(number("SELECT count(*) FROM flow_rows"), uint64_t{kMessages * kRecords});
  EXPECT_EQ(number("SELECT count(DISTINCT bytes_raw) FROM flow_rows"), uint64_t{kMessages * kRecords});
  EXPECT_EQ(messages_in("flows_dead"), 0u);
  EXPECT_TRUE(ledger()["balanced"]);
  EXPECT_EQ(store->terminate(), 0) << store->err();
}

TEST_F(StoreProgramTest, WaitsForRoomOnItsDisk) {
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  publish("flows.raw.a", flow_batch(0, 1000), {{"Nats-Msg-Id", "u.1.0.1"}});
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  const rlimit tight{16 << 10, RLIM_INFINITY}, free{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(prlimit(store->pid(), RLIMIT_FSIZE, &tight, nullptr), 0);
  for (uint64_t i = 1; i <= 40; ++i) publish("flows.raw.a", flow_batch(1000 * i, 1000), {{"Nats-Msg-Id", "u.1.0." + std::to_string(i + 1)}});
  ASSERT_TRUE(eventually([&] { return ctl({"--json", "status"}).out.find("cannot be written") != std::string::npos; })) << store->err();
  std::this_thread::sleep_for(2500ms);  // longer than ack_wait
  EXPECT_TRUE(store->is_running()) << store->err();
  EXPECT_EQ(consumer()["num_redelivered"], 0) << consumer().dump();
  ASSERT_EQ(prlimit(store->pid(), RLIMIT_FSIZE, &free, nullptr), 0);
  ASSERT_TRUE(eventually([&] { return is_all_done(); }, 30s)) << consumer().dump() << store->err();
  EXPECT_EQ(number("SELECT count(DISTINCT bytes_raw) FROM flow_rows"), 41'000u);
  EXPECT_EQ(number("SELECT count(*) FROM flow_rows"), 41'000u);
  EXPECT_EQ(store->terminate(), 0) << store->err();
  // And it is all there when it is opened again.
  store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  EXPECT_EQ(number("SELECT count(*) FROM flow_rows"), 41'000u);
}

TEST_F(StoreProgramTest, ShowsItselfToOperators) {
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  publish("flows.raw.a", flow_batch(0, 10), {{"Nats-Msg-Id", "u.1.0.1"}});
  publish("flows.raw.a", "\x0a\x7f no batch", {{"Nats-Msg-Id", "u.1.0.2"}});
  ASSERT_TRUE(eventually([&] { return is_all_done() && ledger()["records"]["rows"] == 10; }));
  const Outcome status = ctl({"status"});
  EXPECT_EQ(status.status, 0) << status.err;
  for (const char* words : {"weir-store 0", "running, ready", "no rules", "weir-store-flows-raw-any", "flows.duckdb"}) {
    EXPECT_THAT(status.out, HasSubstr(words));
  }
  const Outcome books = ctl({"ledger"});
  EXPECT_EQ(books.status, 0) << books.err;
  for (const char* words : {"stored", "undecodable", "rows", "the books balance"}) EXPECT_THAT(books.out, HasSubstr(words));
  const Outcome metrics = ctl({"metrics"});
  for (const char* words : {"weir_store_rows_total 10", "weir_store_messages_dead_total{reason=\"undecodable\"} 1", "weir_store_ledger_balanced 1"}) {
    EXPECT_THAT(metrics.out, HasSubstr(words));
  }
  EXPECT_EQ(ctl({"config"}).status, 0);
  EXPECT_EQ(ctl({"health"}).status, 0);
  EXPECT_EQ(ctl({"reload"}).status, 0);
}

TEST_F(StoreProgramTest, SaysWhatAReloadTookUp) {
  const std::string list = folder_ / "threats.csv", rules = folder_ / "rules.yaml";
  std::ofstream(list) << "192.0.2.0/24,one\n";
  std::ofstream(rules) << "version: 1\n";
  auto store = start("rules: " + rules + "\nenrichment: {threats: [" + list + "]}\n");
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  const auto applied = [&] { return json::parse(ctl({"--json", "reload"}).out, nullptr, false)["applied"]; };
  std::ofstream(list) << "192.0.2.0/24,two\n";
  EXPECT_EQ(applied(), json::array({"enrichment"}));
  std::ofstream(rules) << "version: 1\nrules: [{id: a, then: {labels: [x]}}]\n";
  const json one = applied();
  ASSERT_EQ(one.size(), 1u) << one.dump();
  EXPECT_THAT(one[0].get<std::string>(), ::testing::StartsWith("rules ("));
}

TEST_F(StoreProgramTest, TakesFilesThatWereWrittenAnewByItself) {
  const std::string list = folder_ / "threats.csv", rules = folder_ / "rules.yaml";
  std::ofstream(list) << "192.0.2.0/24,one\n";
  std::ofstream(rules) << "version: 1\n";
  auto store = start("watch_files_secs: 1\nrules: " + rules + "\nenrichment: {threats: [" + list + "]}\n");
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  const auto status = [&] { return json::parse(ctl({"--json", "status"}).out, nullptr, false); };
  const std::string before = status()["rules"]["hash"];
  std::ofstream(rules) << "version: 1\nrules: [{id: a, then: {labels: [x]}}]\n";
  ASSERT_TRUE(eventually([&] { return status()["rules"]["version"] == 2; })) << store->err();
  EXPECT_NE(status()["rules"]["hash"], before);
  std::ofstream(list) << "192.0.2.0/99,two\n";
  ASSERT_TRUE(eventually([&] { return status()["files_read"]["error"] != ""; })) << store->err();
  EXPECT_THAT(ctl({"status"}).out, HasSubstr("FILES NOT TAKEN as they are now"));
  EXPECT_THAT(ctl({"metrics"}).out, HasSubstr("weir_store_files_read_good 0"));
  std::ofstream(list) << "192.0.2.0/24,two\n";
  ASSERT_TRUE(eventually([&] { return status()["rules"]["version"] == 3; })) << store->err();
  EXPECT_EQ(status()["files_read"]["error"], "");
  EXPECT_THAT(store->err(), HasSubstr("files were written anew: now goes enrichment"));
}

TEST_F(StoreProgramTest, JoinsNamesOfExportersAndInterfaces) {
  make_stream("flow_meta", "flows.meta.*", {{"max_msgs_per_subject", 1}});
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  flowpb::ExporterInfo info;
  info.set_exporter_address(std::string("\xC0\x00\x02\xFE", 4));
  info.set_name("edge1");
  auto* const interface = info.add_interfaces();
  interface->set_if_index(7);
  interface->set_name("xe-0/0/7");
  publish("flows.meta.192-0-2-254", info.SerializeAsString());
  info.set_name("edge one");
  publish("flows.meta.192-0-2-254", info.SerializeAsString());
  flowpb::FlowBatch batch;
  auto* const flow = batch.add_flows();
  flow->set_sampler_address(info.exporter_address());
  flow->set_in_if(7);
  flow->set_out_if(8);
  publish("flows.raw.a", batch.SerializeAsString());
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));
  ASSERT_TRUE(eventually([&] { return number("SELECT count(*) FROM exporters WHERE name = 'edge one'") == 1; })) << store->err();
  const json answer = ask("SELECT sampler_address, exporter_name, in_if_name, out_if_name FROM flows").parsed();
  EXPECT_EQ(answer["rows"], json::parse(R"([["192.0.2.254", "edge one", "xe-0/0/7", null]])")) << answer.dump();
}

TEST_F(StoreProgramTest, IsTheOnlyOneAtItsFile) {
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  std::ofstream(folder_ / "second.yaml") << "nats_url: " << nats_.url() << "\ndatabase: {path: " << folder_ / "flows.duckdb"
                                         << ", temp_directory: " << folder_ / "temp" << "}\nhistory: {folder: " << folder_ / "history"
                                         << "}\ncontrol_socket: {path: " << folder_ / "second.sock" << "}\n";
  Process second(folder_, {built("weir-store"), "run", "-c", folder_ / "second.yaml"});
  EXPECT_EQ(second.wait(), 1);
  EXPECT_THAT(second.err(), HasSubstr("is another process's"));
  EXPECT_TRUE(is_ready());
}

TEST_F(StoreProgramTest, MakesItsFoldersWhenItRunsAndNotWhenItIsChecked) {
  // Root checks what another user runs: a folder of root's would stay shut to the store.
  Process check(folder_, {built("weir-store"), "check-config", "-c", config()});
  EXPECT_EQ(check.wait(), 0) << check.err();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "history"));
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "history"));

  std::ofstream(folder_ / "nowhere.yaml") << "history: {folder: " << folder_ / "nowhere/history" << "}\n";
  Process wrong(folder_, {built("weir-store"), "check-config", "-c", folder_ / "nowhere.yaml"});
  EXPECT_NE(wrong.wait(), 0);
  EXPECT_THAT(wrong.err(), HasSubstr("nothing can be made in " + (folder_ / "nowhere")));
}

TEST_F(StoreProgramTest, CommitsWhatIsBegunWhenItIsToldToStop) {
  auto store = start("log: {level: info}\n");
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  for (uint64_t i = 0; i < 200; ++i) publish("flows.raw.a", flow_batch(100 * i, 100), {{"Nats-Msg-Id", "u.1.0." + std::to_string(i + 1)}});
  EXPECT_EQ(store->terminate(), 0) << store->err();
  EXPECT_THAT(store->err(), HasSubstr("flows in"));
  store = start();
  ASSERT_TRUE(eventually([&] { return is_ready() && is_all_done(); }, 30s)) << consumer().dump();
  EXPECT_EQ(number("SELECT count(*) FROM flow_rows"), 20'000u);
  EXPECT_EQ(number("SELECT count(DISTINCT bytes_raw) FROM flow_rows"), 20'000u);
}

class StoreFilesTest : public StoreProgramTest {
 protected:
  static constexpr int64_t kHour = 489'600;  // 2025-11-08T00:00:00Z
  /// Of two hours with 30 and 12 rows; their paths.
  void make_files(std::vector<std::string>& paths) {
    const std::string files = folder_ / "history";
    std::filesystem::create_directories(files);
    store::DatabaseOptions options;
    options.path = folder_ / "flows.duckdb";
    options.folders = {files};
    store::StoreDatabase database(options);
    const int64_t hours[] = {kHour, kHour + 1};
    ASSERT_TRUE(store::open_hours(*database.connection, hours));
    for (const int64_t hour : hours) {
      database.run(fmt::format("INSERT INTO {} (time, src_endpoint_addr, bytes_total, packets_total, bytes_raw, packets_raw) SELECT "
                               "make_timestamptz({} + i), ip_parse('192.0.2.1'), 1, 1, 1, 1 FROM range({}) t(i)",
                               store::hour_table(hour), hour * store::kMicrosPerHour, hour == kHour ? 30 : 12));
    }
    ASSERT_TRUE(store::fold(*database.connection));
    store::History history(files);
    for (const int64_t hour : hours) ASSERT_TRUE(*history.archive(*database.connection, hour, 1));
    const auto kept = store::kept_files(*database.connection);
    for (const auto& file : *kept) paths.push_back(file.path);
  }
};

TEST_F(StoreFilesTest, AreVerifiedWhenSomebodyAsks) {
  std::vector<std::string> paths;
  make_files(paths);
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  const Outcome good = ctl({"verify"});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("2 files of 0 MiB were read through: 0 of them are not what was written"));
  store::flip_bit(paths[0], static_cast<std::streamoff>(std::filesystem::file_size(paths[0]) / 4));
  const Outcome bad = ctl({"verify"});
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.out, HasSubstr("2 files of 0 MiB were read through: 1 of them are not what was written"));
  EXPECT_THAT(bad.out, HasSubstr("left out: " + paths[0] + ": its octets are not those that were written"));
  EXPECT_THAT(ctl({"status"}).out, HasSubstr("DEGRADED: 1 file with 30 flows of 2025-11-08T00:00:00Z"));
  const std::string metrics = ctl({"metrics"}).out;
  for (const char* line : {"weir_store_scrub_files_total 4", "weir_store_scrub_damaged_total 1", "weir_store_file_rows_left_out 30", "weir_store_files_without_sum 0"}) {
    EXPECT_THAT(metrics, HasSubstr(std::string(line) + "\n"));
  }
  const auto asked = test::fetch({.url = "http://localhost/v1/sql", .method = "POST", .body = R"({"sql":"SELECT count(*) FROM flows"})", .unix_path = socket()});
  EXPECT_THAT(asked.body, HasSubstr("[12]]"));
  EXPECT_EQ(asked.headers.at("x-weir-left-out"), "files=1; rows=30; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z");
  EXPECT_THAT(store->err(), HasSubstr("a file is left out of every answer: " + paths[0]));
  const json again = json::parse(ctl({"--json", "verify"}).out, nullptr, false);
  EXPECT_EQ(again["verify"]["files"], 1);
  EXPECT_EQ(again["left_out"].size(), 1u);
}

TEST_F(StoreFilesTest, AreKeptByNobodyWhereTheKeeperCannotBeMade) {
  std::vector<std::string> paths;
  make_files(paths);
  {
    store::DatabaseOptions options;
    options.path = folder_ / "flows.duckdb";
    options.folders = {folder_ / "history"};
    store::StoreDatabase database(options);
    database.run("DROP TABLE IF EXISTS keeper_clock");
    database.run("CREATE TABLE keeper_clock (other BIGINT)");
  }
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready() && store->err().find("keeper: ") != std::string::npos; })) << store->err();
  EXPECT_THAT(ctl({"status"}).out, HasSubstr("DEGRADED: nobody keeps older rows, sums and files: "));
  const Outcome asked = ctl({"verify"});
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.err, HasSubstr("nobody can read them: "));
}

// Folders of other people's names: what is no pattern of names is a name.
TEST_F(StoreProgramTest, LivesInFoldersOfWhateverName) {
  const std::string odd = folder_ / "it's \"odd\" {a,b} $x; ~%20 #1=\\ü";
  const std::string files = odd + "/history";
  std::filesystem::create_directories(files);
  store::DatabaseOptions options;
  options.path = odd + "/:memory:";
  options.folders = {files};
  std::string path;
  {
    constexpr int64_t kHour = 489'600;
    store::StoreDatabase database(options);
    ASSERT_TRUE(store::open_hours(*database.connection, std::span(&kHour, 1)));
    database.run(fmt::format("INSERT INTO {} (time, bytes_total) SELECT make_timestamptz({} + i), 1 FROM range(30) t(i)", store::hour_table(kHour), kHour * store::kMicrosPerHour));
    ASSERT_TRUE(store::fold(*database.connection));
    ASSERT_TRUE(*store::History(files).archive(*database.connection, kHour, 1));
    path = store::kept_files(*database.connection)->front().path;
  }
  const std::string config = folder_ / "odd.yaml";
  std::ofstream(config) << "nats_url: " << nats_.url() << "\ndatabase: {path: " << json(options.path) << ", temp_directory: " << json(odd + "/temp") << "}\nhistory: {folder: "
                        << json(files) << "}\ncontrol_socket: {path: " << socket() << "}\n";
  Process store(folder_, {built("weir-store"), "run", "-c", config});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store.err();
  EXPECT_EQ(number("SELECT count(*) FROM flow_rows"), 30u);
  const std::string cut = ask("SELECT bytes_total FROM flows", {{"format", "parquet"}, {"max_rows", 7}}).body;
  EXPECT_TRUE(cut.starts_with("PAR1") && cut.ends_with("PAR1")) << cut.substr(0, 300);
  publish("flows.raw.a", flow_batch(0, 5), {{"Nats-Msg-Id", "u.1.0.1"}});
  ASSERT_TRUE(eventually([&] { return number("SELECT count(*) FROM flow_rows") == 35; })) << store.err();
  store::flip_bit(path, static_cast<std::streamoff>(std::filesystem::file_size(path) / 4));
  const Outcome bad = ctl({"verify"});
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.out, HasSubstr("1 of them are not what was written"));
  EXPECT_EQ(store.terminate(), 0) << store.err();
  EXPECT_TRUE(std::filesystem::exists(options.path)) << "it was in memory only";
}

TEST(StoreConfig, ItsDatabaseIsAFileWhateverItsName) {
  for (const char* const name : {":memory:", ":memory:x", "md:flows", "flows.duckdb"}) {
    store::StoreConfig config;
    config.database.path = name;
    EXPECT_EQ(store::database_options(config).path, std::filesystem::current_path() / name);
  }
}

TEST_F(StoreProgramTest, RefusesFoldersThatArePatternsOfNames) {
  const auto check = [&](const std::string& text) {
    std::ofstream(folder_ / "check.yaml") << text;
    Process checking(folder_, {built("weir-store"), "check-config", "-c", folder_ / "check.yaml"});
    return checking.wait() == 0 ? std::string() : checking.err();
  };
  const auto database = [&](const std::string& name) { return "database: {path: " + json(folder_ / name).dump() + "}\n"; };
  EXPECT_EQ(check(database("flows.duckdb")), "");
  for (const char* const part : {"a[1]", "a*", "a?b"}) {
    EXPECT_THAT(check(database("flows.duckdb") + "history: {folder: " + json(folder_ / part).dump() + "}\n"), HasSubstr("DuckDB makes a pattern of names")) << part;
    std::filesystem::create_directories(folder_ / part);
    const std::string beside = check(database(std::string(part) + "/flows.duckdb"));
    EXPECT_THAT(beside, ::testing::AllOf(HasSubstr("history.folder"), HasSubstr("database.temp_directory"))) << part;
  }
  // Where it leads to counts.
  std::filesystem::create_directory_symlink(folder_ / "a[1]", folder_ / "plain");
  EXPECT_THAT(check(database("flows.duckdb") + "history: {folder: " + json(folder_ / "plain/history").dump() + "}\n"), HasSubstr("pattern of names"));
}

TEST_F(StoreProgramTest, SaysWhatItHas) {
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  json kept;
  ASSERT_TRUE(eventually([&] {
    const auto answer = test::fetch({.url = "http://localhost/v1/kept", .unix_path = socket()});
    kept = json::parse(answer.body, nullptr, false);
    return answer.status == 200 && kept["minutes"]["from_us"] != 0;  // it has forgotten what was a week ago, though that was nothing
  })) << kept;
  EXPECT_EQ(kept["minutes"]["secs"], 604'800);
  for (const char* what : {"hours", "days", "flows"}) EXPECT_EQ(kept[what], (json{{"secs", 0}, {"from_us", 0}})) << what;
}

TEST_F(StoreFilesTest, ThatCannotBeReadAreSaidWhereverSomebodyLooks) {
  std::vector<std::string> paths;
  make_files(paths);
  std::filesystem::resize_file(paths[0], 60);
  auto store = start();
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  ASSERT_TRUE(eventually([&] { return number("SELECT count(*) FROM flows") == 12; })) << store->err();
  constexpr const char* kSays = "1 file with 30 flows of 2025-11-08T00:00:00Z to 2025-11-08T01:00:00Z cannot be read and is left out of every answer";
  for (const char* path : {"/healthz", "/readyz"}) {
    json body;
    ASSERT_TRUE(eventually([&] {
      const auto answer = test::fetch({.url = std::string("http://localhost") + path, .unix_path = socket()});
      body = json::parse(answer.body, nullptr, false);
      return answer.status == 200 && body.contains("degraded");  // it works: to start it anew would mend nothing
    })) << path;
    EXPECT_EQ(body["degraded"], json::array({kSays})) << path;
  }
  const std::string status = ctl({"status"}).out;
  EXPECT_THAT(status, HasSubstr(std::string("DEGRADED: ") + kSays));
  EXPECT_THAT(status, HasSubstr("octets where"));
  const json books = ledger();
  EXPECT_EQ(books["files"], (json{{"rows", 42}, {"answered", 12}, {"left_out", 30}, {"files_left_out", 1}}));
  const std::string table = ctl({"ledger"}).out;
  EXPECT_THAT(table, HasSubstr("+ left out: their file cannot be read"));
  EXPECT_THAT(table, HasSubstr("the books balance"));
  const auto asked = test::fetch({.url = "http://localhost/v1/sql", .method = "POST", .body = R"({"sql":"SELECT 1"})", .unix_path = socket()});
  EXPECT_EQ(asked.headers.at("x-weir-left-out"), "files=1; rows=30; from=2025-11-08T00:00:00Z; to=2025-11-08T01:00:00Z");
}

TEST_F(StoreProgramTest, AnswersQuestions) {
  auto store = start("sql: {queries_max: 2, rows_max: 50000, timeout_ms: 3000}\n");
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << store->err();
  publish("flows.raw.a", flow_batch(0, 100));
  ASSERT_TRUE(eventually([&] { return is_all_done(); }));

  const Answer top = ask("SELECT src_endpoint_ip, dst_endpoint_port, sum(bytes_total) AS bytes, avg(packets_total) AS mean, min(time) AS first, "
                         "list(DISTINCT protocol_num) AS protocols FROM flows WHERE dst_endpoint_port = ? GROUP BY ALL",
                         {{"parameters", {53}}});
  const json answer = top.parsed();
  ASSERT_TRUE(answer.contains("rows")) << top.body;
  EXPECT_EQ(answer["columns"][2], (json{{"name", "bytes"}, {"type", "HUGEINT"}}));
  EXPECT_EQ(answer["rows"][0][0], "192.0.2.1");
  EXPECT_EQ(answer["rows"][0][2], 10'450);
  EXPECT_EQ(answer["rows"][0][3], 1.0);
  EXPECT_THAT(answer["rows"][0][4].get<std::string>(), HasSubstr("Z"));
  EXPECT_EQ(answer["rows"][0][5], json({6}));
  EXPECT_FALSE(answer["truncated"]);
  EXPECT_EQ(ask("SELECT count(*) AS n FROM flow_rows WHERE src_endpoint_addr = ?", {{"parameters", {{{"addr", "192.0.2.1"}}}}, {"format", "ndjson"}}).body,
            "{\"n\":100}\n");
  EXPECT_EQ(ask("SELECT 1 AS a, NULL AS b, 'x,\"y' AS c", {{"format", "csv"}}).body, "a,b,c\n1,,\"x,\"\"y\"\n");
  EXPECT_TRUE(ask("FROM range(10)", {{"max_rows", 3}}).parsed()["truncated"]);
  const std::string parquet = ask("SELECT src_endpoint_ip, bytes_total FROM flows WHERE dst_endpoint_port = ?; ", {{"parameters", {53}}, {"format", "parquet"}}).body;
  EXPECT_TRUE(parquet.starts_with("PAR1") && parquet.ends_with("PAR1")) << parquet.substr(0, 200);
  EXPECT_THAT(parquet, HasSubstr("src_endpoint_ip"));
  EXPECT_THAT(ask("SELECT error('no such luck')", {{"format", "parquet"}}).body, HasSubstr("no such luck"));
  EXPECT_EQ(ask("COPY (SELECT 1) TO 'x'", {{"format", "parquet"}}).status, 400);

  const Answer wrong = ask("SELECT nothing FROM flows");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.parsed()["position"], 7) << wrong.body;
  for (const char* sql : {"DELETE FROM flow_none", "SELECT 1; SELECT 2", "INSERT INTO exporters VALUES (NULL, 'x', 'y')", "CREATE TABLE x (a INT)",
                          "COPY flow_none TO '/tmp/weir-x.csv'", "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')",
                          "SET memory_limit = '1TB'", "PRAGMA disable_checkpoint_on_shutdown", "CHECKPOINT", "ATTACH ':memory:' AS x", "SELECT ? + 1", ""}) {
    EXPECT_EQ(ask(sql).status, 400) << sql << ask(sql).body;
  }
  for (const char* body : {"", "[]", "{\"sql\": 1}", "{\"sql\": \"SELECT 1\", \"format\": \"xml\"}", "{\"sql\": \"SELECT 1\", \"max_rows\": 0}",
                           "{\"sql\": \"SELECT 1\", \"more\": 1}", "{\"sql\": \"SELECT ?\", \"parameters\": [{\"addr\": \"x\"}]}"}) {
    EXPECT_EQ(post(body).status, 400) << body;
  }
  const char* const endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range = 7";
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THAT(ask(endless, {{"timeout_ms", 300}}).parsed().value("error", ""), HasSubstr("longer than 300 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  // Who goes away ends his query: otherwise the third of these found no place.
  for (int i = 0; i < 4; ++i) {
    post("{\"sql\": \"FROM range(100000000)\", \"format\": \"ndjson\"}", 1000);
    ASSERT_TRUE(eventually([&] { return ask("SELECT 1").status == 200; }, 5s)) << i;
  }
  EXPECT_THAT(ask("SELECT a.range, b.range, c.range FROM range(100000000) a, range(100) b, range(10) c ORDER BY hash(a.range * b.range)").body, HasSubstr("error"));
  EXPECT_EQ(number("SELECT count(*) FROM flow_rows"), 100u);
  EXPECT_EQ(store->terminate(), 0) << store->err();
}

}  // namespace
}  // namespace weir

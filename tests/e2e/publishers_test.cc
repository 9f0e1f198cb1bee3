// publishers_test.cc — The program with publishers that need no broker: what was sent is what is in the
// files, or at the other end of the connection.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/http_server.h"
#include "support/ports.h"
#include "support/process.h"

namespace weir {
namespace {

using nlohmann::json;
using test::built;
using test::eventually;
using test::Process;

class PublishersTest : public ::testing::Test {
 protected:
  std::unique_ptr<Process> start(const std::string& publishers) {
    const std::string path = folder_ / "weir.yaml";
    std::ofstream(path) << "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" << port_
                        << "', buffer_size: 4MiB}]\ncontrol_socket: {path: " << control_socket()
                        << "}\nstate_dir: \"\"\npublishers:\n"
                        << publishers;
    auto weir = std::make_unique<Process>(
        folder_, std::vector<std::string>{built("weir"), "run", "-c", path});
    EXPECT_TRUE(eventually([&] { return run_ctl({"ready"}) == 0 || !weir->is_running(); }));
    EXPECT_TRUE(weir->is_running()) << weir->err();
    return weir;
  }
  std::string control_socket() const { return folder_ / "control.sock"; }
  int run_ctl(std::vector<std::string> arguments, std::string* out = nullptr) {
    arguments.insert(arguments.begin(), {built("weirctl"), "--socket", control_socket()});
    Process ctl(folder_, std::move(arguments));
    const int status = ctl.wait();
    if (out != nullptr) *out = ctl.out();
    return status;
  }
  json ledger() {
    std::string out;
    run_ctl({"--json", "ledger"}, &out);
    return json::parse(out, nullptr, false);
  }
  uint64_t acknowledged(size_t publisher) {
    const json l = ledger();
    if (!l.is_object()) return 0;
    return l["publishers"][publisher]["records"]["acknowledged"].get<uint64_t>();
  }
  /// Sends generated flows; how many.
  uint64_t generate(int count, int flows) {
    Process generator(folder_, {built("weir"), "generate", "--to", "127.0.0.1:" + std::to_string(port_),
                                "--protocol", "v5", "--count", std::to_string(count), "--flows",
                                std::to_string(flows), "--rate", "5000", "--json"});
    EXPECT_EQ(generator.wait(), 0) << generator.err();
    return json::parse(generator.out()).at("records").get<uint64_t>();
  }
  /// Of whole lines of flows; a line that is none fails the test.
  static uint64_t flows_in(const std::string& file) { return flows_of(test::contents_of(file)); }
  static uint64_t flows_of(const std::string& text) {
    std::istringstream lines(text);
    uint64_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      EXPECT_EQ(json::parse(line, nullptr, false).value("type", ""), "NETFLOW_V5") << line;
    }
    return count;
  }

  test::TemporaryFolder folder_;
  uint16_t port_ = test::free_udp_port();
};

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

TEST_F(PublishersTest, EndsInTimeWhileAServerHangsAndSaysWhatWasLost) {
  test::HttpServer server([](const test::HttpRequest&) {
    return test::HttpReply{.way = test::HttpReply::Way::hang};
  });
  auto weir = start("  - {kind: http, url: '" + server.url() + "'}\nshutdown_deadline_ms: 300\n");
  const uint64_t sent = generate(20, 20);
  ASSERT_TRUE(eventually([&] {
    const json l = ledger();
    return l.is_object() && l["records"]["encoded"] == sent;
  })) << ledger().dump(2);
  EXPECT_EQ(weir->terminate(), 1);
  EXPECT_NE(weir->err().find(std::to_string(sent) + " records were not delivered"), std::string::npos)
      << weir->err();
}

}  // namespace
}  // namespace weir

// Flows from an exporter to an answer, through every program; and what nfdump, which got the same datagrams, says of them.
#include <algorithm>
#include <map>
#include <sstream>
#include <tuple>

#include "e2e/appliance_fixture.h"
#include "support/program.h"

namespace weir {
namespace {

/// Bytes, packets, flows.
using Sums = std::tuple<uint64_t, uint64_t, uint64_t>;

class StoreTest : public ApplianceTest {
 protected:
  void start_store() {
    const std::string store_config = folder_ / "weir-store.yaml", api_config = folder_ / "weir-api.yaml";
    std::ofstream(store_config) << "nats_url: " << nats_.url() << "\n"
                                << "source: {stream_name: events}\n"
                                << "database: {path: " << (folder_ / "store/flows.duckdb") << ", memory_limit: 512MiB}\n"
                                << "dead: {stream: {max_bytes: 16MiB}}\n"
                                << "control_socket: {path: " << (folder_ / "store.sock") << "}\n";
    std::ofstream(api_config) << "listen: {unix: " << api_socket() << "}\nstore: {socket: " << (folder_ / "store.sock") << "}\n";
    std::filesystem::create_directories(folder_ / "store");
    store_ = std::make_unique<Process>(folder_, std::vector<std::string>{test::built("weir-store"), "run", "-c", store_config});
    api_ = std::make_unique<Process>(folder_, std::vector<std::string>{test::built("weir-api"), "run", "-c", api_config});
  }
  std::string api_socket() const { return folder_ / "api.sock"; }

  Answer ask(const std::string& query, const std::string& format = "ndjson") {
    return run({test::built("weirctl"), "query", "--api", api_socket(), "--format", format, query});
  }
  std::vector<json> rows_of(const std::string& query) {
    const Answer answer = ask(query);
    EXPECT_EQ(answer.status, 0) << answer.err;
    std::vector<json> rows;
    for (const std::string& line : test::lines_of(answer.out)) rows.push_back(json::parse(line));
    return rows;
  }
  uint64_t stored() {
    const Answer answer = ask("in:flows time:last_7d stats:\"count(*) as flows\"");
    if (answer.status != 0 || answer.out.empty()) return 0;
    return json::parse(answer.out).at("flows").get<uint64_t>();
  }
  std::map<std::string, Sums> sums_by(const std::string& field) {
    std::map<std::string, Sums> sums;
    for (const json& row : rows_of("in:flows time:last_7d raw:true stats:\"sum(bytes_total) as bytes, sum(packets_total) as packets, "
                                   "count(*) as flows by " + field + "\" limit:100000")) {
      const json& key = row.at(field);
      sums[key.is_string() ? key.get<std::string>() : key.dump()] = {row.at("bytes").get<uint64_t>(), row.at("packets").get<uint64_t>(),
                                                                     row.at("flows").get<uint64_t>()};
    }
    return sums;
  }
  /// What nfdump makes of what nfcapd has written. A port that is none is 0 there.
  std::map<std::string, Sums> nfdump_sums_by(const std::string& statistic) {
    const Answer answer = run({"nfdump", "-R", folder_ / "nfcapd", "-s", statistic + "/bytes", "-n", "0", "-o", "csv"});
    EXPECT_EQ(answer.status, 0) << answer.err;
    std::map<std::string, Sums> sums;
    for (const std::string& line : test::lines_of(answer.out)) {
      std::vector<std::string> cells;
      std::istringstream parts(line);
      for (std::string cell; std::getline(parts, cell, ',');) cells.push_back(cell);
      // ts,te,td,pr,val,fl,flP,pkt,pktP,byt,…
      if (cells.size() < 14 || cells[0] == "ts") continue;
      std::string key = cells[4];
      key.erase(0, key.find_first_not_of(' '));
      sums[key] = {std::stoull(cells[9]), std::stoull(cells[7]), std::stoull(cells[5])};
    }
    return sums;
  }

  std::unique_ptr<Process> store_, api_;
};

TEST_F(StoreTest, AnswersAreThoseOfNfdump) {
  if (run({"nfdump", "-V"}).status != 0) GTEST_SKIP() << "nfdump is not installed";
  const uint16_t nfcapd_port = free_udp_port();
  std::filesystem::create_directories(folder_ / "nfcapd");
  Process nfcapd(folder_, {"nfcapd", "-p", std::to_string(nfcapd_port), "-b", "127.0.0.1", "-w", folder_ / "nfcapd", "-t", "3600", "-B", "4194304"});
  auto weir = start();
  start_store();
  // nfcapd says nothing when it listens.
  ASSERT_TRUE(eventually([&] { return run({"sh", "-c", "ss -Hlun sport = :" + std::to_string(nfcapd_port) + " | grep -q ."}).status == 0; }));
  uint64_t sent = 0;
  for (const char* protocol : {"v5", "v9", "ipfix"}) {
    for (const uint16_t port : {port_, nfcapd_port}) {
      const Answer answer = run({this->weir(), "generate", "--to", "127.0.0.1:" + std::to_string(port), "--protocol", protocol, "--count", "150",
                                 "--flows", "20", "--rate", "2000", "--seed", "7", "--json"});
      ASSERT_EQ(answer.status, 0) << answer.err;
      if (port == port_) sent += json::parse(answer.out).at("records").get<uint64_t>();
    }
  }
  ASSERT_TRUE(eventually([&] { return stored() == sent; })) << stored() << " of " << sent << "\n" << store_->err() << api_->err();
  EXPECT_EQ(nfcapd.terminate(), 0) << nfcapd.err();
  for (const auto& [field, statistic] : {std::pair("src_endpoint_ip", "srcip"), {"dst_endpoint_ip", "dstip"}}) {
    const auto ours = sums_by(field), theirs = nfdump_sums_by(statistic);
    EXPECT_GT(theirs.size(), 100u);
    EXPECT_EQ(ours, theirs) << field;
  }
  // ICMP has type and code where ports are; nfdump counts those as ports.
  auto ours = sums_by("dst_endpoint_port"), theirs = nfdump_sums_by("dstport");
  for (const char* port : {"443", "80", "53", "22"}) {
    ASSERT_TRUE(ours.count(port) == 1 && theirs.count(port) == 1) << port;
    EXPECT_EQ(ours[port], theirs[port]) << port;
  }
  EXPECT_EQ(api_->terminate(), 0) << api_->err();
  EXPECT_EQ(store_->terminate(), 0) << store_->err();
  EXPECT_EQ(weir->terminate(), 0) << weir->err();
}

TEST_F(StoreTest, KeepsEveryFlowOverRestartsOfAllPrograms) {
  auto weir = start();
  start_store();
  uint64_t sent = generate("ipfix", 50, 20);
  ASSERT_TRUE(eventually([&] { return stored() == sent; })) << store_->err();
  store_->signal(SIGKILL);
  store_->wait();
  api_->terminate();
  sent += generate("v9", 50, 20);
  ASSERT_TRUE(eventually([&] { return acknowledged() == sent; }));
  EXPECT_EQ(weir->terminate(), 0);
  start_store();
  ASSERT_TRUE(eventually([&] { return stored() == sent; })) << stored() << " of " << sent << "\n" << store_->err();
  const Answer table = ask("in:flows time:last_1h stats:\"sum(bytes_total) as bytes by protocol_name\" sort:bytes:desc", "table");
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_NE(table.out.find("tcp"), std::string::npos) << table.out;
}

}  // namespace
}  // namespace weir

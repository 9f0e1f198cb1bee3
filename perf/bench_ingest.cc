// bench_ingest.cc — From a JetStream stream to committed rows: how many flows a second, and what each thread's share of a flow is.
//
//     build/perf/bench_ingest [ROWS [FOLDER [INTERVAL_MS…]]]   4,000,000 rows by default; starts a nats-server of its own. With intervals
//                                                              (commit.interval_ms): NetFlow v9 under each of them in turn
//
// The stream is filled first, so nobody else works beside weir-store's threads but the server that hands messages out. Figures are of this
// process's threads by their own clocks, and of the wall; the server's are its process's.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>
#include <vector>

#include "corpus.h"
#include "decode/decoder.h"
#include "export/encoder.h"
#include "export/nats_client.h"
#include "store/duckdb_sink.h"
#include "store/ingest.h"
#include "store/open_store.h"
#include "support/nats_server.h"

namespace weir::perf {
namespace {

template <class T>
T expect(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

/// Batches as a collector publishes them: of at most 64 KiB.
class Batches final : public RecordSink {
 public:
  struct Batch {
    std::vector<uint8_t> octets;
    uint64_t records = 0;
  };
  explicit Batches(Protocol protocol) {
    const Corpus corpus = make_corpus(protocol);
    decode::DecoderConfig config;
    config.listeners.resize(1);
    config.hash_seed = 42;
    auto decoder = expect(decode::Decoder::create(config));
    for (const Corpus::Packet& p : corpus.templates) decoder->decode(corpus.datagram(p), *this);
    for (const Corpus::Packet& p : corpus.packets) decoder->decode(corpus.datagram(p), *this);
  }
  void on_records(const RecordBurst& burst) noexcept override {
    constexpr size_t kBatchOctets = 60'000;
    if (all.empty() || all.back().octets.size() > kBatchOctets) all.emplace_back();
    Batch& batch = all.back();
    const outbound::HeaderPrefix prefix(burst.header);
    const size_t before = batch.octets.size();
    size_t most = outbound::kStoreSlackOctets;
    for (const FlowRecord& r : burst.records) most += outbound::Encoder::octets_max(prefix, r);
    batch.octets.resize(before + most);
    batch.octets.resize(before + encoder_.encode(prefix, burst.records, burst.arena, batch.octets.data() + before));
    batch.records += burst.records.size();
  }
  std::vector<Batch> all;

 private:
  outbound::Encoder encoder_;
};

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

/// User and system time of a process.
double seconds_of_process(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  const std::string line{std::istreambuf_iterator<char>(stat), {}};
  std::istringstream behind_name(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) behind_name >> skipped;
  double user = 0, system = 0;
  behind_name >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Filled {
  uint64_t rows = 0, messages = 0;
};

/// With the flows' own times as if they came now, so that they lie in one hour's table or two.
Filled fill(const std::string& url, Protocol protocol, uint64_t rows) {
  outbound::NatsConfig config;
  config.urls = {url};
  auto client = expect(outbound::NatsClient::make(config));
  if (!client->connect()) std::exit(1);
  const auto made = client->request("$JS.API.STREAM.CREATE.events",
                                    R"({"name":"events","subjects":["flows.raw.*"],"storage":"file","max_bytes":8589934592,"num_replicas":1})", 5000);
  if (!made) std::exit(1);
  const Batches batches(protocol);
  Filled filled;
  uint64_t open = 0;
  for (size_t i = 0; filled.rows < rows; i = (i + 1) % batches.all.size()) {
    const auto& batch = batches.all[i];
    const std::string id = "bench.1.0." + std::to_string(++filled.messages);
    const outbound::MessageHeader headers[] = {{"Nats-Msg-Id", id.c_str()}, {"Weir-Framing", "batch"}};
    if (client->publish("flows.raw.netflow", filled.messages, batch.octets, headers) != outbound::Sent::sent) std::exit(1);
    filled.rows += batch.records;
    for (++open; open > 64; --open) {
      if (!client->next_reply(10'000)) std::exit(1);
    }
  }
  for (; open > 0; --open) {
    if (!client->next_reply(10'000)) std::exit(1);
  }
  return filled;
}

void measure(Protocol protocol, uint64_t rows, const std::string& folder, uint32_t interval_ms = store::CommitConfig().interval_ms) {
  test::NatsServer nats;
  if (!nats.start()) std::exit(1);
  const Filled filled = fill(nats.url(), protocol, rows);

  store::StoreConfig config;
  config.nats_url = nats.url();
  config.database.path = folder + "/bench.duckdb";
  config.database.temp_directory.clear();
  config.history.folder = folder;
  config.commit.interval_ms = interval_ms;
  for (const char* suffix : {"", ".wal"}) std::remove((config.database.path + suffix).c_str());
  auto opened = expect(store::OpenStore::open(store::database_options(config)));
  store::DuckdbSink sink(*opened);
  Snapshot<store::RulesInUse> rules;
  rules.publish(expect(store::read_rules("", {}, 1)));
  auto ingest = expect(store::Ingest::make(config, rules, sink));
  const double begun = seconds_of(CLOCK_MONOTONIC), process_begun = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const double server_begun = seconds_of_process(nats.pid());
  double ingest_s = 0;
  std::thread writer([&] {
    const RoleScope role(store_writer);
    ingest->committer().run();
  });
  std::thread reader([&] {
    const RoleScope role(ingest_thread);
    const RoleScope publishes(publisher_thread);
    ingest->run();
    ingest_s = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  });
  while (ingest->view() == nullptr || ingest->view()->books.rows < filled.rows) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const double wall = seconds_of(CLOCK_MONOTONIC) - begun;
  const double server_s = seconds_of_process(nats.pid()) - server_begun;
  ingest->ask_to_stop();
  reader.join();
  ingest->committer().ask_to_stop();
  writer.join();
  // The writer's thread and DuckDB's, which share the work of a commit; nats.c's take what comes in.
  const double rest_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - process_begun - ingest_s;
  const auto view = ingest->view();
  if (!view->books.discrepancy().empty() || view->books.rows != filled.rows) {
    std::fprintf(stderr, "rows: %llu, not %llu: %s\n", static_cast<unsigned long long>(view->books.rows),
                 static_cast<unsigned long long>(filled.rows), view->books.discrepancy().c_str());
    std::exit(1);
  }
  const auto n = static_cast<double>(filled.rows);
  std::printf("%-22s %4u ms %9.0f rows  %6.2f s  %7.0f k rows/s   ns CPU a row: ingest %4.0f, writers %4.0f, nats-server %4.0f; ns a row at commits %4.0f; "
              "%5.1f octets a row; %llu commits\n",
              std::string(name_of(protocol)).c_str(), interval_ms, n, wall, n / wall / 1e3, ingest_s / n * 1e9, rest_s / n * 1e9, server_s / n * 1e9,
              static_cast<double>(view->committer.busy_ns) / n, static_cast<double>(opened->file_octets() + opened->wal_octets()) / n,
              static_cast<unsigned long long>(view->committer.commits));
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) {
  using namespace weir::perf;
  uint64_t rows = 4'000'000;
  std::string folder = "/tmp";
  std::vector<uint32_t> intervals_ms;
  CLI::App app("From a JetStream stream to committed rows: how many flows a second, and what each thread's share of a flow is.", "bench_ingest");
  app.add_option("ROWS", rows, "So many of each protocol")->capture_default_str()->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  app.add_option("FOLDER", folder, "Where the database lies")->capture_default_str()->check(CLI::ExistingDirectory);
  app.add_option("INTERVAL_MS", intervals_ms, "commit.interval_ms: NetFlow v9 under each of them in turn")->check(CLI::Range(10, 1000));
  CLI11_PARSE(app, argc, argv);
  for (const uint32_t interval_ms : intervals_ms) measure(Protocol::netflow_v9, rows, folder, interval_ms);
  if (!intervals_ms.empty()) return 0;
  for (const Protocol protocol : {Protocol::netflow_v5, Protocol::netflow_v9, Protocol::mixed_10_exporters}) {
    measure(protocol, rows, folder);
  }
  return 0;
}

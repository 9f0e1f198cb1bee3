// bench_store.cc — From the octets of a FlowBatch to rows that a commit has made last: what each step of the store costs.
//
//     build/perf/bench_store [FOLDER]           the figures of docs/PERFORMANCE.md; the database lies in FOLDER
//     build/perf/bench_store [FOLDER] --smoke   few rows, all counted; part of the tests
//
// One thread does everything, one step behind the other, so that each can be told from the others: octets to FlowViews to chunks, chunks
// into the table, the commit (with the ledger's change), the checkpoint. What of it weir-store does at the same time is in bench_ingest.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "corpus.h"
#include "decode/decoder.h"
#include "export/batch_reader.h"
#include "export/encoder.h"
#include "flow/flow_parser.h"
#include "store/address_functions.h"
#include "store/row_source.h"
#include "store/row_writer.h"
#include "store/schema.h"

namespace weir::perf {
namespace {

template <class T>
T expect(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

/// What the appliance publishes of a corpus, all of it in one batch.
class Flows final : public RecordSink {
 public:
  explicit Flows(Protocol protocol) {
    const Corpus corpus = make_corpus(protocol);
    decode::DecoderConfig config;
    config.listeners.resize(1);
    config.hash_seed = 42;
    auto decoder = expect(decode::Decoder::create(config));
    for (const Corpus::Packet& p : corpus.templates) decoder->decode(corpus.datagram(p), *this);
    for (const Corpus::Packet& p : corpus.packets) decoder->decode(corpus.datagram(p), *this);
  }
  void on_records(const RecordBurst& burst) noexcept override {
    const outbound::HeaderPrefix prefix(burst.header);
    const size_t before = octets.size();
    size_t most = outbound::kStoreSlackOctets;
    for (const FlowRecord& r : burst.records) most += outbound::Encoder::octets_max(prefix, r);
    octets.resize(before + most);
    octets.resize(before + encoder_.encode(prefix, burst.records, burst.arena, octets.data() + before));
    records += burst.records.size();
  }
  std::vector<uint8_t> octets;
  uint64_t records = 0;

 private:
  outbound::Encoder encoder_;
};

struct Costs {
  double convert = 0, append = 0, commit = 0, checkpoint = 0;
  uint64_t rows = 0;
};

/// Of this thread's own time, so that a busy machine does not count: DuckDB with one thread works in it.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum) {}
  ~Stopwatch() { sum_ += now_ns() - begin_; }

 private:
  static double now_ns() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  }
  double& sum_;
  const double begin_ = now_ns();
};

constexpr int64_t kNowUs = static_cast<int64_t>(kReceivedNs / 1000);

/// Rows of `flows` from the beginning, as often as there is room in the chunks.
void convert(const Flows& flows, store::RowWriter& writer, std::vector<std::unique_ptr<store::RowChunk>>& chunks) {
  FlowView view;
  size_t at = 0;
  while (at < chunks.size()) {
    outbound::BatchWalk walk(flows.octets);
    for (outbound::BatchEntry entry; at < chunks.size() && walk.next(entry);) {
      if (!parse_flow(entry.message, view)) std::abort();
      writer.write(view, {}, store::times_of(view, kNowUs), *chunks[at]);
      if (chunks[at]->is_full()) ++at;
    }
  }
}

Costs measure(Protocol protocol, const std::string& file, size_t commits, size_t chunks_a_commit) {
  const Flows flows(protocol);
  unlink(file.c_str());
  auto database = expect(store::Database::open({.path = file, .threads = 1}));
  auto connection = expect(database->connect());
  if (!store::register_address_functions(connection) || !store::prepare_schema(connection)) std::abort();
  auto source = expect(store::RowSource::make(connection));
  const int64_t hour = store::hour_of(kNowUs);

  std::vector<std::unique_ptr<store::RowChunk>> chunks;
  for (size_t i = 0; i < chunks_a_commit; ++i) chunks.push_back(std::make_unique<store::RowChunk>());
  store::RowWriter writer;
  Costs costs;
  for (size_t commit = 0; commit < commits; ++commit) {
    {
      const Stopwatch watch(costs.convert);
      for (auto& chunk : chunks) chunk->clear();
      convert(flows, writer, chunks);
    }
    if (commit == 0) {
      store::ColumnSet used;
      for (const auto& chunk : chunks) used |= chunk->used();
      if (const auto made = store::open_hours(connection, {&hour, 1}, used); !made) std::abort();
    }
    expect(connection.execute("BEGIN"));
    {
      const Stopwatch watch(costs.append);
      for (auto& chunk : chunks) costs.rows += chunk->rows();
      if (!source.insert(connection, store::hour_table(hour), expect(store::hour_tables(connection)).front().columns, chunks)) std::abort();
    }
    const Stopwatch watch(costs.commit);
    expect(connection.execute("COMMIT"));
  }
  {
    const Stopwatch watch(costs.checkpoint);
    expect(connection.execute("CHECKPOINT"));
  }
  auto rows = expect(connection.query("SELECT count(*) FROM " + store::hour_table(hour)));
  const auto chunk = expect(rows.next());
  if (static_cast<uint64_t>(chunk.at<int64_t>(0, 0)) != costs.rows) {
    std::fprintf(stderr, "rows are missing\n");
    std::exit(1);
  }
  return costs;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) {
  using namespace weir::perf;
  std::string folder;
  bool is_smoke = false;
  CLI::App app("From the octets of a FlowBatch to rows that a commit has made last: what each step of the store costs.", "bench_store");
  app.add_option("FOLDER", folder, "Where the database lies; one of its own without it")->check(CLI::ExistingDirectory);
  app.add_flag("--smoke", is_smoke, "Few rows");
  CLI11_PARSE(app, argc, argv);
  const bool is_own = folder.empty();
  if (is_own) {
    folder = "/tmp/weir_bench_XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) return 1;
  }
  const std::string file = folder + "/bench.duckdb";
  std::printf("%-24s %10s %10s %10s %10s %10s %12s\n", "ns/row", "convert", "append", "commit", "checkpoint", "all", "octets/row");
  for (const Protocol protocol : {Protocol::netflow_v5, Protocol::netflow_v9, Protocol::ipfix, Protocol::mixed_10_exporters}) {
    const Costs c = is_smoke ? measure(protocol, file, 1, 4) : measure(protocol, file, 8, 256);
    struct stat look {};
    stat(file.c_str(), &look);
    const auto a_row = [&](double ns) { return ns / static_cast<double>(c.rows); };
    std::printf("%-24s %10.0f %10.0f %10.0f %10.0f %10.0f %12.1f\n", std::string(name_of(protocol)).c_str(), a_row(c.convert),
                a_row(c.append), a_row(c.commit), a_row(c.checkpoint),
                a_row(c.convert + c.append + c.commit + c.checkpoint), a_row(static_cast<double>(look.st_size)));
  }
  unlink(file.c_str());
  if (is_own) rmdir(folder.c_str());
  return 0;
}

// weir_read.cc — `weir read`: flows and other records back from JetStream, as any consumer would see them.
#include <google/protobuf/descriptor.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/decimal_range.h"
#include "export/batch_reader.h"
#include "export/jetstream_reader.h"
#include "export/json_lines.h"
#include "export/sflow_json.h"

namespace weir::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitTooFew = 3;

constexpr uint64_t kLastDefault = 10;
constexpr uint64_t kLastMax = 1'000'000;  // their text is held in memory
constexpr uint64_t kCountMax = 1'000'000'000'000'000;
constexpr double kTimeoutMaxS = 1e6;
constexpr double kTimeoutForCountS = 5;
// Read in the first try for --last: more than this many records a message are rare.
constexpr uint64_t kRecordsPerMessageGuess = 500;
constexpr size_t kIdsMax = 4'000'000;  // of messages, remembered to find duplicates
constexpr size_t kOutputOctets = 64 * 1024;
constexpr int kWaitMs = 200;

std::atomic<bool> stop_asked{false};

void ask_to_stop(int) { stop_asked.store(true, std::memory_order_relaxed); }

struct ReadOptions {
  std::string server = "nats://127.0.0.1:4222";
  std::string creds_file;
  std::string user;
  std::string password;
  std::string token;
  std::string nkey_file;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string server_name;
  bool tls = false;
  std::string stream = "events";
  std::string subject = "flows.raw.*";
  bool all = false;
  bool only_new = false;
  uint64_t last = kLastDefault;
  uint64_t count = 0;  // 0: no bound
  double timeout_s = -1;
  std::string format = "json";
  bool summary = false;
};

struct Tally {
  uint64_t records = 0;
  uint64_t messages = 0;
  uint64_t unreadable = 0;                           // messages, or records in them
  uint64_t duplicates = 0;                           // messages whose id was read before
  std::map<int, uint64_t> by_type;                   // flows
  std::map<outbound::RecordKind, uint64_t> by_kind;  // other records
  std::unordered_set<size_t> ids;
};

/// One record of a message, whatever its kind.
struct Record {
  outbound::RecordKind kind;
  const google::protobuf::Message& message;

  template <class Message>
  const Message& as() const {
    return static_cast<const Message&>(message);
  }
};
using OnRecord = std::function<void(const Record&)>;

class Output {
 public:
  explicit Output(const std::string& format) : format_(format) {
    if (format_ == "table") outbound::FlowTable::append_heading(buffer_);
  }
  /// What `record` looks like; empty with format none. A table has room for packets only.
  void append(const Record& record, std::string& text) const {
    using outbound::RecordKind;
    const bool json = format_ == "json";
    const bool table = format_ == "table";
    switch (record.kind) {
      case RecordKind::flow: {
        const auto& flow = record.as<flowpb::FlowMessage>();
        if (json) outbound::append_json_line(flow, text);
        if (table) outbound::FlowTable::append_row(flow, text);
        break;
      }
      case RecordKind::sflow_counters:
        if (json) outbound::append_json_line(record.as<flowpb::SflowCounters>(), text);
        break;
      case RecordKind::sflow_discard: {
        const auto& discard = record.as<flowpb::SflowDiscard>();
        if (json) outbound::append_json_line(discard, text);
        if (table) outbound::FlowTable::append_row(discard.packet(), text);
        break;
      }
      case RecordKind::count_: break;
    }
  }
  void put(const Record& record) {
    append(record, buffer_);
    if (buffer_.size() >= kOutputOctets) flush();
  }
  void put(const std::string& text) {
    buffer_ += text;
    if (buffer_.size() >= kOutputOctets) flush();
  }
  void flush() {
    if (!buffer_.empty() && open_) {
      open_ = std::fwrite(buffer_.data(), 1, buffer_.size(), stdout) == buffer_.size() &&
              std::fflush(stdout) == 0;
      if (!open_) error_ = errno;
    }
    buffer_.clear();
  }
  bool open() const { return open_; }
  /// Not written, and not because the reader had enough.
  bool failed() const { return !open_ && error_ != EPIPE; }

 private:
  const std::string format_;
  std::string buffer_;
  bool open_ = true;
  int error_ = 0;
};

/// One reading of the stream: from where the reader stands to its end, or to what the options say.
class Reading {
 public:
  Reading(outbound::JetStreamReader& reader, Tally& tally) : reader_(reader), tally_(tally) {}

  /// Calls `on_record` for each record; false when the stream could not be read on.
  bool run(double timeout_s, const OnRecord& on_record, const std::function<void()>& on_pause,
           const std::function<bool()>& enough) {
    uint64_t quiet_since = steady_clock_ns();
    while (!stop_asked.load(std::memory_order_relaxed) && !enough()) {
      const bool at_end = reader_.pending() == 0;
      const double quiet_s =
          static_cast<double>(steady_clock_ns() - quiet_since) / static_cast<double>(kNsPerSec);
      if (at_end && timeout_s >= 0 && quiet_s >= timeout_s) break;
      if (at_end) on_pause();
      auto next = reader_.next(kWaitMs);
      if (!next) {
        std::fprintf(stderr, "weir read: %s\n", next.error().message.c_str());
        return false;
      }
      if (!*next) {
        // Messages that the server announced may have expired meanwhile.
        if (!at_end && quiet_s > std::max(timeout_s, kTimeoutForCountS)) break;
        continue;
      }
      quiet_since = steady_clock_ns();
      take(**next, on_record, enough);
    }
    on_pause();
    return true;
  }

 private:
  void take(const outbound::StreamMessage& message, const OnRecord& on_record,
            const std::function<bool()>& enough) {
    ++tally_.messages;
    if (!message.id.empty() && tally_.ids.size() < kIdsMax &&
        !tally_.ids.insert(std::hash<std::string>{}(message.id)).second) {
      ++tally_.duplicates;
    }
    if (!message.framing) {
      if (tally_.unreadable++ == 0) {
        std::fprintf(stderr,
                     "weir read: message %llu on %s has a framing or compression that this "
                     "version does not read, or is not what its headers say\n",
                     static_cast<unsigned long long>(message.sequence), message.subject.c_str());
      }
      return;
    }
    const auto* octets = reinterpret_cast<const uint8_t*>(message.payload.data());
    const std::span<const uint8_t> payload(octets, message.payload.size());
    const auto tell = [&](const auto& parsed) {
      if (enough()) return;
      ++tally_.records;
      if (message.kind != outbound::RecordKind::flow) ++tally_.by_kind[message.kind];
      on_record({message.kind, parsed});
    };
    outbound::ReadCounts counts;
    switch (message.kind) {
      case outbound::RecordKind::flow:
        counts = outbound::read_flows(payload, [&](const flowpb::FlowMessage& flow) {
          if (!enough()) ++tally_.by_type[flow.type()];
          tell(flow);
        });
        break;
      case outbound::RecordKind::sflow_counters:
        counts = outbound::read_messages<flowpb::SflowCounters>(payload, tell);
        break;
      case outbound::RecordKind::sflow_discard:
        counts = outbound::read_messages<flowpb::SflowDiscard>(payload, tell);
        break;
      case outbound::RecordKind::count_: break;  // told as of an unknown framing
    }
    if (counts.malformed > 0 && tally_.unreadable == 0) {
      std::fprintf(stderr, "weir read: message %llu on %s is no record or batch of records\n",
                   static_cast<unsigned long long>(message.sequence), message.subject.c_str());
    }
    tally_.unreadable += counts.malformed;
  }

  outbound::JetStreamReader& reader_;
  Tally& tally_;
};

void print_summary(const Tally& tally) {
  const auto line = [](const std::string& name, uint64_t value) {
    std::fprintf(stderr, "%-12s %llu\n", name.c_str(), static_cast<unsigned long long>(value));
  };
  line("records", tally.records);
  line("messages", tally.messages);
  for (const auto& [type, records] : tally.by_type) {
    const auto* name = flowpb::FlowType_descriptor()->FindValueByNumber(type);
    line(name != nullptr ? name->name() : "type " + std::to_string(type), records);
  }
  for (const auto& [kind, records] : tally.by_kind) line(std::string(name_of(kind)), records);
  line("duplicates", tally.duplicates);
  line("unreadable", tally.unreadable);
}

/// The last records: reads a few messages from the end, and more of them until there are enough.
bool read_last(const ReadOptions& options, outbound::JetStreamReader& reader, Tally& tally,
               Output& output) {
  uint64_t messages = options.last / kRecordsPerMessageGuess + 1;
  for (;;) {
    const uint64_t last = reader.last_sequence();
    const uint64_t first = std::max<uint64_t>(reader.first_sequence(), 1);
    const uint64_t start = last - std::min(last, messages) + 1;
    tally = Tally{};
    std::deque<std::string> texts;
    if (const auto sought = reader.seek(std::max(start, first)); !sought) {
      std::fprintf(stderr, "weir read: %s\n", sought.error().message.c_str());
      return false;
    }
    Reading reading(reader, tally);
    const auto keep = [&](const Record& record) {
      if (texts.size() == options.last) texts.pop_front();
      output.append(record, texts.emplace_back());
    };
    if (!reading.run(
            std::max(options.timeout_s, 0.0), keep, [] {}, [] { return false; })) {
      return false;
    }
    const bool stopped = stop_asked.load(std::memory_order_relaxed);
    if (texts.size() == options.last || start <= first || stopped) {
      for (const std::string& text : texts) output.put(text);
      output.flush();
      return true;
    }
    messages *= 4;
  }
}

int run_read(const ReadOptions& options) {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);

  outbound::ReaderConfig config;
  config.nats.urls.clear();
  for (size_t at = 0; at <= options.server.size();) {
    const size_t comma = std::min(options.server.find(',', at), options.server.size());
    if (comma > at) config.nats.urls.push_back(options.server.substr(at, comma - at));
    at = comma + 1;
  }
  config.nats.name = "weir read";
  config.nats.creds_file = options.creds_file;
  config.nats.user = options.user;
  config.nats.password = options.password;
  config.nats.token = options.token;
  config.nats.nkey_file = options.nkey_file;
  outbound::TlsConfig& tls = config.nats.tls;
  tls = {outbound::TlsMode::none, options.ca_file, options.cert_file, options.key_file,
         options.server_name};
  if (!tls.cert_file.empty() || !tls.key_file.empty()) {
    tls.mode = outbound::TlsMode::mtls;
  } else if (options.tls || !tls.ca_file.empty() || !tls.server_name.empty() ||
             options.server.find("tls://") != std::string::npos) {
    tls.mode = outbound::TlsMode::tls;
  }
  config.stream = options.stream;
  config.subject = options.subject;
  config.only_new = options.only_new;
  auto reader = outbound::JetStreamReader::open(config);
  if (!reader) {
    std::fprintf(stderr, "weir read: %s\n", reader.error().message.c_str());
    return kExitFailed;
  }

  Tally tally;
  Output output(options.format);
  bool intact = false;
  if (!options.all && !options.only_new) {
    intact = read_last(options, **reader, tally, output);
  } else {
    // To the stream's end; for new ones, or a count, as long as it is told or takes.
    double timeout_s = options.timeout_s;
    if (timeout_s < 0 && !options.only_new) timeout_s = options.count > 0 ? kTimeoutForCountS : 0;
    Reading reading(**reader, tally);
    intact = reading.run(
        timeout_s, [&](const Record& record) { output.put(record); }, [&] { output.flush(); },
        [&] { return !output.open() || (options.count > 0 && tally.records >= options.count); });
    output.flush();
  }
  if (options.summary) print_summary(tally);
  if (output.failed()) std::fprintf(stderr, "weir read: standard output cannot be written\n");
  if (!intact || tally.unreadable > 0 || output.failed()) return kExitFailed;
  // Whoever closed our output, or stopped us, has what they wanted.
  if (!output.open() || (stop_asked.load() && options.count == 0)) return 0;
  return tally.records < std::max<uint64_t>(options.count, 1) ? kExitTooFew : 0;
}

}  // namespace

void add_read_command(CLI::App& app, int& exit_code) {
  CLI::App* read = app.add_subcommand(
      "read", "Print flows, and what sFlow tells beside them, that are stored in JetStream");
  auto options = std::make_shared<ReadOptions>();
  read->add_option("-s,--server", options->server, "NATS server, several with commas")
      ->envname("NATS_URL")
      ->capture_default_str();
  read->add_option("--creds", options->creds_file, "Credentials file")->envname("NATS_CREDS");
  read->add_option("--user", options->user, "User")->envname("NATS_USER");
  read->add_option("--password", options->password, "Password; better in the environment")
      ->envname("NATS_PASSWORD");
  read->add_option("--token", options->token, "Token; better in the environment")
      ->envname("NATS_TOKEN");
  read->add_option("--nkey", options->nkey_file, "File with the NKey seed of a user")
      ->envname("NATS_NKEY");
  read->add_flag("--tls", options->tls, "Only with TLS, which the options that follow imply");
  read->add_option("--tlsca", options->ca_file, "CAs of the server (PEM); default: the system's")
      ->envname("NATS_CA");
  read->add_option("--tlscert", options->cert_file, "Our certificate (PEM), for mutual TLS")
      ->envname("NATS_CERT");
  read->add_option("--tlskey", options->key_file, "Its private key (PEM)")->envname("NATS_KEY");
  read->add_option("--tlsname", options->server_name,
                   "The name that the server's certificate has, if not the host of --server");
  read->add_option("--stream", options->stream, "Stream")->capture_default_str();
  read->add_option("--subject", options->subject, "Subject, wildcards allowed")
      ->capture_default_str();

  CLI::Option* all =
      read->add_flag("--all", options->all, "From the stream's first record to its end");
  CLI::Option* only_new =
      read->add_flag("--new", options->only_new, "Only what comes from now on, until Ctrl-C");
  CLI::Option* last = read->add_option("--last", options->last, "The last N records")
                          ->check(CLI::Range(uint64_t{1}, kLastMax))
                          ->capture_default_str();
  all->excludes(only_new)->excludes(last);
  only_new->excludes(last);

  read->add_option("--count", options->count, "Stop after N records (with --all or --new)")
      ->check(CLI::Range(uint64_t{1}, kCountMax))
      ->excludes(last);
  read->add_option("--timeout", options->timeout_s,
                   "At the stream's end, wait this many seconds for more (default: 0; 5 with "
                   "--all --count; for ever with --new)")
      ->check(decimal_range(0.0, kTimeoutMaxS));
  read->add_option("--format", options->format, "json, table or none")
      ->check(CLI::IsMember({"json", "table", "none"}))
      ->capture_default_str();
  read->add_flag("--summary", options->summary,
                 "Count records, messages, types and duplicates on standard error");
  read->footer(
      "Examples:\n"
      "  weir read                                  the last 10 records\n"
      "  weir read --new --format table             watch flows arrive\n"
      "  weir read --all --format none --summary    count what is stored\n"
      "  weir read --subject flows.counters.sflow   sFlow's counters, flows.discards.sflow its "
      "discards\n"
      "  weir read --all --count 1000 --timeout 30  wait until 1000 records are there\n"
      "It reads with a consumer of its own, acknowledges nothing and removes nothing.\n"
      "Exit status: 0 done; 1 server, stream or a message cannot be read; 2 wrong command line;\n"
      "3 fewer records than --count, or none at all.");
  read->callback([options, &exit_code] {
    if (options->count > 0 && !options->all && !options->only_new) options->all = true;
    exit_code = run_read(*options);
  });
}

}  // namespace weir::cli

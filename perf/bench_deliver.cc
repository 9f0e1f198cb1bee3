// bench_deliver.cc — Packets in memory → data plane → encoder → JetStream, acknowledged; and beside it in the
// same run a bare loop that publishes messages of the same size by the same library.
//
//     bench_deliver [--framing batch|single|delimited] [--compression none|lz4|zstd]
//                   [--protocol netflow_v5|netflow_v9|ipfix] [--seconds N] [--rounds N] [--batch-bytes N] [--connections N]
//                   [--bare-headers 5|1]
//
// net_pcap replays a capture for ever and drop_policy is block, so the broker's speed is what there is and
// nothing may be lost. One nats-server with file storage on the same CPUs serves both, a stream for each.
// The bare loop does what any publisher must: a Nats-Msg-Id, a reply for each message, a window; and its messages are
// as long as Weir's, headers included, unless it is to have that one only (--bare-headers 1). The two take turns, each in a
// process of its own, now one first and now the other, for a shared machine has its moods: what counts is the median of
// the rounds' ratios. Each turn has a new stream of the size that Weir makes by itself: in one that is full, the server's
// time goes into removing the oldest message for each new one.
#include <nats/nats.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/clock.h"
#include "control/appliance.h"
#include "control/config/config.h"
#include "replay_capture.h"
#include "service/log.h"
#include "support/nats_server.h"

namespace weir::perf {
namespace {

constexpr double kWarmSeconds = 1;
constexpr int64_t kStreamOctets = 10ll << 30;  // stream_max_bytes by default
/// What buffers, hugepages and the program itself may hold; the first two as run_appliance has them.
constexpr uint64_t kResidentKibMax = (256 + 256 + 128) * 1024;

struct Options {
  std::string framing = "batch";
  std::string compression = "none";
  lab::ExportProtocol protocol = lab::ExportProtocol::netflow_v5;
  double seconds = 5;
  int rounds = 3;
  uint32_t batch_bytes = 64 * 1024;
  uint32_t connections = 1;  // to the server
  // A process that takes a turn:
  std::string turn;  // weir or bare
  std::string url;
  std::string capture;
  size_t message_octets = 0;
  int bare_headers = 5;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_deliver: %s\n", what.c_str());
  std::exit(1);
}

/// What was acknowledged in some seconds.
struct Measured {
  double seconds = 0;
  uint64_t records = 0;
  uint64_t messages = 0;
  uint64_t octets = 0;
  uint64_t lost = 0;
  uint64_t resident_kib = 0;
  double cpu_seconds = 0;
  uint64_t switches = 0;  // of threads, by their own will or not
};

/// What this process has used since.
class Usage {
 public:
  Usage() { getrusage(RUSAGE_SELF, &began_); }
  void report(Measured& r) const {
    rusage now{};
    getrusage(RUSAGE_SELF, &now);
    r.cpu_seconds = seconds_of(now) - seconds_of(began_);
    r.switches =
        static_cast<uint64_t>(now.ru_nvcsw + now.ru_nivcsw - began_.ru_nvcsw - began_.ru_nivcsw);
  }

 private:
  static double seconds_of(const rusage& u) {
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  }
  rusage began_{};
};

uint64_t resident_kib() {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  char line[256];
  uint64_t kib = 0;
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, "VmRSS:", 6) == 0) kib = std::strtoull(line + 6, nullptr, 10);
  }
  if (file != nullptr) std::fclose(file);
  return kib;
}

/// DPDK starts once in a process, so this is called once.
Measured run_appliance(const Options& options) {
  RoleScope role(control_thread);
  const std::string text = "ports: [{name: replay, device: 'net_pcap0,rx_pcap=" + options.capture +
                           ",infinite_rx=1', mbufs: 8191}]\n" +
                           "eal: {memory_mb: 256}\nlisteners: [{protocol: netflow, port: " +
                           std::to_string(kReplayPort) + "}]\nnats_url: " + options.url +
                           "\nstream_max_bytes: " + std::to_string(kStreamOctets) + "\ncontrol_socket: {path: ''}\nstate_dir: ''\n" +
                           "drop_policy: block\nchannel_size: 100000\nframing: " + options.framing +
                           "\ncompression: " + options.compression +
                           "\nnats_connections: " + std::to_string(options.connections) +
                           "\nbatch_bytes: " + std::to_string(options.batch_bytes) +
                           "\nlog: {level: warning}\n";
  auto loaded = control::read_config(text, "bench", {});
  if (!loaded) fail(loaded.error().message);
  auto appliance = control::Appliance::create(loaded->config);
  if (!appliance) fail(appliance.error().message);

  Measured r;
  control::RunOptions run;
  uint64_t began_ns = 0;
  uint64_t until_ns = 0;
  control::PublisherView before;
  Usage usage;
  run.poll_view = [&](const control::ApplianceView& view) {
    const uint64_t now_ns = view.taken_steady_ns;
    if (view.publishers.empty()) return control::Request::none;
    const control::PublisherView& p = view.publishers[0];
    if (until_ns == 0 && p.records_acknowledged == 0) return control::Request::none;
    if (until_ns == 0) until_ns = now_ns + static_cast<uint64_t>(kWarmSeconds * 1e9);
    if (now_ns < until_ns) return control::Request::none;
    if (began_ns == 0) {
      before = p;
      began_ns = now_ns;
      usage = Usage();
      until_ns = now_ns + static_cast<uint64_t>(options.seconds * 1e9);
      return control::Request::none;
    }
    r.seconds = static_cast<double>(now_ns - began_ns) / 1e9;
    r.records = p.records_acknowledged - before.records_acknowledged;
    // A message that was sent again counts once.
    r.messages = options.framing == "single" ? r.records : p.batches_acknowledged - before.batches_acknowledged;
    r.octets = r.messages * (p.octets / std::max<uint64_t>(p.messages, 1));
    r.resident_kib = resident_kib();
    usage.report(r);
    return control::Request::stop;
  };
  auto last = (*appliance)->run(run);
  if (!last) fail(last.error().message);
  // Also of what was still on its way when it was told to stop.
  const control::PublisherView& p = (*last)->publishers.at(0);
  // But for what it had no time for: many small messages take longer than a stop may.
  r.lost = p.records_failed + p.records_dropped + p.records_in_flight + (*last)->total().record_drops.total() -
           p.failures[outbound::DeliveryFailure::shutdown_deadline];
  return r;
}

struct Window {
  std::atomic<uint64_t> acknowledged{0};
  std::atomic<uint64_t> refused{0};
};

void on_ack(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
  auto* const window = static_cast<Window*>(closure);
  const char* const data = natsMsg_GetData(message);
  const bool refused = natsMsg_IsNoResponders(message) || std::strstr(data, "\"error\"") != nullptr;
  (refused ? window->refused : window->acknowledged).fetch_add(1, std::memory_order_release);
  natsMsg_Destroy(message);
}

void check(natsStatus status, const char* what) {
  if (status != NATS_OK) fail(std::string(what) + ": " + natsStatus_GetText(status));
}

/// What Weir's messages have beside the id, in their lengths.
constexpr const char* kHeaders[][2] = {{"Weir-Framing", "batch"}, {"Weir-Compression", "none"}, {"Weir-Records", "481"}, {"Nats-Expected-Stream", "bare"}};

/// Publishes messages of one size until the time is over; how many were acknowledged.
Measured run_bare(const Options& options) {
  const size_t octets = options.message_octets;
  const size_t window_max = octets < 4096 ? 4096 : 64;
  natsConnection* connection = nullptr;
  natsSubscription* subscription = nullptr;
  check(natsConnection_ConnectTo(&connection, options.url.c_str()), "connect");
  jsCtx* js = nullptr;
  check(natsConnection_JetStream(&js, connection, nullptr), "jetstream");
  jsStreamConfig stream;
  jsStreamConfig_Init(&stream);
  const char* subjects[] = {"bare.raw"};
  stream.Name = "bare";
  stream.Subjects = subjects;
  stream.SubjectsLen = 1;
  stream.MaxBytes = kStreamOctets;
  jsErrCode code{};
  if (js_AddStream(nullptr, js, &stream, nullptr, &code) != NATS_OK && code != 0) fail("stream");
  natsInbox* inbox = nullptr;
  check(natsInbox_Create(&inbox), "inbox");
  Window window;
  check(natsConnection_Subscribe(&subscription, connection, (std::string(inbox) + ".*").c_str(),
                                 on_ack, &window),
        "subscribe");
  natsSubscription_SetPendingLimits(subscription, -1, -1);

  std::string payload(octets, '\0');
  uint64_t x = 88172645463325252ull;
  for (char& c : payload) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    c = static_cast<char>(x);
  }
  const std::string id_base = "bare." + std::to_string(getpid()) + ".";
  Measured r;
  Usage usage;
  uint64_t began_ns = 0;
  uint64_t until_ns = steady_clock_ns() + static_cast<uint64_t>(kWarmSeconds * 1e9);
  uint64_t before = 0;
  uint64_t sent = 0;
  const auto decided = [&] {
    return window.acknowledged.load(std::memory_order_acquire) +
           window.refused.load(std::memory_order_acquire);
  };
  for (;;) {
    const uint64_t now_ns = steady_clock_ns();
    if (now_ns >= until_ns) {
      const uint64_t acknowledged = window.acknowledged.load(std::memory_order_acquire);
      if (began_ns != 0) {
        r.seconds = static_cast<double>(now_ns - began_ns) / 1e9;
        r.messages = acknowledged - before;
        r.octets = r.messages * octets;
        usage.report(r);
        break;
      }
      before = acknowledged;
      began_ns = now_ns;
      until_ns = now_ns + static_cast<uint64_t>(options.seconds * 1e9);
      usage = Usage();
    }
    if (sent - decided() >= window_max) {
      usleep(50);
      continue;
    }
    natsMsg* message = nullptr;
    const std::string number = std::to_string(++sent);
    check(natsMsg_Create(&message, "bare.raw", (std::string(inbox) + "." + number).c_str(),
                         payload.data(), static_cast<int>(payload.size())),
          "message");
    check(natsMsgHeader_Set(message, "Nats-Msg-Id", (id_base + number).c_str()), "header");
    for (int i = 1; i < options.bare_headers; ++i) check(natsMsgHeader_Set(message, kHeaders[i - 1][0], kHeaders[i - 1][1]), "header");
    check(natsConnection_PublishMsg(connection, message), "publish");
    natsMsg_Destroy(message);
  }
  for (int i = 0; i < 2000 && decided() < sent; ++i) usleep(1000);
  if (window.refused.load() != 0) fail("the server refused messages of the bare loop");
  natsSubscription_Destroy(subscription);
  natsInbox_Destroy(inbox);
  jsCtx_Destroy(js);
  natsConnection_Close(connection);
  natsConnection_Destroy(connection);
  return r;
}

/// A turn as a process of its own: what it measured.
Measured take_turn(const Options& options, const char* turn, size_t message_octets,
                   const std::string& url, const std::string& capture, const char* self) {
  const std::string command =
      std::string(self) + " --turn " + turn + " --url " + url + " --capture " + capture +
      " --message-octets " + std::to_string(message_octets) + " --framing " + options.framing +
      " --compression " + options.compression + " --seconds " + std::to_string(options.seconds) +
      " --batch-bytes " + std::to_string(options.batch_bytes) + " --connections " + std::to_string(options.connections) + " --bare-headers " + std::to_string(options.bare_headers);
  std::FILE* const out = popen(command.c_str(), "r");
  if (out == nullptr) fail("cannot start a turn");
  Measured r;
  unsigned long long records = 0, messages = 0, octets = 0, lost = 0, kib = 0, switches = 0;
  const int fields = std::fscanf(out, "%lf %llu %llu %llu %llu %llu %lf %llu", &r.seconds, &records,
                                 &messages, &octets, &lost, &kib, &r.cpu_seconds, &switches);
  if (pclose(out) != 0 || fields != 8) fail(std::string("the turn of ") + turn + " failed");
  r.records = records;
  r.messages = messages;
  r.octets = octets;
  r.lost = lost;
  r.resident_kib = kib;
  r.switches = switches;
  return r;
}

void print_turn(const Measured& r) {
  std::printf("%f %llu %llu %llu %llu %llu %f %llu\n", r.seconds,
              static_cast<unsigned long long>(r.records),
              static_cast<unsigned long long>(r.messages),
              static_cast<unsigned long long>(r.octets), static_cast<unsigned long long>(r.lost),
              static_cast<unsigned long long>(r.resident_kib), r.cpu_seconds,
              static_cast<unsigned long long>(r.switches));
}

/// So that the next turn has a stream of its own.
void forget_streams(const std::string& url) {
  natsConnection* connection = nullptr;
  jsCtx* js = nullptr;
  check(natsConnection_ConnectTo(&connection, url.c_str()), "connect");
  jsOptions patient;
  check(jsOptions_Init(&patient), "jetstream");
  patient.Wait = 60'000;  // a stream of a message a record is not removed in the five seconds that are usual
  check(natsConnection_JetStream(&js, connection, &patient), "jetstream");
  for (const char* name : {"bare", "events"}) {
    jsErrCode code{};
    if (js_DeleteStream(js, name, nullptr, &code) != NATS_OK && code != JSStreamNotFoundErr) fail("a stream cannot be deleted");
  }
  jsCtx_Destroy(js);
  natsConnection_Destroy(connection);
  usleep(2'000'000);  // nats-server 2.9 answers before it is done
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

int run(const Options& options, const char* self) {
  if (test::NatsServer::binary().empty()) fail("nats-server is not installed");
  test::NatsServer server;
  if (!server.start()) fail("nats-server does not start");
  char capture[] = "/tmp/weir-bench-deliver-XXXXXX";
  const int fd = mkstemp(capture);
  if (fd < 0) fail("no temporary file");
  close(fd);
  if (auto frames = write_replay_capture({.protocol = options.protocol}, capture); !frames) {
    fail(frames.error().message);
  }

  const auto show = [](const char* who, const Measured& r) {
    const double messages = static_cast<double>(std::max<uint64_t>(r.messages, 1));
    std::printf(
        "%s: %8.0f messages/s, %6.1f MB/s acknowledged; %.0f octets, %.1f us of CPU and %.1f "
        "switches a message",
        who, static_cast<double>(r.messages) / r.seconds,
        static_cast<double>(r.octets) / r.seconds / 1e6, static_cast<double>(r.octets) / messages,
        r.cpu_seconds * 1e6 / messages, static_cast<double>(r.switches) / messages);
  };
  std::vector<double> ratios, records_s;
  size_t message_octets = 0;
  const auto turn = [&](const char* who) {
    const Measured r = take_turn(options, who, message_octets, server.url(), capture, self);
    forget_streams(server.url());
    show(who, r);
    return r;
  };
  const auto turn_of_weir = [&] {
    const Measured r = turn("weir");
    std::printf("; %.2f M records/s, lost %llu, resident %llu MiB\n", static_cast<double>(r.records) / r.seconds / 1e6,
                static_cast<unsigned long long>(r.lost), static_cast<unsigned long long>(r.resident_kib / 1024));
    if (r.lost != 0) fail("records were lost");
    if (r.messages == 0) fail("nothing was acknowledged");
    if (r.resident_kib > kResidentKibMax) fail("it takes more memory than its configuration allows");
    message_octets = r.octets / r.messages;
    return r;
  };
  const auto turn_of_bare = [&] {
    const Measured r = turn("bare");
    std::printf("\n");
    return r;
  };
  for (int i = 0; i < options.rounds; ++i) {
    const bool is_first = i % 2 == 0;
    Measured weir, bare;
    if (is_first) weir = turn_of_weir();
    bare = turn_of_bare();
    if (!is_first) weir = turn_of_weir();
    std::fflush(stdout);
    ratios.push_back(static_cast<double>(weir.messages) / weir.seconds /
                     (static_cast<double>(bare.messages) / bare.seconds));
    records_s.push_back(static_cast<double>(weir.records) / weir.seconds);
  }
  unlink(capture);
  std::printf(
      "median: %.2f M records/s acknowledged (%.2f to %.2f), %.0f %% of the bare loop's messages (%.0f to %.0f)\n",
      median(records_s) / 1e6, *std::min_element(records_s.begin(), records_s.end()) / 1e6,
      *std::max_element(records_s.begin(), records_s.end()) / 1e6, 100 * median(ratios),
      100 * *std::min_element(ratios.begin(), ratios.end()), 100 * *std::max_element(ratios.begin(), ratios.end()));
  return 0;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (i + 1 == argc) fail("unknown option " + key);
    const std::string value = argv[++i];
    if (key == "--framing") {
      options.framing = value;
    } else if (key == "--compression") {
      options.compression = value;
    } else if (key == "--seconds") {
      options.seconds = std::strtod(value.c_str(), nullptr);
    } else if (key == "--rounds") {
      options.rounds = std::atoi(value.c_str());
    } else if (key == "--turn") {
      options.turn = value;
    } else if (key == "--url") {
      options.url = value;
    } else if (key == "--capture") {
      options.capture = value;
    } else if (key == "--message-octets") {
      options.message_octets = std::strtoul(value.c_str(), nullptr, 10);
    } else if (key == "--bare-headers") {
      options.bare_headers = std::clamp(std::atoi(value.c_str()), 1, 5);
    } else if (key == "--connections") {
      options.connections = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--batch-bytes") {
      options.batch_bytes = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (const auto protocol = replay_protocol(value); key == "--protocol" && protocol) {
      options.protocol = *protocol;
    } else {
      fail("unknown option " + key + " " + value);
    }
  }
  if (options.seconds <= 0 || options.rounds < 1) fail("some seconds, some rounds");
  return options;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) {
  using namespace weir::perf;
  std::signal(SIGPIPE, SIG_IGN);
  weir::service::set_log_level(weir::service::LogLevel::warning);
  const Options options = parse(argc, argv);
  if (options.turn.empty()) return run(options, argv[0]);
  print_turn(options.turn == "weir" ? run_appliance(options) : run_bare(options));
  return 0;
}

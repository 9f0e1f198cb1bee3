// bench_deliver.cc — Packets in memory → data plane → encoder → JetStream, acknowledged; and beside it in the
// same run a bare loop that publishes messages of the same size by the same library.
//
//     bench_deliver [--framing batch|single|delimited] [--compression none|lz4|zstd]
//                   [--protocol netflow_v5|netflow_v9|ipfix] [--seconds N] [--rounds N] [--batch-bytes N]
//
// net_pcap replays a capture for ever and drop_policy is block, so the broker's speed is what there is and
// nothing may be lost. One nats-server with file storage on the same CPUs serves both, a stream for each.
// The bare loop does what any publisher must: a Nats-Msg-Id, a reply for each message, a window.
#include <nats/nats.h>
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
#include "control/config.h"
#include "replay_capture.h"
#include "service/log.h"
#include "support/nats_server.h"

namespace weir::perf {
namespace {

struct Options {
  std::string framing = "batch";
  std::string compression = "none";
  lab::ExportProtocol protocol = lab::ExportProtocol::netflow_v5;
  double seconds = 5;
  int rounds = 3;
  uint32_t batch_bytes = 64 * 1024;
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
  uint64_t peak_kib = 0;
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
std::vector<Measured> run_appliance(const Options& options, const std::string& url,
                                   const std::string& capture) {
  RoleScope role(control_thread);
  const std::string text =
      "ports: [{name: replay, device: 'net_pcap0,rx_pcap=" + capture + ",infinite_rx=1', mbufs: 8191}]\n" +
      "eal: {memory_mb: 256}\nlisteners: [{protocol: netflow, port: " +
      std::to_string(kReplayPort) + "}]\nnats_url: " + url +
      "\nstream_max_bytes: 1GiB\ncontrol_socket: {path: ''}\nstate_dir: ''\n" +
      "drop_policy: block\nchannel_size: 100000\nframing: " + options.framing +
      "\ncompression: " + options.compression +
      "\nbatch_bytes: " + std::to_string(options.batch_bytes) + "\nlog: {level: warning}\n";
  auto loaded = control::read_config(text, "bench", {});
  if (!loaded) fail(loaded.error().message);
  auto appliance = control::Appliance::create(loaded->config);
  if (!appliance) fail(appliance.error().message);

  std::vector<Measured> results;
  control::RunOptions run;
  uint64_t began_ns = 0, next_ns = 0;
  control::PublisherView before;
  enum class Phase : uint8_t { warm, measured } phase = Phase::warm;
  run.poll_view = [&](const control::ApplianceView& view) {
    const uint64_t now_ns = view.taken_steady_ns;
    if (view.publishers.empty() || now_ns < next_ns) return control::Request::none;
    const control::PublisherView& p = view.publishers[0];
    if (phase == Phase::warm) {
      if (p.records_acknowledged == 0 && next_ns == 0) return control::Request::none;
      phase = Phase::measured;
    } else {
      Measured r;
      r.seconds = static_cast<double>(now_ns - began_ns) / 1e9;
      r.records = p.records_acknowledged - before.records_acknowledged;
      r.messages = p.messages - before.messages;
      r.octets = p.octets - before.octets;
      r.lost = p.records_failed + p.records_dropped + view.total().record_drops.total();
      r.peak_kib = resident_kib();
      results.push_back(r);
      if (static_cast<int>(results.size()) == options.rounds) return control::Request::stop;
    }
    before = p;
    began_ns = now_ns;
    next_ns = now_ns + static_cast<uint64_t>(options.seconds * 1e9);
    return control::Request::none;
  };
  auto last = (*appliance)->run(run);
  if (!last) fail(last.error().message);
  return results;
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

/// Publishes messages of `octets` until the time is over; how many were acknowledged.
Measured run_bare(const std::string& url, size_t octets, size_t window_max, double seconds) {
  natsConnection* connection = nullptr;
  natsSubscription* subscription = nullptr;
  check(natsConnection_ConnectTo(&connection, url.c_str()), "connect");
  jsCtx* js = nullptr;
  check(natsConnection_JetStream(&js, connection, nullptr), "jetstream");
  jsStreamConfig stream;
  jsStreamConfig_Init(&stream);
  const char* subjects[] = {"bare.raw"};
  stream.Name = "bare";
  stream.Subjects = subjects;
  stream.SubjectsLen = 1;
  stream.MaxBytes = 1 << 30;
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
  static uint64_t run = 0;
  const std::string id_base = "bare." + std::to_string(++run) + ".";
  const uint64_t began_ns = steady_clock_ns();
  const uint64_t end_ns = began_ns + static_cast<uint64_t>(seconds * 1e9);
  uint64_t sent = 0;
  const auto decided = [&] {
    return window.acknowledged.load(std::memory_order_acquire) +
           window.refused.load(std::memory_order_acquire);
  };
  while (steady_clock_ns() < end_ns) {
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
    check(natsConnection_PublishMsg(connection, message), "publish");
    natsMsg_Destroy(message);
  }
  Measured r;
  r.seconds = static_cast<double>(steady_clock_ns() - began_ns) / 1e9;
  r.messages = window.acknowledged.load(std::memory_order_acquire);
  r.octets = r.messages * octets;
  for (int i = 0; i < 2000 && decided() < sent; ++i) usleep(1000);
  if (window.refused.load() != 0) fail("the server refused messages of the bare loop");
  natsSubscription_Destroy(subscription);
  natsInbox_Destroy(inbox);
  jsCtx_Destroy(js);
  natsConnection_Close(connection);
  natsConnection_Destroy(connection);
  return r;
}

int run(const Options& options) {
  if (test::NatsServer::binary().empty()) fail("nats-server is not installed");
  test::NatsServer server;
  if (!server.start()) fail("nats-server does not start");
  char capture[] = "/tmp/weir-bench-deliver-XXXXXX";
  const int fd = mkstemp(capture);
  if (fd < 0) fail("no temporary file");
  close(fd);
  if (auto frames = write_replay_capture(options.protocol, 0, capture); !frames) {
    fail(frames.error().message);
  }

  const auto results = run_appliance(options, server.url(), capture);
  unlink(capture);
  double weir_octets_s = 0, weir_messages_s = 0, records_s = 0, message_octets = 0;
  for (const Measured& r : results) {
    std::printf("weir: %6.2f M records/s, %8.0f messages/s, %6.1f MB/s acknowledged; lost %llu; "
                "%.0f octets a message, resident %llu MiB\n",
                static_cast<double>(r.records) / r.seconds / 1e6,
                static_cast<double>(r.messages) / r.seconds,
                static_cast<double>(r.octets) / r.seconds / 1e6,
                static_cast<unsigned long long>(r.lost),
                static_cast<double>(r.octets) / static_cast<double>(std::max<uint64_t>(r.messages, 1)),
                static_cast<unsigned long long>(r.peak_kib / 1024));
    weir_octets_s = std::max(weir_octets_s, static_cast<double>(r.octets) / r.seconds);
    weir_messages_s = std::max(weir_messages_s, static_cast<double>(r.messages) / r.seconds);
    records_s = std::max(records_s, static_cast<double>(r.records) / r.seconds);
    message_octets =
        static_cast<double>(r.octets) / static_cast<double>(std::max<uint64_t>(r.messages, 1));
    if (r.lost != 0) fail("records were lost");
  }
  double bare_messages_s = 0;
  for (int i = 0; i < options.rounds; ++i) {
    const bool is_small = message_octets < 4096;
    const Measured r = run_bare(server.url(), static_cast<size_t>(message_octets),
                               is_small ? 4096 : 64, options.seconds);
    std::printf("bare: %8.0f messages/s, %6.1f MB/s acknowledged\n",
                static_cast<double>(r.messages) / r.seconds,
                static_cast<double>(r.octets) / r.seconds / 1e6);
    bare_messages_s = std::max(bare_messages_s, static_cast<double>(r.messages) / r.seconds);
  }
  std::printf("best: %.2f M records/s acknowledged, %.0f %% of the bare loop's messages\n",
              records_s / 1e6, 100 * weir_messages_s / bare_messages_s);
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
    } else if (key == "--batch-bytes") {
      options.batch_bytes = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (key == "--protocol" && value == "netflow_v5") {
      options.protocol = lab::ExportProtocol::netflow_v5;
    } else if (key == "--protocol" && value == "netflow_v9") {
      options.protocol = lab::ExportProtocol::netflow_v9;
    } else if (key == "--protocol" && value == "ipfix") {
      options.protocol = lab::ExportProtocol::ipfix;
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
  std::signal(SIGPIPE, SIG_IGN);
  weir::service::set_log_level(weir::service::LogLevel::warning);
  return weir::perf::run(weir::perf::parse(argc, argv));
}

// bench_ports.cc — What a port costs beside a bare loop of its kind: kernel sockets, af_packet and AF_XDP, each over a veth pair.
//
//     bench_ports [--rounds N] [--rate PPS] [--seconds N] [--halvings N] [--kind KIND] [--json] [--smoke]
//
// --rounds: of all in turn; medians (3). --rate, --seconds: the paced runs (100000, 0.5). --halvings: steps in the search
// for the highest rate without loss (5; 0: none). --kind: socket, af_packet or af_xdp only. --json: on standard output, nothing else.
//
// Receivers of each kind: bare (bare_receivers.h); driver, the same loop over DPDK's driver; port, Weir whose access list
// admits nobody, so that a datagram ends where it was received; whole, Weir that decodes and encodes. Two figures of each receive thread's own CPU time:
// full, while it takes what waits in a queue that is nearly full, which is what bounds the rate a core can take: what a queue takes longer than one with
// a tenth of that, so that waking up is not in it but by itself (a wake); paced, at a rate at which it mostly sleeps. Each has a wire of its own and sleeps while the others have their turn.
//
// What the kernel does in soft interrupts to hand a frame over is on the sender's CPU, for all alike. Needs root, ip(8) and
// two CPUs; ends with 77 where they are not.
#include <dirent.h>
#include <fmt/format.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "bare_receivers.h"
#include "base/clock.h"
#include "dataplane/data_plane.h"
#include "veth_wires.h"

namespace weir::perf {
namespace {

struct Options {
  unsigned rounds = 3;
  uint64_t rate = 100'000;
  double seconds = 0.5;
  unsigned halvings = 5;
  std::string kind;  // empty: all
  bool is_json = false;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_ports: %s\n", what.c_str());
  std::exit(1);
}
[[noreturn]] void skip(const std::string& what) {
  std::fprintf(stderr, "skipped: %s\n", what.c_str());
  std::exit(77);
}

enum class Kind : uint8_t { socket, af_packet, af_xdp };
enum class Who : uint8_t { bare, driver, port, whole };
constexpr const char* kKindNames[] = {"socket", "af_packet", "af_xdp"};
constexpr const char* kWhoNames[] = {"bare", "driver", "port", "whole"};
constexpr unsigned kFramesOfAfPacket = 2048, kFramesOfAfXdp = 1024;  // as Weir's ports have them
constexpr uint64_t kWaiting[] = {3000, 1500, 900};                     // datagrams of a queue that is nearly full
constexpr unsigned kFillings = 7;                                    // a round, of either size
constexpr uint64_t kFillRate = 200'000;
constexpr uint64_t kSearchNs = 300 * kNsPerMs;

/// What a receiving process tells.
struct Shared {
  std::atomic<uint64_t> received{0};
  std::atomic<bool> is_ready{false}, is_stopping{false};
};

struct Cpus {
  unsigned sender = 0, receiver = 0;
};

struct Lane {
  Kind kind = Kind::socket;
  Who who = Who::bare;
  unsigned wire = 0;
  pid_t pid = -1;
  Shared* shared = nullptr;
  std::vector<double> full_ns, paced_ns;  // a datagram, by round
  std::vector<double> wake_ns;            // beside that: from sleep to sleep, once
  uint64_t paced_sent = 0, paced_lost = 0;
  uint64_t lossless = 0;  // datagrams a second
  bool is_bound_by_sender = false;
};

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// ---- The receiving processes

dataplane::DataPlaneConfig weir_config(const Lane& lane, const Cpus& cpus);

[[noreturn]] void be_bare(const Lane& lane, const Cpus& cpus) {
  const std::string interface = VethWires::interface_of(lane.wire);
  auto opened = lane.who == Who::driver ? open_bare_driver(weir_config(lane, cpus))
                : lane.kind == Kind::socket
                    ? open_bare_socket(VethWires::address_of(lane.wire), kWirePort, static_cast<int>(dataplane::kReceiveBufferOctets))
                : lane.kind == Kind::af_packet ? open_bare_af_packet(interface, kWirePort, kFramesOfAfPacket)
                                               : open_bare_af_xdp(interface, kWirePort, kFramesOfAfXdp);
  if (!opened) fail(opened.error().message);
  std::thread receiver([&] {
    pin_to(cpus.receiver);
    pthread_setname_np(pthread_self(), "bare-rx-0");
    Shared& shared = *lane.shared;
    uint64_t received = 0;
    while (!shared.is_stopping.load(std::memory_order_relaxed))
      shared.received.store(received += (*opened)->take(), std::memory_order_relaxed);
  });
  lane.shared->is_ready = true;
  receiver.join();
  opened->reset();
  std::exit(0);
}

dataplane::DataPlaneConfig weir_config(const Lane& lane, const Cpus& cpus) {
  dataplane::DataPlaneConfig config;
  config.pipeline.listeners.push_back({.name = "netflow", .port = kWirePort, .route = {}, .rules = {}});
  config.pipeline.batcher.buffers = 256;
  if (lane.who == Who::port) config.pipeline.decoder.access = {{{.address = *IpAddress::parse("192.0.2.99"), .bits = 128}}, {}};
  if (lane.kind == Kind::socket) {
    config.socket_ports.push_back({.name = "host",
                                   .address = *IpAddress::parse(VethWires::address_of(lane.wire)),
                                   .port = kWirePort,
                                   .listener = {0}});
    return config;
  }
  config.eal.memory_mb = 128;
  config.eal.main_lcore = cpus.sender;
  config.eal.log = [](dataplane::EalLogLevel, std::string_view) {};
  config.dpdk_ports.push_back({.name = "wire",
                               .device = fmt::format("net_{}0,iface={}", kKindNames[static_cast<size_t>(lane.kind)],
                                                     VethWires::interface_of(lane.wire)),
                               .lcores = {cpus.receiver}});
  return config;
}

[[noreturn]] void be_weir(const Lane& lane, const Cpus& cpus) {
  const RoleScope role(control_thread);
  auto made = dataplane::DataPlane::create(weir_config(lane, cpus));
  if (!made) fail(made.error().message);
  dataplane::DataPlane& plane = **made;
  pin_to(cpus.receiver);  // the socket's thread stays where it begins
  if (const Result<void> started = plane.start(); !started) fail(started.error().message);
  pin_to(cpus.sender);
  lane.shared->is_ready = true;
  const auto look = [&] {
    const RoleScope looking(control_thread);
    plane.keep_time(steady_clock_ns());  // as the appliance does: else the core asks the kernel for the time
    dataplane::Pipeline& pipeline = plane.pipeline(0);
    outbound::OutboundBatch* batch;
    while (pipeline.batcher().take_sealed(batch)) pipeline.batcher().give_back(batch);
    lane.shared->received.store(pipeline.counters().datagrams.value(), std::memory_order_relaxed);
    usleep(1000);
  };
  while (!lane.shared->is_stopping) look();
  plane.request_stop();
  while (!plane.has_ended()) look();
  plane.stop();
  const decode::DecoderCounters& decoder = plane.pipeline(0).decoder_counters();
  const uint64_t wanted = lane.who == Who::port ? 0 : plane.pipeline(0).counters().datagrams.value() * kWireRecords;
  if (decoder.records.value() != wanted) fail("not every datagram was what it should be");
  made->reset();
  std::exit(0);
}

void start(Lane& lane, const Cpus& cpus) {
  void* const mapped = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) fail("no memory");
  lane.shared = new (mapped) Shared();
  if (lane.kind == Kind::socket)
    if (const Result<void> given = VethWires::give_address(lane.wire); !given) fail(given.error().message);
  std::fflush(nullptr);
  // The driver of af_packet makes a number of these two, which another of this namespace must not have.
  static std::vector<unsigned> numbers;
  const unsigned index = if_nametoindex(VethWires::interface_of(lane.wire).c_str());
  const auto number_of = [&](pid_t pid) { return (static_cast<unsigned>(pid) ^ index) & 0xffffu; };
  while ((lane.pid = fork()) > 0 && std::find(numbers.begin(), numbers.end(), number_of(lane.pid)) != numbers.end()) {
    kill(lane.pid, SIGKILL);
    waitpid(lane.pid, nullptr, 0);
  }
  if (lane.pid < 0) fail("no process");
  if (lane.pid != 0) return numbers.push_back(number_of(lane.pid));
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (lane.who == Who::bare || lane.who == Who::driver) be_bare(lane, cpus);
  be_weir(lane, cpus);
}

// ---- Measuring them

/// CPU time of the thread that receives, by its name.
uint64_t receiving_ns(const Lane& lane) {
  const std::string tasks = fmt::format("/proc/{}/task/", lane.pid);
  uint64_t total_ns = 0;
  DIR* const folder = opendir(tasks.c_str());
  if (folder == nullptr) return 0;
  while (const dirent* const entry = readdir(folder)) {
    std::string name;
    std::getline(std::ifstream(tasks + entry->d_name + "/comm"), name);
    if (name.find("-rx-") == std::string::npos && name.find("worker-") == std::string::npos) continue;
    uint64_t ns = 0;
    std::ifstream(tasks + entry->d_name + "/schedstat") >> ns;
    total_ns += ns;
  }
  closedir(folder);
  return total_ns;
}

bool wait_for(const Lane& lane, uint64_t received, uint64_t within_ns) {
  const uint64_t give_up_ns = steady_clock_ns() + within_ns;
  while (lane.shared->received < received)
    if (steady_clock_ns() > give_up_ns) return false; else usleep(500);
  return true;
}

/// ns that it takes until so many that wait are taken and it sleeps; nullopt where not all of them were there.
std::optional<double> take_waiting(VethWires& wires, const Lane& lane, uint64_t count) {
  const uint64_t before = lane.shared->received;
  kill(lane.pid, SIGSTOP);
  usleep(2000);
  const uint64_t before_ns = receiving_ns(lane);
  wires.send({.wire = lane.wire, .datagrams = count, .rate = kFillRate});
  usleep(1000);
  kill(lane.pid, SIGCONT);
  if (!wait_for(lane, before + count, kNsPerSec)) return {};
  usleep(2000);
  return static_cast<double>(receiving_ns(lane) - before_ns);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

struct Paced {
  VethWires::Sent sent;
  uint64_t lost = 0;
  double ns = 0;  // of CPU a datagram
};
Paced pace(VethWires& wires, const Lane& lane, uint64_t rate, uint64_t for_ns) {
  Paced paced;
  const uint64_t before = lane.shared->received, before_ns = receiving_ns(lane);
  paced.sent = wires.send({.wire = lane.wire, .ns = for_ns, .rate = rate});
  wait_for(lane, before + paced.sent.datagrams, 100 * kNsPerMs);
  usleep(2000);
  const uint64_t received = lane.shared->received - before;
  paced.lost = paced.sent.datagrams - std::min(received, paced.sent.datagrams);
  paced.ns = static_cast<double>(receiving_ns(lane) - before_ns) / static_cast<double>(std::max<uint64_t>(received, 1));
  return paced;
}

/// Of those of a kind, one after the other, so that what else goes on here is the same for all. What a nearly full queue takes longer
/// than one with a tenth of that is what datagrams take: waking up and lying down again is in both, once.
void fill_queues(VethWires& wires, std::span<Lane> lanes) {
  const uint64_t many = kWaiting[static_cast<size_t>(lanes[0].kind)], few = many / 10;
  std::vector<std::vector<double>> of_many(lanes.size()), of_few(lanes.size());
  for (unsigned i = 0; i < kFillings; ++i)
    for (size_t at = 0; at < lanes.size(); ++at) {
      if (const auto ns = take_waiting(wires, lanes[at], many)) of_many[at].push_back(*ns);
      if (const auto ns = take_waiting(wires, lanes[at], few)) of_few[at].push_back(*ns);
    }
  for (size_t at = 0; at < lanes.size(); ++at) {
    if (of_many[at].empty() || of_few[at].empty()) continue;
    const double ns = (median(of_many[at]) - median(of_few[at])) / static_cast<double>(many - few);
    lanes[at].full_ns.push_back(ns);
    lanes[at].wake_ns.push_back(median(of_few[at]) - ns * static_cast<double>(few));
  }
}

void run_round(VethWires& wires, Lane& lane, const Options& options) {
  const Paced paced = pace(wires, lane, options.rate, static_cast<uint64_t>(options.seconds * 1e9));
  lane.paced_ns.push_back(paced.ns);
  lane.paced_sent += paced.sent.datagrams;
  lane.paced_lost += paced.lost;
}

/// As fast as the sender can; where that is too fast, by halving.
void search_limit(VethWires& wires, Lane& lane, unsigned halvings) {
  const auto rate_of = [](const VethWires::Sent& sent) { return sent.datagrams * kNsPerSec / std::max<uint64_t>(sent.elapsed_ns, 1); };
  const Paced most = pace(wires, lane, 0, kSearchNs);
  uint64_t low = 0, high = rate_of(most.sent);
  if (most.lost == 0) {
    lane.lossless = high;
    lane.is_bound_by_sender = true;
    return;
  }
  for (unsigned i = 0; i < halvings; ++i) {
    const uint64_t middle = (low + high) / 2;
    const Paced paced = pace(wires, lane, middle, kSearchNs);
    (paced.lost == 0 ? low : high) = middle;
    if (paced.lost == 0) lane.lossless = rate_of(paced.sent);
  }
}

// ---- The report

std::string spread(const std::vector<double>& values) {
  if (values.empty()) return "null";
  return fmt::format("{{\"median\":{:.1f},\"least\":{:.1f},\"most\":{:.1f}}}", median(values),
                     *std::min_element(values.begin(), values.end()), *std::max_element(values.begin(), values.end()));
}

void print_json(const std::vector<Lane>& lanes, const Options& options) {
  std::string rows;
  for (const Lane& lane : lanes)
    rows += fmt::format(
        "{}{{\"kind\":\"{}\",\"who\":\"{}\",\"full_ns\":{},\"wake_ns\":{},\"paced_ns\":{},\"paced_sent\":{},\"paced_lost\":{},\"datagrams_per_second_lossless\":{},"
        "\"bound_by_sender\":{}}}",
        rows.empty() ? "" : ",", kKindNames[static_cast<size_t>(lane.kind)], kWhoNames[static_cast<size_t>(lane.who)], spread(lane.full_ns),
        spread(lane.wake_ns), spread(lane.paced_ns), lane.paced_sent, lane.paced_lost, options.halvings == 0 ? "null" : std::to_string(lane.lossless),
        lane.is_bound_by_sender);
  std::printf("{\"rate\":%llu,\"seconds\":%g,\"rounds\":%u,\"receivers\":[%s]}\n", static_cast<unsigned long long>(options.rate),
              options.seconds, options.rounds, rows.c_str());
}

void print_table(const std::vector<Lane>& lanes, const Options& options) {
  std::printf("%-10s %-6s %26s %12s %10s %10s %26s %14s %16s\n", "", "", "ns, queue full", "M/s a core", "of bare", "us, a wake", "ns, paced", "lost", "lossless/s");
  double bare = 0;
  for (const Lane& lane : lanes) {
    const double full = median(lane.full_ns);
    if (lane.who == Who::bare) bare = full;
    const auto cell = [](const std::vector<double>& v) {
      return v.empty() ? std::string("-")
                       : fmt::format("{:.0f} ({:.0f} to {:.0f})", median(v), *std::min_element(v.begin(), v.end()), *std::max_element(v.begin(), v.end()));
    };
    std::printf("%-10s %-6s %26s %12.2f %8.0f %% %10.1f %26s %14s %15llu%s\n", kKindNames[static_cast<size_t>(lane.kind)],
                kWhoNames[static_cast<size_t>(lane.who)], cell(lane.full_ns).c_str(), full > 0 ? 1e3 / full : 0, full > 0 ? 100 * bare / full : 0,
                median(lane.wake_ns) / 1e3, cell(lane.paced_ns).c_str(), fmt::format("{}/{}", lane.paced_lost, lane.paced_sent).c_str(),
                static_cast<unsigned long long>(lane.lossless), lane.is_bound_by_sender ? "+" : "");
  }
  std::printf("paced: %llu datagrams/s of %u records; +: the sender can no more; of bare: of its datagrams a second of CPU\n",
              static_cast<unsigned long long>(options.rate), kWireRecords);
}

// ----

std::optional<Cpus> two_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<unsigned> found;
  for (unsigned i = 0; i < CPU_SETSIZE && found.size() < 2; ++i)
    if (CPU_ISSET(i, &set)) found.push_back(i);
  if (found.size() < 2) return {};
  return Cpus{found[0], found[1]};
}

int run(const Options& options) {
  const std::optional<Cpus> cpus = two_cpus();
  if (geteuid() != 0 || !cpus) skip("bench_ports needs root and two CPUs");
  std::vector<Lane> lanes;
  for (const Kind kind : {Kind::socket, Kind::af_packet, Kind::af_xdp})
    for (const Who who : {Who::bare, Who::driver, Who::port, Who::whole})
      if ((options.kind.empty() || options.kind == kKindNames[static_cast<size_t>(kind)]) && (kind != Kind::socket || who != Who::driver))
        lanes.push_back({.kind = kind, .who = who, .wire = static_cast<unsigned>(lanes.size())});
  auto wires = VethWires::lay(static_cast<unsigned>(lanes.size()), cpus->sender);
  if (!wires) skip(wires.error().message);
  for (Lane& lane : lanes) start(lane, *cpus);
  for (const Lane& lane : lanes) {
    const uint64_t give_up_ns = steady_clock_ns() + 20 * kNsPerSec;
    while (!lane.shared->is_ready) {
      if (waitpid(lane.pid, nullptr, WNOHANG) != 0 || steady_clock_ns() > give_up_ns)
        fail(fmt::format("{} {} does not receive", kKindNames[static_cast<size_t>(lane.kind)], kWhoNames[static_cast<size_t>(lane.who)]));
      usleep(1000);
    }
    pace(**wires, lane, options.rate, 50 * kNsPerMs);  // warm
  }
  for (unsigned i = 0; i < options.rounds; ++i) {
    for (size_t at = 0, end; at < lanes.size(); at = end) {
      for (end = at + 1; end < lanes.size() && lanes[end].kind == lanes[at].kind;) ++end;
      fill_queues(**wires, std::span(lanes).subspan(at, end - at));
    }
    for (Lane& lane : lanes) run_round(**wires, lane, options);
  }
  if (options.halvings != 0)
    for (Lane& lane : lanes) search_limit(**wires, lane, options.halvings);
  bool is_right = true;
  for (const Lane& lane : lanes) {
    lane.shared->is_stopping = true;
    int status = 1;
    waitpid(lane.pid, &status, 0);
    is_right &= status == 0 && !lane.full_ns.empty() && lane.paced_sent > 0;
  }
  if (options.is_json) print_json(lanes, options); else print_table(lanes, options);
  return is_right ? 0 : 1;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--json") {
      options.is_json = true;
    } else if (key == "--smoke") {
      options.rounds = 1;
      options.seconds = 0.05;
      options.halvings = 0;
      options.rate = 5000;
    } else if (i + 1 == argc) {
      fail("unknown option " + key);
    } else if (const char* const value = argv[++i]; key == "--rounds") {
      options.rounds = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    } else if (key == "--rate") {
      options.rate = std::strtoull(value, nullptr, 10);
    } else if (key == "--seconds") {
      options.seconds = std::strtod(value, nullptr);
    } else if (key == "--kind") {
      options.kind = value;
      if (std::find(std::begin(kKindNames), std::end(kKindNames), options.kind) == std::end(kKindNames)) fail("no such kind: " + options.kind);
    } else if (key == "--halvings") {
      options.halvings = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    } else {
      fail("unknown option " + key);
    }
  }
  if (options.rounds == 0 || options.rounds > 100 || options.rate == 0 || options.rate > 10'000'000 || options.seconds <= 0 ||
      options.seconds > 60 || options.halvings > 20)
    fail("1 to 100 rounds, 1 to 10000000 datagrams a second, up to 60 seconds, up to 20 halvings");
  return options;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) { return weir::perf::run(weir::perf::parse(argc, argv)); }
